"""Owns the page by which a fetch tells the other processes of the node how far it is: a small file that all map.

One process writes, the fetcher; but anybody may spoil. What is told at length (the object, its files) stands in the
file behind the page, written once, before the state says so.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
from enum import IntEnum
from pathlib import Path
from typing import Self

_PAGE_BYTES = 4096
_STATE, _SPOILED, _READY, _TOLD = range(4)
NEW_PAGE = ".new"
"""How the name of a page ends that is being made."""

_MAX_TOLD_BYTES = 16 * 1024**2


class FlightState(IntEnum):
    """How a fetch stands. The last four are final.

    OPENING: the backend has not answered. FLOWING: what the object is, is told; its bytes come. KEPT: it is an object
    of the node now. UNKEPT: nothing is wrong with it, but there is no copy; readers go on at the backend. FAILED: it
    was not got, or was not what it should be. LOST: its process died, as others find out; no page says so.
    """

    OPENING = 0
    FLOWING = 1
    KEPT = 2
    UNKEPT = 3
    FAILED = 4
    LOST = 5

    @property
    def is_final(self) -> bool:
        return self >= FlightState.KEPT


class FlightPage:
    """The page of one fetch."""

    def __init__(self, path: Path, fd: int) -> None:
        """Takes the descriptor over."""
        self._path = path
        self._fd = fd
        try:
            self._inode = os.fstat(fd).st_ino
            self._map = mmap.mmap(fd, _PAGE_BYTES)
        except BaseException:
            os.close(fd)
            raise
        _keep_resident(self._map)
        self._cells = memoryview(self._map).cast("Q")

    @classmethod
    def create_sync(cls, path: Path) -> Self:
        """A new page in place of any. Raises OSError."""
        fresh = path.with_suffix(NEW_PAGE)
        fd = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            # Written, not just extended: on a full disk a hole in a mapped file is a SIGBUS later on.
            os.pwrite(fd, bytes(_PAGE_BYTES), 0)
            fresh.rename(path)
        except BaseException:
            os.close(fd)
            raise
        return cls(path, fd)

    @classmethod
    def open_sync(cls, path: Path) -> Self | None:
        """The page that is there; None if there is none."""
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        if os.fstat(fd).st_size < _PAGE_BYTES:
            os.close(fd)
            return None
        return cls(path, fd)

    @property
    def state(self) -> FlightState:
        return FlightState(self._cells[_STATE])

    @state.setter
    def state(self, state: FlightState) -> None:
        self._cells[_STATE] = state

    @property
    def is_spoiled(self) -> bool:
        """Whether a write has begun since the fetch did, so that what it fetches must not be kept, nor be given to who
        comes later. So is a page that was closed."""
        return self._fd < 0 or self._cells[_SPOILED] != 0

    def spoil(self) -> None:
        """See is_spoiled."""
        self._cells[_SPOILED] = 1

    @property
    def ready_bytes(self) -> int:
        """How many bytes from the object's beginning on readers may have: they are in the files."""
        return self._cells[_READY]

    @ready_bytes.setter
    def ready_bytes(self, count: int) -> None:
        self._cells[_READY] = count

    def tell_sync(self, told: bytes) -> None:
        """Say what the object is, and that its bytes come. Raises OSError."""
        os.pwrite(self._fd, told, _PAGE_BYTES)
        self._cells[_TOLD] = len(told)
        self.state = FlightState.FLOWING

    @property
    def is_told(self) -> bool:
        """Whether the state is FLOWING, or was."""
        return self._cells[_TOLD] != 0

    def told_sync(self) -> bytes:
        """What was told, once it is."""
        size_bytes = min(self._cells[_TOLD], _MAX_TOLD_BYTES)
        return os.pread(self._fd, size_bytes, _PAGE_BYTES)

    @property
    def is_in_place(self) -> bool:
        """Whether the key's fetch is still this one. Final pages are taken away."""
        try:
            return os.stat(self._path).st_ino == self._inode
        except FileNotFoundError:
            return False

    def remove_sync(self) -> None:
        """Take the page away, but no other that is in its place; those who have it open see its last state."""
        if self.is_in_place:
            with contextlib.suppress(FileNotFoundError):
                self._path.unlink()

    def close(self) -> None:
        """Idempotent."""
        if self._fd >= 0:
            self._cells.release()
            self._map.close()
            os.close(self._fd)
            self._fd = -1


def _keep_resident(page: mmap.mmap) -> None:
    """Pin it: a look must not die of SIGBUS because the disk under the file has gone. Best effort."""
    anchor = ctypes.c_char.from_buffer(page)
    ctypes.CDLL(None).mlock(ctypes.c_void_p(ctypes.addressof(anchor)), ctypes.c_size_t(_PAGE_BYTES))
