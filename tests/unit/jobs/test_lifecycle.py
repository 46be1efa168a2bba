"""The lifecycle job over a store in memory: what it removes, what it leaves alone, and how it goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any

import pytest

from backends.memory import MemoryStore
from core.configs.lifecycle import (
    Expiration,
    Lifecycle,
    LifecycleFilter,
    LifecycleRule,
    NoncurrentExpiration,
    Transition,
)
from core.configs.versioning import ObjectLock, Retention, RetentionMode, Versioning
from core.deletion import DeleteItem, DeleteResult
from core.errors import InvalidArgument, MountpathUnavailable, PreconditionFailed
from core.jobs import JobProgress, JobRecord
from core.lifecycle import REAL_DAY_NS, Terms
from core.listing import ObjectVersion, VersionListQuery
from core.names import BucketName, BucketRef
from core.types import (
    Bucket,
    BucketProps,
    ObjectAttributes,
    ObjectChanges,
    ObjectInfo,
)
from core.uploads import UploadListQuery
from jobs.lifecycle import LifecycleJob, Rate
from jobs.queue import JobContext, JobStopped
from tests.contract.world import USER, Body, FakeClock, key

DAY_S = REAL_DAY_NS // 10**9


def rule(prefix: str = "", *, enabled: bool = True, **actions: Any) -> LifecycleRule:
    return LifecycleRule(
        f"r{prefix}",
        enabled,
        LifecycleFilter(prefix=prefix, tags=actions.pop("tags", {})),
        **actions,
    )


EXPIRE = rule(expiration=Expiration(days=1))


class Place:
    """A store with buckets, the job over it, and time."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = MemoryStore(self.clock, min_part_bytes=5)
        self.refs: list[BucketRef] = []
        self.moves: list[tuple[str, str]] = []

    def bucket(self, ref: BucketRef) -> Bucket | None:
        return self.store.get_bucket(ref) if ref in self.refs else None

    def buckets(self) -> Sequence[Bucket]:
        return [self.store.get_bucket(ref) for ref in self.refs]

    async def make(self, name: str, *rules: LifecycleRule, **props: Any) -> BucketRef:
        ref = BucketRef(BucketName(name))
        made = BucketProps(lifecycle=Lifecycle(rules) if rules else None, **props)
        await self.store.create_bucket(ref, owner=USER, region="us-east-1", props=made)
        self.refs.append(ref)
        return ref

    async def put(self, ref: BucketRef, *names: str, **attributes: Any) -> None:
        for name in names:
            await self.store.put(
                self.store.get_bucket(ref),
                key(name),
                Body(b"data"),
                attributes=ObjectAttributes(**attributes),
            )

    async def change_class(
        self, bucket: Bucket, seen: ObjectVersion, storage_class: str
    ) -> ObjectInfo:
        self.moves.append((seen.info.key, storage_class))
        if seen.info.key == "changed":
            raise PreconditionFailed(condition="unchanged")
        return seen.info

    def days(self, count: float) -> None:
        self.clock.advance(count * DAY_S)

    def job(self, store: Any = None, actions_per_s: float = 1e9) -> LifecycleJob:
        return LifecycleJob(
            store or self.store,
            self,
            self,
            self.clock,
            Terms(classes=("STANDARD", "COLD"), minimum_bytes=0),
            None,
            actions_per_s,
            lambda: 0.0,
        )

    async def run(self, job: LifecycleJob | None = None, **arguments: str) -> JobContext:
        context = JobContext(JobRecord("j", "lifecycle", arguments))
        await (job or self.job()).run(context)
        return context

    async def names(self, ref: BucketRef) -> list[str]:
        """Every version as key:m for markers, key:v otherwise, newest first."""
        page = await self.store.list_versions(self.store.get_bucket(ref), VersionListQuery())
        return [f"{v.info.key}:{'m' if v.info.is_delete_marker else 'v'}" for v in page.versions]


def scene(test: Callable[[Place], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def run() -> None:
        asyncio.run(test(Place()))

    run.__name__ = test.__name__
    return run


@scene
async def test_expires_what_the_rules_name(place: Place) -> None:
    plain = await place.make("plain", rule("log/", expiration=Expiration(days=1)))
    versioned = await place.make("versioned", EXPIRE, versioning=Versioning.ENABLED)
    untouched = await place.make("untouched")
    off = await place.make("off", rule(enabled=False, expiration=Expiration(days=1)))
    for ref in (plain, versioned, untouched, off):
        await place.put(ref, "log/a", "log/b", "keep")
    place.days(2.5)
    await place.put(plain, "log/new")
    context = await place.run()
    assert await place.names(plain) == ["keep:v", "log/new:v"]
    assert sorted(await place.names(versioned)) == sorted(
        f"{name}:{kind}" for name in ("keep", "log/a", "log/b") for kind in "mv"
    )
    assert len(await place.names(untouched)) == len(await place.names(off)) == 3
    counters = context.progress.counters
    assert (counters["removed"], counters["expired"], counters["bytes"]) == (2, 3, 8)
    assert counters["buckets"] == 2


@scene
async def test_one_bucket_on_demand(place: Place) -> None:
    one, two = await place.make("one", EXPIRE), await place.make("two", EXPIRE)
    await place.put(one, "a")
    await place.put(two, "a")
    place.days(3)
    await place.run(bucket="two")
    assert await place.names(one) == ["a:v"]
    assert await place.names(two) == []
    with pytest.raises(InvalidArgument):
        await place.run(bucket="three")


@scene
async def test_noncurrent_versions_then_their_marker(place: Place) -> None:
    rules = rule(
        noncurrent_expiration=NoncurrentExpiration(1), expiration=Expiration(removes_markers=True)
    )
    ref = await place.make("bucket", rules, versioning=Versioning.ENABLED)
    await place.put(ref, "a", "a", "b", "b")
    await place.store.delete(place.store.get_bucket(ref), key("a"))
    place.days(3)
    await place.run()
    assert await place.names(ref) == ["a:m", "b:v"]
    await place.run()
    assert await place.names(ref) == ["b:v"]


@scene
async def test_locked_versions_are_passed_over(place: Place) -> None:
    rules = rule(noncurrent_expiration=NoncurrentExpiration(1))
    ref = await place.make("b", rules, versioning=Versioning.ENABLED, object_lock=ObjectLock())
    until = place.clock.now_ns() + 100 * REAL_DAY_NS
    await place.put(ref, "a", retention=Retention(RetentionMode.GOVERNANCE, until))
    await place.put(ref, "a", legal_hold=True)
    await place.put(ref, "a", "a")
    place.days(3)
    await place.run()
    assert len(await place.names(ref)) == 3


@scene
async def test_uploads_are_aborted(place: Place) -> None:
    ref = await place.make("bucket", rule("up", abort_days=1))
    bucket = place.store.get_bucket(ref)
    for name in ("up/a", "other"):
        await place.store.create_upload(
            bucket, key(name), attributes=ObjectAttributes(), initiator=USER
        )
    place.days(3)
    await place.store.create_upload(
        bucket, key("up/b"), attributes=ObjectAttributes(), initiator=USER
    )
    context = await place.run()
    left = await place.store.list_uploads(bucket, UploadListQuery())
    assert [upload.key for upload in left.uploads] == ["other", "up/b"]
    assert context.progress.counters["aborted"] == 1


class Meddler:
    """A store in which something happens just before each removal."""

    def __init__(self, store: MemoryStore, meddle: Callable[[], Awaitable[Any]]) -> None:
        self.list_versions = store.list_versions
        self._store = store
        self._meddle = meddle

    async def delete_many(
        self, bucket: Bucket, items: Sequence[DeleteItem]
    ) -> Sequence[DeleteResult | Exception]:
        await self._meddle()
        return await self._store.delete_many(bucket, items)


@scene
async def test_what_was_overwritten_meanwhile_stays(place: Place) -> None:
    ref = await place.make("bucket", EXPIRE)
    await place.put(ref, "a", "b")
    place.days(3)
    context = await place.run(place.job(Meddler(place.store, lambda: place.put(ref, "a"))))
    assert await place.names(ref) == ["a:v"]
    assert context.progress.counters["changed"] == 1


@scene
async def test_what_was_tagged_meanwhile_stays(place: Place) -> None:
    ref = await place.make("bucket", rule(expiration=Expiration(days=1), tags={"a": "1"}))
    await place.put(ref, "a", tags={"a": "1"})
    bucket = place.store.get_bucket(ref)
    place.days(3)

    async def tag() -> None:
        await place.store.update_object(bucket, key("a"), ObjectChanges(tags={"a": "2"}))

    await place.run(place.job(Meddler(place.store, tag)))
    assert await place.names(ref) == ["a:v"]


@scene
async def test_a_version_that_became_current_again_stays(place: Place) -> None:
    rules = rule(noncurrent_expiration=NoncurrentExpiration(1))
    ref = await place.make("bucket", rules, versioning=Versioning.ENABLED)
    await place.put(ref, "a")
    bucket = place.store.get_bucket(ref)
    marker = await place.store.delete(bucket, key("a"))
    place.days(3)

    async def undelete() -> None:
        await place.store.delete(bucket, key("a"), version_id=marker.version_id)

    context = await place.run(place.job(Meddler(place.store, undelete)))
    assert await place.names(ref) == ["a:v"]
    assert context.progress.counters["changed"] == 1


@scene
async def test_rules_taken_away_meanwhile_are_not_carried_out(place: Place) -> None:
    ref = await place.make("bucket", EXPIRE)
    await place.put(ref, *(f"k{n:03}" for n in range(250)))
    place.days(3)

    async def forget() -> None:
        await place.store.update_bucket_props(
            place.store.get_bucket(ref), lambda props: replace(props, lifecycle=None)
        )

    await place.run(place.job(Meddler(place.store, forget)))
    assert len(await place.names(ref)) == 150, "one batch was under way"


@scene
async def test_a_run_goes_on_where_it_was_stopped(place: Place) -> None:
    first, second = await place.make("first", EXPIRE), await place.make("second", EXPIRE)
    await place.put(first, *(f"k{n:04}" for n in range(1500)))
    await place.put(second, "a")
    place.days(3)
    context = JobContext(JobRecord("j", "lifecycle"))
    batches = 0

    async def stop_later() -> None:
        nonlocal batches
        batches += 1
        if batches == 12:
            context.stop()

    with pytest.raises(JobStopped):
        await place.job(Meddler(place.store, stop_later)).run(context)
    assert '"k0998"' in context.cursor
    resumed = JobContext(JobRecord("j", "lifecycle", progress=JobProgress(cursor=context.cursor)))
    await place.job().run(resumed)
    assert await place.names(first) == []
    assert await place.names(second) == []
    assert resumed.progress.counters["scanned"] == 300 + 1


@scene
async def test_a_failing_bucket_does_not_keep_the_others(place: Place) -> None:
    first, second = await place.make("first", EXPIRE), await place.make("second", EXPIRE)
    await place.put(first, "a")
    await place.put(second, "a")
    place.days(3)
    calls = 0

    async def fail_once() -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise MountpathUnavailable(mountpath="/d", reason="gone", retry_after_s=1)

    with pytest.raises(MountpathUnavailable):
        await place.run(place.job(Meddler(place.store, fail_once)))
    assert await place.names(first) == ["a:v"]
    assert await place.names(second) == []


@scene
async def test_transitions(place: Place) -> None:
    ref = await place.make("bucket", rule(transitions=(Transition("COLD", 1),)))
    await place.put(ref, "changed", "old")
    await place.put(ref, "cold", storage_class="COLD")
    place.days(3)
    await place.put(ref, "new")
    context = await place.run()
    assert place.moves == [("changed", "COLD"), ("old", "COLD")]
    counters = context.progress.counters
    assert (counters["moved"], counters["changed"], counters["bytes"]) == (1, 1, 4)


def test_is_needed() -> None:
    async def run() -> None:
        place = Place()
        await place.make("none")
        await place.make("off", rule(enabled=False, expiration=Expiration(days=1)))
        assert not place.job().is_needed()
        await place.make("some", EXPIRE)
        assert place.job().is_needed()

    asyncio.run(run())


def test_rate() -> None:
    now = 100.0
    rate = Rate(10, lambda: now)
    assert rate.delay_s(5) == pytest.approx(0.5)
    assert rate.delay_s(5) == pytest.approx(1.0)
    now = 200.0
    assert rate.delay_s(1) == pytest.approx(0.1)
