"""What encryption means for an ObjectStore: the bytes come back, in any range, to who has the key; nobody else."""

from __future__ import annotations

import pytest

from core.encryption import SSE_S3, CustomerKey, EncryptionMode, EncryptionRequest
from core.errors import (
    CustomerKeyMismatch,
    CustomerKeyNotApplicable,
    CustomerKeyRequired,
    NoSuchEncryptionKey,
    StoreError,
)
from core.names import UploadId
from core.types import (
    BoundedRange,
    Bucket,
    ByteRange,
    ChecksumAlgorithm,
    ObjectInfo,
    PartRange,
    SuffixRange,
)
from core.uploads import CompletedPart, UploadedPart
from tests.contract.world import PLAIN, USER, Body, World, etag_of, key, pattern, read_all

MINE = CustomerKey(b"m" * 32)
OTHER = CustomerKey(b"o" * 32)

KMS_1 = EncryptionRequest(EncryptionMode.KMS, "key-1", "e30=", uses_bucket_key=True)
KMS_2 = EncryptionRequest(EncryptionMode.KMS, "key-2")
SSE_C = EncryptionRequest(EncryptionMode.CUSTOMER, customer_key=MINE)
SSE_C_OTHER = EncryptionRequest(EncryptionMode.CUSTOMER, customer_key=OTHER)
MODES = {"s3": SSE_S3, "kms": KMS_1, "c": SSE_C}

CHUNK = 64 * 1024
SIZES = [0, 1, 5000, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 500_000]
RANGES: list[ByteRange] = [
    BoundedRange(0, 0),
    BoundedRange(CHUNK - 1, CHUNK),
    BoundedRange(CHUNK, 2 * CHUNK - 1),
    BoundedRange(100_000, 399_999),
    SuffixRange(1),
    SuffixRange(CHUNK + 1),
]

each_mode = pytest.mark.parametrize("request_", MODES.values(), ids=MODES.keys())


def key_of(request: EncryptionRequest | None) -> CustomerKey | None:
    return None if request is None else request.customer_key


async def put(
    world: World, bucket: Bucket, name: str, data: bytes, request: EncryptionRequest | None
) -> ObjectInfo:
    return await world.store.put(
        bucket, key(name), Body(data), attributes=PLAIN, encryption=request
    )


async def get(
    world: World,
    bucket: Bucket,
    name: str,
    request: EncryptionRequest | None,
    byte_range: ByteRange | None = None,
) -> bytes:
    reader = await world.store.get(
        bucket, key(name), byte_range=byte_range, customer_key=key_of(request)
    )
    return await read_all(reader)


async def begin(world: World, bucket: Bucket, request: EncryptionRequest | None) -> UploadId:
    upload = await world.store.create_upload(
        bucket, key("multi"), attributes=PLAIN, initiator=USER, encryption=request
    )
    assert (upload.encryption is None) == (request is None)
    return upload.upload_id


async def add_part(
    world: World,
    bucket: Bucket,
    upload_id: UploadId,
    part: tuple[int, bytes],
    customer_key: CustomerKey | None,
) -> UploadedPart:
    return await world.store.upload_part(
        bucket, key("multi"), upload_id, part[0], Body(part[1]), customer_key=customer_key
    )


async def complete(
    world: World, bucket: Bucket, upload_id: UploadId, parts: list[UploadedPart]
) -> ObjectInfo:
    named = [CompletedPart(part.part_number, part.etag) for part in parts]
    return await world.store.complete_upload(bucket, key("multi"), upload_id, named)


class EncryptionContract:
    """Inherit it where there is a `world` fixture."""

    @each_mode
    def test_bytes_come_back_and_only_sealed_ones_are_stored(
        self, world: World, request_: EncryptionRequest
    ) -> None:
        async def scenario() -> None:
            bucket = await world.new_bucket()
            for size_bytes in SIZES:
                data = pattern(size_bytes, size_bytes)
                info = await put(world, bucket, f"o{size_bytes}", data, request_)
                assert info.size_bytes == size_bytes
                kept = info.encryption
                assert kept is not None
                assert (kept.mode, kept.context) == (request_.mode, request_.context)
                assert kept.uses_bucket_key == request_.uses_bucket_key
                assert (await world.store.head(bucket, key(f"o{size_bytes}"))).encryption == kept
                assert await get(world, bucket, f"o{size_bytes}", request_) == data
                assert size_bytes < 1000 or not world.holds_on_disk(data[100:200])
            await world.settle()
            await world.restart()
            for size_bytes in SIZES:
                data = pattern(size_bytes, size_bytes)
                assert await get(world, bucket, f"o{size_bytes}", request_) == data
            await world.settle()
            assert not world.leftovers()

        world.run(scenario())

    @each_mode
    def test_ranges(self, world: World, request_: EncryptionRequest) -> None:
        async def scenario() -> None:
            bucket = await world.new_bucket()
            data = pattern(500_000)
            await put(world, bucket, "o", data, request_)
            for wanted in RANGES:
                match wanted:
                    case BoundedRange(first, last):
                        expected = data[first : last + 1]
                    case SuffixRange(length):
                        expected = data[-length:]
                    case _:
                        raise AssertionError(wanted)
                assert await get(world, bucket, "o", request_, wanted) == expected

        world.run(scenario())

    def test_digests_are_of_the_plaintext(self, world: World) -> None:
        async def scenario() -> None:
            bucket = await world.new_bucket()
            for size_bytes in (5000, 200_000):
                data = pattern(size_bytes)
                body = Body(data, wanted=ChecksumAlgorithm.CRC32)
                sealed = await world.store.put(
                    bucket, key("sealed"), body, attributes=PLAIN, encryption=SSE_S3
                )
                body = Body(data, wanted=ChecksumAlgorithm.CRC32)
                plain = await world.store.put(bucket, key("plain"), body, attributes=PLAIN)
                assert (sealed.etag, sealed.checksum) == (plain.etag, plain.checksum)
                for request in (KMS_1, SSE_C):
                    hidden = await put(world, bucket, "hidden", data, request)
                    assert hidden.etag != plain.etag
                    assert len(hidden.etag) == 32

        world.run(scenario())

    def test_customer_keys_wrong_missing_and_unneeded(self, world: World) -> None:
        async def scenario() -> None:
            bucket = await world.new_bucket()
            for size_bytes in (10, 200_000):
                await put(world, bucket, "theirs", pattern(size_bytes), SSE_C)
                await put(world, bucket, "ours", pattern(size_bytes), SSE_S3)
                await put(world, bucket, "plain", pattern(size_bytes), None)
                with pytest.raises(CustomerKeyRequired):
                    await get(world, bucket, "theirs", None)
                with pytest.raises(CustomerKeyMismatch):
                    await get(world, bucket, "theirs", SSE_C_OTHER)
                for name in ("ours", "plain"):
                    assert await get(world, bucket, name, None) == pattern(size_bytes)
                    with pytest.raises(CustomerKeyNotApplicable):
                        await get(world, bucket, name, SSE_C)

        world.run(scenario())

    def test_a_key_that_there_is_not(self, world: World) -> None:
        async def scenario() -> None:
            bucket = await world.new_bucket()
            for name in ("absent", "weir/s3"):
                absent = EncryptionRequest(EncryptionMode.KMS, name)
                with pytest.raises(NoSuchEncryptionKey):
                    await put(world, bucket, "o", b"data", absent)
                with pytest.raises(NoSuchEncryptionKey):
                    await begin(world, bucket, absent)
            assert await world.store.is_empty(bucket)

        world.run(scenario())

    @each_mode
    def test_multipart(self, world: World, request_: EncryptionRequest) -> None:
        async def scenario() -> None:
            bucket = await world.new_bucket()
            upload_id = await begin(world, bucket, request_)
            datas = {3: pattern(200_000, 3), 5: pattern(40, 5), 9: pattern(100_001, 9), 10: b"end!"}
            parts = []
            for number, data in datas.items():
                await add_part(
                    world, bucket, upload_id, (number, b"first try" * 20), key_of(request_)
                )
                part = await add_part(world, bucket, upload_id, (number, data), key_of(request_))
                assert part.encryption is not None
                assert (part.etag == etag_of(data)) == (request_ is SSE_S3)
                parts.append(part)
            await world.settle()
            await world.restart()
            info = await complete(world, bucket, upload_id, parts)
            assert info.encryption is not None
            assert info.etag.endswith("-4")
            whole = b"".join(datas.values())
            assert await get(world, bucket, "multi", request_) == whole
            for number, data in datas.items():
                assert await get(world, bucket, "multi", request_, PartRange(number)) == data
            for first, last in ((0, 0), (199_990, 200_050), (200_039, 200_040), (150_000, 300_044)):
                wanted = BoundedRange(first, last)
                assert (
                    await get(world, bucket, "multi", request_, wanted) == whole[first : last + 1]
                )
            assert not world.holds_on_disk(datas[9][100:200])
            await world.settle()
            assert not world.leftovers()

        world.run(scenario())

    def test_parts_of_small_sizes_only(self, world: World) -> None:
        async def scenario() -> None:
            bucket = await world.new_bucket()
            upload_id = await begin(world, bucket, SSE_S3)
            parts = [
                await add_part(world, bucket, upload_id, (number, pattern(20 + number)), None)
                for number in (1, 2, 3)
            ]
            await complete(world, bucket, upload_id, parts)
            whole = pattern(21) + pattern(22) + pattern(23)
            assert await get(world, bucket, "multi", None) == whole
            assert await get(world, bucket, "multi", None, BoundedRange(20, 43)) == whole[20:44]

        world.run(scenario())

    def test_parts_need_the_key_of_their_upload(self, world: World) -> None:
        async def scenario() -> None:
            bucket = await world.new_bucket()
            upload_id = await begin(world, bucket, SSE_C)
            for wrong, error in ((None, CustomerKeyRequired), (OTHER, CustomerKeyMismatch)):
                with pytest.raises(error):
                    await add_part(world, bucket, upload_id, (1, b"x"), wrong)
            for request in (None, SSE_S3):
                other = await begin(world, bucket, request)
                with pytest.raises(CustomerKeyNotApplicable):
                    await add_part(world, bucket, other, (1, b"x"), MINE)

        world.run(scenario())

    @pytest.mark.parametrize("source", [None, *MODES.values()], ids=["plain", *MODES.keys()])
    @pytest.mark.parametrize(
        "target", [None, KMS_2, SSE_S3, SSE_C_OTHER], ids=lambda each: str(each and each.mode)
    )
    def test_copies_between_modes(
        self, world: World, source: EncryptionRequest | None, target: EncryptionRequest | None
    ) -> None:
        async def scenario() -> None:
            bucket = await world.new_bucket()
            for size_bytes in (0, 5000, 200_000):
                data = pattern(size_bytes)
                await put(world, bucket, "from", data, source)
                info = await world.store.copy(
                    bucket,
                    key("from"),
                    bucket,
                    key("to"),
                    encryption=target,
                    source_customer_key=key_of(source),
                )
                assert (info.encryption and info.encryption.mode) == (target and target.mode)
                assert await get(world, bucket, "to", target) == data
                assert await get(world, bucket, "from", source) == data
                if target is None:
                    assert info.etag == etag_of(data)
                upload_id = await begin(world, bucket, target)
                part = await world.store.upload_part_copy(
                    bucket,
                    key("from"),
                    bucket,
                    key("multi"),
                    upload_id,
                    1,
                    customer_key=key_of(target),
                    source_customer_key=key_of(source),
                )
                await complete(world, bucket, upload_id, [part])
                assert await get(world, bucket, "multi", target) == data
            await world.settle()
            assert not world.leftovers()

        world.run(scenario())

    def test_a_copy_needs_the_key_of_its_source(self, world: World) -> None:
        async def copy(bucket: Bucket, customer_key: CustomerKey | None) -> None:
            await world.store.copy(
                bucket, key("o"), bucket, key("to"), source_customer_key=customer_key
            )

        async def scenario() -> None:
            bucket = await world.new_bucket()
            await put(world, bucket, "o", b"data", SSE_C)
            with pytest.raises(CustomerKeyRequired):
                await copy(bucket, None)
            with pytest.raises(CustomerKeyMismatch):
                await copy(bucket, OTHER)
            await put(world, bucket, "o", b"data", None)
            with pytest.raises(CustomerKeyNotApplicable):
                await copy(bucket, MINE)

        world.run(scenario())

    @pytest.mark.parametrize("size_bytes", [5000, 200_000])
    @pytest.mark.parametrize("old", [None, *MODES.values()], ids=["plain", *MODES.keys()])
    @pytest.mark.parametrize("new", [None, KMS_2, SSE_C_OTHER], ids=["keep", "kms", "c"])
    def test_copies_onto_itself(
        self,
        world: World,
        size_bytes: int,
        old: EncryptionRequest | None,
        new: EncryptionRequest | None,
    ) -> None:
        async def scenario() -> None:
            bucket = await world.new_bucket()
            data = pattern(size_bytes)
            before = await put(world, bucket, "o", data, old)
            info = await world.store.copy(
                bucket,
                key("o"),
                bucket,
                key("o"),
                attributes=PLAIN,
                encryption=new,
                source_customer_key=key_of(old),
            )
            effective = old if new is None else new
            assert (info.encryption and info.encryption.mode) == (effective and effective.mode)
            if new is None:
                assert info.etag == before.etag
            assert await get(world, bucket, "o", effective) == data
            await world.settle()
            await world.restart()
            assert await get(world, bucket, "o", effective) == data
            await world.settle()
            assert not world.leftovers()

        world.run(scenario())

    @each_mode
    def test_an_object_of_parts_copied_onto_itself(
        self, world: World, request_: EncryptionRequest
    ) -> None:
        async def scenario() -> None:
            bucket = await world.new_bucket()
            upload_id = await begin(world, bucket, request_)
            parts = [
                await add_part(
                    world, bucket, upload_id, (number, pattern(70_000, number)), key_of(request_)
                )
                for number in (2, 7)
            ]
            await complete(world, bucket, upload_id, parts)
            info = await world.store.copy(
                bucket,
                key("multi"),
                bucket,
                key("multi"),
                attributes=PLAIN,
                source_customer_key=key_of(request_),
            )
            assert not info.parts
            assert info.encryption is not None
            whole = pattern(70_000, 2) + pattern(70_000, 7)
            assert await get(world, bucket, "multi", request_) == whole

        world.run(scenario())

    def test_a_body_that_breaks_off_leaves_nothing(self, world: World) -> None:
        async def scenario() -> None:
            bucket = await world.new_bucket()
            for size_bytes in (100, 3_000_000):
                body = Body(pattern(size_bytes), error=StoreError())
                with pytest.raises(StoreError):
                    await world.store.put(
                        bucket, key("o"), body, attributes=PLAIN, encryption=SSE_S3
                    )
            assert await world.store.is_empty(bucket)
            await world.settle()
            assert not world.leftovers()

        world.run(scenario())
