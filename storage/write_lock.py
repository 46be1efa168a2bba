"""Owns the turns that processes take at committing to a mountpath."""

from __future__ import annotations

import fcntl
import os
from types import TracebackType

from storage.layout import Layout


class FileLock:
    """Turns among the processes that commit to a mountpath. The kernel queues them and wakes the next at once, where
    SQLite's busy handler sleeps and polls."""

    def __init__(self, layout: Layout) -> None:
        self._fd = os.open(layout.write_lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)

    def __enter__(self) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_EX)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_UN)

    def close(self) -> None:
        os.close(self._fd)
