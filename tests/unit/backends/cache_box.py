"""What tests of the cache work in: a bucket of a backend in memory, and two processes' caches of it, each with a node
and a view of the flights of its own over the same directories."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from backends.cache.store import CachedStore
from backends.memory_backend import MemoryBackend
from core.backends import Backend
from core.configs.backend import BackendBinding
from core.configs.native import NativeProps
from core.errors import NoSuchKey
from core.names import BucketName, BucketRef, UserId
from core.protocols import ObjectReader
from core.types import (
    Bucket,
    BucketProps,
    ByteRange,
    Conditions,
    ObjectChanges,
    ObjectInfo,
    RemoteFacts,
    User,
)
from storage.options import StorageOptions
from tests.unit.storage.box import SMALL, Box, Clock, key, opened

REF = BucketRef(BucketName("far"), "aws")
OWNER = User(UserId("owner"), "owner", "Owner")


def bucket_with(features: int = 0, **sections: str) -> Bucket:
    """The bucket; names of sections as of arguments: versioning__synchronize="true"."""
    named = {name.replace("__", "."): value for name, value in sections.items()}
    props = BucketProps(
        native=NativeProps(features=features, sections=named), backend=BackendBinding(REF)
    )
    return Bucket(REF, 9, OWNER, 1, props=props)


BUCKET = bucket_with()


class OneBackend:
    """core.backends.Backends for whom all live in one place."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def of(self, bucket: Bucket) -> Backend:
        return self._backend

    def of_account(self, provider: str, account: str = "", namespace: str = "") -> Backend:
        return self._backend

    async def close(self) -> None:
        return


@dataclass
class Process:
    """A process's cache."""

    box: Box
    store: CachedStore

    async def read(
        self,
        name: str = "k",
        byte_range: ByteRange | None = None,
        *,
        bucket: Bucket = BUCKET,
        **asked: Any,
    ) -> bytes:
        reader = await self.open(name, byte_range, bucket=bucket, **asked)
        return await read_to_end(reader)

    async def open(
        self,
        name: str = "k",
        byte_range: ByteRange | None = None,
        *,
        bucket: Bucket = BUCKET,
        **asked: Any,
    ) -> ObjectReader:
        return await self.store.get(bucket, key(name), byte_range=byte_range, **asked)

    async def head(self, name: str = "k", *, bucket: Bucket = BUCKET, **asked: Any) -> ObjectInfo:
        return await self.store.head(bucket, key(name), **asked)

    async def kept(self, name: str = "k") -> ObjectInfo | None:
        """The copy that is here."""
        try:
            return await self.box.node.head(BUCKET, key(name))
        except NoSuchKey:
            return None

    async def doubt(self, name: str = "k") -> None:
        """As a writer leaves a copy that died after it began."""
        info = await self.box.node.head(BUCKET, key(name))
        assert info.remote is not None
        facts: RemoteFacts = replace(info.remote, in_doubt=True)
        await self.box.node.update_object(BUCKET, key(name), ObjectChanges(remote=facts))


async def read_to_end(reader: ObjectReader) -> bytes:
    try:
        if reader.data is not None:
            return reader.data
        return b"".join([chunk async for chunk in reader])
    finally:
        await reader.close()


LATEST = Conditions(latest=True)


@dataclass
class Far:
    """The backend, and those in front of it."""

    backend: MemoryBackend
    one: Process
    other: Process

    @property
    def opens(self) -> int:
        return self.backend.faults.calls["open"]

    @property
    def heads(self) -> int:
        return self.backend.faults.calls["head"]

    def place(self, data: bytes, name: str = "k", **headers: str) -> ObjectInfo:
        return self.backend.place("far", name, data, **headers)


@asynccontextmanager
async def far_bucket(
    root: Path, options: StorageOptions = SMALL, chunk_bytes: int = 4096
) -> AsyncIterator[Far]:
    """Objects of more than 1,000 bytes go to files, unless the options say otherwise."""
    backend = MemoryBackend("far", chunk_bytes=chunk_bytes)
    async with AsyncExitStack() as stack:
        processes = []
        for _ in range(2):
            box = await stack.enter_async_context(opened(root, options))
            store = CachedStore(box.node, OneBackend(backend), Clock(), root / "flights")
            stack.push_async_callback(store.close)
            processes.append(Process(box, store))
        yield Far(backend, *processes)


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 60))
