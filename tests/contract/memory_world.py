"""A world around a MemoryStore."""

from __future__ import annotations

from backends.memory import MemoryStore
from core.names import BucketName, BucketRef
from core.types import Bucket, BucketProps
from tests.contract.world import MIN_PART_BYTES, USER, World


class MemoryWorld(World):
    """Its restart is none: what is in memory is all there is."""

    def __init__(self) -> None:
        super().__init__()
        self.service = MemoryStore(self.clock, min_part_bytes=MIN_PART_BYTES, keys=self.keys)
        self.store = self.service

    async def new_bucket(self) -> Bucket:
        self._bucket_count += 1
        ref = BucketRef(BucketName(f"bucket-{self._bucket_count}"))
        return await self.service.create_bucket(ref, owner=USER, region="", props=BucketProps())
