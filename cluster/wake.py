"""Owns the bell by which any process wakes the job worker: a named pipe beside the control store.

    DATA/control/jobs.bell   whoever asks for a job or stops one writes a byte; the job worker waits for it

It only says "look now"; the records hold the truth, so a ring that is lost costs but a moment.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_NAME = "jobs.bell"


class Wake:
    """The bell of a control directory."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / _NAME

    def ring(self) -> None:
        """Wake the job worker, if there is one. Never blocks or fails."""
        with suppress(OSError):  # nobody listens, or it has been rung often enough
            fd = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                os.write(fd, b"!")
            finally:
                os.close(fd)

    def open_sync(self) -> int | None:
        """A descriptor that is readable once the bell was rung; the caller's to empty, and to give to `close_sync`."""
        try:
            with suppress(FileExistsError):
                os.mkfifo(self._path, 0o600)
            # For writing too: else it would be at its end, and readable, each time that a ringer has left.
            return os.open(self._path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None

    def close_sync(self, fd: int) -> None:
        """Listen no longer. The pipe goes too: tools that copy a store which nobody serves may not like one."""
        os.close(fd)
        with suppress(OSError):
            self._path.unlink()
