"""Owns the spool of server access logs: files in which each worker gathers records, until the job that puts them into
their buckets takes the file.

A worker holds a lock on the file it writes; one without a lock is finished, or its writer is dead. Records are on disk
once they are flushed, every so often; a killed worker loses what came after its last flush, and a torn last line.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from core.configs.logging import Logging, LogGrant, PartitionDateSource
from core.server_logs import Row, Source

logger = logging.getLogger(__name__)

_MAX_FILE_BYTES = 8 * 1024**2
_MAX_UNWRITTEN_ROWS = 50_000
_SUFFIX = ".log"
_NEW_SUFFIX = ".new"
_STALE_NEW_S = 3600.0


class SpoolWriter:
    """A ServerLog for one event loop. Rows are written, and synced, by a thread of its own; past 50,000 that wait, rows
    are lost."""

    def __init__(self, directory: Path, *, flush_interval_s: float, roll_interval_s: float) -> None:
        self._directory = directory
        self._flush_interval_s = flush_interval_s
        self._roll_interval_s = roll_interval_s
        self._rows: list[Row] = []
        self._unwritten = 0
        self._file: _SpoolFile | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="server-log")

    def write(self, row: Row) -> None:
        if not self._rows:
            asyncio.get_running_loop().call_later(self._flush_interval_s, self.flush)
        self._rows.append(row)

    def flush(self) -> None:
        """Hand over what has gathered."""
        rows, self._rows = self._rows, []
        if not rows:
            return
        if self._unwritten + len(rows) > _MAX_UNWRITTEN_ROWS:
            logger.warning("server access log records lost: %d", len(rows))
            return
        self._unwritten += len(rows)
        self._thread.submit(self._append_sync, rows, asyncio.get_running_loop())

    def close(self) -> None:
        """Write what has gathered and give the file up."""
        rows, self._rows = self._rows, []
        if rows:
            self._thread.submit(self._append_sync, rows, None)
        self._thread.submit(self._give_up_sync)
        self._thread.shutdown()

    def _expire(self, file: _SpoolFile) -> None:
        """A file is given up in time, also if no more rows come."""
        try:
            self._thread.submit(self._give_up_sync, file)
        except RuntimeError:
            pass  # closed meanwhile, which has given the file up

    def _append_sync(self, rows: Sequence[Row], loop: asyncio.AbstractEventLoop | None) -> None:
        try:
            file = self._file
            if file is None:
                file = self._file = _SpoolFile(self._directory)
                if loop is not None:
                    loop.call_soon_threadsafe(
                        loop.call_later, self._roll_interval_s, self._expire, file
                    )
            file.append(b"".join(map(_encode, rows)))
            if file.size_bytes > _MAX_FILE_BYTES:
                self._give_up_sync()
        except OSError as error:
            logger.warning("server access log records lost: %d: %s", len(rows), error)
            self._give_up_sync()
        finally:
            self._unwritten -= len(rows)

    def _give_up_sync(self, file: _SpoolFile | None = None) -> None:
        """Let the job have the present file, if it is this one."""
        present = self._file
        if present is not None and file in (None, present):
            self._file = None
            present.close()


class _SpoolFile:
    """A file that only this process may take; it gets its name once that is so."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = f"{time.time_ns()}-{os.getpid()}"
        new = directory / f"{name}{_NEW_SUFFIX}"
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(new, flags, 0o600)
        self.size_bytes = 0
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            new.rename(directory / f"{name}{_SUFFIX}")
            _sync_directory(directory)
        except BaseException:
            os.close(self._fd)
            raise

    def append(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]
        os.fsync(self._fd)
        self.size_bytes += len(data)

    def close(self) -> None:
        os.close(self._fd)


def _sync_directory(directory: Path) -> None:
    """Make the names in it last."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


# --- for the job -------------------------------------------------------------------------------------------------


def finished_files_sync(directory: Path) -> list[Path]:
    """The files that may be taken now, or after their lock was given up, oldest first."""
    now_s = time.time()
    for new in directory.glob(f"*{_NEW_SUFFIX}"):
        try:
            made_s = new.stat().st_mtime
        except FileNotFoundError:
            continue  # it has its name by now
        # Its maker died before it had a name; it is empty.
        if now_s - made_s > _STALE_NEW_S:
            new.unlink(missing_ok=True)
    return sorted(directory.glob(f"*{_SUFFIX}"))


@contextmanager
def taken(path: Path) -> Iterator[bool]:
    """Hold a file, if nobody else does."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(fd)


def read_sync(path: Path) -> tuple[list[Row], int]:
    """The rows of a file, and when it was written last, ns since the epoch. What is torn or damaged is left out."""
    rows = []
    with path.open("rb") as file:
        for line in file:
            row = _decode(line)
            if row is not None:
                rows.append(row)
    return rows, path.stat().st_mtime_ns


def _encode(row: Row) -> bytes:
    source, target = row.source, row.target
    partition = None if target.partition is None else target.partition.value
    values = (
        (source.name, source.owner_id, source.region),
        (target.target_bucket, target.prefix, partition),
        [(each.permission, each.user_id, each.group) for each in target.grants],
        row.time_ns,
        row.line,
    )
    return json.dumps(values).encode() + b"\n"


def _decode(line: bytes) -> Row | None:
    try:
        (name, owner_id, region), target, grants, time_ns, text = json.loads(line)
        bucket, prefix, partition = target
        kept = Logging(
            bucket,
            prefix,
            PartitionDateSource(partition) if partition else None,
            tuple(LogGrant(*each) for each in grants),
        )
        return Row(Source(name, owner_id, region), kept, time_ns, text)
    except (ValueError, TypeError):
        return None
