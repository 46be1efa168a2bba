"""What the tests of the cache work in: a real node, and a provider in memory with a bucket that is bound to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from backends.memory_backend import MemoryBackend
from core.backends import Backend
from core.configs.backend import BackendBinding
from core.names import BucketName, BucketRef, ObjectKey
from core.types import Bucket, BucketProps
from storage.node import LocalNode
from tests.unit.storage import box

REF = BucketRef(BucketName("cloud"), "aws")
BUCKET = Bucket(REF, 31, box.USER, 1, props=BucketProps(backend=BackendBinding(REF)))


class OneBackend:
    """Backends of which there is one."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def of(self, bucket: Bucket) -> Backend:
        return self._backend

    def of_account(self, provider: str, account: str = "", namespace: str = "") -> Backend:
        return self._backend

    async def close(self) -> None: ...


class Cloud:
    """A node and a provider with a bucket `cloud`."""

    def __init__(self, node: LocalNode, backend: MemoryBackend) -> None:
        self.node = node
        self.backend = backend
        self.backends = OneBackend(backend)

    def place(self, *keys: str, data: bytes = b"data") -> None:
        """Have the provider have objects."""
        for key in keys:
            self.backend.place(REF.name, key, data)

    async def keep(self, *keys: str) -> None:
        """Make a copy of what the provider has."""
        for key in map(ObjectKey, keys):
            info = await self.backend.head(REF.name, key)
            self.backend.faults.calls["head"] -= 1
            data = self.backend.data(REF.name, key)
            assert data is not None
            landing = await self.node.land(BUCKET, key, len(data))
            if data:
                await landing.pieces[0].write(data)
            await landing.publish(replace(info, is_cached=True))


@asynccontextmanager
async def cloud(root: Path) -> AsyncIterator[Cloud]:
    async with box.opened(root) as opened:
        yield Cloud(opened.node, MemoryBackend(REF.name))
