"""What the tests of versions share: buckets with versions, and short ways to write and see them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

from core.configs.versioning import Versioning
from core.deletion import DeleteResult
from core.listing import VersionListPage, VersionListQuery
from core.types import Bucket, BucketProps
from tests.unit.storage.box import BUCKET, Box, key, read_all

ENABLED = replace(BUCKET, props=BucketProps(versioning=Versioning.ENABLED))
SUSPENDED = replace(BUCKET, props=BucketProps(versioning=Versioning.SUSPENDED))


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(coroutine, 60))


async def versions(
    box: Box, query: VersionListQuery | None = None, bucket: Bucket = ENABLED
) -> list[tuple[str, str, bool, bool]]:
    """Key, version id, whether the latest, whether a marker."""
    page = await box.node.list_versions(bucket, query or VersionListQuery())
    return shown(page)


def shown(page: VersionListPage) -> list[tuple[str, str, bool, bool]]:
    return [
        (each.info.key, each.info.version_id, each.is_latest, each.info.is_delete_marker)
        for each in page.versions
    ]


async def read(box: Box, name: str, version_id: str | None = None) -> bytes:
    return await read_all(await box.node.get(ENABLED, key(name), version_id=version_id))


async def put(box: Box, name: str, data: bytes, bucket: Bucket = ENABLED) -> str:
    info = await box.put(name, data, bucket=bucket)
    return info.version_id


async def delete(
    box: Box, name: str, version_id: str | None = None, bucket: Bucket = ENABLED
) -> DeleteResult:
    return await box.node.delete(bucket, key(name), version_id=version_id)


async def mark(box: Box, name: str, bucket: Bucket = ENABLED) -> str:
    result = await delete(box, name, bucket=bucket)
    assert result.is_delete_marker
    assert result.version_id is not None
    return result.version_id


async def settled(box: Box, blobs: int) -> None:
    """Nothing is damaged, unnamed or too many."""
    await box.settle()
    found = box.check()
    assert found.is_sound, found.findings
    assert found.unnamed_blobs == found.unnamed_rows == 0
    assert len(box.blobs()) == blobs
