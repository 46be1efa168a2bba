"""Owns what a batch is: its items, the form of the answer, and what members of the archive are called."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from core.batches import BatchItem
from core.shards import ShardFormat
from core.types import Bucket

MISSING_DIRECTORY = "__404__"


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """A batch as it was asked for. `bucket` is the one whose job it counts in. `opaques` has what clients want to have
    back, by the item's number."""

    items: Sequence[BatchItem]
    bucket: Bucket
    archive: ShardFormat = ShardFormat.TAR
    continues_on_error: bool = False
    only_object_names: bool = False
    is_streaming: bool = False
    opaques: dict[int, str] = field(default_factory=dict)

    def name_of(self, item: BatchItem) -> str:
        """What an item is called in the archive."""
        name = item.key if self.only_object_names else f"{item.bucket.ref.name}/{item.key}"
        if not item.member:
            return name
        return f"{name}{item.member}" if item.member.startswith("/") else f"{name}/{item.member}"

    def before(self, bucket: Bucket) -> str:
        """What stands before an object's key in its name."""
        return "" if self.only_object_names else sys.intern(f"{bucket.ref.name}/")

    def names_of(self, items: Sequence[BatchItem]) -> list[str]:
        """`name_of` many plain objects."""
        if self.only_object_names:
            return [item.key for item in items]
        return [f"{item.bucket.ref.name}/{item.key}" for item in items]

    def missing_name_of(self, item: BatchItem) -> str:
        """What stands, empty, in the place of an item that could not be read."""
        return f"{MISSING_DIRECTORY}/{self.name_of(item)}"
