"""Owns a number that all processes of a node see at once, in a small file that they map. The one thing in core that
touches a file: the control store and the mountpaths, which know nothing of each other, both tell of changes by it.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from pathlib import Path

_SIZE_BYTES = 8


class SharedNumber:
    """64 bits, zero in a new file. Reading `cell[0]` costs nanoseconds; changes need a lock of the caller's."""

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

    def add(self, more: int) -> None:
        """Change the number, which starts over after 2^64 - 1."""
        self.cell[0] = (self.cell[0] + more) & 0xFFFF_FFFF_FFFF_FFFF

    def close(self) -> None:
        self.cell.release()
        self._map.close()


def _keep_resident(shared: mmap.mmap) -> None:
    """Pin the page: a look-up must not die of SIGBUS because the disk under the file has gone. Best effort."""
    anchor = ctypes.c_char.from_buffer(shared)
    ctypes.CDLL(None).mlock(ctypes.c_void_p(ctypes.addressof(anchor)), ctypes.c_size_t(_SIZE_BYTES))
