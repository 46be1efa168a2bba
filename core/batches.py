"""Owns the seam of batches: many small reads at once, from where the bytes lie to where they are put together.

The node that assembles a batch asks the nodes that have its items (the senders) for runs of them. A sender knows
nothing of archives, orders or windows; the assembling node knows nothing of indexes and blobs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, overload

from core.errors import InvalidRange, StoreError
from core.light import light
from core.names import ObjectKey
from core.protocols import ObjectReader
from core.types import BoundedRange, Bucket, ByteRange, OffsetRange

TO_THE_END = -1
"""As `BatchItem.length`: all bytes from `first`."""


@light
@dataclass(frozen=True, slots=True)
class BatchItem:
    """One read of a batch: an object or, with `member`, a file in a shard; all of it, or a run of its bytes.

    `length` 0 (with `first` 0) is the whole. A run of a length must lie in the object.
    """

    bucket: Bucket
    key: ObjectKey
    member: str = ""
    first: int = 0
    length: int = 0

    @property
    def byte_range(self) -> ByteRange | None:
        """As a reader is asked for it; check `reach` against the size that it then tells."""
        if self.length > 0:
            return BoundedRange(self.first, self.first + self.length - 1)
        return OffsetRange(self.first) if self.first else None

    def reach(self, size_bytes: int) -> tuple[int, int]:
        """(first, length) within an object or member of that size. Raises InvalidRange."""
        length = self.length if self.length > 0 else size_bytes - self.first
        if (self.first and self.first >= size_bytes) or self.first + length > size_bytes:
            raise InvalidRange(requested=self.byte_range, size_bytes=size_bytes)
        return self.first, length


class WholeItems(Sequence[BatchItem]):
    """Items that are whole objects of one bucket, made when they are looked at: those that are found by their keys
    alone cost a quarter."""

    __slots__ = ("bucket", "keys")

    def __init__(self, bucket: Bucket, keys: Sequence[ObjectKey]) -> None:
        self.bucket = bucket
        self.keys = keys

    def __len__(self) -> int:
        return len(self.keys)

    @overload
    def __getitem__(self, index: int) -> BatchItem: ...
    @overload
    def __getitem__(self, index: slice) -> WholeItems: ...
    def __getitem__(self, index: int | slice) -> BatchItem | WholeItems:
        if isinstance(index, slice):
            return WholeItems(self.bucket, self.keys[index])
        return BatchItem(self.bucket, self.keys[index])


class ItemData:
    """The bytes asked for, verified, and when the object was written.

    `heading` is for who puts archives together: what stood before these bytes in the last one, where the object's name
    began with `heading_for`. What is asked for in one epoch is asked for in the next.
    """

    __slots__ = ("data", "heading", "heading_for", "modified_ns")

    def __init__(self, data: bytes, modified_ns: int) -> None:
        self.data = data
        self.modified_ns = modified_ns
        self.heading = b""
        self.heading_for: str | None = None


Outcome = ItemData | StoreError | None
"""What became of an item. None: it is not for reading in a run (large, made of parts, encrypted, in a shard without an
index, or the run has its bytes): open it alone."""


class BatchSender(Protocol):
    """Reads items from one node. Errors of items are values, so that one that fails does not fail its run."""

    def at_hand(self, items: Sequence[BatchItem], max_bytes: int) -> Sequence[ItemData]:
        """The bytes of all the items, or of as many of the first ones as make up `max_bytes`, if memory has them; else
        nothing. Does not block."""

    async def read(self, items: Sequence[BatchItem], max_bytes: int) -> Sequence[Outcome]:
        """An outcome for each, in order. What would make the run much longer than `max_bytes` is None.

        Raises what fails all: a disk that is gone, a thread pool that is closed."""

    async def open(self, item: BatchItem) -> ObjectReader:
        """One item for itself; `info.size_bytes` is the whole object's or member's. Raises what ObjectStore.get and
        Shards.open_member do, and InvalidRange for a run that is not wholly in it."""


class BatchSenders(Protocol):
    """Who sends what: of a cluster, the nodes that own the objects."""

    def sender(self, item: BatchItem) -> BatchSender:
        """Who has it."""

    def only(self) -> BatchSender | None:
        """Who has everything, if it is one."""

    def shares(self, items: Sequence[BatchItem]) -> Sequence[tuple[BatchSender, Sequence[int]]]:
        """Who has which, by their places; each sender once."""
