"""Sources: the bytes of one object version for threads, however they are stored and whatever happens to the key."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from backends.memory_keys import MemoryKeyService
from cluster.placement import HrwPlacement
from core.encryption import SSE_S3
from core.names import UploadId
from core.protocols import ObjectReader
from core.uploads import CompletedPart
from storage.layout import open_set_sync
from storage.node import LocalNode
from storage.shards.source import Source, SourceClosed, open_source
from tests.unit.storage.archives import in_loop
from tests.unit.storage.box import (
    BUCKET,
    PLAIN,
    SMALL,
    USER,
    Body,
    Box,
    Clock,
    key,
    opened,
    pattern,
)

EDGES = [(0, 1), (0, 10**6), (5, 1), (999, 2), (1500, 1000), (99_999, 5), (120_000, 7)]


async def read_all(reader: ObjectReader) -> bytes:
    try:
        return b"".join([chunk async for chunk in reader])
    finally:
        await reader.close()


async def check(source: Source, data: bytes) -> None:
    assert source.size_bytes == len(data)
    for offset, count in EDGES:
        got = await source.run(lambda at=offset, size=count: source.read_at(at, size))  # type: ignore[misc]
        assert got == data[offset : offset + count]


async def upload(box: Box, sizes: list[int]) -> bytes:
    data = b""
    made = await box.node.create_upload(BUCKET, key("parts"), attributes=PLAIN, initiator=USER)
    upload_id, parts = UploadId(made.upload_id), []
    for number, size in enumerate(sizes, 1):
        piece = pattern(size, number)
        part = await box.node.upload_part(BUCKET, key("parts"), upload_id, number, Body(piece))
        parts.append(CompletedPart(number, part.etag))
        data += piece
    await box.node.complete_upload(BUCKET, key("parts"), upload_id, parts)
    return data


@pytest.mark.parametrize("size_bytes", [0, 1, 1000, 1001, 130_000])
@in_loop
async def test_small_and_large(tmp_path: Path, size_bytes: int) -> None:
    async with opened(tmp_path) as box:
        data = pattern(size_bytes)
        await box.put("a", data)
        with ThreadPoolExecutor(1) as threads:
            source = await open_source(box.node, BUCKET, key("a"), threads)
            await check(source, data)
            if size_bytes > 10:
                assert await read_all(source.release(3, 5)) == data[3:8]
            source.close()


@in_loop
async def test_several_segments_inline_ones_among_them(tmp_path: Path) -> None:
    async with opened(tmp_path) as box:
        data = await upload(box, [1500, 20, 90_000, 1500, 17])
        with ThreadPoolExecutor(1) as threads:
            source = await open_source(box.node, BUCKET, key("parts"), threads)
            await check(source, data)
            reader = source.release(1490, 60)
            assert await read_all(reader) == data[1490:1550]


@in_loop
async def test_encrypted_ones_are_opened(tmp_path: Path) -> None:
    specs = open_set_sync([tmp_path / "0"])
    placement = HrwPlacement([spec.uuid for spec in specs])
    node = LocalNode(specs, placement, Clock(), SMALL, MemoryKeyService())
    await node.open()
    try:
        made = await node.create_upload(
            BUCKET, key("parts"), attributes=PLAIN, initiator=USER, encryption=SSE_S3
        )
        upload_id, parts, data = UploadId(made.upload_id), [], b""
        for number, size in enumerate([70_000, 20, 90_000], 1):
            piece = pattern(size, number)
            part = await node.upload_part(BUCKET, key("parts"), upload_id, number, Body(piece))
            parts.append(CompletedPart(number, part.etag))
            data += piece
        await node.complete_upload(BUCKET, key("parts"), upload_id, parts)
        with ThreadPoolExecutor(1) as threads:
            source = await open_source(node, BUCKET, key("parts"), threads)
            await check(source, data)
            reader = source.release(69_990, 60)
            assert await read_all(reader) == data[69_990:70_050]
    finally:
        await node.close()


@in_loop
async def test_held_against_replacement(tmp_path: Path) -> None:
    async with opened(tmp_path) as box:
        old = await upload(box, [5000, 6000])
        await box.put("a", pattern(5000))
        with ThreadPoolExecutor(1) as threads:
            parts = await open_source(box.node, BUCKET, key("parts"), threads)
            plain = await open_source(box.node, BUCKET, key("a"), threads)
            await box.put("a", b"new")
            await box.put("parts", b"new")
            await box.node.delete(BUCKET, key("parts"))
            await check(parts, old)
            await check(plain, pattern(5000))
            parts.close()
            reader = plain.release(0, 5000)
            assert await read_all(reader) == pattern(5000)


@in_loop
async def test_closed_under_a_turn(tmp_path: Path) -> None:
    async with opened(tmp_path) as box:
        await box.put("a", pattern(5000))
        begun, go = threading.Event(), threading.Event()
        outcomes: list[object] = []

        with ThreadPoolExecutor(1) as threads:
            source = await open_source(box.node, BUCKET, key("a"), threads)

            def turn() -> None:
                begun.set()
                go.wait(10)
                try:
                    outcomes.append(source.read_at(0, 5))
                except SourceClosed:
                    outcomes.append(SourceClosed)

            waiting = asyncio.create_task(source.run(turn))
            await asyncio.to_thread(begun.wait, 10)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            source.close()
            source.close()
            go.set()
        assert outcomes == [SourceClosed]
