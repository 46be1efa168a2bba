"""Objects in chunks: cut when they are put, read whole and by ranges, copied, moved, lost and found."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.chunks import MAX_CHUNKS, ChunkRule, made_rule
from core.configs.native import NativeProps
from core.encryption import EncryptionMode, EncryptionRequest
from core.errors import IncompleteBody, PreconditionFailed
from core.listing import ListQuery, VersionListQuery
from core.types import (
    BoundedRange,
    Bucket,
    ByteRange,
    ChunkLayout,
    Conditions,
    ObjectAttributes,
    OffsetRange,
    SuffixRange,
)
from storage.layout import open_set_sync
from storage.node import LocalNode
from storage.rebuild import rebuild_index_sync
from tests.unit.storage.box import BUCKET, PLAIN, SMALL, Body, Box, key, opened, pattern

KIB = 1024


def chunked(limit: int = 4 * KIB, chunk: int = 2 * KIB, bucket: Bucket = BUCKET) -> Bucket:
    sections = {"chunks.objsize_limit": f'"{limit}"', "chunks.chunk_size": f'"{chunk}"'}
    native = replace(bucket.props.native, sections=sections)
    return replace(bucket, props=replace(bucket.props, native=native))


CHUNKED = chunked()


def run_in(
    root: Path, work: Callable[[Box], Coroutine[Any, Any, None]], mountpaths: int = 2
) -> None:
    async def go() -> None:
        async with opened(root, mountpaths=mountpaths, options=SMALL) as box:
            await work(box)

    asyncio.run(asyncio.wait_for(go(), 60))


def test_rules() -> None:
    rule = made_rule(4096, 1024)
    assert rule.piece_bytes(4095) == 0
    assert rule.piece_bytes(4096) == 1024
    assert made_rule(1, 4096).piece_bytes(4096) == 0, "one piece is no pieces"
    assert made_rule(1, 1024).piece_bytes(MAX_CHUNKS * 2048) == 2048
    assert -(-(MAX_CHUNKS * 2048 + 1) // made_rule(1, 1024).piece_bytes(MAX_CHUNKS * 2048 + 1)) <= (
        MAX_CHUNKS
    )
    assert made_rule(0, 1024**3) == ChunkRule()
    assert made_rule(0, 10, 10).chunk_bytes == KIB
    assert made_rule(0, 10, 10).limit_bytes == 1024**3


@pytest.mark.parametrize("size", [4 * KIB, 5 * KIB, 6 * KIB, 700_001])
def test_a_large_body_is_put_in_pieces_over_the_disks(tmp_path: Path, size: int) -> None:
    data = pattern(size)

    async def work(box: Box) -> None:
        made = await box.put("k", data, bucket=CHUNKED)
        assert made.etag == hashlib.md5(data).hexdigest()
        assert await box.read("k", bucket=CHUNKED) == data
        info = await box.node.head(CHUNKED, key("k"))
        assert info.chunks == ChunkLayout(-(-size // (2 * KIB)), 2 * KIB)
        assert (info.etag, info.size_bytes, info.parts) == (made.etag, size, ())
        blobs = box.blobs() + box.guests()
        assert len(blobs) == info.chunks.count
        assert {path.relative_to(box.root).parts[0] for path in blobs} == {"0", "1"}
        page = await box.node.list_objects(CHUNKED, ListQuery())
        assert [each.chunks for each in page.entries] == [ChunkLayout()]
        report = box.check()
        assert report.is_sound
        assert report.unnamed_blobs == 0
        await box.put("k", b"small", bucket=CHUNKED)
        await box.settle()
        assert box.blobs() + box.guests() == []

    run_in(tmp_path, work)


def test_small_bodies_stay_whole(tmp_path: Path) -> None:
    async def work(box: Box) -> None:
        for size in (0, 10, 1000, 4 * KIB - 1):
            await box.put(f"k{size}", pattern(size), bucket=CHUNKED)
            info = await box.node.head(CHUNKED, key(f"k{size}"))
            assert info.chunks is None
            assert await box.read(f"k{size}", bucket=CHUNKED) == pattern(size)
        tiny = chunked(1, 1 * KIB)
        await box.put("tiny", pattern(1000), bucket=tiny)
        assert (await box.node.head(tiny, key("tiny"))).chunks is None
        await box.put("less tiny", pattern(1025), bucket=tiny)
        assert (await box.node.head(tiny, key("less tiny"))).chunks == ChunkLayout(2, KIB)

    run_in(tmp_path, work)


RANGES: list[ByteRange] = [
    BoundedRange(0, 0),
    BoundedRange(2047, 2048),
    BoundedRange(1000, 5000),
    BoundedRange(2048, 4095),
    OffsetRange(6000),
    SuffixRange(3000),
]


def cut(data: bytes, wanted: ByteRange) -> bytes:
    match wanted:
        case BoundedRange(first, last):
            return data[first : last + 1]
        case OffsetRange(first):
            return data[first:]
        case SuffixRange(length):
            return data[-length:]
    raise AssertionError


@pytest.mark.parametrize("mode", [None, EncryptionMode.CUSTOMER])
def test_ranges_of_chunks(tmp_path: Path, mode: EncryptionMode | None) -> None:
    data = pattern(9001)
    encryption, customer_key = None, None
    if mode is not None:
        from core.encryption import CustomerKey

        customer_key = CustomerKey(bytes(32))
        encryption = EncryptionRequest(mode, customer_key=customer_key)

    async def work(box: Box) -> None:
        await box.node.put(CHUNKED, key("k"), Body(data), attributes=PLAIN, encryption=encryption)
        info = await box.node.head(CHUNKED, key("k"))
        assert info.chunks == ChunkLayout(5, 2048)
        for wanted in RANGES:
            reader = await box.node.get(
                CHUNKED, key("k"), byte_range=wanted, customer_key=customer_key
            )
            try:
                assert b"".join([chunk async for chunk in reader]) == cut(data, wanted)
            finally:
                await reader.close()
        assert box.check().is_sound

    run_in(tmp_path, work)


class Endless(Body):
    """A body that does not say how long it is."""

    def __init__(self, data: bytes, error: Exception | None = None) -> None:
        super().__init__(data, error=error)
        self.size_bytes = None


def test_a_body_of_unknown_length_is_cut_when_it_has_grown(tmp_path: Path) -> None:
    first, rest = ChunkRule(4 * KIB, 2 * KIB).open_ended()
    data = pattern(first + 2 * rest + 5)

    async def work(box: Box) -> None:
        await box.node.put(CHUNKED, key("k"), Endless(data), attributes=PLAIN)
        assert (await box.node.head(CHUNKED, key("k"))).chunks == ChunkLayout(4, first)
        assert await box.read("k", bucket=CHUNKED) == data
        await box.node.put(CHUNKED, key("less"), Endless(data[:first]), attributes=PLAIN)
        assert (await box.node.head(CHUNKED, key("less"))).chunks is None
        assert await box.read("less", bucket=CHUNKED) == data[:first]
        assert box.check().is_sound

    run_in(tmp_path, work)


def test_nothing_stays_of_a_body_that_ends_early_or_is_refused(tmp_path: Path) -> None:
    data = pattern(9000)

    async def work(box: Box) -> None:
        body = Body(data, error=IncompleteBody(expected_bytes=9000, actual_bytes=1))
        with pytest.raises(IncompleteBody):
            await box.node.put(CHUNKED, key("k"), body, attributes=PLAIN)
        refused = Conditions(if_match=("0" * 32,))
        await box.put("k", b"old", bucket=CHUNKED)
        with pytest.raises(PreconditionFailed):
            await box.put("k", data, bucket=CHUNKED, conditions=refused)
        deadline = asyncio.get_running_loop().time() + 10
        while box.blobs() + box.guests():
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0.01)
        assert await box.read("k", bucket=CHUNKED) == b"old"

    run_in(tmp_path, work)


def test_chunks_survive_a_lost_index(tmp_path: Path) -> None:
    data = pattern(9000)

    async def put(box: Box) -> None:
        await box.put("k", data, bucket=CHUNKED)

    async def look(box: Box) -> None:
        assert await box.read("k", bucket=CHUNKED) == data
        info = await box.node.head(CHUNKED, key("k"))
        assert info.chunks == ChunkLayout(5, 2048)
        assert box.check().is_sound

    run_in(tmp_path, put)
    specs = open_set_sync([tmp_path / "0", tmp_path / "1"])
    assert rebuild_index_sync(specs).findings == []
    run_in(tmp_path, look)


def test_copies_follow_the_rule_of_their_bucket(tmp_path: Path) -> None:
    data = pattern(9000)
    plain = replace(BUCKET, bucket_id=9)

    async def chunks(box: Box, bucket: Bucket, name: str) -> ChunkLayout | None:
        assert await box.read(name, bucket=bucket) == data
        info = await box.node.head(bucket, key(name))
        assert info.etag == hashlib.md5(data).hexdigest()
        return info.chunks

    async def work(box: Box) -> None:
        await box.put("k", data, bucket=CHUNKED)
        await box.node.copy(CHUNKED, key("k"), plain, key("whole"))
        assert await chunks(box, plain, "whole") is None
        await box.node.copy(plain, key("whole"), CHUNKED, key("again"))
        assert await chunks(box, CHUNKED, "again") == ChunkLayout(5, 2048)
        # Onto itself: attributes alone.
        attributes = ObjectAttributes({"content-type": "x/y"})
        await box.node.copy(CHUNKED, key("k"), CHUNKED, key("k"), attributes=attributes)
        assert await chunks(box, CHUNKED, "k") == ChunkLayout(5, 2048)
        await box.settle()
        assert box.check().is_sound

    run_in(tmp_path, work)


def test_landings_follow_the_rule(tmp_path: Path) -> None:
    data = pattern(9000)

    async def work(box: Box) -> None:
        node: LocalNode = box.node
        landing = await node.land(CHUNKED, key("k"), len(data))
        assert [piece.size_bytes for piece in landing.pieces] == [2048] * 4 + [808]
        for number, piece in enumerate(landing.pieces):
            await piece.write(data[number * 2048 : (number + 1) * 2048])
        made = await box.put("other", data)
        await landing.publish(replace(made, key=key("k")))
        assert await box.read("k", bucket=CHUNKED) == data
        few = await node.land(CHUNKED, key("k"), 10 * MAX_CHUNKS, piece_bytes=1)
        assert few.piece_bytes == 10
        await few.abandon()

    run_in(tmp_path, work)


def test_a_reader_keeps_the_pieces_that_it_reads(tmp_path: Path) -> None:
    data = pattern(9000)

    async def blocks(reader: AsyncIterator[bytes]) -> bytes:
        return b"".join([block async for block in reader])

    async def work(box: Box) -> None:
        await box.put("k", data, bucket=CHUNKED)
        reader = await box.node.get(CHUNKED, key("k"))
        iterator = aiter(reader)
        begun = await anext(iterator)
        await box.put("k", b"new", bucket=CHUNKED)
        assert begun + await blocks(iterator) == data
        await reader.close()

    run_in(tmp_path, work)


def test_no_settings_no_chunks(tmp_path: Path) -> None:
    assert NativeProps().sections == {}

    async def work(box: Box) -> None:
        await box.put("k", pattern(9000))
        assert (await box.node.head(BUCKET, key("k"))).chunks is None
        assert len(box.blobs()) == 1

    run_in(tmp_path, work)


def test_chunks_move_to_the_disks_of_another_class(tmp_path: Path) -> None:
    data = pattern(9000)

    async def go() -> None:
        classes = {"STANDARD": (0, 1), "GLACIER": (2, 3)}
        async with opened(tmp_path, SMALL, 4, classes) as box:

            def disks() -> set[str]:
                """By whose directory a file lies in."""
                return {path.relative_to(tmp_path).parts[0] for path in box.blobs() + box.guests()}

            made = await box.put("k", data, bucket=CHUNKED)
            assert disks() == {"0", "1"}
            for name, lies in (("GLACIER", {"2", "3"}), ("STANDARD", {"0", "1"})):
                page = await box.node.list_versions(CHUNKED, VersionListQuery())
                await box.node.change_class(CHUNKED, page.versions[0], name)
                await box.settle()
                assert disks() == lies
                info = await box.node.head(CHUNKED, key("k"))
                assert info.chunks == ChunkLayout(5, 2048)
                assert (info.etag, info.modified_ns) == (made.etag, made.modified_ns)
                assert await box.read("k", bucket=CHUNKED) == data
                assert box.check().is_sound

    asyncio.run(asyncio.wait_for(go(), 60))
