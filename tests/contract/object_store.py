"""The conformance suite of ObjectStore: plain objects, copies, listings. Inherit it and give it a `world` fixture.

tests.contract.multipart_store has the suite for uploads.
"""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from core.checksums import digest_sync
from core.deletion import DeleteItem, DeleteResult
from core.errors import (
    DigestMismatch,
    IncompleteBody,
    InvalidPartNumber,
    InvalidRange,
    NoSuchKey,
    NoSuchVersion,
    NotModified,
    PreconditionFailed,
)
from core.listing import ListQuery
from core.names import UserId
from core.types import (
    NULL_VERSION,
    BoundedRange,
    Bucket,
    ByteRange,
    CannedAcl,
    ChecksumAlgorithm,
    Conditions,
    ExpectedDigest,
    ObjectAttributes,
    OffsetRange,
    PartRange,
    SuffixRange,
)
from tests.contract.world import (
    PLAIN,
    START_NS,
    USER,
    Body,
    World,
    etag_of,
    key,
    pattern,
    put,
    read,
)

SIZES = [0, 1, 4096, 64 * 1024, 64 * 1024 + 1, 3 * 1024**2 + 7]
SMALL = b"0123456789"
RICH = ObjectAttributes(
    headers={"content-type": "text/plain", "cache-control": "no-cache"},
    user_metadata={"colour": "grün", "empty": ""},
    storage_class="REDUCED_REDUNDANCY",
    owner_id=USER.user_id,
    acl=CannedAcl.PUBLIC_READ,
)
NASTY_KEYS = [
    "a",
    "a/",
    "a//b",
    "/leading",
    "..",
    "../../etc/passwd",
    "\x00",
    "\x01\x1f\x7f",
    "new\nline",
    "100%&<>\"'",
    "🦆",
    "￿",
    "\U00010000",
    "é",
    "é",
    " ",
    "k" * 1024,
    "ü" * 512,
]


class ObjectStoreContract:
    """Plain objects."""

    # --- put, get, head ---

    @pytest.mark.parametrize("size_bytes", SIZES)
    async def test_put_then_get(self, world: World, size_bytes: int) -> None:
        bucket = await world.new_bucket()
        data = pattern(size_bytes)
        info = await world.store.put(bucket, key("k"), Body(data), attributes=RICH)
        assert info.key == "k"
        assert info.size_bytes == size_bytes
        assert info.etag == etag_of(data)
        assert info.modified_ns == START_NS
        assert info.attributes == RICH
        assert info.version_id == NULL_VERSION
        assert await world.store.head(bucket, key("k")) == info
        assert await read(world.store, bucket, "k") == data
        reader = await world.store.get(bucket, key("k"))
        assert (reader.first, reader.length, reader.info) == (0, size_bytes, info)
        await reader.close()
        await reader.close()

    async def test_body_of_unknown_size(self, world: World) -> None:
        bucket = await world.new_bucket()
        data = pattern(200_000)
        await world.store.put(bucket, key("k"), Body(data, declared=None), attributes=PLAIN)
        assert await read(world.store, bucket, "k") == data

    @pytest.mark.parametrize("size_bytes", [100, 200_000])
    async def test_overwrite(self, world: World, size_bytes: int) -> None:
        bucket = await world.new_bucket()
        await put(world.store, bucket, "k", pattern(size_bytes))
        world.clock.advance(5)
        await put(world.store, bucket, "k", pattern(size_bytes // 2, seed=1))
        assert await read(world.store, bucket, "k") == pattern(size_bytes // 2, seed=1)
        info = await world.store.head(bucket, key("k"))
        assert info.modified_ns == START_NS + 5 * 10**9
        await world.settle()
        assert not world.leftovers()

    async def test_absent_key(self, world: World) -> None:
        bucket = await world.new_bucket()
        with pytest.raises(NoSuchKey):
            await world.store.head(bucket, key("k"))
        with pytest.raises(NoSuchKey):
            await world.store.get(bucket, key("k"))

    async def test_null_version(self, world: World) -> None:
        bucket = await world.new_bucket()
        await put(world.store, bucket, "k", SMALL)
        info = await world.store.head(bucket, key("k"), version_id=NULL_VERSION)
        assert info.size_bytes == len(SMALL)
        with pytest.raises(NoSuchVersion):
            await world.store.head(bucket, key("k"), version_id="other")
        with pytest.raises(NoSuchVersion):
            await world.store.get(bucket, key("absent"), version_id=NULL_VERSION)

    @pytest.mark.parametrize("name", NASTY_KEYS)
    async def test_any_key(self, world: World, name: str) -> None:
        bucket = await world.new_bucket()
        await put(world.store, bucket, name, name.encode())
        assert await read(world.store, bucket, name) == name.encode()
        page = await world.store.list_objects(bucket, ListQuery())
        assert [entry.key for entry in page.entries] == [name]
        await world.store.delete(bucket, key(name))
        assert await world.store.is_empty(bucket)

    async def test_keys_are_not_normalised(self, world: World) -> None:
        bucket = await world.new_bucket()
        for name in ("é", "é", "a/b", "a//b", "a/./b"):
            await put(world.store, bucket, name, name.encode())
        for name in ("é", "é", "a/b", "a//b", "a/./b"):
            assert await read(world.store, bucket, name) == name.encode()

    async def test_buckets_are_apart(self, world: World) -> None:
        one, other = await world.new_bucket(), await world.new_bucket()
        await put(world.store, one, "k", SMALL)
        with pytest.raises(NoSuchKey):
            await world.store.head(other, key("k"))
        assert await world.store.is_empty(other)

    async def test_reader_keeps_its_version(self, world: World) -> None:
        bucket = await world.new_bucket()
        for size_bytes in (100, 500_000):
            await put(world.store, bucket, "k", pattern(size_bytes))
            reader = await world.store.get(bucket, key("k"))
            await put(world.store, bucket, "k", b"new")
            await world.settle(0.1)
            assert b"".join([chunk async for chunk in reader]) == pattern(size_bytes)
            await reader.close()
            await world.store.delete(bucket, key("k"))

    @pytest.mark.parametrize("size_bytes", [10, 300_000])
    async def test_survives_a_restart(self, world: World, size_bytes: int) -> None:
        bucket = await world.new_bucket()
        info = await world.store.put(bucket, key("k"), Body(pattern(size_bytes)), attributes=RICH)
        await world.restart()
        assert await world.store.head(bucket, key("k")) == info
        assert await read(world.store, bucket, "k") == pattern(size_bytes)

    # --- bad bodies ---

    @pytest.mark.parametrize("size_bytes", [100, 200_000])
    @pytest.mark.parametrize("declared_more", [1, -1])
    async def test_body_of_another_size_than_declared(
        self, world: World, size_bytes: int, declared_more: int
    ) -> None:
        bucket = await world.new_bucket()
        body = Body(pattern(size_bytes), declared=size_bytes + declared_more)
        with pytest.raises(IncompleteBody):
            await world.store.put(bucket, key("k"), body, attributes=PLAIN)
        await self._assert_nothing(world, bucket)

    @pytest.mark.parametrize("size_bytes", [100, 200_000])
    async def test_body_that_breaks_off(self, world: World, size_bytes: int) -> None:
        bucket = await world.new_bucket()
        body = Body(pattern(size_bytes), declared=size_bytes * 2, error=ConnectionError("gone"))
        with pytest.raises(ConnectionError, match="gone"):
            await world.store.put(bucket, key("k"), body, attributes=PLAIN)
        await self._assert_nothing(world, bucket)

    @pytest.mark.parametrize("size_bytes", [100, 200_000])
    @pytest.mark.parametrize("algorithm", ["md5", "sha256", "crc32", "crc32c", "crc64nvme", "sha1"])
    async def test_digest_claims(self, world: World, size_bytes: int, algorithm: str) -> None:
        bucket = await world.new_bucket()
        data = pattern(size_bytes)
        right = ExpectedDigest(algorithm, digest_sync(algorithm, data), "checksum")
        wrong = ExpectedDigest(algorithm, digest_sync(algorithm, b"x"), "checksum")
        with pytest.raises(DigestMismatch) as caught:
            await world.store.put(
                bucket, key("k"), Body(data, claims=[right, wrong]), attributes=PLAIN
            )
        assert caught.value.source == "checksum"
        assert caught.value.algorithm == algorithm
        assert caught.value.expected == wrong.digest
        assert caught.value.actual == right.digest
        await self._assert_nothing(world, bucket)
        await world.store.put(bucket, key("k"), Body(data, claims=[right]), attributes=PLAIN)

    @pytest.mark.parametrize("size_bytes", [0, 100, 200_000])
    @pytest.mark.parametrize("algorithm", list(ChecksumAlgorithm))
    async def test_wanted_checksum_is_kept(
        self, world: World, size_bytes: int, algorithm: ChecksumAlgorithm
    ) -> None:
        bucket = await world.new_bucket()
        data = pattern(size_bytes)
        await world.store.put(bucket, key("k"), Body(data, wanted=algorithm), attributes=PLAIN)
        checksum = (await world.store.head(bucket, key("k"))).checksum
        assert checksum is not None
        assert checksum.algorithm is algorithm
        assert checksum.digest == digest_sync(algorithm.value.lower(), data)

    async def test_cancelled_put_leaves_nothing(self, world: World) -> None:
        bucket = await world.new_bucket()
        for size_bytes in (100, 400_000):
            body = Body(pattern(size_bytes), chunk_bytes=50)
            task = asyncio.create_task(world.store.put(bucket, key("k"), body, attributes=PLAIN))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await self._assert_nothing(world, bucket)

    async def _assert_nothing(self, world: World, bucket: Bucket) -> None:
        assert await world.store.is_empty(bucket)
        await world.settle()
        assert not world.leftovers()

    # --- ranges ---

    @pytest.mark.parametrize(
        ("byte_range", "first", "length"),
        [
            (BoundedRange(0, 0), 0, 1),
            (BoundedRange(3, 5), 3, 3),
            (BoundedRange(9, 9), 9, 1),
            (BoundedRange(5, 10**15), 5, 5),
            (OffsetRange(0), 0, 10),
            (OffsetRange(9), 9, 1),
            (SuffixRange(3), 7, 3),
            (SuffixRange(99), 0, 10),
            (PartRange(1), 0, 10),
        ],
    )
    @pytest.mark.parametrize("scale", [1, 30_000])
    async def test_range(
        self, world: World, byte_range: ByteRange, first: int, length: int, scale: int
    ) -> None:
        bucket = await world.new_bucket()
        data = pattern(10 * scale)
        await put(world.store, bucket, "k", data)
        wanted = _scaled(byte_range, scale)
        reader = await world.store.get(bucket, key("k"), byte_range=wanted)
        assert (reader.first, reader.length) == (first * scale, length * scale)
        assert reader.info.size_bytes == 10 * scale
        await reader.close()
        found = await read(world.store, bucket, "k", wanted)
        assert found == data[first * scale : (first + length) * scale]

    @pytest.mark.parametrize("byte_range", [BoundedRange(10, 12), OffsetRange(10), SuffixRange(0)])
    async def test_unsatisfiable_range(self, world: World, byte_range: ByteRange) -> None:
        bucket = await world.new_bucket()
        await put(world.store, bucket, "k", SMALL)
        with pytest.raises(InvalidRange) as caught:
            await world.store.get(bucket, key("k"), byte_range=byte_range)
        assert caught.value.size_bytes == 10

    async def test_no_range_of_an_empty_object(self, world: World) -> None:
        bucket = await world.new_bucket()
        await put(world.store, bucket, "k", b"")
        with pytest.raises(InvalidRange):
            await world.store.get(bucket, key("k"), byte_range=OffsetRange(0))
        assert await read(world.store, bucket, "k", PartRange(1)) == b""

    async def test_absent_part(self, world: World) -> None:
        bucket = await world.new_bucket()
        await put(world.store, bucket, "k", SMALL)
        with pytest.raises(InvalidPartNumber):
            await world.store.get(bucket, key("k"), byte_range=PartRange(2))

    # --- conditions ---

    async def test_read_conditions(self, world: World) -> None:
        bucket = await world.new_bucket()
        etag = await put(world.store, bucket, "k", SMALL)
        past, now = START_NS - 10**9, START_NS
        for conditions in (
            Conditions(if_match=("other", etag)),
            Conditions(if_match=("*",)),
            Conditions(if_none_match=("other",)),
            Conditions(if_modified_since_ns=past),
            Conditions(if_unmodified_since_ns=now),
            Conditions(if_match=(etag,), if_unmodified_since_ns=past),
            Conditions(if_none_match=("other",), if_modified_since_ns=now),
        ):
            await world.store.head(bucket, key("k"), conditions=conditions)
        for conditions in (
            Conditions(if_match=("other",)),
            Conditions(if_unmodified_since_ns=past),
            Conditions(if_match=("other",), if_none_match=(etag,)),
        ):
            with pytest.raises(PreconditionFailed):
                await world.store.get(bucket, key("k"), conditions=conditions)
        for conditions in (
            Conditions(if_none_match=(etag,)),
            Conditions(if_none_match=("*",)),
            Conditions(if_modified_since_ns=now),
            Conditions(if_none_match=(etag,), if_modified_since_ns=past),
        ):
            with pytest.raises(NotModified) as caught:
                await world.store.get(bucket, key("k"), conditions=conditions)
            assert caught.value.info.etag == etag

    @pytest.mark.parametrize("size_bytes", [10, 200_000])
    async def test_write_conditions(self, world: World, size_bytes: int) -> None:
        bucket, store = await world.new_bucket(), world.store

        async def write(conditions: Conditions) -> None:
            body = Body(pattern(size_bytes))
            await store.put(bucket, key("k"), body, attributes=PLAIN, conditions=conditions)

        with pytest.raises(NoSuchKey):
            await write(Conditions(if_match=("*",)))
        assert await store.is_empty(bucket)
        await write(Conditions(if_none_match=("*",)))
        with pytest.raises(PreconditionFailed):
            await write(Conditions(if_none_match=("*",)))
        with pytest.raises(PreconditionFailed):
            await write(Conditions(if_match=("other",)))
        await write(Conditions(if_match=(etag_of(pattern(size_bytes)),)))
        await world.settle()
        assert not world.leftovers()

    async def test_one_of_many_racing_creators_wins(self, world: World) -> None:
        bucket = await world.new_bucket()

        async def create(seed: int) -> bytes | None:
            data = pattern(100 if seed % 2 else 200_000, seed)
            only_new = Conditions(if_none_match=("*",))
            try:
                await world.store.put(
                    bucket, key("k"), Body(data), attributes=PLAIN, conditions=only_new
                )
            except PreconditionFailed:
                return None
            return data

        outcomes = await asyncio.gather(*(create(seed) for seed in range(12)))
        winners = [data for data in outcomes if data is not None]
        assert len(winners) == 1
        assert await read(world.store, bucket, "k") == winners[0]

    # --- delete ---

    async def test_delete(self, world: World) -> None:
        bucket = await world.new_bucket()
        for size_bytes in (10, 200_000):
            await put(world.store, bucket, "k", pattern(size_bytes))
            await world.store.delete(bucket, key("k"))
            with pytest.raises(NoSuchKey):
                await world.store.head(bucket, key("k"))
        result = await world.store.delete(bucket, key("k"))
        assert result == DeleteResult(key("k"))
        await world.settle()
        assert not world.leftovers()

    async def test_delete_conditions(self, world: World) -> None:
        bucket = await world.new_bucket()
        etag = await put(world.store, bucket, "k", SMALL)
        for conditions in (
            Conditions(if_match=("other",)),
            Conditions(if_size=11),
            Conditions(if_modified_at_ns=START_NS + 10**9),
        ):
            with pytest.raises(PreconditionFailed):
                await world.store.delete(bucket, key("k"), conditions=conditions)
        right = Conditions(if_match=(etag,), if_size=10, if_modified_at_ns=START_NS)
        await world.store.delete(bucket, key("k"), conditions=right)
        with pytest.raises(NoSuchKey):
            await world.store.delete(bucket, key("k"), conditions=Conditions(if_match=("*",)))

    async def test_delete_many(self, world: World) -> None:
        bucket = await world.new_bucket()
        for number in range(20):
            await put(world.store, bucket, f"k{number}", SMALL)
        items = [DeleteItem(key(f"k{number}")) for number in range(15)]
        items[3] = dataclasses.replace(items[3], conditions=Conditions(if_match=("other",)))
        items.append(DeleteItem(key("absent")))
        outcomes = await world.store.delete_many(bucket, items)
        assert len(outcomes) == 16
        assert isinstance(outcomes[3], PreconditionFailed)
        for place, outcome in enumerate(outcomes):
            if place != 3:
                assert isinstance(outcome, DeleteResult)
                assert outcome.key == items[place].key
        page = await world.store.list_objects(bucket, ListQuery())
        assert [entry.key for entry in page.entries] == sorted(
            ["k3", *(f"k{number}" for number in range(15, 20))]
        )

    # --- copy ---

    @pytest.mark.parametrize("size_bytes", [0, 100, 300_000])
    async def test_copy(self, world: World, size_bytes: int) -> None:
        one, other = await world.new_bucket(), await world.new_bucket()
        data = pattern(size_bytes)
        body = Body(data, wanted=ChecksumAlgorithm.CRC32C)
        source = await world.store.put(one, key("k"), body, attributes=RICH)
        world.clock.advance(1)
        info = await world.store.copy(one, key("k"), other, key("copy"), owner_id=UserId("new"))
        assert info.etag == source.etag
        assert info.checksum == source.checksum
        assert info.modified_ns == START_NS + 10**9
        assert info.attributes == dataclasses.replace(
            RICH, owner_id=UserId("new"), acl=CannedAcl.PRIVATE
        )
        assert await world.store.head(other, key("copy")) == info
        await world.store.delete(one, key("k"))
        await world.settle()
        assert await read(world.store, other, "copy") == data

    @pytest.mark.parametrize("size_bytes", [100, 300_000])
    async def test_copy_with_new_attributes_and_checksum(
        self, world: World, size_bytes: int
    ) -> None:
        bucket = await world.new_bucket()
        data = pattern(size_bytes)
        await put(world.store, bucket, "k", data)
        for target in ("copy", "k"):
            info = await world.store.copy(
                bucket,
                key("k"),
                bucket,
                key(target),
                attributes=RICH,
                checksum_algorithm=ChecksumAlgorithm.SHA256,
            )
            assert info.attributes == RICH
            assert info.checksum is not None
            assert info.checksum.digest == digest_sync("sha256", data)
            assert await world.store.head(bucket, key(target)) == info
            assert await read(world.store, bucket, target) == data
        await world.settle()
        assert not world.leftovers()

    async def test_copy_conditions(self, world: World) -> None:
        bucket = await world.new_bucket()
        etag = await put(world.store, bucket, "k", SMALL)

        async def copy(source: Conditions, target: Conditions) -> None:
            await world.store.copy(
                bucket,
                key("k"),
                bucket,
                key("copy"),
                source_conditions=source,
                conditions=target,
            )

        none = Conditions()
        for source in (
            Conditions(if_match=("other",)),
            Conditions(if_none_match=(etag,)),
            Conditions(if_modified_since_ns=START_NS),
            Conditions(if_unmodified_since_ns=START_NS - 10**9),
        ):
            with pytest.raises(PreconditionFailed):
                await copy(source, none)
        await copy(Conditions(if_match=(etag,)), Conditions(if_none_match=("*",)))
        with pytest.raises(PreconditionFailed):
            await copy(none, Conditions(if_none_match=("*",)))
        with pytest.raises(NoSuchKey):
            await world.store.copy(bucket, key("absent"), bucket, key("copy"))

    # --- listing ---

    async def test_list(self, world: World) -> None:
        bucket = await world.new_bucket()
        names = ["a", "a/1", "a/2", "b", "b/x/1", "c\U00010000", "c￿", "d/"]
        for name in names:
            await put(world.store, bucket, name, name.encode())
        page = await world.store.list_objects(bucket, ListQuery())
        assert [entry.key for entry in page.entries] == sorted(names, key=str.encode)
        assert [entry.etag for entry in page.entries] == [
            etag_of(name.encode()) for name in sorted(names, key=str.encode)
        ]
        assert page.entries[0].attributes.owner_id == USER.user_id
        page = await world.store.list_objects(bucket, ListQuery(delimiter="/"))
        assert page.common_prefixes == ["a/", "b/", "d/"]
        assert [entry.key for entry in page.entries] == ["a", "b", "c￿", "c\U00010000"]
        page = await world.store.list_objects(bucket, ListQuery(prefix="b/", delimiter="/"))
        assert page.common_prefixes == ["b/x/"]
        page = await world.store.list_objects(bucket, ListQuery(delimiter="/", limit=2))
        assert page.is_truncated
        assert page.next_after == "a/"
        page = await world.store.list_objects(
            bucket, ListQuery(delimiter="/", limit=3, after=page.next_after)
        )
        assert [entry.key for entry in page.entries] == ["b", "c￿"]
        assert page.common_prefixes == ["b/"]

    async def test_list_after_a_restart(self, world: World) -> None:
        bucket = await world.new_bucket()
        await put(world.store, bucket, "k", SMALL)
        await world.restart()
        page = await world.store.list_objects(bucket, ListQuery())
        assert [entry.key for entry in page.entries] == ["k"]


def _scaled(byte_range: ByteRange, scale: int) -> ByteRange:
    match byte_range:
        case BoundedRange(first, last):
            return BoundedRange(first * scale, (last + 1) * scale - 1)
        case OffsetRange(first):
            return OffsetRange(first * scale)
        case SuffixRange(length):
            return SuffixRange(length * scale)
        case PartRange():
            return byte_range
