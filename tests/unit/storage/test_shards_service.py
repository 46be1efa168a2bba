"""LocalShards over a real node: members are opened, listed and refused as core.shards.Shards promises."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from core.errors import InvalidArgument, InvalidRange, NoSuchKey, NotModified
from core.protocols import ObjectReader
from core.shards import BadShard, NoSuchMember, NotAShard
from core.types import BoundedRange, Conditions, SuffixRange
from storage.shards.service import LocalShards
from tests.unit.storage.archives import in_loop, tar
from tests.unit.storage.box import BUCKET, Box, key, opened, pattern, read_all

MEMBERS = {
    "a.txt": b"alpha",
    "b/large.bin": pattern(300_000),
    "b/empty": b"",
    "c": b"gamma",
}


@asynccontextmanager
async def shards_in(root: Path) -> AsyncIterator[tuple[Box, LocalShards]]:
    async with opened(root) as box:
        shards = LocalShards(box.node)
        try:
            yield box, shards
        finally:
            shards.close()


async def take(reader: ObjectReader) -> bytes:
    return await read_all(reader)


@in_loop
async def test_members_by_path(tmp_path: Path) -> None:
    async with shards_in(tmp_path) as (box, shards):
        stored = await box.put("s.tar", tar(MEMBERS))
        for path, data in MEMBERS.items():
            for asked in (path, "/" + path):
                reader = await shards.open_member(BUCKET, key("s.tar"), asked)
                assert (reader.info.size_bytes, reader.length, reader.first) == (len(data),) * 2 + (
                    0,
                )
                assert reader.info.key == stored.key
                assert reader.info.modified_ns == stored.modified_ns
                assert await take(reader) == data


@in_loop
async def test_ranges_leave_as_slices(tmp_path: Path) -> None:
    async with shards_in(tmp_path) as (box, shards):
        await box.put("s.tar", tar(MEMBERS))
        data = MEMBERS["b/large.bin"]
        reader = await shards.open_member(
            BUCKET, key("s.tar"), "b/large.bin", byte_range=BoundedRange(100, 200_000)
        )
        assert (reader.first, reader.length, reader.has_slices) == (100, 199_901, True)
        part = await reader.next_slice()
        assert part is not None and not isinstance(part, bytes)
        assert os.pread(part.fd, part.size_bytes, part.offset) == data[100:200_001]
        assert await reader.next_slice() is None
        await reader.close()
        reader = await shards.open_member(BUCKET, key("s.tar"), "a.txt", byte_range=SuffixRange(2))
        assert (reader.first, await take(reader)) == (3, b"ha")
        for path in ("a.txt", "b/empty"):
            with pytest.raises(InvalidRange):
                await shards.open_member(BUCKET, key("s.tar"), path, byte_range=BoundedRange(5, 9))


@in_loop
async def test_conditions_are_of_the_member(tmp_path: Path) -> None:
    async with shards_in(tmp_path) as (box, shards):
        await box.put("s.tar", tar(MEMBERS))
        first = await shards.open_member(BUCKET, key("s.tar"), "a.txt")
        other = await shards.open_member(BUCKET, key("s.tar"), "c")
        assert first.info.etag != other.info.etag
        same = Conditions(if_none_match=(first.info.etag,))
        with pytest.raises(NotModified):
            await shards.open_member(BUCKET, key("s.tar"), "a.txt", conditions=same)
        await (await shards.open_member(BUCKET, key("s.tar"), "c", conditions=same)).close()
        await box.put("s.tar", tar(MEMBERS) + b"\0")
        await (await shards.open_member(BUCKET, key("s.tar"), "a.txt", conditions=same)).close()


@in_loop
async def test_what_is_not_there(tmp_path: Path) -> None:
    async with shards_in(tmp_path) as (box, shards):
        await box.put("s.tar", tar(MEMBERS))
        await box.put("text", b"no archive")
        await box.put("bad.tar", b"no archive")
        await box.put("cut.tar", tar(MEMBERS)[:100_000])
        with pytest.raises(NoSuchKey):
            await shards.open_member(BUCKET, key("absent.tar"), "a.txt")
        with pytest.raises(NoSuchMember):
            await shards.open_member(BUCKET, key("s.tar"), "b")
        for path in ("", "..", "../a", "b/", "~/x"):
            with pytest.raises(InvalidArgument):
                await shards.open_member(BUCKET, key("s.tar"), path)
        with pytest.raises(NotAShard):
            await shards.open_member(BUCKET, key("text"), "a.txt")
        with pytest.raises(NotAShard):
            await shards.open_member(BUCKET, key("s.tar"), "a.txt", mime="rar")
        with pytest.raises(BadShard):
            await shards.open_member(BUCKET, key("bad.tar"), "a.txt")
        assert await take(await shards.open_member(BUCKET, key("cut.tar"), "a.txt")) == b"alpha"
        with pytest.raises(BadShard):
            await shards.open_member(BUCKET, key("cut.tar"), "b/large.bin")


@in_loop
async def test_found_by_first_bytes_or_as_told(tmp_path: Path) -> None:
    async with shards_in(tmp_path) as (box, shards):
        await box.put("nameless", tar(MEMBERS))
        for mime in ("", "tar", ".tar", "application/x-tar"):
            reader = await shards.open_member(BUCKET, key("nameless"), "c", mime=mime)
            assert await take(reader) == b"gamma"


@in_loop
async def test_a_listing_in_order_and_in_pages(tmp_path: Path) -> None:
    async with shards_in(tmp_path) as (box, shards):
        members = {f"{number * 7919 % 5000:05}": b"" for number in range(5000)}
        await box.put("s.tar", tar(members))
        found = [member.path async for member in shards.members(BUCKET, key("s.tar"))]
        assert found == list(members)
        page = await shards.list_members(BUCKET, key("s.tar"), after="00100", limit=10)
        assert [member.path for member in page.members] == [f"{n:05}" for n in range(101, 111)]
        assert page.is_truncated
        page = await shards.list_members(BUCKET, key("s.tar"), prefix="0499")
        assert [member.path for member in page.members] == [f"{n:05}" for n in range(4990, 5000)]
        assert not page.is_truncated


@in_loop
async def test_of_equal_names_the_first_counts(tmp_path: Path) -> None:
    async with shards_in(tmp_path) as (box, shards):
        data = tar({"a": b"first"})[:1024] + tar({"a": b"second"})
        await box.put("s.tar", data)
        assert await take(await shards.open_member(BUCKET, key("s.tar"), "a")) == b"first"
        page = await shards.list_members(BUCKET, key("s.tar"))
        assert [(member.path, member.size_bytes) for member in page.members] == [("a", 5)]


@in_loop
async def test_replaced_while_it_is_read(tmp_path: Path) -> None:
    async with shards_in(tmp_path) as (box, shards):
        await box.put("s.tar", tar(MEMBERS))
        reader = await shards.open_member(BUCKET, key("s.tar"), "b/large.bin")
        listing = shards.members(BUCKET, key("s.tar"))
        found = [(await anext(listing)).path]
        await box.put("s.tar", tar({"b/large.bin": b"new"}))
        assert await take(reader) == MEMBERS["b/large.bin"]
        found += [member.path async for member in listing]
        assert found == list(MEMBERS)
