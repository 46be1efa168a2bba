"""Jobs on many objects over a store in memory: what they do, what fails them, and how they go on after a death."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from backends.memory import MemoryStore
from core.errors import Denied, NoSuchBucket, NoSuchKey
from core.jobs import JobProgress, JobRecord
from core.listing import ListQuery
from core.names import BucketName, BucketRef, UserId
from core.types import Bucket, BucketProps, ObjectAttributes, User
from jobs.group_copy import CopyObjectsJob
from jobs.group_delete import DeleteObjectsJob
from jobs.object_group import GroupRequest
from jobs.queue import JobContext, JobKind, JobStopped
from jobs.selection import Selection
from tests.contract.world import USER, Body, FakeClock, key, put

OTHER = User(UserId("other"), "other", "Other")
BEGINNING = JobProgress()
NAMES = [f"k{number:03}" for number in range(250)]


class Place:
    """A store with two buckets, which is its own control store."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = MemoryStore(self.clock)

    async def open(self, *names: str) -> Place:
        self.source = await self._new("source")
        self.target = await self._new("target")
        for name in names:
            await put(self.store, self.source, name, b"1")
        return self

    async def _new(self, name: str) -> Bucket:
        ref = BucketRef(BucketName(name))
        return await self.store.create_bucket(ref, owner=USER, region="", props=BucketProps())

    def bucket(self, ref: BucketRef) -> Bucket | None:
        try:
            return self.store.get_bucket(ref)
        except NoSuchBucket:
            return None

    def user(self, user_id: UserId) -> User | None:
        return OTHER if user_id == OTHER.user_id else None

    def request(self, selection: Selection, **changes: Any) -> GroupRequest:
        request = GroupRequest(
            self.source.ref,
            self.source.bucket_id,
            OTHER.user_id,
            selection,
            self.target.ref,
            self.target.bucket_id,
        )
        return replace(request, **changes)

    def context(
        self, request: GroupRequest, progress: JobProgress = BEGINNING, deaths: int = 0
    ) -> JobContext:
        record = JobRecord(
            "j",
            "kind",
            request.arguments(),
            progress=progress,
            deaths=deaths,
            created_ns=self.clock.now_ns(),
        )
        return JobContext(record)

    async def run(
        self, kind: JobKind, request: GroupRequest, **of_context: Any
    ) -> Mapping[str, int]:
        context = self.context(request, **of_context)
        await kind.run(context)
        return context.progress.counters

    async def delete(self, selection: Selection, **changes: Any) -> Mapping[str, int]:
        return await self.run(
            DeleteObjectsJob(self.store, self), self.request(selection, **changes)
        )

    async def copy(self, selection: Selection, **changes: Any) -> Mapping[str, int]:
        return await self.run(CopyObjectsJob(self.store, self), self.request(selection, **changes))


def named(*names: str) -> Selection:
    return Selection([key(name) for name in names])


async def names_in(place: Place, bucket: Bucket) -> list[str]:
    page = await place.store.list_objects(bucket, ListQuery(limit=10_000))
    return [info.key for info in page.entries]


async def test_delete() -> None:
    place = await Place().open(*NAMES)
    counters = await place.delete(Selection(template="k{000..099}"))
    assert counters == {"objects": 100, "bytes": 100}
    assert await names_in(place, place.source) == NAMES[100:]
    assert await place.delete(named("k100", "k249")) == {"objects": 2, "bytes": 2}
    assert await place.delete(Selection(template="k10")) == {"objects": 9, "bytes": 9}
    await place.delete(Selection())
    assert await names_in(place, place.source) == []


async def test_jobs_on_named_objects_say_how_many() -> None:
    place = await Place().open("a", "b", "c")
    for selection, total in ((named("a", "b"), 2), (Selection(), 0)):
        context = place.context(place.request(selection))
        await CopyObjectsJob(place.store, place).run(context)
        assert context.progress.total == total


async def test_absent_objects_fail_who_named_them() -> None:
    place = await Place().open("a", "b")
    for kind in (place.delete, place.copy):
        with pytest.raises(NoSuchKey):
            await kind(named("absent"))
        assert not await kind(Selection(template="absent-{1..9}"))
        assert await kind(named("absent"), goes_on=True) == {"failed_objects": 1}
        assert not await kind(replace(named("absent"), was_range=True))


async def test_what_a_dead_worker_deleted_is_not_missed() -> None:
    place = await Place().open(*NAMES)
    selection = named(*NAMES)
    await place.delete(named(*NAMES[:150]))
    counters = await place.run(
        DeleteObjectsJob(place.store, place), place.request(selection), deaths=1
    )
    assert counters["objects"] == 100
    assert await names_in(place, place.source) == []


async def test_a_job_goes_on_from_its_cursor() -> None:
    place = await Place().open(*NAMES)
    context = place.context(place.request(Selection()), JobProgress(cursor="copy:k199"))
    await CopyObjectsJob(place.store, place).run(context)
    assert await names_in(place, place.target) == NAMES[200:]
    assert context.cursor == "copy:k249"
    context = place.context(place.request(Selection()))
    context.stop()
    with pytest.raises(JobStopped):
        await CopyObjectsJob(place.store, place).run(context)


async def test_a_bucket_that_came_in_anothers_place_is_let_alone() -> None:
    place = await Place().open("a")
    for changes in ({"source_id": 99}, {"target_id": 99}):
        with pytest.raises(NoSuchBucket):
            await place.copy(Selection(), **changes)


async def test_copies_are_the_callers() -> None:
    place = await Place().open("a")
    assert await place.copy(Selection(), options={"prepend": "x/"}) == {"objects": 1, "bytes": 1}
    info = await place.store.head(place.target, key("x/a"))
    assert info.attributes.owner_id == OTHER.user_id


async def test_what_others_own_is_not_read() -> None:
    place = await Place().open("a")
    theirs = ObjectAttributes(owner_id=OTHER.user_id)
    await place.store.put(place.source, key("theirs"), Body(b"1"), attributes=theirs)
    with pytest.raises(Denied):
        await place.copy(Selection(), only_owners=True, workers=1)
    counters = await place.copy(Selection(), only_owners=True, goes_on=True)
    assert counters == {"objects": 1, "bytes": 1, "failed_objects": 1}
    assert await names_in(place, place.target) == ["a"]


async def test_names_too_long_fail() -> None:
    place = await Place().open("a", "b" * 1020)
    counters = await place.copy(Selection(), goes_on=True, options={"prepend": "long-"})
    assert counters == {"objects": 1, "bytes": 1, "failed_objects": 1}


async def test_dry_runs_only_count() -> None:
    place = await Place().open(*NAMES)
    assert (await place.copy(Selection(), options={"is_dry_run": True}))["objects"] == 250
    assert await names_in(place, place.target) == []


async def test_copies_of_copies_are_not_made() -> None:
    place = await Place().open("a", "b")
    context = place.context(
        place.request(
            Selection(),
            target=place.source.ref,
            target_id=place.source.bucket_id,
            options={"prepend": "c"},
        )
    )
    place.clock.advance(1)
    await CopyObjectsJob(place.store, place).run(context)
    assert await names_in(place, place.source) == ["a", "b", "ca", "cb"]


@pytest.mark.parametrize(
    "selection",
    [named("a", "gone", "never"), Selection(template="%01d"), Selection(prefix="g"), Selection()],
)
async def test_synchronizing(selection: Selection) -> None:
    place = await Place().open("a", "1")
    for name in ("gone", "1", "2"):
        await put(place.store, place.target, name, b"old")
    counters = await place.copy(selection, options={"synchronizes": True})
    found = await names_in(place, place.target)
    # What is selected is the same in both, and what is not is as it was.
    for name in ("a", "1", "2", "gone"):
        is_selected = name in (selection.names or ()) or (
            selection.names is None
            and name.startswith(selection.prefix)
            and (not selection.template or name.isdigit())
        )
        assert (name in found) is (name in "a1" if is_selected else name != "a"), name
    assert "removed_objects" in counters
