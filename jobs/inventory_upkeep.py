"""Owns the upkeep of inventories: those whose time has come are asked for anew, and those of buckets that are gone are
removed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from core.inventories import (
    INVENTORY_BUCKET,
    Inventories,
    InventoryFacts,
    bucket_of,
    home_of,
)
from core.job_table import BUCKET, ref_text
from core.jobs import JobStore
from core.listing import ListPage, ListQuery
from core.names import BucketRef, ObjectKey
from core.protocols import Clock
from core.types import Bucket
from jobs.inventory import CREATE_INVENTORY, InventoryOrder
from jobs.lookup import Buckets

_NS_PER_S = 10**9


class Objects(Protocol):
    """What the upkeep asks of an ObjectStore."""

    async def list_objects(self, bucket: Bucket, query: ListQuery) -> ListPage: ...
    async def delete(self, bucket: Bucket, key: ObjectKey) -> object: ...


@dataclass(frozen=True, slots=True)
class InventoryUpkeep:
    """A Job."""

    interval_s: float
    store: Objects
    inventories: Inventories
    buckets: Buckets
    jobs: JobStore
    clock: Clock

    @property
    def name(self) -> str:
        return "inventories"

    async def run(self, stop: asyncio.Event) -> str | None:
        """As Job."""
        home = self.buckets.bucket(INVENTORY_BUCKET)
        if home is None:
            return None
        removed = renewed = 0
        for ref in await self._refs(home, stop):
            bucket = self.buckets.bucket(ref)
            removed += await self._remove_strangers(home, ref, bucket)
            if bucket is not None:
                renewed += await self._renew(bucket)
            if stop.is_set():
                break
        said = [f"removed {removed}"] * bool(removed) + [f"renewing {renewed}"] * bool(renewed)
        return ", ".join(said)

    async def _refs(self, home: Bucket, stop: asyncio.Event) -> Sequence[BucketRef]:
        found: dict[BucketRef, None] = {}
        after = ""
        while not stop.is_set():
            page = await self.store.list_objects(home, ListQuery(after=after))
            found.update((ref, None) for info in page.entries if (ref := bucket_of(info.key)))
            if not page.is_truncated:
                break
            after = page.next_after
        return list(found)

    async def _remove_strangers(self, home: Bucket, ref: BucketRef, bucket: Bucket | None) -> int:
        """Inventories of a bucket that is gone, or of one before it that had its name. Those of another binding stay:
        it may come back."""
        kept = {}
        if bucket is not None and bucket.props.backend is not None:
            kept = {each.key: each for each in await self.inventories.find(bucket)}
        removed = 0
        page = await self.store.list_objects(home, ListQuery(home_of(ref)))
        for info in page.entries:
            if info.key in kept:
                continue
            if bucket is not None and info.modified_ns >= bucket.created_ns:
                continue  # damaged, or of another binding
            await self.store.delete(home, info.key)
            removed += 1
        return removed

    async def _renew(self, bucket: Bucket) -> int:
        due = [
            each.facts for each in await self.inventories.find(bucket) if self._is_due(each.facts)
        ]
        if not due:
            return 0
        return await asyncio.to_thread(self._ask_sync, bucket, due)

    def _is_due(self, facts: InventoryFacts) -> bool:
        waited_ns = self.clock.now_ns() - facts.finished_ns
        return 0 < facts.refresh_s * _NS_PER_S <= waited_ns

    def _ask_sync(self, bucket: Bucket, due: Sequence[InventoryFacts]) -> int:
        pending = {
            record.arguments.get("name")
            for record in self.jobs.list_sync(only_pending=True)
            if record.kind == CREATE_INVENTORY
            and record.arguments.get(BUCKET) == ref_text(bucket.ref)
        }
        asked = 0
        for facts in due:
            if facts.name not in pending:
                arguments = InventoryOrder.again(facts).arguments(bucket)
                self.jobs.add_sync(CREATE_INVENTORY, arguments, self.clock.now_ns())
                asked += 1
        return asked
