"""Conformance of Backend: what is refused, what is not there, and what is left behind."""

from __future__ import annotations

import asyncio

import pytest

from core.backends import Backend
from core.errors import BackendDenied, BackendDown, NoSuchBucket, NoSuchKey, StoreError
from core.listing import ListQuery
from core.types import ObjectAttributes
from tests.conformance.subject import Subject, key, read
from tests.contract.world import Body, pattern


async def test_missing_bucket(subject: Subject) -> None:
    subject.need("know buckets")
    backend, bucket = subject.backend, subject.missing_bucket
    with pytest.raises(NoSuchBucket):
        await backend.head_bucket(bucket)
    with pytest.raises(NoSuchBucket):
        await backend.list_page(bucket, ListQuery())
    with pytest.raises(NoSuchBucket):
        await backend.open(bucket, key("k"))
    # The answer to HEAD has no body that could tell which of both is missing.
    with pytest.raises((NoSuchBucket, NoSuchKey)):
        await backend.head(bucket, key("k"))
    subject.need("write")
    for size_bytes in (10, 3 * 1024**2):
        with pytest.raises(NoSuchBucket):
            await backend.put(bucket, key("k"), Body(pattern(size_bytes)), ObjectAttributes())


async def assert_all_raise(backend: Backend, bucket: str, error: type[StoreError]) -> None:
    with pytest.raises(error):
        await backend.head_bucket(bucket)
    if backend.features.can_list:
        with pytest.raises(error):
            await backend.list_page(bucket, ListQuery())
    with pytest.raises(error):
        await backend.head(bucket, key("k"))
    with pytest.raises(error):
        await backend.open(bucket, key("k"))
    if backend.features.can_write:
        for size_bytes in (10, 3 * 1024**2):
            with pytest.raises(error):
                await backend.put(bucket, key("k"), Body(pattern(size_bytes)), ObjectAttributes())
        with pytest.raises(error):
            await backend.delete(bucket, key("k"))


async def test_bad_credentials(subject: Subject, bucket: str) -> None:
    subject.need("deny")
    await subject.place(bucket, "k", b"data")
    denied = await subject.denied()
    try:
        await assert_all_raise(denied, bucket, BackendDenied)
    finally:
        await denied.close()


async def test_nobody_listens(subject: Subject, bucket: str) -> None:
    down = await subject.down()
    try:
        await assert_all_raise(down, bucket, BackendDown)
    finally:
        await down.close()


async def test_readers_closed_early(subject: Subject, bucket: str) -> None:
    data = pattern(2 * 1024**2)
    await subject.place(bucket, "k", data)
    for _ in range(30):
        reader = await subject.backend.open(bucket, key("k"))
        async for chunk in reader:
            assert data.startswith(chunk)
            break
        await reader.close()
        await reader.close()
    unread = [await subject.backend.open(bucket, key("k")) for _ in range(5)]
    for reader in unread:
        await reader.close()
    assert subject.open_connections() == 0
    assert await read(subject.backend, bucket, "k") == data


async def test_reads_that_are_cancelled(subject: Subject, bucket: str) -> None:
    data = pattern(512 * 1024)
    await subject.place(bucket, "k", data)
    for turns in (0, 1, 2, 5, 20):
        task = asyncio.ensure_future(read(subject.backend, bucket, "k"))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert subject.open_connections() == 0
    assert await read(subject.backend, bucket, "k") == data


async def test_many_at_once(subject: Subject, bucket: str) -> None:
    data = pattern(300_000)
    await subject.place(bucket, "k", data)
    found = await asyncio.gather(*(read(subject.backend, bucket, "k") for _ in range(20)))
    assert all(each == data for each in found)
    assert subject.open_connections() == 0


async def test_close_is_idempotent(subject: Subject, bucket: str) -> None:
    other = await subject.down()
    await other.close()
    await other.close()
    await subject.backend.head_bucket(bucket)
