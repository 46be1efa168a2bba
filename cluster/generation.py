"""Owns the signal by which every process learns at once that the control store has changed: one shared number.

It lives in a small file that all processes map. Reading it costs nanoseconds, so every look-up can afford to.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from pathlib import Path

_SIZE_BYTES = 8


class Generation:
    """A number in shared memory. It only says "different from before"; the database holds the truth."""

    def __init__(self, path: Path) -> None:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(fd).st_size < _SIZE_BYTES:
                # Written, not just extended: on a full disk a hole in a mapped file is a SIGBUS later on.
                os.pwrite(fd, bytes(_SIZE_BYTES), 0)
            self._map = mmap.mmap(fd, _SIZE_BYTES)
        finally:
            os.close(fd)
        _keep_resident(self._map)
        self.cell = memoryview(self._map).cast("Q")
        """One element; reading `cell[0]` is the whole cost of a look-up's freshness."""

    def bump(self) -> None:
        """Tell all processes. Call under the writers' lock, after the commit."""
        self.cell[0] = (self.cell[0] + 1) & 0xFFFF_FFFF_FFFF_FFFF

    def close(self) -> None:
        self.cell.release()
        self._map.close()


def _keep_resident(shared: mmap.mmap) -> None:
    """Pin the page: a look-up must not die of SIGBUS because the disk under the file has gone. Best effort."""
    anchor = ctypes.c_char.from_buffer(shared)
    ctypes.CDLL(None).mlock(ctypes.c_void_p(ctypes.addressof(anchor)), ctypes.c_size_t(_SIZE_BYTES))
