"""What eviction by age gives up: what was read longest ago, of what a backend has, until disks are below the mark."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from core.backends import copies_of
from core.configs.backend import BackendBinding
from core.configs.native import NativeProps
from core.configs.versioning import Retention, RetentionMode
from core.job_table import BUCKET as BUCKET_ARGUMENT
from core.job_table import ref_text
from core.jobs import JobRecord
from core.listing import Detail, ListQuery
from core.names import BucketName, BucketRef, ObjectKey
from core.nodes import DiskUse
from core.types import Bucket, BucketProps, ObjectAttributes, ObjectInfo, RemoteFacts
from jobs.lru import LRU, LruJob, SpaceWatch, Watermarks
from jobs.queue import JobContext
from tests.unit.jobs.fake_records import FakeRecords
from tests.unit.storage.box import PLAIN, USER, Box, Clock, key, opened

FACTS = RemoteFacts("aws", "etag-there")
MARKS = Watermarks(50, 90)
SIZE = 10
NOW_S = int(time.time())
LONG_AGO_S = NOW_S - 100_000


def bound(name: str, bucket_id: int, **sections: str) -> Bucket:
    ref = BucketRef(BucketName(name), "aws")
    native = NativeProps(sections={each.replace("_", ".", 1): v for each, v in sections.items()})
    return Bucket(
        ref, bucket_id, USER, 1, props=BucketProps(backend=BackendBinding(ref), native=native)
    )


THERE = bound("there", 9)
OTHER = bound("other", 10)


@dataclass
class Place:
    """A node with disks of 100 bytes, as far as eviction knows."""

    lag_s = 0.0

    box: Box
    loop: asyncio.AbstractEventLoop
    all: Sequence[Bucket] = (THERE, OTHER)
    read_at: dict[tuple[int, str], int] = field(default_factory=dict)
    used_now: set[str] = field(default_factory=set)

    def buckets(self) -> Sequence[Bucket]:
        return self.all

    def disk_of(self, bucket: Bucket, name: ObjectKey) -> int:
        return self.box.node.disk_of(bucket, name)

    def disk_uses_sync(self) -> Sequence[DiskUse]:
        # Jobs ask in a thread.
        used = asyncio.run_coroutine_threadsafe(self._used(), self.loop)
        return [DiskUse(0, used.result(10), 100)]

    async def _used(self) -> int:
        return sum([info.size_bytes for bucket in self.all for info in await self.infos(bucket)])

    async def times(self, bucket: Bucket, keys: Sequence[ObjectKey]) -> Mapping[ObjectKey, int]:
        known = ((k, self.read_at.get((bucket.bucket_id, k))) for k in keys)
        return {k: at_s for k, at_s in known if at_s is not None}

    def in_use(self, bucket: Bucket, keys: Sequence[ObjectKey]) -> Collection[ObjectKey]:
        return [each for each in keys if each in self.used_now]

    async def forget(self, bucket: Bucket, keys: Sequence[ObjectKey]) -> None:
        for each in keys:
            self.read_at.pop((bucket.bucket_id, each), None)

    async def infos(self, bucket: Bucket) -> Sequence[ObjectInfo]:
        page = await self.box.node.list_objects(bucket, ListQuery(detail=Detail.SIZE))
        return page.entries

    async def names(self, bucket: Bucket = THERE) -> list[str]:
        return [info.key for info in await self.infos(bucket)]

    async def keep(
        self,
        name: str,
        read_at_s: int = LONG_AGO_S,
        *,
        bucket: Bucket = THERE,
        facts: RemoteFacts | None = FACTS,
        attributes: ObjectAttributes = PLAIN,
    ) -> None:
        landing = await self.box.node.land(copies_of(bucket), key(name), SIZE)
        await landing.pieces[0].write(bytes(SIZE))
        info = ObjectInfo(key(name), SIZE, "etag-there", 5 * 10**9, attributes, remote=facts)
        await landing.publish(info)
        self.read_at[bucket.bucket_id, name] = read_at_s

    async def evict(self, **arguments: str) -> tuple[int, str]:
        """How many were given up, and what the job said last."""
        context = JobContext(JobRecord("j", LRU, arguments))
        await LruJob(self.box.node, self, self, self, MARKS).run(context)
        return context.progress.counters.get("objects", 0), context.progress.message


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.lru._RECLAIM_S", 0)


@asynccontextmanager
async def place_in(root: Path) -> AsyncIterator[Place]:
    async with opened(root) as box:
        yield Place(box, asyncio.get_running_loop())


@pytest.mark.usefixtures("no_pause")
def test_what_was_read_longest_ago_goes_until_the_low_mark(tmp_path: Path) -> None:
    async def work() -> None:
        async with place_in(tmp_path) as place:
            for number in range(8):
                bucket = THERE if number % 2 else OTHER
                await place.keep(f"k{number}", LONG_AGO_S + number, bucket=bucket)
            count, said = await place.evict()
            assert count == 3
            assert "below 50 %" in said
            assert await place.names(OTHER) == ["k4", "k6"]
            assert await place.names(THERE) == ["k3", "k5", "k7"]
            assert (9, "k1") not in place.read_at

    asyncio.run(work())


@pytest.mark.usefixtures("no_pause")
def test_what_must_stay_stays(tmp_path: Path) -> None:
    until = Retention(RetentionMode.GOVERNANCE, (NOW_S + 1000) * 10**9)

    async def work() -> None:
        async with place_in(tmp_path) as place:
            never = bound("never", 12, lru_enabled="false")
            quick = bound("quick", 13, lru_dont_evict_time='"1ms"')
            here = Bucket(BucketRef(BucketName("here")), 14, USER, 1)
            place.all = (THERE, never, quick, here)
            await place.keep("locked", attributes=replace(PLAIN, retention=until))
            await place.keep("held", attributes=replace(PLAIN, legal_hold=True))
            await place.keep("doubtful", facts=replace(FACTS, in_doubt=True))
            await place.keep("nowhere-else", facts=None)
            await place.keep("read-now")
            await place.keep("read-lately", NOW_S - 10)
            await place.keep("never", bucket=never)
            await place.keep("own", bucket=here, facts=None)
            await place.keep("quick", NOW_S - 10, bucket=quick)
            place.used_now = {"read-now"}
            count, said = await place.evict()
            assert count == 1
            assert "nothing may be given up" in said
            assert await place.names(quick) == []
            assert len(await place.names(THERE)) == 6
            assert await place.names(never) == ["never"]

    asyncio.run(work())


@pytest.mark.usefixtures("no_pause")
def test_a_bucket_that_is_let_go_of_meanwhile_keeps_what_it_has(tmp_path: Path) -> None:
    """What were copies are its own objects from then on."""

    async def work() -> None:
        async with place_in(tmp_path) as there:
            for number in range(9):
                await there.keep(f"k{number}")
            in_use = there.in_use

            def let_go(bucket: Bucket, keys: Sequence[ObjectKey]) -> Collection[ObjectKey]:
                there.all = (replace(THERE, props=BucketProps()), OTHER)
                return in_use(bucket, keys)

            there.in_use = let_go  # type: ignore[method-assign]
            await there.evict()
            assert len(await there.names()) == 9

    asyncio.run(work())


@pytest.mark.usefixtures("no_pause")
def test_a_bucket_alone_and_rounds_of_few(tmp_path: Path) -> None:
    async def work() -> None:
        async with place_in(tmp_path) as place:
            few = bound("few", 15, lru_batch_size="1")
            place.all = (few, OTHER)
            for number in range(4):
                await place.keep(f"k{number}", LONG_AGO_S + number, bucket=few)
                await place.keep(f"k{number}", LONG_AGO_S - 100, bucket=OTHER)
            count, _ = await place.evict(**{BUCKET_ARGUMENT: ref_text(few.ref)})
            assert count == 3
            assert await place.names(few) == ["k3"]
            assert len(await place.names(OTHER)) == 4

    asyncio.run(work())


def test_without_buckets_that_live_elsewhere_it_ends_at_once(tmp_path: Path) -> None:
    async def work() -> None:
        async with place_in(tmp_path) as place:
            place.all = (Bucket(BucketRef(BucketName("here")), 14, USER, 1),)
            place.lag_s = 3600.0
            assert (await place.evict())[1].startswith("nothing to evict")

    asyncio.run(asyncio.wait_for(work(), 10))


@pytest.mark.parametrize(("used", "asks"), [(90, False), (91, True)])
def test_eviction_is_asked_for_above_the_high_mark(used: int, asks: bool) -> None:
    class Full:
        def disk_uses_sync(self) -> Sequence[DiskUse]:
            return [DiskUse(0, 1, 100), DiskUse(1, used, 100)]

        def disk_of(self, bucket: Bucket, name: ObjectKey) -> int:
            return 0

        def buckets(self) -> Sequence[Bucket]:
            return [THERE]

    async def work() -> None:
        records = FakeRecords()
        watch = SpaceWatch(1.0, Full(), Full(), records, MARKS, Clock())
        assert bool(await watch.run(asyncio.Event())) == asks
        # One at a time.
        assert not await watch.run(asyncio.Event())
        assert [record.kind for record in records.records.values()] == [LRU] * asks

    asyncio.run(work())


def test_nothing_is_looked_for_without_buckets_that_have_a_backend() -> None:
    class NoBuckets:
        def disk_uses_sync(self) -> Sequence[DiskUse]:
            raise AssertionError

        def disk_of(self, bucket: Bucket, name: ObjectKey) -> int:
            raise AssertionError

        def buckets(self) -> Sequence[Bucket]:
            return []

    watch = SpaceWatch(1.0, NoBuckets(), NoBuckets(), FakeRecords(), MARKS, Clock())
    assert not asyncio.run(watch.run(asyncio.Event()))
