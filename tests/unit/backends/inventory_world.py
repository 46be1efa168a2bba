"""What the tests of inventories work in: a provider, a node, and the service of both as far as inventories want it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from backends.cache.inventories import StoredInventories
from backends.cache.listing import Listing
from core.inventories import INVENTORY_BUCKET
from core.jobs import JobRecord
from core.listing import ListPage, ListQuery
from core.names import BucketRef
from core.protocols import ObjectService
from core.types import Bucket
from jobs.inventory import CREATE_INVENTORY, CreateInventoryJob, InventoryOrder
from jobs.queue import JobContext
from tests.unit.backends.cached import BUCKET, Cloud, cloud
from tests.unit.storage import box

HOME = Bucket(INVENTORY_BUCKET, 90, box.USER, 1)


class World:
    """A node, a provider, and the service of both as far as inventories want it."""

    def __init__(self, setting: Cloud, memory_bytes: int = 1024**2) -> None:
        self.setting = setting
        self.buckets: dict[BucketRef, Bucket] = {BUCKET.ref: BUCKET, INVENTORY_BUCKET: HOME}
        self.inventories = StoredInventories(
            setting.node, self.buckets.get, memory_bytes=memory_bytes
        )
        self.listing = Listing(setting.node, setting.backends, self.inventories)
        self.put = setting.node.put
        self.delete = setting.node.delete
        self.jobs = 0

    def bucket(self, ref: BucketRef) -> Bucket | None:
        return self.buckets.get(ref)

    async def ensure_system_bucket(self, ref: BucketRef) -> Bucket:
        return self.buckets[ref]

    async def list_objects(self, bucket: Bucket, query: ListQuery) -> ListPage:
        if bucket.props.backend is None:
            return await self.setting.node.list_objects(bucket, query)
        return await self.listing.list_objects(bucket, query)

    def context(self, bucket: Bucket = BUCKET, **order: Any) -> JobContext:
        self.jobs += 1
        arguments = InventoryOrder(**order).arguments(bucket)
        return JobContext(JobRecord(f"inv-{self.jobs}", CREATE_INVENTORY, arguments))

    async def run(self, context: JobContext) -> None:
        service = cast(ObjectService, self)
        await CreateInventoryJob(service, self.inventories, self, box.Clock()).run(context)

    async def take(self, **order: Any) -> JobContext:
        context = self.context(**order)
        await self.run(context)
        return context

    async def names(self) -> list[str]:
        return [each.facts.name for each in await self.inventories.find(BUCKET)]

    async def pages(self, query: ListQuery) -> list[ListPage]:
        found = []
        while True:
            page = await self.listing.list_objects(BUCKET, query)
            found.append(page)
            if not page.is_truncated:
                return found
            query = replace(query, after=page.next_after)

    async def keys(self, **query: Any) -> list[str]:
        pages = await self.pages(ListQuery(**{"inventory": "", **query}))
        return [name for page in pages for name in names_of(page)]


def names_of(page: ListPage) -> list[str]:
    return sorted([*(info.key for info in page.entries), *page.common_prefixes])


@asynccontextmanager
async def world(root: Path) -> AsyncIterator[World]:
    async with cloud(root) as setting:
        yield World(setting)
