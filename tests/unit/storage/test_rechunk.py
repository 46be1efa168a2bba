"""Objects that are cut anew: their bytes, digests, versions and readers stay, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backends.memory_keys import MemoryKeyService
from core.chunks import ChunkRule, made_rule
from core.configs.versioning import Versioning
from core.encryption import CustomerKey, EncryptionMode, EncryptionRequest
from core.errors import CustomerKeyRequired, OutOfSpace, PreconditionFailed
from core.listing import VersionListQuery
from core.types import Bucket, BucketProps, ChunkLayout, ObjectInfo, PartRange
from core.uploads import CompletedPart
from storage.layout import open_set_sync
from storage.pieces import Pieces
from storage.rebuild import rebuild_index_sync
from storage.space import clean_sync
from tests.unit.storage.box import (
    BUCKET,
    PLAIN,
    SMALL,
    USER,
    Body,
    Box,
    key,
    opened,
    pattern,
    read_all,
)
from tests.unit.storage.test_encrypted import with_box

CUT = made_rule(4096, 2048)
WHOLE = made_rule(0, 2048)
DATA = pattern(9000)
VERSIONED = replace(BUCKET, bucket_id=11, props=BucketProps(versioning=Versioning.ENABLED))


def run_in(
    root: Path, work: Callable[[Box], Coroutine[Any, Any, None]], mountpaths: int = 2
) -> None:
    async def go() -> None:
        async with opened(root, mountpaths=mountpaths, options=SMALL) as box:
            await work(box)

    asyncio.run(asyncio.wait_for(go(), 60))


async def rechunked(
    box: Box, rule: ChunkRule, name: str = "k", bucket: Bucket = BUCKET
) -> ObjectInfo:
    """Cut an object anew; all but its layout must stay."""
    before = await box.node.head(bucket, key(name))
    assert await box.node.rechunk(bucket, key(name), before.version_id, rule)
    after = await box.node.head(bucket, key(name))
    assert after == before
    assert not await box.node.rechunk(bucket, key(name), before.version_id, rule)
    return after


def test_there_and_back(tmp_path: Path) -> None:
    async def work(box: Box) -> None:
        await box.put("k", b"older")
        await box.put("k", DATA)
        assert (await rechunked(box, CUT)).chunks == ChunkLayout(5, 2048)
        await box.settle()
        assert len(box.blobs() + box.guests()) == 5
        assert await box.read("k") == DATA
        assert (await rechunked(box, made_rule(1, 4096))).chunks == ChunkLayout(3, 4096)
        assert await box.read("k") == DATA
        info = await rechunked(box, WHOLE)
        assert info.chunks is None
        assert info.generation == 2
        await box.settle()
        assert len(box.blobs() + box.guests()) == 1
        assert await box.read("k") == DATA
        report = box.check()
        assert report.is_sound
        assert not report.unnamed_blobs

    run_in(tmp_path, work)


def test_small_objects_and_what_lies_so_already_are_left_alone(tmp_path: Path) -> None:
    async def work(box: Box) -> None:
        for size in (0, 10, 3000):
            made = await box.put("k", pattern(size))
            for rule in (CUT, WHOLE):
                assert not await box.node.rechunk(BUCKET, key("k"), made.version_id, rule)

    run_in(tmp_path, work)


def test_uploads_become_whole_and_keep_their_parts(tmp_path: Path) -> None:
    async def work(box: Box) -> None:
        node = box.node
        for sizes in ((3000, 100, 5000), (4000,)):
            upload = await node.create_upload(BUCKET, key("k"), attributes=PLAIN, initiator=USER)
            name = (BUCKET, key("k"), upload.upload_id)
            parts = []
            for number, size in enumerate(sizes, 1):
                part = await node.upload_part(*name, number, Body(pattern(size, number)))
                parts.append(CompletedPart(number, part.etag))
            made = await node.complete_upload(*name, parts)
            data = b"".join(pattern(size, number) for number, size in enumerate(sizes, 1))
            found = await node.head(BUCKET, key("k"))
            assert found.chunks == ChunkLayout(len(sizes), max(sizes))
            info = await rechunked(box, WHOLE)
            assert info.chunks is None
            assert (info.etag, info.parts) == (made.etag, made.parts)
            assert await box.read("k") == data
            assert await box.read("k", PartRange(1)) == pattern(sizes[0], 1)
            # Changes of metadata and another layout leave it so.
            assert (await rechunked(box, made_rule(1, 1024))).parts == made.parts
            assert await box.read("k", PartRange(len(sizes))) == pattern(sizes[-1], len(sizes))
            await rechunked(box, WHOLE)
            await box.settle()
            assert box.check().is_sound

    run_in(tmp_path, work)


@pytest.mark.parametrize("uploads", [False, True])
def test_encrypted_objects_are_sealed_anew(tmp_path: Path, uploads: bool) -> None:
    encryption = EncryptionRequest(EncryptionMode.S3)

    async def work(box: Box) -> None:
        node = box.node
        data = DATA
        if uploads:
            upload = await node.create_upload(
                BUCKET, key("k"), attributes=PLAIN, initiator=USER, encryption=encryption
            )
            name = (BUCKET, key("k"), upload.upload_id)
            parts = []
            for number in (3, 7):
                part = await node.upload_part(*name, number, Body(pattern(5000, number)))
                parts.append(CompletedPart(number, part.etag))
            await node.complete_upload(*name, parts)
            data = pattern(5000, 3) + pattern(5000, 7)
        else:
            await node.put(BUCKET, key("k"), Body(data), attributes=PLAIN, encryption=encryption)
        for rule in (CUT, made_rule(1, 5000), WHOLE, CUT, WHOLE):
            info = await rechunked(box, rule)
            assert (info.chunks is None) == (rule is WHOLE)
            assert await box.read("k") == data
        await box.settle()
        assert box.check().is_sound
        for path in box.blobs() + box.guests():
            assert data[:64] not in path.read_bytes()

    with_box(tmp_path, work, MemoryKeyService())


def test_what_only_its_customer_can_open_stays_as_it_is(tmp_path: Path) -> None:
    async def work(box: Box) -> None:
        mine = CustomerKey(bytes(32))
        encryption = EncryptionRequest(EncryptionMode.CUSTOMER, customer_key=mine)
        made = await box.node.put(
            BUCKET, key("k"), Body(DATA), attributes=PLAIN, encryption=encryption
        )
        with pytest.raises(CustomerKeyRequired):
            await box.node.rechunk(BUCKET, key("k"), made.version_id, CUT)
        reader = await box.node.get(BUCKET, key("k"), customer_key=mine)
        assert await read_all(reader) == DATA

    run_in(tmp_path, work)


def test_versions_keep_their_places(tmp_path: Path) -> None:
    async def listed(box: Box) -> list[ObjectInfo]:
        page = await box.node.list_versions(VERSIONED, VersionListQuery())
        return [each.info for each in page.versions]

    async def work(box: Box) -> None:
        bodies = [pattern(9000, seed) for seed in range(3)]
        made = [await box.put("k", data, bucket=VERSIONED) for data in bodies]
        before = await listed(box)
        for info in (made[1], made[2], made[0]):
            assert await box.node.rechunk(VERSIONED, key("k"), info.version_id, CUT)
        assert await listed(box) == before
        for info, data in zip(made, bodies, strict=True):
            reader = await box.node.get(VERSIONED, key("k"), version_id=info.version_id)
            assert await read_all(reader) == data
        assert await box.read("k", bucket=VERSIONED) == bodies[2]
        await box.settle()
        report = box.check()
        assert report.is_sound
        assert not report.unnamed_blobs

    async def look(box: Box) -> None:
        for seed, info in enumerate(reversed(await listed(box))):
            assert info.chunks is not None
            reader = await box.node.get(VERSIONED, key("k"), version_id=info.version_id)
            assert await read_all(reader) == pattern(9000, seed)

    run_in(tmp_path, work)
    rebuild_index_sync(open_set_sync([tmp_path / "0", tmp_path / "1"]))
    run_in(tmp_path, look)


def test_readers_of_the_old_pieces_keep_them(tmp_path: Path) -> None:
    async def work(box: Box) -> None:
        await box.put("k", DATA)
        for rule in (CUT, made_rule(1, 3000), WHOLE):
            reader = await box.node.get(BUCKET, key("k"))
            await rechunked(box, rule)
            assert await read_all(reader) == DATA
        clean_sync(box.specs, min_age_s=0)
        assert len(box.blobs() + box.guests()) == 1

    run_in(tmp_path, work)


def test_a_write_meanwhile_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new = pattern(7000, 5)

    async def work(box: Box) -> None:
        made = await box.put("k", DATA)
        loop = asyncio.get_running_loop()
        finish = Pieces.finish
        written: list[bool] = []

        def overtaken(self: Pieces, number: int, blob: Any) -> None:
            if not written:
                written.append(True)
                asyncio.run_coroutine_threadsafe(box.put("k", new), loop).result(20)
            finish(self, number, blob)

        monkeypatch.setattr(Pieces, "finish", overtaken)
        assert await box.node.rechunk(BUCKET, key("k"), made.version_id, CUT)
        assert await box.read("k") == new
        info = await box.node.head(BUCKET, key("k"))
        assert (info.chunks, info.generation) == (ChunkLayout(4, 2048), 2)
        await box.settle()
        assert len(box.blobs() + box.guests()) == 4
        assert box.check().is_sound

    run_in(tmp_path, work)


def test_a_write_each_time_wins_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(box: Box) -> None:
        made = await box.put("k", DATA)
        loop = asyncio.get_running_loop()
        finish = Pieces.finish

        def overtaken(self: Pieces, number: int, blob: Any) -> None:
            if number == 0:
                asyncio.run_coroutine_threadsafe(box.put("k", DATA), loop).result(20)
            finish(self, number, blob)

        monkeypatch.setattr(Pieces, "finish", overtaken)
        with pytest.raises(PreconditionFailed):
            await box.node.rechunk(BUCKET, key("k"), made.version_id, CUT)
        assert await box.read("k") == DATA
        await box.settle()
        assert len(box.blobs() + box.guests()) == 1

    run_in(tmp_path, work)


def test_a_full_disk_leaves_the_object(tmp_path: Path) -> None:
    async def work(box: Box) -> None:
        made = await box.put("k", DATA)
        for mountpath in box.node.mountpaths.all:

            async def full(size_bytes: int) -> None:
                raise OutOfSpace(mountpath=f"disk {size_bytes}", retry_after_s=1)

            mountpath.require_room = full  # type: ignore[method-assign]
        with pytest.raises(OutOfSpace):
            await box.node.rechunk(BUCKET, key("k"), made.version_id, CUT)
        assert await box.read("k") == DATA
        assert len(box.blobs() + box.guests()) == 1

    run_in(tmp_path, work)
