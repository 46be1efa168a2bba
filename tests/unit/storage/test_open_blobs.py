"""Blobs that are kept open between reads: never a stale byte, and no disk space held."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from core.types import BoundedRange
from core.uploads import CompletedPart
from storage import blobs, open_blobs
from storage.blobs import pread_cached
from storage.open_blobs import OpenBlobs
from storage.shards.indexes import ShardIndexes
from storage.shards.service import LocalShards
from tests.unit.storage.archives import in_loop, tar
from tests.unit.storage.box import BUCKET, PLAIN, USER, Body, Box, key, opened, pattern, read_all
from tests.unit.storage.test_shards_indexed import Buckets

DATA = pattern(5000)


def open_of(box: Box) -> OpenBlobs:
    return box.node.mountpaths.all[0].opened().open_blobs


def deleted_but_open() -> int:
    """How many blobs without a name this process holds."""
    links = [os.path.join("/proc/self/fd", name) for name in os.listdir("/proc/self/fd")]
    found = [os.readlink(link) for link in links if os.path.lexists(link)]
    return sum("/blobs/" in each and each.endswith("(deleted)") for each in found)


async def read(box: Box, first: int, length: int, name: str = "o") -> bytes | None:
    """A run of an object, also where the kernel does not say that it has the file's name at hand."""
    found = await box.node.find(BUCKET, key(name), None)
    return box.node.read_cached(BUCKET, found, first, length)


@pytest.fixture(autouse=True)
def always_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not every kernel that tests run on can open a file without waiting."""

    def open_now(path: str) -> int:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def read_now(fd: int, offset: int, size_bytes: int) -> bytes | None:
        found = pread_cached(fd, size_bytes=size_bytes, offset=offset)
        return os.pread(fd, size_bytes, offset) if found is None else found

    monkeypatch.setattr(open_blobs, "open_cached", open_now)
    monkeypatch.setattr(open_blobs, "pread_cached", read_now)


@in_loop
async def test_runs_of_a_blob(tmp_path: Path) -> None:
    async with opened(tmp_path) as box:
        await box.put("o", DATA)
        for first, length in ((0, 1), (0, 5000), (4999, 1), (1234, 0)):
            assert await read(box, first, length) == DATA[first : first + length]
        # What follows in the file is the blob's trailer.
        for first, length in ((4999, 2), (5000, 1), (0, 5001)):
            assert await read(box, first, length) is None


@in_loop
async def test_runs_of_an_object_of_parts(tmp_path: Path) -> None:
    async with opened(tmp_path) as box:
        upload = await box.node.create_upload(BUCKET, key("o"), attributes=PLAIN, initiator=USER)
        named, first = [], 0
        for number, size_bytes in enumerate((2000, 100, 1500, 1400), 1):
            body = Body(DATA[first : first + size_bytes])
            part = await box.node.upload_part(BUCKET, key("o"), upload.upload_id, number, body)
            named.append(CompletedPart(number, part.etag))
            first += size_bytes
        await box.node.complete_upload(BUCKET, key("o"), upload.upload_id, named)
        for first, length in ((0, 2000), (2100, 1500), (3600, 1400), (4999, 1), (2500, 10)):
            assert await read(box, first, length) == DATA[first : first + length]
        # Over a seam, and of the part that lies inline.
        for first, length in ((1999, 2), (2000, 1), (3599, 2), (4999, 2), (5000, 0)):
            assert await read(box, first, length) is None


@in_loop
async def test_replaced_and_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_blobs, "_TICK_S", 0.01)
    async with opened(tmp_path) as box:
        await box.put("o", DATA)
        assert await read(box, 0, 5000) == DATA
        await box.put("o", DATA[::-1])
        assert await read(box, 0, 5000) == DATA[::-1]
        await box.node.delete(BUCKET, key("o"))
        async with asyncio.timeout(20):
            while box.blobs():
                await asyncio.sleep(0.01)
            # The tick gives their space back.
            while deleted_but_open():
                await asyncio.sleep(0.01)


@in_loop
async def test_few_are_open_and_none_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_blobs, "_MAX_OPEN", 3)
    async with opened(tmp_path) as box:
        for number in range(6):
            await box.put(f"o{number}", DATA)
        before = len(os.listdir("/proc/self/fd"))
        for number in range(6):
            assert await read(box, 0, 10, f"o{number}") == DATA[:10]
        assert len(os.listdir("/proc/self/fd")) == before + 3
        open_of(box).close_unused()
        assert await read(box, 0, 10, "o5") == DATA[:10]
        open_of(box).close_unused()
        assert len(os.listdir("/proc/self/fd")) == before + 1
        open_of(box).close()
        assert len(os.listdir("/proc/self/fd")) == before
        assert await read(box, 0, 10, "o5") is None


@in_loop
async def test_members_of_a_shard_that_is_replaced(tmp_path: Path) -> None:
    async with opened(tmp_path) as box:
        indexes = ShardIndexes(box.node, Buckets())
        shards = LocalShards(box.node, indexes=indexes, near=box.node)
        for round_number in range(5):
            data = pattern(3000, round_number)
            await box.put("s.tar", tar({"a": data, "b": data[::-1]}))
            if round_number != 2:
                await shards.index(BUCKET, key("s.tar"))
            for path, wanted in (("a", data), ("b", data[::-1])):
                reader = await shards.open_member(BUCKET, key("s.tar"), path)
                assert await read_all(reader) == wanted
            span = BoundedRange(10, 19)
            reader = await shards.open_member(BUCKET, key("s.tar"), "a", byte_range=span)
            assert (reader.first, await read_all(reader)) == (10, data[10:20])
        shards.close()


def test_a_filesystem_in_memory_is_read_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "f"
    file.write_bytes(DATA)
    fd = os.open(file, os.O_RDONLY)
    asked = []

    def preadv(fd: int, buffers: list[bytearray], offset: int, flags: int = 0) -> int:
        asked.append(flags)
        if flags:
            raise OSError(95, "Operation not supported")
        buffers[0][:] = os.pread(fd, len(buffers[0]), offset)
        return len(buffers[0])

    try:
        monkeypatch.setattr(os, "preadv", preadv)
        monkeypatch.setattr(blobs, "_lies_in_memory", lambda _: False)
        assert pread_cached(fd, 100, 10) is None
        assert asked == [os.RWF_NOWAIT]
        monkeypatch.setattr(blobs, "_lies_in_memory", lambda _: True)
        assert pread_cached(fd, 100, 10) == DATA[100:110]
    finally:
        os.close(fd)


def test_what_lies_in_memory() -> None:
    memory = os.memfd_create("memory")
    disk = os.open("/proc/self/stat", os.O_RDONLY)
    try:
        assert blobs._lies_in_memory(memory)
        assert not blobs._lies_in_memory(disk)
    finally:
        os.close(memory)
        os.close(disk)
