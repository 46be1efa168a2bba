"""What the tests of writes work in: a real node, the cache over it, and a provider in memory with two buckets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from backends.cache.copies import local_view
from backends.cache.store import CachedStore
from backends.memory_backend import MemoryBackend
from backends.registry import OpenBackends
from core.accounts import FixedAccounts
from core.configs.backend import BackendBinding
from core.errors import NoSuchKey
from core.names import BucketName, BucketRef
from core.types import Bucket, BucketProps, ObjectInfo
from storage.node import LocalNode
from tests.unit.storage.box import PLAIN, USER, Body, Box, Clock, key, opened, read_all


def bound(name: str, bucket_id: int) -> Bucket:
    ref = BucketRef(BucketName(name), "aws")
    return Bucket(ref, bucket_id, USER, 1, props=BucketProps(backend=BackendBinding(ref)))


THERE = bound("there", 9)
OTHER = bound("other", 10)
HERE = Bucket(BucketRef(BucketName("here")), 11, USER, 1)


class Place:
    """Two buckets at a provider, THERE and OTHER, and one of our own, HERE."""

    def __init__(self, box: Box) -> None:
        self.box = box
        self.backend = MemoryBackend("there", "other")
        self.backends = OpenBackends(FixedAccounts(), {"aws": lambda _: self.backend})
        self.cached = CachedStore(box.node, self.backends, Clock(), box.root / "flights")

    @property
    def node(self) -> LocalNode:
        return self.box.node

    async def put(self, data: bytes, name: str = "k", **options: Any) -> ObjectInfo:
        options.setdefault("attributes", PLAIN)
        bucket = options.pop("bucket", THERE)
        return await self.cached.put(bucket, key(name), Body(data), **options)

    async def copy_of(self, name: str = "k", bucket: Bucket = THERE) -> ObjectInfo | None:
        """The record of a copy, past the cache."""
        try:
            return await self.node.head(local_view(bucket), key(name))
        except NoSuchKey:
            return None

    async def is_in_doubt(self, name: str = "k") -> bool:
        """Of a copy that must be there."""
        copy = await self.copy_of(name)
        assert copy is not None
        assert copy.remote is not None
        return copy.remote.in_doubt

    async def bytes_here(self, name: str = "k", bucket: Bucket = THERE) -> bytes:
        """Of a copy, past the cache."""
        return await read_all(await self.node.get(local_view(bucket), key(name)))


@asynccontextmanager
async def placed(root: Path) -> AsyncIterator[Place]:
    async with opened(root) as box:
        place = Place(box)
        try:
            yield place
        finally:
            await place.cached.close()


def run_in(root: Path, work: Callable[[Place], Coroutine[Any, Any, None]]) -> None:
    """Run a test's work in a place of its own."""

    async def go() -> None:
        async with placed(root) as place:
            await work(place)

    asyncio.run(asyncio.wait_for(go(), 60))
