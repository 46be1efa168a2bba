"""Owns the memory of objects that were read lately: small ones whole, of others where their bytes lie.

Each process has its own memory of a mountpath; storage.signal keeps all of them true. Any commit to the mountpath
empties it: this serves times of reading, such as an epoch of training, and costs times of writing next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.names import ObjectKey
from storage.layout import Layout
from storage.signal import CommitSignal

if TYPE_CHECKING:
    from storage.lookup import Found

# What an entry takes beside its bytes: the record, decoded.
_ENTRY_BYTES = 2048
_SEGMENT_BYTES = 300


class HotObjects:
    """For one event loop. An object is found here in 1 µs, and in the index, decoded and verified, in 20."""

    def __init__(self, layout: Layout, max_bytes: int) -> None:
        # Never closed: a request may still look here when another thread gives up a mountpath whose disk is gone.
        self._cell = CommitSignal(layout).cell
        self._max_bytes = max_bytes
        self._bytes = 0
        self._kept_at = 1
        self._kept: dict[tuple[int, ObjectKey], Found] = {}

    @property
    def now(self) -> int:
        """What `keep` wants to know: the number before the object was read."""
        return self._cell[0]

    def find(self, bucket_id: int, key: ObjectKey) -> Found | None:
        """The key's present object, if it was read since the last commit; with its bytes, if they lie inline."""
        if self._cell[0] != self._kept_at:
            return None
        return self._kept.get((bucket_id, key))

    def drop_stale(self) -> None:
        """Give back the memory of what a commit has made void. For writers: readers do so by themselves."""
        if self._kept and self._cell[0] != self._kept_at:
            self._kept = {}
            self._bytes = 0

    def keep(self, bucket_id: int, key: ObjectKey, found: Found, read_at: int) -> None:
        """Remember what was read when the number was `read_at`, unless a commit came since."""
        if read_at & 1 or self._cell[0] != read_at:
            return
        size_bytes = _size_of(found)
        if size_bytes > self._max_bytes:
            return
        if self._kept_at != read_at:
            self._kept = {}
            self._bytes = 0
            self._kept_at = read_at
        while self._bytes + size_bytes > self._max_bytes:
            oldest = self._kept.pop(next(iter(self._kept)))
            self._bytes -= _size_of(oldest)
        replaced = self._kept.get((bucket_id, key))
        if replaced is not None:
            self._bytes -= _size_of(replaced)
        self._kept[bucket_id, key] = found
        self._bytes += size_bytes


def _size_of(found: Found) -> int:
    return len(found.data or b"") + _ENTRY_BYTES + _SEGMENT_BYTES * len(found.stored.segments)
