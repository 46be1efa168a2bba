"""The job that makes shards, over a store in memory and shards that only keep what they are told."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

import pytest

from core.errors import NoSuchKey
from core.jobs import JobProgress
from core.names import ObjectKey
from core.shards import Member, NewMember, ShardChanged
from core.types import Bucket
from jobs.group_archive import ArchiveJob
from jobs.object_group import GroupRequest
from jobs.selection import Selection
from tests.unit.jobs.test_object_group import OTHER, Place, named


class FakeShards:
    """Shards by key, as paths and sources of members. `losses`: how often an addition comes too late."""

    def __init__(self) -> None:
        self.made: dict[str, list[tuple[str, ObjectKey | None]]] = {}
        self.losses = 0
        self.owner_id = ""

    async def create(
        self, _: Bucket, key: ObjectKey, members: AsyncIterable[NewMember], **how: Any
    ) -> None:
        found = [(member.path, member.source_key) async for member in members]
        self.owner_id = how["attributes"].owner_id
        self.made[key] = found

    async def append(
        self, _: Bucket, key: ObjectKey, members: AsyncIterable[NewMember], **how: Any
    ) -> None:
        assert how["mime"] == ".tar"
        found = [(member.path, member.source_key) async for member in members]
        if self.losses:
            self.losses -= 1
            raise ShardChanged(key=key)
        self.made.setdefault(key, []).extend(found)

    async def members(self, _: Bucket, key: ObjectKey, *, mime: str) -> AsyncIterator[Member]:
        assert mime == ".tar"
        if key not in self.made:
            raise NoSuchKey(key=key)
        for path, _source in self.made[key]:
            yield Member(path, 1)


async def archive(
    place: Place,
    shards: FakeShards,
    selection: Selection,
    *,
    was_begun: bool = False,
    goes_on: bool = False,
    **options: Any,
) -> dict[str, int]:
    request: GroupRequest = place.request(
        selection, goes_on=goes_on, options={"key": "s.tar", "format": ".tar", **options}
    )
    context = place.context(request, JobProgress(message="begun" if was_begun else ""))
    await ArchiveJob(place.store, shards, place).run(context)  # type: ignore[arg-type]  # a fake
    return dict(context.progress.counters)


async def test_members_are_the_objects() -> None:
    place, shards = await Place().open("d/a", "d/b", "c"), FakeShards()
    assert await archive(place, shards, Selection()) == {"objects": 3, "bytes": 3}
    assert shards.made["s.tar"] == [("c", "c"), ("d/a", "d/a"), ("d/b", "d/b")]
    assert shards.owner_id == OTHER.user_id


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"with_bucket": True}, "source/d/a"),
        ({"base_names": True}, "a"),
        ({"with_bucket": True, "base_names": True}, "source/a"),
    ],
)
async def test_paths_of_members(options: dict[str, bool], expected: str) -> None:
    place, shards = await Place().open("d/a"), FakeShards()
    await archive(place, shards, Selection(), **options)
    assert shards.made["s.tar"] == [(expected, "d/a")]


async def test_what_is_absent() -> None:
    place, shards = await Place().open("a"), FakeShards()
    with pytest.raises(NoSuchKey):
        await archive(place, shards, named("a", "absent"))
    assert not shards.made or not shards.made["s.tar"]
    assert await archive(place, shards, named("a", "absent"), goes_on=True) == {
        "failed_objects": 1,
        "objects": 1,
        "bytes": 1,
    }
    shards.made.clear()
    assert not await archive(place, shards, Selection(template="absent-{1..9}"))
    assert not shards.made


async def test_names_of_directories_become_no_members() -> None:
    place, shards = await Place().open("d/", "d/a"), FakeShards()
    assert (await archive(place, shards, Selection(), goes_on=True))["failed_objects"] == 1
    assert shards.made["s.tar"] == [("d/a", "d/a")]


async def test_additions_that_come_too_late_are_made_again() -> None:
    place, shards = await Place().open("a"), FakeShards()
    shards.losses = 2
    assert await archive(place, shards, Selection(), appends=True) == {"objects": 1, "bytes": 1}
    shards.losses = 99
    with pytest.raises(ShardChanged):
        await archive(place, shards, Selection(), appends=True)


async def test_a_second_worker_adds_nothing_twice() -> None:
    place, shards = await Place().open("a", "b"), FakeShards()
    await archive(place, shards, named("a"), appends=True)
    await archive(place, shards, Selection(), appends=True, was_begun=True)
    assert [path for path, _ in shards.made["s.tar"]] == ["a", "b"]
    # Who asks for it anew gets it anew.
    await archive(place, shards, named("a"), appends=True)
    assert [path for path, _ in shards.made["s.tar"]] == ["a", "b", "a"]
    shards.made.clear()
    await archive(place, shards, named("a"), appends=True, was_begun=True)
    assert [path for path, _ in shards.made["s.tar"]] == ["a"]
