"""What the suites of uploads share: parts, and the steps of an upload."""

from __future__ import annotations

from collections.abc import Sequence

from core.types import Bucket, ObjectAttributes, ObjectInfo
from core.uploads import CompletedPart, Upload, UploadedPart
from tests.contract.world import (
    MIN_PART_BYTES,
    PLAIN,
    USER,
    Body,
    World,
    key,
    pattern,
)

PARTS = [pattern(100_000, 1), pattern(MIN_PART_BYTES, 2), pattern(70_000, 3), b"tail"]
WHOLE = b"".join(PARTS)
RICH = ObjectAttributes({"content-type": "image/png"}, {"a": "b"}, "STANDARD", USER.user_id)


async def begin(world: World, bucket: Bucket, name: str = "k") -> Upload:
    return await world.store.create_upload(bucket, key(name), attributes=PLAIN, initiator=USER)


async def add(
    world: World, bucket: Bucket, upload: Upload, number: int, data: bytes
) -> UploadedPart:
    return await world.store.upload_part(bucket, upload.key, upload.upload_id, number, Body(data))


async def add_all(
    world: World, bucket: Bucket, upload: Upload, parts: Sequence[bytes] = PARTS
) -> list[CompletedPart]:
    """Upload parts under every second number, and name them as a completer does."""
    named = []
    for place, data in enumerate(parts):
        part = await add(world, bucket, upload, place * 2 + 1, data)
        named.append(CompletedPart(part.part_number, part.etag))
    return named


async def finish(
    world: World, bucket: Bucket, upload: Upload, parts: Sequence[CompletedPart]
) -> ObjectInfo:
    return await world.store.complete_upload(bucket, upload.key, upload.upload_id, parts)
