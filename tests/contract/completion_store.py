"""The conformance suite of completions: what they refuse, checksums of the whole, and sent again or at once."""

from __future__ import annotations

import asyncio

import pytest

from core.checksums import digest_sync
from core.errors import (
    DigestMismatch,
    InvalidArgument,
    InvalidPart,
    InvalidPartOrder,
    NoSuchKey,
    NoSuchUpload,
    PartTooSmall,
    PreconditionFailed,
    StoreError,
)
from core.names import UploadId
from core.types import (
    Checksum,
    ChecksumAlgorithm,
    ChecksumType,
    Conditions,
    ObjectInfo,
)
from core.uploads import CompletedPart
from tests.contract.uploading import PARTS, WHOLE, add, add_all, begin, finish
from tests.contract.world import (
    MIN_PART_BYTES,
    PLAIN,
    USER,
    Body,
    World,
    etag_of,
    key,
    put,
    read,
)


class CompletionContract:
    """Parts becoming an object."""

    # --- completions refused ---

    async def test_completions_refused(self, world: World) -> None:
        bucket = await world.new_bucket()
        upload = await begin(world, bucket)
        one, three, five, seven = await add_all(world, bucket, upload)
        cases: list[tuple[type[StoreError], list[CompletedPart]]] = [
            (InvalidPartOrder, [three, one]),
            (InvalidPartOrder, [one, one]),
            (InvalidPart, [one, CompletedPart(2, one.etag)]),
            (InvalidPart, [one, CompletedPart(3, one.etag)]),
            (InvalidPart, [CompletedPart(1, one.etag, {ChecksumAlgorithm.CRC32: b"1234"})]),
            (PartTooSmall, [one, seven, CompletedPart(9, five.etag)]),
        ]
        await add(world, bucket, upload, 9, PARTS[2])
        for error, parts in cases:
            with pytest.raises(error):
                await finish(world, bucket, upload, parts)
        with pytest.raises(InvalidArgument):
            await world.store.complete_upload(
                bucket, key("k"), upload.upload_id, [one], expected_size_bytes=5
            )
        # None of these ended the upload.
        info = await finish(world, bucket, upload, [one, five])
        assert info.size_bytes == len(PARTS[0]) + len(PARTS[2])
        assert await read(world.store, bucket, "k") == PARTS[0] + PARTS[2]
        await world.settle()
        assert not world.leftovers()

    async def test_small_part_says_what_is_wrong(self, world: World) -> None:
        bucket = await world.new_bucket()
        upload = await begin(world, bucket)
        named = await add_all(world, bucket, upload, [b"tiny", b"tail"])
        with pytest.raises(PartTooSmall) as caught:
            await finish(world, bucket, upload, named)
        assert caught.value.part_number == 1
        assert caught.value.size_bytes == 4
        assert caught.value.min_bytes == MIN_PART_BYTES
        assert caught.value.etag == etag_of(b"tiny")

    async def test_unknown_uploads(self, world: World) -> None:
        bucket = await world.new_bucket()
        upload = await begin(world, bucket)
        part = CompletedPart(1, (await add(world, bucket, upload, 1, b"x")).etag)
        for name, upload_id in (("k", "nonesuch"), ("other", upload.upload_id), ("k", "é")):
            unknown = UploadId(upload_id)
            with pytest.raises(NoSuchUpload):
                await world.store.get_upload(bucket, key(name), unknown)
            with pytest.raises(NoSuchUpload):
                await world.store.upload_part(bucket, key(name), unknown, 1, Body(b"x"))
            with pytest.raises(NoSuchUpload):
                await world.store.list_parts(bucket, key(name), unknown)
            with pytest.raises(NoSuchUpload):
                await world.store.complete_upload(bucket, key(name), unknown, [part])
            with pytest.raises(NoSuchUpload):
                await world.store.abort_upload(bucket, key(name), unknown)

    async def test_completion_conditions(self, world: World) -> None:
        bucket = await world.new_bucket()
        upload = await begin(world, bucket)
        named = await add_all(world, bucket, upload)

        async def complete(conditions: Conditions) -> ObjectInfo:
            return await world.store.complete_upload(
                bucket, key("k"), upload.upload_id, named, conditions=conditions
            )

        with pytest.raises(NoSuchKey):
            await complete(Conditions(if_match=("*",)))
        etag = await put(world.store, bucket, "k", b"here first")
        with pytest.raises(PreconditionFailed):
            await complete(Conditions(if_none_match=("*",)))
        with pytest.raises(PreconditionFailed):
            await complete(Conditions(if_match=("other",)))
        assert await read(world.store, bucket, "k") == b"here first"
        await complete(Conditions(if_match=(etag,)))
        assert await read(world.store, bucket, "k") == WHOLE

    # --- checksums of the whole ---

    @pytest.mark.parametrize(
        ("algorithm", "kind"),
        [
            (ChecksumAlgorithm.CRC32, ChecksumType.FULL_OBJECT),
            (ChecksumAlgorithm.CRC32C, ChecksumType.FULL_OBJECT),
            (ChecksumAlgorithm.CRC64NVME, ChecksumType.FULL_OBJECT),
            (ChecksumAlgorithm.CRC32, ChecksumType.COMPOSITE),
            (ChecksumAlgorithm.CRC32C, ChecksumType.COMPOSITE),
            (ChecksumAlgorithm.SHA1, ChecksumType.COMPOSITE),
            (ChecksumAlgorithm.SHA256, ChecksumType.COMPOSITE),
        ],
    )
    async def test_checksum_of_the_whole(
        self, world: World, algorithm: ChecksumAlgorithm, kind: ChecksumType
    ) -> None:
        bucket, store = await world.new_bucket(), world.store
        upload = await store.create_upload(
            bucket,
            key("k"),
            attributes=PLAIN,
            initiator=USER,
            checksum_algorithm=algorithm,
            checksum_type=kind,
        )
        name = algorithm.value.lower()
        digests = [digest_sync(name, part) for part in PARTS]
        named = [
            CompletedPart(part.part_number, part.etag, {algorithm: digest})
            for part, digest in zip(await add_all(world, bucket, upload), digests, strict=True)
        ]
        if kind is ChecksumType.FULL_OBJECT:
            expected = Checksum(algorithm, digest_sync(name, WHOLE))
        else:
            digest = digest_sync(name, b"".join(digests))
            expected = Checksum(algorithm, digest, ChecksumType.COMPOSITE, len(PARTS))
        wrong = Checksum(algorithm, bytes(len(expected.digest)), kind)
        with pytest.raises(DigestMismatch) as caught:
            await store.complete_upload(
                bucket, key("k"), upload.upload_id, named, expected_checksum=wrong
            )
        assert caught.value.actual == expected.digest
        info = await store.complete_upload(
            bucket,
            key("k"),
            upload.upload_id,
            named,
            expected_checksum=expected,
            expected_size_bytes=len(WHOLE),
        )
        assert info.checksum == expected
        await world.restart()
        info = await world.store.head(bucket, key("k"))
        assert info.checksum == expected
        assert [part.checksum and part.checksum.digest for part in info.parts] == digests

    # --- again, at once, and abort ---

    async def test_completion_sent_again(self, world: World) -> None:
        bucket = await world.new_bucket()
        upload = await begin(world, bucket)
        named = await add_all(world, bucket, upload)
        info = await world.store.complete_upload(
            bucket,
            key("k"),
            upload.upload_id,
            named,
            conditions=Conditions(if_none_match=("*",)),
        )
        world.clock.advance(1)
        await world.restart()
        again = await world.store.complete_upload(
            bucket,
            key("k"),
            upload.upload_id,
            named,
            conditions=Conditions(if_none_match=("*",)),
        )
        assert again == info
        with pytest.raises(NoSuchUpload):
            await finish(world, bucket, upload, named[:2])
        with pytest.raises(NoSuchUpload):
            await world.store.abort_upload(bucket, key("k"), upload.upload_id)
        assert await read(world.store, bucket, "k") == WHOLE
        await put(world.store, bucket, "k", b"newer")
        with pytest.raises(NoSuchUpload):
            await finish(world, bucket, upload, named)
        assert await read(world.store, bucket, "k") == b"newer"

    async def test_completions_at_once(self, world: World) -> None:
        bucket = await world.new_bucket()
        upload = await begin(world, bucket)
        named = await add_all(world, bucket, upload)
        outcomes = await asyncio.gather(*(finish(world, bucket, upload, named) for _ in range(5)))
        assert all(outcome == outcomes[0] for outcome in outcomes)
        assert await read(world.store, bucket, "k") == WHOLE
        await world.settle()
        assert not world.leftovers()

    async def test_completions_of_other_parts_at_once(self, world: World) -> None:
        bucket = await world.new_bucket()
        upload = await begin(world, bucket)
        named = await add_all(world, bucket, upload)
        outcomes = await asyncio.gather(
            finish(world, bucket, upload, named[:1]),
            finish(world, bucket, upload, named[2:]),
            return_exceptions=True,
        )
        made = [outcome for outcome in outcomes if isinstance(outcome, ObjectInfo)]
        refused = [outcome for outcome in outcomes if isinstance(outcome, NoSuchUpload)]
        assert len(made) == len(refused) == 1
        data = await read(world.store, bucket, "k")
        assert data == (PARTS[0] if made[0].size_bytes == len(PARTS[0]) else PARTS[2] + PARTS[3])
        await world.settle()
        assert not world.leftovers()
