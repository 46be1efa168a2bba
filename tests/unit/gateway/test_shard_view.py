"""The view of shards' members as objects: its listings are those of a store in which the members were objects."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest

from backends.memory import MemoryStore
from core.configs.native import INDEX_SHARDS_TAG, SHARD_VIEW_TAG, NativeProps, tagged_props
from core.errors import InvalidRange, InvalidTag, NoSuchKey, NoSuchVersion, NotModified
from core.listing import ListQuery
from core.names import BucketName, BucketRef
from core.protocols import ObjectStore
from core.shards import MemberInfo
from core.types import BoundedRange, Bucket, BucketProps, Conditions
from gateway.shard_view import shard_view
from storage.shards.service import LocalShards
from tests.contract.world import PLAIN, USER, Body, FakeClock
from tests.unit.storage.archives import in_loop, tar
from tests.unit.storage.box import key, read_all


async def listed(
    store: ObjectStore, bucket: Bucket, query: ListQuery
) -> tuple[list[str], list[str]]:
    """All pages of a listing, each as long as the query says."""
    keys: list[str] = []
    prefixes: list[str] = []
    after = query.after
    for _ in range(1000):
        wanted = ListQuery(query.prefix, query.delimiter, after, query.limit)
        page = await store.list_objects(bucket, wanted)
        together = [info.key for info in page.entries] + list(page.common_prefixes)
        assert len(together) <= query.limit
        keys += [info.key for info in page.entries]
        prefixes += page.common_prefixes
        if not page.is_truncated:
            return keys, prefixes
        assert page.next_after == max(together)
        after = page.next_after
    raise AssertionError("the listing does not end")


class Scene:
    """A bucket with shards in view, and one in which their members are objects."""

    def __init__(self) -> None:
        self.store = MemoryStore(FakeClock())
        self.shards = LocalShards(self.store)
        self.view = shard_view(self.store, self.shards)

    async def open(self) -> None:
        made = [
            await self.store.create_bucket(
                BucketRef(BucketName(name)), owner=USER, region="", props=BucketProps()
            )
            for name in ("viewed", "flat")
        ]
        self.viewed, self.flat = made

    async def put(self, name: str, data: bytes) -> None:
        for bucket in (self.viewed, self.flat):
            await self.store.put(bucket, key(name), Body(data), attributes=PLAIN)

    async def put_shard(self, name: str, members: Mapping[str, bytes]) -> None:
        await self.put(name, tar(members))
        for path, data in members.items():
            await self.store.put(self.flat, key(f"{name}/{path}"), Body(data), attributes=PLAIN)


@asynccontextmanager
async def scene() -> AsyncIterator[Scene]:
    made = Scene()
    await made.open()
    try:
        yield made
    finally:
        made.shards.close()


SHARDS = {
    "a.tar": {"1": b"one", "2/x": b"2x", "2/y": b"2y", "é": b"e"},
    "d/b.tar": {"q-1": b"", "q-2": b"qq", "r/s/t": b"rst"},
    "d/b.tar.tar": {"z": b"z"},
    "z.TAR": {f"{n:02}": b"n" for n in range(12)},
}
OBJECTS = ("a.tar-0", "a.tar.gz-not", "a.tar/2/own", "a.tar0", "b", "d/b.tar!", "d/b.tara", "é")


async def fill(made: Scene) -> None:
    for name, members in SHARDS.items():
        await made.put_shard(name, members)
    for name in OBJECTS:
        await made.put(name, name.encode())


@in_loop
async def test_listings_are_those_of_objects() -> None:
    chance = random.Random(7)
    async with scene() as made:
        await fill(made)
        names, _ = await listed(made.store, made.flat, ListQuery())
        assert (await listed(made.view, made.viewed, ListQuery()))[0] == names
        pieces = ["", *(name[:n] for name in names for n in range(1, len(name) + 1))]
        for _ in range(150):
            prefix = chance.choice(pieces)
            query = ListQuery(prefix, chance.choice(["", "", "/", "-", "r", "2/"]), "", 1)
            query = ListQuery(query.prefix, query.delimiter, "", chance.choice([1, 2, 3, 1000]))
            wanted = await listed(made.store, made.flat, query)
            assert await listed(made.view, made.viewed, query) == wanted, query
        for after in pieces:
            query = ListQuery("", "", after, 1000)
            wanted = await listed(made.store, made.flat, query)
            assert await listed(made.view, made.viewed, query) == wanted, query


@in_loop
async def test_what_is_listed_is_what_is_read() -> None:
    async with scene() as made:
        await fill(made)
        page = await made.view.list_objects(made.viewed, ListQuery())
        for info in page.entries:
            reader = await made.view.get(made.viewed, info.key)
            data = await read_all(reader)
            expected = await read_all(await made.store.get(made.flat, info.key))
            assert data == expected
            head = await made.view.head(made.viewed, info.key)
            assert (head.etag, head.size_bytes) == (info.etag, len(data))
            assert head.etag == reader.info.etag
            assert head.modified_ns == info.modified_ns
            assert head.key == info.key
            if isinstance(info, MemberInfo):
                assert isinstance(head, MemberInfo)
                assert head.shard == info.shard
                assert head.etag.endswith("-1")


@in_loop
async def test_members_are_read_as_objects_are() -> None:
    async with scene() as made:
        await made.put_shard("s.tar", {"a/b.json": b"0123456789", "c": b"", "d.jpg": b"jpeg"})
        view, bucket = made.view, made.viewed
        part = await view.get(bucket, key("s.tar/a/b.json"), byte_range=BoundedRange(2, 4))
        assert (part.first, part.length) == (2, 3)
        assert await read_all(part) == b"234"
        info = await view.head(bucket, key("s.tar/a/b.json"))
        assert info.attributes.headers == {"content-type": "application/json"}
        assert (await view.head(bucket, key("s.tar/c"))).attributes.headers == {
            "content-type": "application/octet-stream"
        }
        assert info.attributes.owner_id == USER.user_id
        with pytest.raises(NotModified):
            await view.get(bucket, info.key, conditions=Conditions(if_none_match=(info.etag,)))
        with pytest.raises(InvalidRange):
            await view.get(bucket, info.key, byte_range=BoundedRange(10, 11))
        for absent in ("s.tar/none", "s.tar/", "s.tar/a", "s.tar/../x", "t.tar/x", "s.tar//c"):
            with pytest.raises(NoSuchKey):
                await view.get(bucket, key(absent))
        with pytest.raises(NoSuchVersion):
            await view.head(bucket, info.key, version_id="other")


@in_loop
async def test_what_is_stored_wins_over_members() -> None:
    async with scene() as made:
        view, bucket = made.view, made.viewed
        await made.put("s.tar", tar({"m": b"member", "in.tar/x": b"outer"}))
        await view.put(bucket, key("s.tar/m"), Body(b"stored"), attributes=PLAIN)
        assert await read_all(await view.get(bucket, key("s.tar/m"))) == b"stored"
        assert await read_all(await view.get(bucket, key("s.tar/in.tar/x"))) == b"outer"
        await view.put(bucket, key("s.tar/in.tar"), Body(tar({"x": b"inner"})), attributes=PLAIN)
        assert await read_all(await view.get(bucket, key("s.tar/in.tar/x"))) == b"inner"
        keys, _ = await listed(view, bucket, ListQuery())
        assert keys == ["s.tar", "s.tar/in.tar", "s.tar/in.tar/x", "s.tar/m"]
        page = await view.list_objects(bucket, ListQuery())
        assert [info.size_bytes for info in page.entries[2:]] == [5, 6]
        await view.delete(bucket, key("s.tar/m"))
        assert await read_all(await view.get(bucket, key("s.tar/m"))) == b"member"


@in_loop
async def test_bad_shards_have_no_members() -> None:
    async with scene() as made:
        await made.put("bad.tar", b"no archive")
        await made.put("empty.tar", b"")
        await made.put("other", b"x")
        keys, prefixes = await listed(made.view, made.viewed, ListQuery(limit=2))
        assert (keys, prefixes) == (["bad.tar", "empty.tar", "other"], [])
        with pytest.raises(NoSuchKey):
            await made.view.head(made.viewed, key("bad.tar/x"))


def test_tags_that_switch_properties() -> None:
    plain = NativeProps()
    on = tagged_props(plain, {}, {SHARD_VIEW_TAG: "on", "other": "x"})
    assert (on.shard_view, on.index_shards) == (True, False)
    assert tagged_props(on, {SHARD_VIEW_TAG: "on"}, {}) == plain
    assert tagged_props(on, {}, {"other": "y"}) == on
    assert tagged_props(on, {}, {SHARD_VIEW_TAG: "off"}) == plain
    assert tagged_props(plain, {}, {INDEX_SHARDS_TAG: "on"}).index_shards
    with pytest.raises(InvalidTag):
        tagged_props(plain, {}, {SHARD_VIEW_TAG: "yes"})
