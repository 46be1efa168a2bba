"""Owns when copies were read last: what eviction goes by.

Each process notes reads in memory and adds them every few seconds to a small database of the node. It holds nothing
that could not be lost, so that it is never synced: without it a copy is as old as it is.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
import time
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path

from core.names import ObjectKey

_log = logging.getLogger(__name__)

FLUSH_S = 2.0
"""After so long a read is known to other processes."""

_MAX_NOTED = 50_000
"""Reads that are kept in memory; of more between two flushes, the first are forgotten."""

_BUSY_MS = 2000
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS access (bucket INTEGER NOT NULL, key BLOB NOT NULL, at_s INTEGER NOT NULL,"
    " PRIMARY KEY (bucket, key)) WITHOUT ROWID"
)
_NOTE = (
    "INSERT INTO access (bucket, key, at_s) VALUES {rows}"
    " ON CONFLICT (bucket, key) DO UPDATE SET at_s = max(at_s, excluded.at_s)"
)
_ROWS_AT_ONCE = 1000
"""In one statement, between whose rows the thread does not ask for the interpreter's lock: asking for each of 500 rows
took 2 % of the rate of warm reads."""


class AccessTimes:
    """One a process; all of a node have the same file. A disk that fails costs the times, and nothing else."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._noted: dict[tuple[int, ObjectKey], int] = {}
        self._database: sqlite3.Connection | None = None
        self._lock = threading.Lock()
        self._task: asyncio.Task[None] | None = None

    def note(self, bucket_id: int, key: ObjectKey) -> None:
        """A copy is read now. Costs next to nothing."""
        noted = self._noted
        if not noted and self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._flush_later())
        if len(noted) >= _MAX_NOTED:
            noted.pop(next(iter(noted)))
        noted[bucket_id, key] = int(time.time())

    async def close(self) -> None:
        """Keep what was noted, and let go of the file."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        await asyncio.to_thread(self._flush_sync, self._take())
        if self._database is not None:
            self._database.close()
            self._database = None

    async def times(
        self, bucket_id: int, first: ObjectKey, last: ObjectKey
    ) -> Mapping[ObjectKey, int]:
        """Of the keys from first to last that were read, when that was, in seconds since the epoch."""
        query = "SELECT key, at_s FROM access WHERE bucket = ? AND key BETWEEN ? AND ?"

        def read() -> Mapping[ObjectKey, int]:
            with self._lock:
                rows = self._open().execute(query, (bucket_id, first.encode(), last.encode()))
                return {ObjectKey(key.decode()): at_s for key, at_s in rows}

        try:
            found = dict(await asyncio.to_thread(read))
        except (sqlite3.Error, OSError) as error:
            _log.warning("access times cannot be read path=%s error=%r", self._path, error)
            found = {}
        for (noted_bucket, key), at_s in self._noted.items():
            if noted_bucket == bucket_id and first <= key <= last:
                found[key] = max(at_s, found.get(key, 0))
        return found

    async def forget(self, bucket_id: int, keys: list[ObjectKey]) -> None:
        """Of copies that are gone."""
        rows = [(bucket_id, key.encode()) for key in keys]
        query = "DELETE FROM access WHERE bucket = ? AND key = ?"
        await asyncio.to_thread(self._write_sync, query, rows)

    async def _flush_later(self) -> None:
        await asyncio.sleep(FLUSH_S)
        noted = self._take()
        self._task = None
        await asyncio.to_thread(self._flush_sync, noted)

    def _take(self) -> Mapping[tuple[int, ObjectKey], int]:
        noted, self._noted = self._noted, {}
        return noted

    def _flush_sync(self, noted: Mapping[tuple[int, ObjectKey], int]) -> None:
        rows = [(bucket_id, key.encode(), at_s) for (bucket_id, key), at_s in noted.items()]
        for first in range(0, len(rows), _ROWS_AT_ONCE):
            some = rows[first : first + _ROWS_AT_ONCE]
            query = _NOTE.format(rows=",".join(["(?, ?, ?)"] * len(some)))
            self._write_sync(query, [tuple(chain.from_iterable(some))])

    def _write_sync(self, query: str, rows: Sequence[tuple[int | bytes, ...]]) -> None:
        try:
            with self._lock, self._open() as database:
                database.executemany(query, rows)
        except (sqlite3.Error, OSError) as error:
            _log.warning("access times cannot be kept path=%s error=%r", self._path, error)

    def _open(self) -> sqlite3.Connection:
        if self._database is None:
            database = sqlite3.connect(self._path, check_same_thread=False)
            database.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = OFF")
            database.execute(_SCHEMA)
            self._database = database
        return self._database
