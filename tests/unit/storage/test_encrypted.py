"""Encrypted objects on disk: damage is an error and never bad bytes, and the doctor needs no key."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest

from backends.memory_keys import MemoryKeyService
from cluster.placement import HrwPlacement
from core.cipher import HEADER_BYTES, SEALED_CHUNK_BYTES
from core.encryption import SSE_S3, CustomerKey, EncryptionMode, EncryptionRequest
from core.errors import Corrupt, NoSuchEncryptionKey
from core.protocols import ObjectReader
from core.types import BoundedRange
from core.uploads import CompletedPart
from storage.layout import open_set_sync
from storage.node import LocalNode
from storage.rebuild import rebuild_index_sync
from tests.unit.storage.box import BUCKET, PLAIN, SMALL, USER, Body, Box, Clock, key, pattern

MINE = CustomerKey(b"m" * 32)
SSE_C = EncryptionRequest(EncryptionMode.CUSTOMER, customer_key=MINE)
DATA = pattern(300_000)


def with_box(
    root: Path, scenario: Callable[[Box], Awaitable[None]], keys: MemoryKeyService | None
) -> None:
    async def run() -> None:
        specs = open_set_sync([root / "0"])
        placement = HrwPlacement([spec.uuid for spec in specs])
        node = LocalNode(specs, placement, Clock(), SMALL, keys)
        await node.open()
        try:
            await scenario(Box(root, node, specs))
        finally:
            await node.close()

    asyncio.run(run())


async def put(box: Box, name: str, data: bytes, request: EncryptionRequest = SSE_S3) -> None:
    await box.node.put(BUCKET, key(name), Body(data), attributes=PLAIN, encryption=request)


async def drain(reader: ObjectReader, into: bytearray) -> None:
    async for block in reader:
        into += block


def flip(path: Path, place: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[place] ^= 1
    path.write_bytes(raw)


@pytest.mark.parametrize(
    "place",
    [0, 5, 20, HEADER_BYTES, HEADER_BYTES + SEALED_CHUNK_BYTES - 1, 200_000],
    ids=["format", "salt", "prefix", "first", "tag", "later"],
)
def test_a_changed_byte_of_a_blob_is_never_served(tmp_path: Path, place: int) -> None:
    async def scenario(box: Box) -> None:
        await put(box, "o", DATA)
        (blob,) = box.blobs()
        flip(blob, place)
        handed_out = bytearray()
        reader = await box.node.get(BUCKET, key("o"))
        with pytest.raises(Corrupt):
            await drain(reader, handed_out)
        await reader.close()
        assert DATA.startswith(handed_out)
        assert len(handed_out) <= place
        assert box.check().findings

    with_box(tmp_path, scenario, MemoryKeyService())


def test_a_range_beside_the_damage_is_served(tmp_path: Path) -> None:
    async def scenario(box: Box) -> None:
        await put(box, "o", DATA)
        (blob,) = box.blobs()
        flip(blob, HEADER_BYTES + 10)
        beside = BoundedRange(70_000, 250_000)
        assert await box.read("o", beside) == DATA[70_000:250_001]
        with pytest.raises(Corrupt):
            await box.read("o", BoundedRange(0, 10))

    with_box(tmp_path, scenario, MemoryKeyService())


def test_bytes_of_another_object_are_not_taken_for_its_own(tmp_path: Path) -> None:
    """Blobs of the same length, changed for one another: their checksums are changed too, as an attacker would."""

    async def scenario(box: Box) -> None:
        await put(box, "a", DATA)
        (first,) = box.blobs()
        await put(box, "b", pattern(len(DATA), 1))
        (second,) = [path for path in box.blobs() if path != first]
        data = first.read_bytes()
        first.write_bytes(second.read_bytes())
        second.write_bytes(data)
        for name in ("a", "b"):
            with pytest.raises(Corrupt):
                await box.read(name)

    with_box(tmp_path, scenario, MemoryKeyService())


def test_parts_changed_for_one_another_are_noticed(tmp_path: Path) -> None:
    async def scenario(box: Box) -> None:
        upload = await box.node.create_upload(
            BUCKET, key("o"), attributes=PLAIN, initiator=USER, encryption=SSE_S3
        )
        parts, blobs = [], []
        for number in (1, 2):
            body = Body(pattern(50_000, number))
            part = await box.node.upload_part(BUCKET, key("o"), upload.upload_id, number, body)
            parts.append(CompletedPart(number, part.etag))
            blobs.append(next(path for path in box.blobs() if path not in blobs))
        await box.node.complete_upload(BUCKET, key("o"), upload.upload_id, parts)
        assert await box.read("o") == pattern(50_000, 1) + pattern(50_000, 2)
        data = blobs[0].read_bytes()
        blobs[0].write_bytes(blobs[1].read_bytes())
        blobs[1].write_bytes(data)
        with pytest.raises(Corrupt):
            await box.read("o")

    with_box(tmp_path, scenario, MemoryKeyService())


def test_a_record_moved_to_another_name_does_not_open(tmp_path: Path) -> None:
    """The wrapped key is bound to the object's name."""

    async def scenario(box: Box) -> None:
        await put(box, "mine", DATA)
        assert box.specs[0].directory is not None
        with closing(sqlite3.connect(box.specs[0].directory / "index.db")) as connection:
            connection.execute("UPDATE object SET key = ?", (b"moved",))
            connection.commit()
        with pytest.raises(Corrupt):
            await box.read("moved")

    with_box(tmp_path, scenario, MemoryKeyService())


def test_a_lost_index_comes_back_with_the_keys_of_its_objects(tmp_path: Path) -> None:
    keys = MemoryKeyService()

    async def write(box: Box) -> None:
        await put(box, "large", DATA)
        await put(box, "small", DATA[:500])
        await put(box, "theirs", DATA[:700], SSE_C)
        await box.settle()
        assert not box.check().findings

    async def read(box: Box) -> None:
        assert await box.read("large") == DATA
        assert await box.read("small") == DATA[:500]
        reader = await box.node.get(BUCKET, key("theirs"), customer_key=MINE)
        assert reader.data == DATA[:700]
        assert not box.check().findings

    with_box(tmp_path, write, keys)
    for path in (tmp_path / "0").glob("index.db*"):
        path.unlink()
    rebuild_index_sync(open_set_sync([tmp_path / "0"]))
    with_box(tmp_path, read, keys)


def test_without_a_key_service_only_customers_keys_work(tmp_path: Path) -> None:
    async def scenario(box: Box) -> None:
        with pytest.raises(NoSuchEncryptionKey):
            await put(box, "ours", DATA)
        await put(box, "theirs", DATA, SSE_C)
        reader = await box.node.get(BUCKET, key("theirs"), customer_key=MINE)
        assert b"".join([block async for block in reader]) == DATA
        await reader.close()
        assert not box.check().findings

    with_box(tmp_path, scenario, None)


def test_no_plaintext_key_is_shown_or_stored(tmp_path: Path) -> None:
    async def scenario(box: Box) -> None:
        await put(box, "o", DATA[:100], SSE_C)
        info = await box.node.head(BUCKET, key("o"))
        assert "mmm" not in repr(info) + repr(SSE_C)
        stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
        assert MINE.key not in stored
        assert MINE.md5.encode() not in stored

    with_box(tmp_path, scenario, None)
