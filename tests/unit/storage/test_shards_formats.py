"""Members of all formats, read through LocalShards: found, selected, whole; and what is damaged is an error."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import lz4.frame
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import InvalidArgument, StoreError
from core.shards import BadShard, MatchMode, NotAShard, Selection, ShardFormat
from core.types import BoundedRange, OffsetRange
from storage.shards.limits import ShardLimits
from storage.shards.service import LocalShards
from tests.unit.storage.archives import in_loop, packed, tar, zipped
from tests.unit.storage.box import BUCKET, key, opened, pattern, read_all

FORMATS = list(ShardFormat)
LARGE = pattern(700_000) + bytes(900_000)
MEMBERS = {
    "a.txt": b"alpha",
    "dir/a.cls": b"1",
    "dir/large.bin": LARGE,
    "dir/empty": b"",
    "dir/a.seg.png": b"png",
    "z": b"omega",
}


async def contents(
    shards: LocalShards, name: str, selection: Selection | None = None, mime: str = ""
) -> list[tuple[str, bytes]]:
    everything = selection or Selection("", MatchMode.PREFIX)
    return [
        (member.path, b"".join([block async for block in data]))
        async for member, data in shards.select(BUCKET, key(name), everything, mime=mime)
    ]


@pytest.mark.parametrize("shard_format", FORMATS)
@in_loop
async def test_every_member(tmp_path: Path, shard_format: ShardFormat) -> None:
    async with opened(tmp_path) as box:
        shards = LocalShards(box.node)
        name = f"s{shard_format}"
        await box.put(name, packed(shard_format, MEMBERS))
        await box.put("nameless", packed(shard_format, MEMBERS))
        assert await contents(shards, name) == list(MEMBERS.items())
        found = [(m.path, m.size_bytes) async for m in shards.members(BUCKET, key("nameless"))]
        assert found == [(path, len(data)) for path, data in MEMBERS.items()]
        for path, data in MEMBERS.items():
            reader = await shards.open_member(BUCKET, key(name), path)
            assert (reader.length, reader.info.size_bytes) == (len(data), len(data))
            assert await read_all(reader) == data
        reader = await shards.open_member(
            BUCKET, key(name), "dir/large.bin", byte_range=BoundedRange(600_000, 1_000_000)
        )
        assert (reader.first, reader.length) == (600_000, 400_001)
        assert await read_all(reader) == LARGE[600_000:1_000_001]
        reader = await shards.open_member(BUCKET, key(name), "z", byte_range=OffsetRange(2))
        assert await read_all(reader) == b"ega"
        page = await shards.list_members(BUCKET, key(name), prefix="dir/", limit=2)
        assert [member.path for member in page.members] == ["dir/a.cls", "dir/a.seg.png"]
        shards.close()


@pytest.mark.parametrize(
    ("mode", "asked", "paths"),
    [
        (MatchMode.PREFIX, "dir/a", ["dir/a.cls", "dir/a.seg.png"]),
        (MatchMode.PREFIX, "/dir/a", ["dir/a.cls", "dir/a.seg.png"]),
        (MatchMode.SUFFIX, ".txt", ["a.txt"]),
        (MatchMode.SUBSTRING, "/a.", ["dir/a.cls", "dir/a.seg.png"]),
        (MatchMode.WDS_KEY, "dir/a", ["dir/a.cls", "dir/a.seg.png"]),
        (MatchMode.WDS_KEY, "dir/a.seg", ["dir/a.seg.png"]),
        (MatchMode.WDS_KEY, "a", ["a.txt"]),
        (MatchMode.WDS_KEY, "dir", []),
        (MatchMode.WDS_KEY, "z", ["z"]),
        (MatchMode.REGEXP, r"^dir/.*\.(cls|png)$", ["dir/a.cls", "dir/a.seg.png"]),
        (MatchMode.REGEXP, "e", ["dir/large.bin", "dir/empty", "dir/a.seg.png"]),
    ],
)
@in_loop
async def test_selections(tmp_path: Path, mode: MatchMode, asked: str, paths: list[str]) -> None:
    async with opened(tmp_path) as box:
        shards = LocalShards(box.node)
        for shard_format in FORMATS:
            name = f"s{shard_format}"
            await box.put(name, packed(shard_format, MEMBERS))
            found = await contents(shards, name, Selection(asked, mode))
            assert found == [(path, MEMBERS[path]) for path in paths]
        with pytest.raises(InvalidArgument):
            await contents(shards, "s.tar", Selection("("))
        shards.close()


@in_loop
async def test_members_that_nobody_takes_are_passed(tmp_path: Path) -> None:
    async with opened(tmp_path) as box:
        shards = LocalShards(box.node)
        for shard_format in FORMATS:
            name = f"s{shard_format}"
            await box.put(name, packed(shard_format, MEMBERS))
            paths = []
            everything = Selection("", MatchMode.PREFIX)
            async for member, data in shards.select(BUCKET, key(name), everything):
                paths.append(member.path)
                if member.path == "dir/large.bin":
                    assert LARGE.startswith(await anext(data))
            assert paths == list(MEMBERS)
        shards.close()


@in_loop
async def test_formats_as_told(tmp_path: Path) -> None:
    async with opened(tmp_path) as box:
        shards = LocalShards(box.node)
        await box.put("x.tar", packed(ShardFormat.TGZ, MEMBERS))
        with pytest.raises(BadShard):
            await contents(shards, "x.tar")
        for mime in ("tgz", ".tar.gz", "application/gzip", "tar.gz"):
            assert len(await contents(shards, "x.tar", mime=mime)) == len(MEMBERS)
        for mime in ("zip", "tar.lz4"):
            with pytest.raises(BadShard):
                await contents(shards, "x.tar", mime=mime)
        with pytest.raises(NotAShard):
            await contents(shards, "x.tar", mime="rar")
        await box.put("empty", b"")
        with pytest.raises(NotAShard):
            await contents(shards, "empty")
        shards.close()


@in_loop
async def test_pieces_that_follow_one_another(tmp_path: Path) -> None:
    async with opened(tmp_path) as box:
        shards = LocalShards(box.node)
        plain = tar(MEMBERS)
        await box.put(
            "s.tgz",
            b"".join(
                gzip.compress(plain[at : at + 100_000]) for at in range(0, len(plain), 100_000)
            )
            + bytes(1000),
        )
        await box.put(
            "s.tar.lz4", lz4.frame.compress(plain[:999]) + lz4.frame.compress(plain[999:])
        )
        for name in ("s.tgz", "s.tar.lz4"):
            assert await contents(shards, name) == list(MEMBERS.items())
        shards.close()


@pytest.mark.parametrize("shard_format", FORMATS)
@settings(max_examples=15, suppress_health_check=list(HealthCheck), deadline=None)
@given(data=st.data())
def test_cut_anywhere(tmp_path: Path, shard_format: ShardFormat, data: st.DataObject) -> None:
    members = {"a": b"alpha", "b": pattern(5000), "c" * 150: b"", "d": bytes(3000)}
    whole = packed(shard_format, members)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]

    @in_loop
    async def check() -> None:
        async with opened(tmp_path) as box:
            shards = LocalShards(box.node)
            await box.put(f"s{shard_format}", cut)
            try:
                found = await contents(shards, f"s{shard_format}")
            except BadShard:
                found = []
            assert found == list(members.items())[: len(found)]
            for path, expected in members.items():
                try:
                    reader = await shards.open_member(BUCKET, key(f"s{shard_format}"), path)
                    assert await read_all(reader) == expected
                except StoreError:
                    pass
            shards.close()

    check()


@pytest.mark.parametrize("shard_format", FORMATS)
@settings(max_examples=15, suppress_health_check=list(HealthCheck), deadline=None)
@given(data=st.data())
def test_damaged_anywhere(tmp_path: Path, shard_format: ShardFormat, data: st.DataObject) -> None:
    members = {"a": b"alpha", "b": pattern(500), "d": bytes(3000)}
    whole = bytearray(packed(shard_format, members))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(whole) - 1))
        whole[place] = data.draw(st.integers(0, 255))

    @in_loop
    async def check() -> None:
        async with opened(tmp_path) as box:
            shards = LocalShards(box.node)
            await box.put("s", bytes(whole))
            for path in members:
                try:
                    await contents(shards, "s", mime=shard_format)
                    await read_all(await shards.open_member(BUCKET, key("s"), path))
                except StoreError:
                    pass
            shards.close()

    check()


BOMB_LIMITS = ShardLimits(free_unpacked_bytes=1024**2, max_ratio=50)


@pytest.mark.parametrize("shard_format", [ShardFormat.TGZ, ShardFormat.TAR_LZ4, ShardFormat.ZIP])
@in_loop
async def test_bombs(tmp_path: Path, shard_format: ShardFormat) -> None:
    async with opened(tmp_path) as box:
        shards = LocalShards(box.node, BOMB_LIMITS)
        name = f"s{shard_format}"
        await box.put(name, packed(shard_format, {"bomb": bytes(30_000_000), "after": b"x"}))
        with pytest.raises(BadShard):
            await shards.open_member(BUCKET, key(name), "after")
        with pytest.raises(BadShard):
            await contents(shards, name)
        with pytest.raises(BadShard):
            await read_all(await shards.open_member(BUCKET, key(name), "bomb"))
        patient = LocalShards(box.node, ShardLimits())
        assert await read_all(await patient.open_member(BUCKET, key(name), "after")) == b"x"
        strict = LocalShards(box.node, ShardLimits(max_unpacked_bytes=1_000_000))
        with pytest.raises(BadShard):
            await strict.open_member(BUCKET, key(name), "after")
        for each in (shards, patient, strict):
            each.close()


@in_loop
async def test_stored_members_of_a_zip_leave_as_slices(tmp_path: Path) -> None:
    async with opened(tmp_path) as box:
        shards = LocalShards(box.node)
        await box.put("s.zip", zipped(MEMBERS, zipfile.ZIP_STORED))
        reader = await shards.open_member(BUCKET, key("s.zip"), "dir/large.bin")
        assert reader.has_slices
        assert await read_all(reader) == LARGE
        shards.close()
