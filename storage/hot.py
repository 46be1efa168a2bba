"""Owns the memory of objects that were read lately: small ones whole, of others where their bytes lie.

Each process has its own memory of a mountpath; storage.signal keeps all of them true. Any commit to the mountpath
empties it: this serves times of reading, such as an epoch of training, and costs times of writing next to nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from core.batches import ItemData
from core.names import ObjectKey
from storage.layout import Layout
from storage.signal import CommitSignal

if TYPE_CHECKING:
    from storage.lookup import Found

# What an entry takes beside its bytes: the record, decoded.
_ENTRY_BYTES = 2048
_SEGMENT_BYTES = 300
# And one of a batch, which has no record.
_PLAIN_ENTRY_BYTES = 384 + 600  # with its heading in an archive
_NOTHING: Mapping[int, Mapping[ObjectKey, ItemData]] = {}


class HotObjects:
    """For one event loop. An object is found here in 1 µs, and in the index, decoded and verified, in 20."""

    def __init__(self, layout: Layout, max_bytes: int) -> None:
        # Never closed: a request may still look here when another thread gives up a mountpath whose disk is gone.
        self._cell = CommitSignal(layout).cell
        self._max_bytes = max_bytes
        self._bytes = 0
        self._kept_at = 1
        self._kept: dict[tuple[int, ObjectKey], Found] = {}
        self._plain: dict[int, dict[ObjectKey, ItemData]] = {}

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
        if (self._kept or self._plain) and self._cell[0] != self._kept_at:
            self._start_over(self._kept_at)

    def keep(self, bucket_id: int, key: ObjectKey, found: Found, read_at: int) -> None:
        """Remember what was read when the number was `read_at`, unless a commit came since."""
        if read_at & 1 or self._cell[0] != read_at:
            return
        size_bytes = _size_of(found)
        if size_bytes > self._max_bytes:
            return
        self._make_room(size_bytes, read_at, for_plain=False)
        replaced = self._kept.get((bucket_id, key))
        if replaced is not None:
            self._bytes -= _size_of(replaced)
        self._kept[bucket_id, key] = found
        self._bytes += size_bytes

    # --- for batches: bytes without the record

    def plain(self) -> Mapping[int, Mapping[ObjectKey, ItemData]]:
        """The bytes of present objects that `keep_plain` was given since the last commit, by bucket id and by key. True
        until the event loop goes on."""
        return self._plain if self._cell[0] == self._kept_at else _NOTHING

    def keep_plain(
        self, read: Iterable[tuple[tuple[int, ObjectKey], ItemData]], read_at: int
    ) -> None:
        """`keep` of the whole bytes of objects."""
        if read_at & 1 or self._cell[0] != read_at:
            return
        if self._kept_at != read_at:
            self._start_over(read_at)
        for place, item in read:
            bucket_id, key = place
            size_bytes = len(item.data) + _PLAIN_ENTRY_BYTES
            if size_bytes > self._max_bytes or key in self._plain.get(bucket_id, ()):
                continue
            self._make_room(size_bytes, read_at, for_plain=True)
            self._plain.setdefault(bucket_id, {})[key] = item
            self._bytes += size_bytes

    def _start_over(self, kept_at: int) -> None:
        self._kept = {}
        self._plain = {}
        self._bytes = 0
        self._kept_at = kept_at

    def _make_room(self, size_bytes: int, read_at: int, *, for_plain: bool) -> None:
        """Each kind takes the place of its own first, so that batches do not drive out what GETs read."""
        if self._kept_at != read_at:
            self._start_over(read_at)
        while self._bytes + size_bytes > self._max_bytes:
            if self._plain if for_plain else not self._kept:
                bucket_id, oldest_of = next(iter(self._plain.items()))
                item = oldest_of.pop(next(iter(oldest_of)))
                if not oldest_of:
                    del self._plain[bucket_id]
                self._bytes -= len(item.data) + _PLAIN_ENTRY_BYTES
            else:
                oldest = self._kept.pop(next(iter(self._kept)))
                self._bytes -= _size_of(oldest)


def _size_of(found: Found) -> int:
    return len(found.data or b"") + _ENTRY_BYTES + _SEGMENT_BYTES * len(found.stored.segments)
