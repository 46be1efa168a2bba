"""Owns the counters that the processes of a node keep together, in one small file: each counts in memory, and adds that
to the file about once a second. What lies there outlives processes; at worst a second's counts die with one."""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path

from backends.wrappers.metering import Labels

logger = logging.getLogger(__name__)

_FLUSH_S = 1.0
_MAX_ROWS = 4000
"""Of distinct metrics and labels; those beyond are counted under no bucket."""


class Counters:
    """Counting (backends.wrappers.metering). Without a path they are this process's alone."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._fresh: dict[tuple[str, Labels], float] = {}
        self._kept: dict[tuple[str, Labels], float] = {}
        self._flushing: asyncio.Task[None] | None = None

    def add(self, metric: str, labels: Labels, amount: float) -> None:
        """See Counting.add."""
        row = (metric, labels)
        if row not in self._fresh and len(self._fresh) >= _MAX_ROWS:
            row = (metric, _without_bucket(labels))
        self._fresh[row] = self._fresh.get(row, 0) + amount
        if self._path is not None and self._flushing is None:
            self._flushing = asyncio.get_running_loop().create_task(self._flush_later())

    async def totals(self) -> Mapping[tuple[str, Labels], float]:
        """All that was counted, by all processes."""
        await self._flush()
        return dict(self._kept) if self._path is None else await asyncio.to_thread(self._read_sync)

    async def close(self) -> None:
        """Keep what was counted."""
        if self._flushing is not None:
            self._flushing.cancel()
        await self._flush()

    async def _flush_later(self) -> None:
        await asyncio.sleep(_FLUSH_S)
        self._flushing = None
        await self._flush()

    async def _flush(self) -> None:
        fresh, self._fresh = self._fresh, {}
        if not fresh:
            return
        if self._path is None:
            _add(self._kept, fresh)
            return
        try:
            await asyncio.to_thread(self._write_sync, fresh)
        except OSError as error:
            # Counted again with the next: a full disk costs no request.
            _add(self._fresh, fresh)
            logger.warning("backend counters not kept: %s", error)

    def _write_sync(self, fresh: Mapping[tuple[str, Labels], float]) -> None:
        assert self._path is not None
        lock = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            kept = self._read_sync()
            _add(kept, fresh)
            rows = [[metric, labels, amount] for (metric, labels), amount in kept.items()]
            beside = self._path.with_name(f"{self._path.name}.new")
            beside.write_text(json.dumps(rows), "utf-8")
            beside.replace(self._path)
        finally:
            os.close(lock)

    def _read_sync(self) -> dict[tuple[str, Labels], float]:
        assert self._path is not None
        try:
            rows = json.loads(self._path.read_text("utf-8"))
            return {(row[0], tuple(row[1])): row[2] for row in rows}
        except FileNotFoundError:
            return {}
        except (ValueError, LookupError, TypeError):
            # Counters of before a crash of the machine: they begin anew.
            return {}


def _add(kept: dict[tuple[str, Labels], float], fresh: Mapping[tuple[str, Labels], float]) -> None:
    for (metric, labels), amount in fresh.items():
        row = (metric, labels)
        if row not in kept and len(kept) >= _MAX_ROWS:
            row = (metric, _without_bucket(labels))
        kept[row] = kept.get(row, 0) + amount


def _without_bucket(labels: Labels) -> Labels:
    return (*labels[:2], "", *labels[3:])
