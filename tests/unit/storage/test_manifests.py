"""The memory of manifests never shows what the index does not name, and forgets what it has no room for."""

from __future__ import annotations

import asyncio
from pathlib import Path

from core.uploads import CompletedPart
from storage.index import find_object
from storage.manifests import Manifests
from storage.records import StoredObject
from tests.unit.storage.box import BUCKET, PLAIN, USER, Body, Box, key, opened, pattern


async def put_parts(box: Box, name: str, count: int, seed: int = 0) -> None:
    upload = await box.node.create_upload(BUCKET, key(name), attributes=PLAIN, initiator=USER)
    named = []
    for number in range(1, count + 1):
        body = Body(pattern(50, seed + number))
        part = await box.node.upload_part(BUCKET, key(name), upload.upload_id, number, body)
        named.append(CompletedPart(number, part.etag))
    await box.node.complete_upload(BUCKET, key(name), upload.upload_id, named)


def load(box: Box, manifests: Manifests, name: str) -> StoredObject | None:
    mountpath = box.node.mountpaths.all[0]
    connection = mountpath.opened().inline_connection
    found = find_object(connection, BUCKET.bucket_id, key(name))
    assert found is not None
    return manifests.load(mountpath.spec.uuid, connection, found)


def test_an_overwritten_object_is_seen_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as box:
            for seed in (0, 10, 20):
                await put_parts(box, "k", 3, seed)
                whole = b"".join(pattern(50, seed + number) for number in (1, 2, 3))
                assert await box.read("k") == await box.read("k") == whole
            await box.put("k", b"plain")
            assert await box.read("k") == b"plain"

    asyncio.run(scenario())


def test_manifests_are_kept_and_dropped_by_size(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as box:
            for name, count in (("a", 2), ("b", 2), ("c", 2), ("large", 9)):
                await put_parts(box, name, count)
            manifests = Manifests(max_items=8)
            first = load(box, manifests, "a")
            assert load(box, manifests, "b") is not None
            assert load(box, manifests, "a") is first
            # Four items each: the third drops the one used longest ago.
            load(box, manifests, "c")
            assert load(box, manifests, "a") is first
            assert load(box, manifests, "large") is not load(box, manifests, "large")
            assert load(box, manifests, "a") is first

    asyncio.run(scenario())
