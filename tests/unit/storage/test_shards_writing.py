"""Shards that are made and added to: any program reads them, nothing is half written, and nobody's change is lost."""

from __future__ import annotations

import asyncio
import gzip
import io
import tarfile
import zipfile
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import lz4.frame
import pytest

from core.errors import IncompleteBody, InvalidArgument, NoSuchKey, PreconditionFailed
from core.shards import (
    BadShard,
    MatchMode,
    NewMember,
    NotAShard,
    Selection,
    ShardChanged,
    ShardFormat,
)
from core.types import Conditions
from storage.shards.service import LocalShards
from tests.unit.storage.archives import in_loop, packed, tar, zipped
from tests.unit.storage.box import BUCKET, PLAIN, key, opened, pattern

FORMATS = list(ShardFormat)
MEMBERS = {
    "a.txt": b"alpha",
    "dir/" + "n" * 200: b"long name",
    "ü/你好": b"text",
    "empty": b"",
    "large": pattern(3_000_000),
    "z": b"omega",
}
MORE = {"more/1": b"one", "more/2": pattern(1_500_000), "a.txt": b"again"}


async def of_bytes(members: Iterable[tuple[str, bytes]]) -> AsyncIterator[NewMember]:
    for path, data in members:
        yield NewMember(path, data=chunks(data), size_bytes=len(data), modified_ns=10**18)


async def chunks(data: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(data), 100_000):
        yield data[at : at + 100_000]


async def of_objects(names: Iterable[str]) -> AsyncIterator[NewMember]:
    for name in names:
        yield NewMember(name, BUCKET, key("src/" + name))


def read_by_others(shard_format: ShardFormat, data: bytes) -> list[tuple[str, bytes]]:
    if shard_format is ShardFormat.ZIP:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            assert archive.testzip() is None
            return [(info.filename, archive.read(info)) for info in archive.infolist()]
    if shard_format is ShardFormat.TGZ:
        data = gzip.decompress(data)
    elif shard_format is ShardFormat.TAR_LZ4:
        data = lz4.frame.decompress(data)
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar_file:
        found = []
        for info in tar_file:
            file = tar_file.extractfile(info)
            assert file is not None
            found.append((info.name, file.read()))
        return found


async def contents(shards: LocalShards, name: str) -> list[tuple[str, bytes]]:
    everything = Selection("", MatchMode.PREFIX)
    return [
        (member.path, b"".join([block async for block in data]))
        async for member, data in shards.select(BUCKET, key(name), everything)
    ]


async def create(
    shards: LocalShards, name: str, shard_format: ShardFormat, members: AsyncIterator[NewMember]
) -> None:
    await shards.create(BUCKET, key(name), members, shard_format=shard_format, attributes=PLAIN)


@pytest.mark.parametrize("shard_format", FORMATS)
@in_loop
async def test_made_of_objects(tmp_path: Path, shard_format: ShardFormat) -> None:
    async with opened(tmp_path) as box:
        shards = LocalShards(box.node)
        name = f"s{shard_format}"
        times = {}
        for path, data in MEMBERS.items():
            times[path] = (await box.put("src/" + path, data)).modified_ns // 10**9
        await create(shards, name, shard_format, of_objects(MEMBERS))
        data = await box.read(name)
        assert read_by_others(shard_format, data) == list(MEMBERS.items())
        assert await contents(shards, name) == list(MEMBERS.items())
        async for member in shards.members(BUCKET, key(name)):
            assert abs(member.modified_ns // 10**9 - times[member.path]) <= 1
        await create(shards, name, shard_format, of_objects(MEMBERS))
        assert await box.read(name) == data
        shards.close()


@pytest.mark.parametrize("shard_format", FORMATS)
@in_loop
async def test_added_to(tmp_path: Path, shard_format: ShardFormat) -> None:
    async with opened(tmp_path) as box:
        shards = LocalShards(box.node)
        name = f"s{shard_format}"
        await box.put(name, packed(shard_format, MEMBERS))
        before = await box.node.head(BUCKET, key(name))
        await shards.append(BUCKET, key(name), of_bytes(MORE.items()))
        expected = [*MEMBERS.items(), *MORE.items()]
        assert read_by_others(shard_format, await box.read(name)) == expected
        assert await contents(shards, name) == expected
        await shards.append(BUCKET, key(name), of_bytes([("last", b"")]))
        assert await contents(shards, name) == [*expected, ("last", b"")]
        after = await box.node.head(BUCKET, key(name))
        assert (after.attributes, after.generation) == (before.attributes, before.generation + 2)
        shards.close()


@in_loop
async def test_added_to_what_others_left(tmp_path: Path) -> None:
    async with opened(tmp_path) as box:
        shards = LocalShards(box.node)
        plain = tar({"a": b"alpha"})
        shards_before = {
            "padded.tar": plain,
            "no-mark.tar": plain[:1024],
            "no-padding.tar": plain[:517],
            "half-mark.tar": plain[:1300],
            "empty.tar": b"",
            "prefixed.zip": b"#!junk\n" * 50 + zipped({"a": b"alpha"}),
        }
        for name, data in shards_before.items():
            await box.put(name, data)
            await shards.append(BUCKET, key(name), of_bytes([("b", b"beta")]))
            found = [("a", b"alpha"), ("b", b"beta")][name == "empty.tar" :]
            assert await contents(shards, name) == found
            form = ShardFormat.ZIP if name.endswith("zip") else ShardFormat.TAR
            assert read_by_others(form, await box.read(name)) == found
        for name, data in {"cut.tar": plain[:515], "cut.zip": zipped({"a": b""})[:-5]}.items():
            await box.put(name, data)
            with pytest.raises(BadShard):
                await shards.append(BUCKET, key(name), of_bytes([("b", b"beta")]))
            assert await box.read(name) == data
        shards.close()


@in_loop
async def test_made_if_absent_and_asked_to(tmp_path: Path) -> None:
    async with opened(tmp_path) as box:
        shards = LocalShards(box.node)
        with pytest.raises(NoSuchKey):
            await shards.append(BUCKET, key("s.tar"), of_bytes(MORE.items()))
        await shards.append(BUCKET, key("s.tar"), of_bytes(MORE.items()), creates=PLAIN)
        assert await contents(shards, "s.tar") == list(MORE.items())
        for mime in ("tgz", "zip"):
            with pytest.raises(NotAShard):
                await shards.append(BUCKET, key("s.tar"), of_bytes([]), mime=mime)
            with pytest.raises(NotAShard):
                await shards.append(BUCKET, key("t.tar"), of_bytes([]), mime=mime, creates=PLAIN)
        with pytest.raises(NotAShard):
            await shards.append(BUCKET, key("nameless"), of_bytes([]), creates=PLAIN)
        await shards.append(BUCKET, key("nameless"), of_bytes([]), mime="tar", creates=PLAIN)
        await shards.append(BUCKET, key("nameless"), of_bytes([("a", b"x")]), mime="tar")
        shards.close()


@in_loop
async def test_replaced_while_it_is_added_to(tmp_path: Path) -> None:
    async with opened(tmp_path) as box:
        shards = LocalShards(box.node)
        for replacement in (tar({"new": b"new"}), None):
            await box.put("s.tar", tar(MEMBERS))

            async def members(data: bytes | None = replacement) -> AsyncIterator[NewMember]:
                if data is None:
                    await box.node.delete(BUCKET, key("s.tar"))
                else:
                    await box.put("s.tar", data)
                yield NewMember("late", data=chunks(b"late"), size_bytes=4)

            with pytest.raises(ShardChanged):
                await shards.append(BUCKET, key("s.tar"), members())
            if replacement is not None:
                assert await box.read("s.tar") == replacement
        shards.close()


@in_loop
async def test_appends_at_once_lose_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as box:
        shards = LocalShards(box.node)
        await box.put("s.tar", tar({}))

        async def add(name: str) -> None:
            while True:
                try:
                    await shards.append(BUCKET, key("s.tar"), of_bytes([(name, b"x")]))
                    return
                except ShardChanged:
                    continue

        await asyncio.gather(*(add(f"{number}") for number in range(8)))
        assert sorted(path for path, _ in await contents(shards, "s.tar")) == list("01234567")
        shards.close()


@pytest.mark.parametrize("shard_format", FORMATS)
@in_loop
async def test_nothing_is_written_if_a_member_fails(
    tmp_path: Path, shard_format: ShardFormat
) -> None:
    async with opened(tmp_path) as box:
        shards = LocalShards(box.node)
        await box.put("src/a", b"alpha")
        name = f"s{shard_format}"
        with pytest.raises(NoSuchKey):
            await create(shards, name, shard_format, of_objects(["a", "absent"]))
        with pytest.raises(InvalidArgument):
            await create(shards, name, shard_format, of_bytes([("a", b""), ("../b", b"")]))
        for size in (3, 6):

            async def lying(size: int = size) -> AsyncIterator[NewMember]:
                yield NewMember("a", data=chunks(b"alpha"), size_bytes=size)

            with pytest.raises(IncompleteBody):
                await create(shards, name, shard_format, lying())
        with pytest.raises(NoSuchKey):
            await box.read(name)
        await box.put(name, b"")
        with pytest.raises(PreconditionFailed):
            await shards.create(
                BUCKET,
                key(name),
                of_bytes([]),
                shard_format=shard_format,
                attributes=PLAIN,
                conditions=Conditions(if_none_match=("*",)),
            )
        await box.settle()
        shards.close()


@in_loop
async def test_many_members_of_a_zip(tmp_path: Path) -> None:
    """More than its directory holds in memory, and than 16 bits count."""
    async with opened(tmp_path) as box:
        shards = LocalShards(box.node)
        names = [f"{number:05}" for number in range(66_000)]
        await create(shards, "s.zip", ShardFormat.ZIP, of_bytes((name, b"") for name in names))
        data = await box.read("s.zip")
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            assert archive.namelist() == names
        shards.close()
