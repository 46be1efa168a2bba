"""The conformance suite of ObjectStore's uploads: parts, listings, abort. Inherit it and give it a `world` fixture.

The worlds lower the minimum size of parts to MIN_PART_BYTES. tests.contract.completion_store has the completions.
"""

from __future__ import annotations

import asyncio

import pytest

from core.checksums import digest_sync
from core.errors import (
    DigestMismatch,
    IncompleteBody,
    InvalidArgument,
    InvalidPart,
    InvalidPartNumber,
    InvalidRange,
    NoSuchKey,
    NoSuchUpload,
    PreconditionFailed,
    StoreError,
)
from core.types import (
    BoundedRange,
    ByteRange,
    Checksum,
    ChecksumAlgorithm,
    ChecksumType,
    Conditions,
    ExpectedDigest,
    OffsetRange,
    PartRange,
)
from core.uploads import (
    CompletedPart,
    Upload,
    UploadedPart,
    UploadListQuery,
)
from tests.contract.uploading import PARTS, RICH, WHOLE, add, add_all, begin, finish
from tests.contract.world import (
    MIN_PART_BYTES,
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


class MultipartContract:
    """Uploads in parts."""

    async def test_upload_as_created(self, world: World) -> None:
        bucket = await world.new_bucket()
        upload = await world.store.create_upload(
            bucket,
            key("k"),
            attributes=RICH,
            initiator=USER,
            checksum_algorithm=ChecksumAlgorithm.CRC32,
        )
        assert upload.key == "k"
        assert upload.created_ns == START_NS
        assert upload.attributes == RICH
        assert upload.initiator == USER
        assert upload.checksum_type is ChecksumType.COMPOSITE
        assert await world.store.get_upload(bucket, key("k"), upload.upload_id) == upload
        await world.restart()
        assert await world.store.get_upload(bucket, key("k"), upload.upload_id) == upload
        assert await world.store.is_empty(bucket)

    @pytest.mark.parametrize(
        ("algorithm", "kind"),
        [
            (None, ChecksumType.COMPOSITE),
            (ChecksumAlgorithm.SHA1, ChecksumType.FULL_OBJECT),
            (ChecksumAlgorithm.SHA256, ChecksumType.FULL_OBJECT),
            (ChecksumAlgorithm.CRC64NVME, ChecksumType.COMPOSITE),
        ],
    )
    async def test_checksum_types_that_do_not_exist(
        self, world: World, algorithm: ChecksumAlgorithm | None, kind: ChecksumType
    ) -> None:
        bucket = await world.new_bucket()
        with pytest.raises(InvalidArgument):
            await world.store.create_upload(
                bucket,
                key("k"),
                attributes=PLAIN,
                initiator=USER,
                checksum_algorithm=algorithm,
                checksum_type=kind,
            )

    @pytest.mark.parametrize("parts", [PARTS, [b"only"], [pattern(100_000)], [b""]])
    async def test_upload_and_read(self, world: World, parts: list[bytes]) -> None:
        bucket = await world.new_bucket()
        upload = await world.store.create_upload(bucket, key("k"), attributes=RICH, initiator=USER)
        named = await add_all(world, bucket, upload, parts)
        with pytest.raises(NoSuchKey):
            await world.store.head(bucket, key("k"))
        world.clock.advance(3)
        info = await finish(world, bucket, upload, named)
        whole = b"".join(parts)
        digests = b"".join(bytes.fromhex(etag_of(part)) for part in parts)
        assert info.etag == f"{etag_of(digests)}-{len(parts)}"
        assert info.size_bytes == len(whole)
        assert info.attributes == RICH
        assert info.modified_ns == START_NS + 3 * 10**9
        assert [(part.part_number, part.size_bytes) for part in info.parts] == [
            (place * 2 + 1, len(part)) for place, part in enumerate(parts)
        ]
        assert await world.store.head(bucket, key("k")) == info
        assert await read(world.store, bucket, "k") == whole
        await world.restart()
        assert await world.store.head(bucket, key("k")) == info
        assert await read(world.store, bucket, "k") == whole
        with pytest.raises(NoSuchUpload):
            await world.store.get_upload(bucket, key("k"), upload.upload_id)
        await world.settle()
        assert not world.leftovers()

    async def test_ranges_across_parts(self, world: World) -> None:
        bucket = await world.new_bucket()
        upload = await begin(world, bucket)
        await finish(world, bucket, upload, await add_all(world, bucket, upload))
        for first, last in [(0, 0), (99_990, 100_050), (100_005, 100_007), (5, len(WHOLE) - 1)]:
            found = await read(world.store, bucket, "k", BoundedRange(first, last))
            assert found == WHOLE[first : last + 1]
        assert await read(world.store, bucket, "k", PartRange(5)) == PARTS[2]
        assert await read(world.store, bucket, "k", PartRange(7)) == PARTS[3]
        reader = await world.store.get(bucket, key("k"), byte_range=PartRange(3))
        assert (reader.first, reader.length) == (100_000, MIN_PART_BYTES)
        await reader.close()
        with pytest.raises(InvalidPartNumber):
            await world.store.get(bucket, key("k"), byte_range=PartRange(2))

    @pytest.mark.parametrize("parts", [PARTS, [b"only"], [b"x" * 20, b"y"], [PARTS[0], b"tail"]])
    async def test_reader_keeps_its_version(self, world: World, parts: list[bytes]) -> None:
        bucket = await world.new_bucket()
        upload = await begin(world, bucket)
        await finish(world, bucket, upload, await add_all(world, bucket, upload, parts))
        reader = await world.store.get(bucket, key("k"))
        await put(world.store, bucket, "k", b"new")
        await world.settle(0.1)
        assert b"".join([chunk async for chunk in reader]) == b"".join(parts)
        await reader.close()

    async def test_overwriting_removes_all_parts(self, world: World) -> None:
        bucket = await world.new_bucket()
        for _ in range(2):
            upload = await begin(world, bucket)
            await finish(world, bucket, upload, await add_all(world, bucket, upload))
        await world.settle()
        assert not world.leftovers()
        await world.store.delete(bucket, key("k"))
        await world.settle()
        assert not world.leftovers()
        assert await world.store.is_empty(bucket)

    async def test_copy_of_an_object_in_parts(self, world: World) -> None:
        bucket = await world.new_bucket()
        upload = await begin(world, bucket)
        await finish(world, bucket, upload, await add_all(world, bucket, upload))
        for target in ("copy", "k"):
            info = await world.store.copy(bucket, key("k"), bucket, key(target), attributes=RICH)
            assert info.size_bytes == len(WHOLE)
            assert await world.store.head(bucket, key(target)) == info
            assert await read(world.store, bucket, target) == WHOLE
        await world.settle()
        assert not world.leftovers()

    # --- parts ---

    async def test_part_uploaded_again_replaces(self, world: World) -> None:
        bucket = await world.new_bucket()
        upload = await begin(world, bucket)
        old = await add(world, bucket, upload, 1, pattern(80_000, 1))
        new = await add(world, bucket, upload, 1, pattern(80_000, 2))
        page = await world.store.list_parts(bucket, key("k"), upload.upload_id)
        assert page.parts == [new]
        await world.settle()
        assert not world.leftovers()
        with pytest.raises(InvalidPart):
            await finish(world, bucket, upload, [CompletedPart(1, old.etag)])
        await finish(world, bucket, upload, [CompletedPart(1, new.etag)])
        assert await read(world.store, bucket, "k") == pattern(80_000, 2)

    async def test_part_as_uploaded(self, world: World) -> None:
        bucket = await world.new_bucket()
        upload = await begin(world, bucket)
        world.clock.advance(1)
        for number, data in ((10_000, b"small"), (1, pattern(90_000))):
            body = Body(data, wanted=ChecksumAlgorithm.SHA1)
            part = await world.store.upload_part(bucket, key("k"), upload.upload_id, number, body)
            assert part == UploadedPart(
                number,
                len(data),
                etag_of(data),
                START_NS + 10**9,
                Checksum(ChecksumAlgorithm.SHA1, digest_sync("sha1", data)),
            )

    async def test_bad_part_is_not_kept(self, world: World) -> None:
        bucket = await world.new_bucket()
        upload = await begin(world, bucket)
        for size_bytes in (10, 90_000):
            short = Body(pattern(size_bytes), declared=size_bytes + 1)
            with pytest.raises(IncompleteBody):
                await world.store.upload_part(bucket, key("k"), upload.upload_id, 1, short)
            claim = ExpectedDigest("md5", bytes(16), "content-md5")
            wrong = Body(pattern(size_bytes), claims=[claim])
            with pytest.raises(DigestMismatch):
                await world.store.upload_part(bucket, key("k"), upload.upload_id, 1, wrong)
        page = await world.store.list_parts(bucket, key("k"), upload.upload_id)
        assert not page.parts
        await world.settle()
        assert not world.leftovers()

    async def test_list_parts(self, world: World) -> None:
        bucket = await world.new_bucket()
        upload = await begin(world, bucket)
        parts = [await add(world, bucket, upload, number, b"x") for number in (9, 2, 500, 3)]
        in_order = sorted(parts, key=lambda part: part.part_number)
        page = await world.store.list_parts(bucket, key("k"), upload.upload_id)
        assert page.upload == upload
        assert page.parts == in_order
        assert not page.is_truncated
        page = await world.store.list_parts(bucket, key("k"), upload.upload_id, limit=3)
        assert page.parts == in_order[:3]
        assert page.is_truncated
        assert page.next_part_number_marker == 9
        page = await world.store.list_parts(bucket, key("k"), upload.upload_id, after=9, limit=1)
        assert page.parts == in_order[3:]
        assert not page.is_truncated
        page = await world.store.list_parts(bucket, key("k"), upload.upload_id, limit=0)
        assert not page.parts
        assert not page.is_truncated

    @pytest.mark.parametrize(
        ("byte_range", "first", "end"),
        [
            (None, 0, len(WHOLE)),
            (BoundedRange(99_000, 100_100), 99_000, 100_101),
            (BoundedRange(0, len(WHOLE) - 1), 0, len(WHOLE)),
            (OffsetRange(len(WHOLE) - 3), len(WHOLE) - 3, len(WHOLE)),
        ],
    )
    async def test_part_copy(
        self, world: World, byte_range: ByteRange | None, first: int, end: int
    ) -> None:
        bucket, other = await world.new_bucket(), await world.new_bucket()
        source = await begin(world, bucket)
        await finish(world, bucket, source, await add_all(world, bucket, source))
        upload = await world.store.create_upload(
            other,
            key("copy"),
            attributes=PLAIN,
            initiator=USER,
            checksum_algorithm=ChecksumAlgorithm.CRC32,
        )
        part = await world.store.upload_part_copy(
            bucket,
            key("k"),
            other,
            key("copy"),
            upload.upload_id,
            4,
            source_range=byte_range,
            source_conditions=Conditions(if_unmodified_since_ns=START_NS),
        )
        assert part.etag == etag_of(WHOLE[first:end])
        assert part.checksum is not None
        assert part.checksum.digest == digest_sync("crc32", WHOLE[first:end])
        await finish(world, other, upload, [CompletedPart(4, part.etag)])
        assert await read(world.store, other, "copy") == WHOLE[first:end]

    async def test_part_copy_refused(self, world: World) -> None:
        bucket = await world.new_bucket()
        etag = await put(world.store, bucket, "source", b"0123456789")
        upload = await begin(world, bucket)

        async def copy(
            name: str, byte_range: ByteRange | None, conditions: Conditions
        ) -> UploadedPart:
            return await world.store.upload_part_copy(
                bucket,
                key(name),
                bucket,
                key("k"),
                upload.upload_id,
                1,
                source_range=byte_range,
                source_conditions=conditions,
            )

        cases: list[tuple[type[StoreError], str, ByteRange | None, Conditions]] = [
            (NoSuchKey, "absent", None, Conditions()),
            (InvalidRange, "source", BoundedRange(0, 10), Conditions()),
            (InvalidRange, "source", BoundedRange(10, 10), Conditions()),
            (PreconditionFailed, "source", None, Conditions(if_match=("other",))),
            (PreconditionFailed, "source", None, Conditions(if_none_match=(etag,))),
        ]
        for error, name, byte_range, conditions in cases:
            with pytest.raises(error):
                await copy(name, byte_range, conditions)
        assert (await copy("source", BoundedRange(9, 9), Conditions())).size_bytes == 1

    async def test_abort(self, world: World) -> None:
        bucket = await world.new_bucket()
        upload = await begin(world, bucket)
        named = await add_all(world, bucket, upload)
        await world.store.abort_upload(bucket, key("k"), upload.upload_id)
        with pytest.raises(NoSuchUpload):
            await world.store.abort_upload(bucket, key("k"), upload.upload_id)
        with pytest.raises(NoSuchUpload):
            await finish(world, bucket, upload, named)
        page = await world.store.list_uploads(bucket, UploadListQuery())
        assert not page.uploads
        await world.settle()
        assert not world.leftovers()

    @pytest.mark.parametrize("size_bytes", [1000, 400_000])
    async def test_abort_while_parts_come_in(self, world: World, size_bytes: int) -> None:
        bucket = await world.new_bucket()
        upload = await begin(world, bucket)
        body = Body(pattern(size_bytes), chunk_bytes=100)
        coming = [
            asyncio.create_task(
                world.store.upload_part(bucket, key("k"), upload.upload_id, number, body)
            )
            for number in (1, 2)
        ]
        await asyncio.sleep(0)
        await world.store.abort_upload(bucket, key("k"), upload.upload_id)
        outcomes = await asyncio.gather(*coming, return_exceptions=True)
        assert all(isinstance(outcome, (NoSuchUpload, UploadedPart)) for outcome in outcomes)
        await world.settle()
        assert not world.leftovers()

    # --- listing uploads ---

    async def test_list_uploads(self, world: World) -> None:
        bucket = await world.new_bucket()
        made: list[Upload] = []
        for name in ("b", "a/2", "a/1", "b", "c", "b"):
            world.clock.advance(1)
            made.append(await begin(world, bucket, name))
        page = await world.store.list_uploads(bucket, UploadListQuery())
        in_order = sorted(made, key=lambda upload: (upload.key, upload.created_ns))
        assert page.uploads == in_order
        assert not page.is_truncated
        page = await world.store.list_uploads(bucket, UploadListQuery(delimiter="/", limit=2))
        assert page.common_prefixes == ["a/"]
        assert page.uploads == [in_order[2]]
        assert page.is_truncated
        assert page.next_key_marker == "b"
        assert page.next_upload_id_marker == in_order[2].upload_id
        page = await world.store.list_uploads(
            bucket,
            UploadListQuery(
                delimiter="/",
                key_marker=page.next_key_marker,
                upload_id_marker=page.next_upload_id_marker,
            ),
        )
        assert page.uploads == in_order[3:]
        page = await world.store.list_uploads(bucket, UploadListQuery(key_marker="b"))
        assert [upload.key for upload in page.uploads] == ["c"]
        page = await world.store.list_uploads(bucket, UploadListQuery(prefix="a/", limit=1))
        assert [upload.key for upload in page.uploads] == ["a/1"]
