"""Bodies that wait to be published, and parts that are read before their upload is complete."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.errors import DigestMismatch, InvalidPart, NoSuchKey, NoSuchUpload
from core.names import UploadId
from core.types import ExpectedDigest, ObjectInfo, RemoteFacts
from core.uploads import CompletedPart
from storage.layout import open_set_sync
from storage.rebuild import rebuild_index_sync
from tests.unit.storage.box import BUCKET, PLAIN, USER, Body, Box, key, opened, pattern, read_all

FACTS = RemoteFacts("aws", "etag-there", "v7")


def known(name: str, size_bytes: int) -> ObjectInfo:
    return ObjectInfo(key(name), size_bytes, "etag-there", 5 * 10**9, PLAIN, remote=FACTS)


def run_in(root: Path, work: Callable[[Box], Coroutine[Any, Any, None]]) -> None:
    async def go() -> None:
        async with opened(root) as box:
            await work(box)

    asyncio.run(asyncio.wait_for(go(), 60))


@pytest.mark.parametrize("size_bytes", [0, 900, 300_000])
def test_a_staged_body_can_be_read_often_and_is_published_with_its_backends_facts(
    tmp_path: Path, size_bytes: int
) -> None:
    data = pattern(size_bytes)

    async def work(box: Box) -> None:
        await box.put("k", b"old")
        staged = await box.node.stage(BUCKET, key("k"), Body(data))
        for _ in range(2):
            assert await read_all(await staged.open()) == data
        assert await box.read("k") == b"old"
        await staged.publish(known("k", size_bytes))
        await staged.abandon()
        info = await box.node.head(BUCKET, key("k"))
        assert (info.etag, info.modified_ns, info.remote) == ("etag-there", 5 * 10**9, FACTS)
        assert await box.read("k") == data

    run_in(tmp_path, work)
    rebuild_index_sync(open_set_sync([tmp_path / "0"]))

    async def after(box: Box) -> None:
        info = await box.node.head(BUCKET, key("k"))
        assert (info.etag, info.remote) == ("etag-there", FACTS)
        assert await box.read("k") == data

    run_in(tmp_path, after)


def test_what_is_abandoned_or_false_leaves_nothing(tmp_path: Path) -> None:
    data = pattern(300_000)

    async def work(box: Box) -> None:
        staged = await box.node.stage(BUCKET, key("k"), Body(data))
        await staged.abandon()
        await staged.abandon()
        claim = ExpectedDigest("sha256", bytes(32), "checksum")
        with pytest.raises(DigestMismatch):
            await box.node.stage(BUCKET, key("k"), Body(data, claims=[claim]))
        with pytest.raises(NoSuchKey):
            await box.read("k")
        while box.blobs():
            await asyncio.sleep(0.01)

    run_in(tmp_path, work)


def test_parts_are_read_and_become_a_copy_with_its_backends_facts(tmp_path: Path) -> None:
    parts = [pattern(100, 1), pattern(200_000, 2), pattern(5, 3)]

    async def work(box: Box) -> None:
        name = key("k")
        upload = await box.node.create_upload(BUCKET, name, attributes=PLAIN, initiator=USER)
        made = [
            await box.node.upload_part(BUCKET, name, upload.upload_id, number, Body(part))
            for number, part in enumerate(parts, 1)
        ]
        for number, part in enumerate(parts, 1):
            reader = await box.node.open_part(BUCKET, name, upload.upload_id, number)
            assert await read_all(reader) == part
        with pytest.raises(InvalidPart):
            await box.node.open_part(BUCKET, name, upload.upload_id, 4)
        with pytest.raises(NoSuchUpload):
            await box.node.open_part(BUCKET, name, UploadId("none"), 1)
        named = [CompletedPart(part.part_number, part.etag) for part in made]
        whole = b"".join(parts)
        facts = replace(known("k", len(whole)), attributes=PLAIN)
        await box.node.publish_upload(BUCKET, name, upload.upload_id, named, facts)
        info = await box.node.head(BUCKET, name)
        assert (info.etag, info.modified_ns, info.remote) == ("etag-there", 5 * 10**9, FACTS)
        assert [part.size_bytes for part in info.parts] == [len(part) for part in parts]
        assert await box.read("k") == whole

    run_in(tmp_path, work)
