"""Owns the blobs that are kept open between reads of small pieces of them, such as members of shards.

A blob's bytes never change, so an open one serves whatever record names it: whether a record holds is the caller's to
know. A file that is open keeps its disk space, so what is deleted, and what nobody reads, is closed within seconds.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import threading
from bisect import bisect_right

from storage.blobs import open_cached, pread_cached
from storage.layout import Layout
from storage.records import FileSegment, StoredObject

_MAX_OPEN = 64
_TICK_S = 1.0
_MAX_PLANS = 64


class _Open:
    __slots__ = ("fd", "size_bytes", "was_used")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.size_bytes = os.fstat(fd).st_size
        self.was_used = True


class OpenBlobs:
    """Of one mountpath, for one event loop. Nothing here waits for a disk."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._open: dict[str, _Open] = {}
        # Where the segments of objects end. The object is kept, so that no other gets its id.
        self._plans: dict[int, tuple[StoredObject, list[int]]] = {}
        # A mountpath whose disk is gone is given up by another thread, and no number may be closed while it is read.
        self._lock = threading.Lock()
        self._is_ticking = self._is_closed = False

    def read(self, stored: StoredObject, first: int, length: int) -> bytes | None:
        """A run of a plain object's bytes, if it lies in one blob and the kernel has it at hand; None says nothing."""
        found = self._find(stored, first, length)
        if found is None:
            return None
        with self._lock:
            blob = self._opened(found[0])
            return None if blob is None else pread_cached(blob.fd, found[1], length)

    def lend(self, stored: StoredObject, first: int, length: int) -> tuple[int, int] | None:
        """A descriptor of one's own of the one blob that a run of a plain object's bytes lies in, and where it begins
        there; None says nothing."""
        found = self._find(stored, first, length)
        if found is None:
            return None
        with self._lock:
            blob = self._opened(found[0])
            return None if blob is None else (os.dup(blob.fd), found[1])

    def _find(
        self, stored: StoredObject, first: int, length: int
    ) -> tuple[FileSegment, int] | None:
        """The one blob that a run lies in, and where in it."""
        place, start = self._locate(stored, first)
        if place == len(stored.segments):
            return None
        segment = stored.segments[place]
        if not isinstance(segment, FileSegment) or first - start + length > segment.size_bytes:
            return None
        return segment, first - start

    def _opened(self, segment: FileSegment) -> _Open | None:
        """With the lock held."""
        blob = self._open.get(segment.blob_id) or self._try_open(segment)
        if blob is None or blob.size_bytes < segment.size_bytes:
            return None
        blob.was_used = True
        return blob

    def close(self) -> None:
        """Close all, for good. From any thread."""
        with self._lock:
            self._is_closed = True
            self._plans = {}
            while self._open:
                os.close(self._open.popitem()[1].fd)

    def close_unused(self) -> None:
        """Close what was not read since the last call, and what has no name any more."""
        with self._lock:
            for blob_id, blob in list(self._open.items()):
                if blob.was_used and os.fstat(blob.fd).st_nlink:
                    blob.was_used = False
                else:
                    self._close_one(blob_id)
            if not self._open:
                self._plans = {}

    def _locate(self, stored: StoredObject, first: int) -> tuple[int, int]:
        """Which segment has a byte, and where that begins."""
        if len(stored.segments) == 1:
            return 0, 0
        plan = self._plans.get(id(stored))
        if plan is None:
            if len(self._plans) >= _MAX_PLANS:
                self._plans = {}
            ends = list(itertools.accumulate(each.size_bytes for each in stored.segments))
            plan = self._plans[id(stored)] = (stored, ends)
        place = bisect_right(plan[1], first)
        return place, plan[1][place - 1] if place else 0

    def _try_open(self, segment: FileSegment) -> _Open | None:
        if self._is_closed:
            return None
        try:
            fd = open_cached(self._layout.blob(segment.blob_id))
        except OSError:
            return None
        if len(self._open) >= _MAX_OPEN:
            self._close_one(next(iter(self._open)))
        blob = self._open[segment.blob_id] = _Open(fd)
        if not self._is_ticking:
            self._tick_later()
        return blob

    def _close_one(self, blob_id: str) -> None:
        os.close(self._open.pop(blob_id).fd)

    def _tick_later(self) -> None:
        self._is_ticking = True
        asyncio.get_running_loop().call_later(_TICK_S, self._tick)

    def _tick(self) -> None:
        self.close_unused()
        self._is_ticking = False
        if self._open:
            self._tick_later()
