"""Shards with indexes over a real node: what is read is the same as without, and what is not valid is not believed."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from core.errors import InvalidRange, NoSuchBucket, NoSuchKey, NotModified
from core.names import BucketRef
from core.shard_indexes import INDEX_BUCKET, index_key
from core.shards import Member, NoSuchMember
from core.types import BoundedRange, Bucket, Conditions, ObjectInfo
from core.uploads import CompletedPart
from storage.shards.index import IndexWriter
from storage.shards.indexes import ShardIndexes
from storage.shards.service import LocalShards
from storage.shards.tar import TarWalk
from tests.unit.storage.archives import in_loop, tar
from tests.unit.storage.box import BUCKET, PLAIN, USER, Body, Box, key, opened, pattern, read_all

MEMBERS = {
    "a.txt": b"alpha",
    "b/large.bin": pattern(300_000),
    "b/empty": b"",
    "long/" + "n" * 150: b"long name",
    "c": b"gamma",
}
HOME = Bucket(INDEX_BUCKET, 99, USER, 1)


class Buckets:
    """Knows the system bucket once it was asked for."""

    def __init__(self) -> None:
        self.is_made = False

    def get_bucket(self, ref: BucketRef) -> Bucket:
        if not self.is_made:
            raise NoSuchBucket(bucket=ref.name)
        return HOME

    async def ensure_system_bucket(self, ref: BucketRef) -> Bucket:
        assert ref == INDEX_BUCKET
        self.is_made = True
        return HOME


@asynccontextmanager
async def shards_in(root: Path) -> AsyncIterator[tuple[Box, LocalShards]]:
    async with opened(root) as box:
        shards = LocalShards(box.node, indexes=ShardIndexes(box.node, Buckets()), near=box.node)
        try:
            yield box, shards
        finally:
            shards.close()


class NoScan:
    """Has every scan of a TAR fail the test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(_: TarWalk) -> None:
            raise AssertionError("the shard is scanned")

        monkeypatch.setattr(TarWalk, "__iter__", fail)


async def is_flagged(box: Box, name: str) -> bool:
    return (await box.node.head(BUCKET, key(name))).has_shard_index


async def put_index(box: Box, name: str, raw: bytes) -> None:
    await box.put(index_key(BUCKET.ref, key(name)), raw, bucket=HOME)


async def check_all(shards: LocalShards, name: str, members: dict[str, bytes]) -> None:
    for path, data in members.items():
        reader = await shards.open_member(BUCKET, key(name), path)
        assert (reader.info.size_bytes, reader.first, reader.length) == (len(data), 0, len(data))
        assert await read_all(reader) == data
    with pytest.raises(NoSuchMember):
        await shards.open_member(BUCKET, key(name), "absent")


@in_loop
@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
async def test_members_by_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: int) -> None:
    members = {
        path: data
        for path, data in MEMBERS.items()
        if form != tarfile.USTAR_FORMAT or len(path) < 99
    }
    async with shards_in(tmp_path) as (box, shards):
        shard = await box.put("s.tar", tar(members, form))
        scanned = await shards.open_member(BUCKET, key("s.tar"), "c")
        await scanned.close()
        outcome = await shards.index(BUCKET, key("s.tar"))
        assert (outcome.members, outcome.size_bytes, outcome.reason) == (
            len(members),
            shard.size_bytes,
            "",
        )
        assert await is_flagged(box, "s.tar")
        NoScan(monkeypatch)
        await check_all(shards, "s.tar", members)
        indexed = await shards.open_member(BUCKET, key("s.tar"), "/c")
        assert indexed.info.etag == scanned.info.etag
        assert indexed.data == b"gamma"
        await indexed.close()
        same = Conditions(if_none_match=(scanned.info.etag,))
        with pytest.raises(NotModified):
            await shards.open_member(BUCKET, key("s.tar"), "c", conditions=same)
        with pytest.raises(InvalidRange):
            await shards.open_member(BUCKET, key("s.tar"), "c", byte_range=BoundedRange(9, 9))
        part = await shards.open_member(
            BUCKET, key("s.tar"), "b/large.bin", byte_range=BoundedRange(1000, 250_999)
        )
        assert part.has_slices
        assert (part.first, part.length) == (1000, 250_000)
        assert await read_all(part) == MEMBERS["b/large.bin"][1000:251_000]


@in_loop
async def test_listing_and_locating_by_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with shards_in(tmp_path) as (box, shards):
        shard = await box.put("s.tar", tar(MEMBERS))
        assert await shards.locate_many(BUCKET, key("s.tar"), ["c"]) is None
        scanned = await shards.list_members(BUCKET, key("s.tar"), limit=3)
        await shards.index(BUCKET, key("s.tar"))
        NoScan(monkeypatch)
        assert await shards.list_members(BUCKET, key("s.tar"), limit=3) == scanned
        rest = await shards.list_members(BUCKET, key("s.tar"), after="b/large.bin", limit=3)
        assert [member.path for member in rest.members] == ["c", "long/" + "n" * 150]
        found = await shards.locate_many(BUCKET, key("s.tar"), ["c", "none", "../x", "a.txt"])
        assert found is not None
        assert found.info.etag == shard.etag
        places = [None if each is None else each.path for each in found.members]
        assert places == ["c", None, None, "a.txt"]
        located = found.members[0]
        assert located is not None
        assert located.offset is not None
        wanted = BoundedRange(located.offset, located.offset + located.size_bytes - 1)
        assert await box.read("s.tar", wanted) == b"gamma"


@in_loop
async def test_first_of_duplicates_wins_and_others_are_skipped(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in (("x", b"first"), ("x", b"second"), ("y", b"why")):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
        for kind in (tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE):
            entry = tarfile.TarInfo(f"kind-{kind!r}")
            entry.type, entry.linkname = kind, "x"
            archive.addfile(entry)
    async with shards_in(tmp_path) as (box, shards):
        await box.put("s.tar", buffer.getvalue())
        await shards.index(BUCKET, key("s.tar"))
        await check_all(shards, "s.tar", {"x": b"first", "y": b"why"})
        page = await shards.list_members(BUCKET, key("s.tar"))
        assert [member.path for member in page.members] == ["x", "y"]


@in_loop
async def test_an_index_dies_with_its_shard(tmp_path: Path) -> None:
    async with shards_in(tmp_path) as (box, shards):
        await box.put("s.tar", tar(MEMBERS))
        await shards.index(BUCKET, key("s.tar"))
        await check_all(shards, "s.tar", MEMBERS)
        other = {"a.txt": b"other", "new": pattern(5000, 3)}
        await box.put("s.tar", tar(other))
        assert not await is_flagged(box, "s.tar")
        await check_all(shards, "s.tar", other)
        with pytest.raises(NoSuchMember):
            await shards.open_member(BUCKET, key("s.tar"), "c")
        await box.put("s.tar", tar(MEMBERS))
        assert not await is_flagged(box, "s.tar")
        assert (await shards.index(BUCKET, key("s.tar"))).members == len(MEMBERS)
        assert await is_flagged(box, "s.tar")
        await check_all(shards, "s.tar", MEMBERS)


def wrong_places(shard: ObjectInfo, members: Sequence[Member]) -> bytes:
    writer = IndexWriter()
    for member in members:
        writer.add(member)
    return writer.finish(shard.etag, shard.size_bytes)


@in_loop
async def test_what_is_not_valid_is_not_believed(tmp_path: Path) -> None:
    async with opened(tmp_path) as box:
        shard = await box.put("s.tar", tar(MEMBERS))
        for damage in ("gone", "cut", "flipped", "stale", "outside", "empty"):
            # No memory of it: each reader is a new process.
            shards = LocalShards(box.node, indexes=ShardIndexes(box.node, Buckets()), near=box.node)
            assert (await shards.index(BUCKET, key("s.tar"))).reason == ""
            name = index_key(BUCKET.ref, key("s.tar"))
            good = await read_all(await box.node.get(HOME, name))
            if damage == "gone":
                await box.node.delete(HOME, name)
            elif damage == "cut":
                await put_index(box, "s.tar", good[:-1])
            elif damage == "flipped":
                await put_index(box, "s.tar", good[:60] + bytes([good[60] ^ 1]) + good[61:])
            elif damage == "stale":
                await put_index(box, "s.tar", IndexWriter().finish("0" * 32, shard.size_bytes))
            elif damage == "outside":
                await put_index(
                    box, "s.tar", wrong_places(shard, [Member("c", 10, shard.size_bytes)])
                )
            else:
                await put_index(box, "s.tar", b"")
            assert await is_flagged(box, "s.tar")
            reader = await shards.open_member(BUCKET, key("s.tar"), "c")
            assert await read_all(reader) == b"gamma", damage
            assert not await is_flagged(box, "s.tar"), damage
            await check_all(shards, "s.tar", MEMBERS)
            shards.close()


@in_loop
async def test_presence_is_verified_or_taken(tmp_path: Path) -> None:
    async with shards_in(tmp_path) as (box, shards):
        shard = await box.put("s.tar", tar(MEMBERS))
        await shards.index(BUCKET, key("s.tar"))
        await put_index(box, "s.tar", b"damaged")
        taken = await shards.index(BUCKET, key("s.tar"), verifies_present=False)
        assert (taken.members, taken.reason) == (0, "")
        made = await shards.index(BUCKET, key("s.tar"))
        assert (made.members, made.size_bytes) == (len(MEMBERS), shard.size_bytes)
        await check_all(shards, "s.tar", MEMBERS)


@in_loop
async def test_what_cannot_be_indexed_says_why(tmp_path: Path) -> None:
    async with shards_in(tmp_path) as (box, shards):
        whole = tar(MEMBERS)
        for name, data, reason in (
            ("text", b"no archive", "no archive"),
            ("bad.tar", b"no archive" * 100, "bad archive"),
            ("cut.tar", whole[:100_000], "bad archive"),
            ("empty.tar", b"", "empty"),
            ("s.zip", whole, "only TAR"),
        ):
            await box.put(name, data)
            outcome = await shards.index(BUCKET, key(name))
            assert reason in outcome.reason, name
            assert not await is_flagged(box, name)
        with pytest.raises(NoSuchKey):
            await shards.index(BUCKET, key("absent.tar"))
        await box.put("nameless", whole)
        assert (await shards.index(BUCKET, key("nameless"))).members == len(MEMBERS)


@in_loop
async def test_a_reader_keeps_the_shard_that_it_opened(tmp_path: Path) -> None:
    async with shards_in(tmp_path) as (box, shards):
        await box.put("s.tar", tar(MEMBERS))
        await shards.index(BUCKET, key("s.tar"))
        reader = await shards.open_member(BUCKET, key("s.tar"), "b/large.bin")
        await box.put("s.tar", tar({"b/large.bin": b"other"}))
        assert await read_all(reader) == MEMBERS["b/large.bin"]
        again = await shards.open_member(BUCKET, key("s.tar"), "b/large.bin")
        assert await read_all(again) == b"other"


@in_loop
async def test_the_shard_is_replaced_while_it_is_indexed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as box:
        indexes = ShardIndexes(box.node, Buckets())
        shards = LocalShards(box.node, indexes=indexes, near=box.node)
        await box.put("s.tar", tar(MEMBERS))
        flag = indexes.flag

        async def replaced(bucket: Bucket, info: ObjectInfo) -> None:
            await box.put("s.tar", tar({"n": b"new"}))
            await flag(bucket, info)

        monkeypatch.setattr(indexes, "flag", replaced)
        assert "replaced" in (await shards.index(BUCKET, key("s.tar"))).reason
        assert not await is_flagged(box, "s.tar")
        await check_all(shards, "s.tar", {"n": b"new"})
        shards.close()


@in_loop
async def test_shards_of_many_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments end anywhere: within headers, and within members."""
    members = {f"{n:03}": pattern(3000 + 37 * n, n) for n in range(40)}
    whole = tar(members)
    async with shards_in(tmp_path) as (box, shards):
        upload = await box.node.create_upload(
            BUCKET, key("s.tar"), attributes=PLAIN, initiator=USER
        )
        named = []
        for number, first in enumerate(range(0, len(whole), 7777), 1):
            part = await box.node.upload_part(
                BUCKET, upload.key, upload.upload_id, number, Body(whole[first : first + 7777])
            )
            named.append(CompletedPart(number, part.etag))
        await box.node.complete_upload(BUCKET, upload.key, upload.upload_id, named)
        assert (await shards.index(BUCKET, key("s.tar"))).members == 40
        NoScan(monkeypatch)
        await check_all(shards, "s.tar", members)


def test_nothing_is_left_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))

    @in_loop
    async def run() -> None:
        async with shards_in(tmp_path) as (box, shards):
            await box.put("s.tar", tar(MEMBERS))
            await shards.index(BUCKET, key("s.tar"))
            opened_now = len(os.listdir("/proc/self/fd"))
            for _ in range(3):
                await check_all(shards, "s.tar", MEMBERS)
            # The shard's blob is kept, and closed when it has not been read for a while.
            assert len(os.listdir("/proc/self/fd")) == opened_now + 1
            kept = box.node.mountpaths.all[0].opened().open_blobs
            kept.close_unused()
            kept.close_unused()
            assert len(os.listdir("/proc/self/fd")) == opened_now

    run()
    assert len(os.listdir("/proc/self/fd")) <= before + 1
