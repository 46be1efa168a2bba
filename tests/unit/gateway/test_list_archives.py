"""Listings that show what lies in shards, against all names sorted: any page size, prefix and place to begin at."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.memory import MemoryStore
from core.errors import Denied, MountpathUnavailable
from core.listing import Detail
from core.names import BucketName, BucketRef, ObjectKey
from core.shards import BadShard, Member, MemberPage
from core.types import Bucket, BucketProps
from gateway.native import list_archives
from gateway.native.list_archives import ArchiveListing
from gateway.native.list_entries import entry_maker
from gateway.native.list_query import ListFlag, NativeListQuery, parse_list_query
from tests.contract.world import USER, FakeClock, put

PROPS = frozenset({"name", "size"})


class FakeShards:
    """Members by shard; those of others cannot be read."""

    def __init__(self, members: dict[str, set[str]]) -> None:
        self.members = members
        self.error: Exception | None = None

    async def list_members(
        self, _: Bucket, key: ObjectKey, *, prefix: str, after: str, limit: int
    ) -> MemberPage:
        if self.error is not None:
            raise self.error
        if key not in self.members:
            raise BadShard(key=key, reason="truncated")
        found = sorted(
            path for path in self.members[key] if path.startswith(prefix) and path > after
        )
        return MemberPage([Member(path, 1) for path in found[:limit]], len(found) > limit)


@dataclass
class Services:
    shards: FakeShards


class FakeCall:
    """What a listing asks of a call."""

    def __init__(self, store: MemoryStore, members: dict[str, set[str]]) -> None:
        self.store = store
        self.services = Services(FakeShards(members))
        self.denied: set[str] = set()

    async def require(self, _: str, __: Any, ___: Bucket, key: ObjectKey) -> None:
        if key in self.denied:
            raise Denied(reason="")


async def filled(names: set[str], members: dict[str, set[str]]) -> tuple[FakeCall, Bucket]:
    store = MemoryStore(FakeClock())
    ref = BucketRef(BucketName("b"))
    bucket = await store.create_bucket(ref, owner=USER, region="", props=BucketProps())
    for name in names:
        await put(store, bucket, name, b"1")
    return FakeCall(store, members), bucket


async def listed(call: FakeCall, bucket: Bucket, query: NativeListQuery) -> list[str]:
    """All pages' names; the token is what comes next each time."""
    found: list[str] = []
    make = entry_maker(PROPS, "", "t")
    while True:
        listing = ArchiveListing(call, bucket, query, make)  # type: ignore[arg-type]  # a fake
        page, token = await listing.page()
        assert len(page) <= query.limit
        names = [entry["n"] for entry in page]
        found += names
        if not token:
            return found
        assert token == names[-1]
        query = asked(query.prefix, token, query.limit, query.delimiter)


def asked(prefix: str, after: str, limit: int, delimiter: str) -> NativeListQuery:
    flags = ListFlag.ARCHIVES | (ListFlag.NO_RECURSION if delimiter else ListFlag(0))
    return NativeListQuery(prefix, after, limit, "u", PROPS, flags)


def expected(names: set[str], members: dict[str, set[str]], query: NativeListQuery) -> list[str]:
    every = set(names)
    for shard, paths in members.items():
        if shard in names:
            every |= {f"{shard}/{path}" for path in paths}
            if query.delimiter and not query.prefix.startswith(f"{shard}/"):
                # A shard is a directory even if nothing can be told of what is in it.
                every.add(f"{shard}/x")
    found = set()
    for name in every:
        if not name.startswith(query.prefix):
            continue
        at = name.find("/", len(query.prefix)) if query.delimiter else -1
        found.add(name if at < 0 else name[: at + 1])
    return sorted(name for name in found if name > query.after)


SHARDS = ["a.tar", "a.zip", "b/c.tar", "a.tar.tar"]
_PATHS = st.sets(st.sampled_from(["1", "2", "d/1", "d/2", "d-", "e/f/1", "é"]))
_NAMES = st.sets(st.sampled_from(["a", "a.tar-", "a.tar0", "a.tar/1", "a.tar/d/0", "b/c", "z"]))


@settings(deadline=None)
@given(
    names=_NAMES,
    members=st.dictionaries(st.sampled_from(SHARDS), _PATHS),
    prefix=st.sampled_from(["", "a", "a.tar", "a.tar/", "a.tar/d", "a.tar/d/", "b/", "b/c.tar/d"]),
    limit=st.sampled_from([1, 2, 3, 100]),
    delimiter=st.sampled_from(["", "/"]),
)
def test_pages_are_the_sorted_names(
    names: set[str], members: dict[str, set[str]], prefix: str, limit: int, delimiter: str
) -> None:
    async def check() -> None:
        present = names | set(members)
        call, bucket = await filled(present, members)
        query = asked(prefix, "", limit, delimiter)
        assert await listed(call, bucket, query) == expected(present, members, query)
        for after in ["a.tar", "a.tar-", "a.tar/d/1", "a.tar/zz", "b"]:
            query = asked(prefix, after, limit, "")
            assert await listed(call, bucket, query) == expected(present, members, query)

    asyncio.run(check())


def test_shards_that_cannot_be_read_have_no_members() -> None:
    async def check() -> None:
        call, bucket = await filled({"a.tar", "b.tar", "c"}, {"b.tar": {"1"}})
        query = asked("", "", 10, "")
        assert await listed(call, bucket, query) == ["a.tar", "b.tar", "b.tar/1", "c"]
        call.denied = {"b.tar"}
        assert await listed(call, bucket, query) == ["a.tar", "b.tar", "c"]
        # But a disk that is away is no property of the shard.
        call.denied = set()
        call.services.shards.error = MountpathUnavailable(mountpath="", reason="", retry_after_s=1)
        with pytest.raises(MountpathUnavailable):
            await listed(call, bucket, query)

    asyncio.run(check())


def test_a_page_that_took_long_ends_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(list_archives, "_BUDGET_S", -1.0)

    async def check() -> None:
        members = {f"{n}.tar": {"1", "2"} for n in range(4)}
        call, bucket = await filled(set(members), members)
        query = asked("", "", 10, "")
        make = entry_maker(PROPS, "", "t")
        page, token = await ArchiveListing(call, bucket, query, make).page()  # type: ignore[arg-type]
        assert (len(page), token) == (3, "0.tar/2")
        assert await listed(call, bucket, query) == expected(set(members), members, query)

    asyncio.run(check())


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({"props": "name"}, Detail.NAME),
        ({"flags": 16}, Detail.NAME),
        ({}, Detail.SIZE),
        ({"props": "name,size,checksum"}, Detail.SUMMARY),
        ({"flags": "1"}, Detail.SUMMARY),
        ({"props": "custom"}, Detail.WHOLE),
    ],
)
def test_only_what_is_asked_for_is_read(fields: dict[str, object], detail: Detail) -> None:
    assert parse_list_query(fields).detail is detail
