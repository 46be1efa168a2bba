"""Inventories are made anew when their time has come, and go with their buckets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from core.configs.backend import BackendBinding
from core.jobs import JobState
from core.types import BucketProps
from jobs.inventory import CREATE_INVENTORY, InventoryOrder
from jobs.inventory_upkeep import InventoryUpkeep
from jobs.queue import JobContext
from tests.unit.backends.cached import BUCKET, REF
from tests.unit.backends.inventory_world import World, world
from tests.unit.jobs.fake_records import FakeRecords


class LaterClock:
    """So much later than when inventories are taken."""

    def __init__(self) -> None:
        self.now = 0

    def now_ns(self) -> int:
        return self.now


class Setting:
    def __init__(self, here: World) -> None:
        self.here = here
        self.records = FakeRecords()
        self.clock = LaterClock()

    async def after(self, seconds: int) -> str | None:
        """A run of the upkeep, so long after the last inventory was taken."""
        finished = [each.facts.finished_ns for each in await self.here.inventories.find(BUCKET)]
        self.clock.now = max(finished, default=2**62) + seconds * 10**9
        node, inventories = self.here.setting.node, self.here.inventories
        upkeep = InventoryUpkeep(1.0, node, inventories, self.here, self.records, self.clock)
        return await upkeep.run(asyncio.Event())


Story = Callable[[Setting], Awaitable[None]]


@pytest.fixture
def run(tmp_path: Path) -> Callable[[Story], None]:
    def run(story: Story) -> None:
        async def told() -> None:
            async with world(tmp_path) as here:
                await story(Setting(here))

        asyncio.run(told())

    return run


def test_they_are_made_anew_in_time(run: Callable[[Story], None]) -> None:
    async def story(setting: Setting) -> None:
        here = setting.here
        here.setting.place("a/1", "b/1")
        await here.take(name="never", multi=True)
        await here.take(name="hourly", prefix="a/", multi=True, refresh_s=3600, names_per_chunk=5)
        assert await setting.after(3599) == ""
        assert await setting.after(3600) == "renewing 1"
        (record,) = setting.records.records.values()
        assert record.kind == CREATE_INVENTORY
        assert InventoryOrder.read(record.arguments) == InventoryOrder(
            "hourly", "a/", "", 5, refresh_s=3600, force=True, multi=True
        )
        assert await setting.after(3700) == ""  # it is waiting
        here.setting.place("a/2")
        await here.run(JobContext(record))
        setting.records.records[record.job_id] = replace(record, state=JobState.FINISHED)
        assert await here.keys(inventory="hourly") == ["a/1", "a/2"]
        assert await here.keys(inventory="never") == ["a/1", "b/1"]
        assert await setting.after(3599) == ""
        assert await setting.after(3600) == "renewing 1"

    run(story)


def test_they_go_with_their_bucket(run: Callable[[Story], None]) -> None:
    async def story(setting: Setting) -> None:
        here = setting.here
        here.setting.place("a")
        await here.take(name="inv")
        assert await setting.after(0) == ""
        elsewhere = BucketProps(backend=BackendBinding(REF, "elsewhere"))
        here.buckets[BUCKET.ref] = replace(BUCKET, props=elsewhere)
        assert await setting.after(0) == ""  # bound to something else for now
        here.buckets[BUCKET.ref] = BUCKET
        assert await here.names() == ["inv"]
        again = replace(BUCKET, bucket_id=99, created_ns=2**62)
        here.buckets[BUCKET.ref] = again
        assert await setting.after(0) == "removed 1"
        here.buckets[BUCKET.ref] = BUCKET
        await here.take(name="inv")
        del here.buckets[BUCKET.ref]
        assert await setting.after(0) == "removed 1"

    run(story)
