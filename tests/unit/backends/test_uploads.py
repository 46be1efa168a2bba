"""Multipart uploads through to a backend in memory: parts on both sides, completion, repeated or failed."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.configs.backend import BackendBinding
from core.errors import (
    BackendDenied,
    BackendDown,
    InvalidBucketState,
    InvalidPart,
    NoSuchUpload,
    OutOfSpace,
    PartTooSmall,
    PreconditionFailed,
)
from core.names import BucketName, BucketRef, UploadId
from core.types import ChecksumAlgorithm, ChecksumType, Conditions, ObjectInfo
from core.uploads import CompletedPart, UploadedPart, UploadListQuery
from tests.unit.backends.through import HERE, OTHER, THERE, Place, run_in
from tests.unit.storage.box import PLAIN, USER, Body, key, pattern

PARTS = [pattern(200_000, 1), pattern(150, 2), pattern(100_000, 3)]
WHOLE = b"".join(PARTS)
DOWN = BackendDown(provider="aws", bucket="there", reason="gone", retry_after_s=1)


async def begin(place: Place, name: str = "k", **options: Any) -> UploadId:
    upload = await place.cached.create_upload(
        THERE, key(name), attributes=PLAIN, initiator=USER, **options
    )
    return upload.upload_id


async def add(place: Place, upload_id: UploadId, number: int, data: bytes) -> UploadedPart:
    return await place.cached.upload_part(THERE, key("k"), upload_id, number, Body(data))


async def fill(place: Place, upload_id: UploadId) -> list[CompletedPart]:
    """All parts, the last first, and one of them twice."""
    await add(place, upload_id, 2, b"replaced")
    made = [await add(place, upload_id, number, PARTS[number - 1]) for number in (3, 2, 1)]
    return [CompletedPart(part.part_number, part.etag) for part in reversed(made)]


async def complete(
    place: Place, upload_id: UploadId, parts: list[CompletedPart], **options: Any
) -> ObjectInfo:
    return await place.cached.complete_upload(THERE, key("k"), upload_id, parts, **options)


async def no_room(*_: object, **__: object) -> Any:
    raise OutOfSpace(mountpath="m", retry_after_s=1)


def test_parts_become_one_object_on_both_sides(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        await place.put(b"old")
        upload_id = await begin(place)
        parts = await fill(place, upload_id)
        page = await place.cached.list_parts(THERE, key("k"), upload_id, limit=2)
        assert [part.part_number for part in page.parts] == [1, 2]
        assert page.is_truncated
        assert page.next_part_number_marker == 2
        uploads = await place.cached.list_uploads(THERE, UploadListQuery())
        assert [each.upload_id for each in uploads.uploads] == [upload_id]
        info = await complete(place, upload_id, parts)
        assert place.backend.data("there", "k") == WHOLE
        assert await place.bytes_here() == WHOLE
        there = await place.backend.head("there", key("k"))
        copy = await place.copy_of()
        assert copy is not None
        for seen in (info, copy):
            assert (seen.etag, seen.modified_ns) == (there.etag, there.modified_ns)
            assert seen.remote == there.remote
            assert seen.attributes.user_metadata == {"color": "blue"}
            assert [part.size_bytes for part in seen.parts] == [len(part) for part in PARTS]
        again = await complete(place, upload_id, parts)
        assert again.etag == there.etag
        assert place.backend.faults.calls["complete_upload"] == 1
        place.backend.place("there", "k", b"another")
        with pytest.raises(NoSuchUpload):
            await complete(place, upload_id, parts)
        with pytest.raises(NoSuchUpload):
            await add(place, upload_id, 4, b"late")

    run_in(tmp_path, work)


def test_parts_come_side_by_side(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        upload_id = await begin(place)
        data = [pattern(3000, number) for number in range(20)]
        adds = [add(place, upload_id, number, each) for number, each in enumerate(data, 1)]
        made = await asyncio.gather(*adds)
        parts = [CompletedPart(part.part_number, part.etag) for part in made]
        await complete(place, upload_id, parts)
        assert place.backend.data("there", "k") == b"".join(data)
        assert await place.bytes_here() == b"".join(data)

    run_in(tmp_path, work)


def test_parts_of_one_number_at_once_leave_both_sides_the_same(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        upload_id = await begin(place)
        adds = [add(place, upload_id, 1, pattern(5000, number)) for number in range(8)]
        await asyncio.gather(*adds, return_exceptions=True)
        (kept,) = (await place.cached.list_parts(THERE, key("k"), upload_id)).parts
        await complete(place, upload_id, [CompletedPart(1, kept.etag)])
        data = place.backend.data("there", "k") or b""
        assert hashlib.md5(data).hexdigest() == kept.etag
        if await place.copy_of() is not None:
            assert await place.bytes_here() == data

    run_in(tmp_path, work)


def test_parts_without_room_here_go_to_the_backend_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(place: Place) -> None:
        await place.put(b"old")
        upload_id = await begin(place)
        parts = await fill(place, upload_id)
        monkeypatch.setattr(place.node, "upload_part", no_room)
        late = await add(place, upload_id, 4, b"late")
        await complete(place, upload_id, [*parts, CompletedPart(4, late.etag)])
        assert place.backend.data("there", "k") == WHOLE + b"late"
        assert await place.copy_of() is None
        uploads = await place.cached.list_uploads(THERE, UploadListQuery())
        assert not uploads.uploads

    run_in(tmp_path, work)


def test_a_backend_that_refuses_a_part_leaves_the_earlier_one(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        upload_id = await begin(place)
        parts = await fill(place, upload_id)
        place.backend.faults.fail("upload_part", DOWN)
        with pytest.raises(BackendDown):
            await add(place, upload_id, 1, b"new")
        await complete(place, upload_id, parts)
        assert place.backend.data("there", "k") == WHOLE
        # The later part is here, so what is here is not the object.
        assert await place.copy_of() is None

    run_in(tmp_path, work)


def test_a_refused_completion_leaves_the_old_object_and_the_upload(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        await place.put(b"old")
        upload_id = await begin(place)
        parts = await fill(place, upload_id)
        denied = BackendDenied(provider="aws", bucket="there", reason="no")
        place.backend.faults.fail("complete_upload", denied)
        with pytest.raises(BackendDenied):
            await complete(place, upload_id, parts)
        assert await place.bytes_here() == b"old"
        assert not await place.is_in_doubt()
        with pytest.raises(PreconditionFailed):
            await complete(place, upload_id, parts, conditions=Conditions(if_none_match=("*",)))
        with pytest.raises(InvalidPart):
            await complete(place, upload_id, [CompletedPart(1, "0" * 32)])
        await complete(place, upload_id, parts)
        assert await place.bytes_here() == WHOLE

    run_in(tmp_path, work)


def test_a_completion_whose_answer_was_lost_is_completed_by_sending_it_again(
    tmp_path: Path,
) -> None:
    async def work(place: Place) -> None:
        await place.put(b"old")
        upload_id = await begin(place)
        parts = await fill(place, upload_id)
        backend, honest = place.backend, place.backend.complete_upload

        async def deaf(*arguments: Any) -> ObjectInfo:
            await honest(*arguments)
            raise DOWN

        backend.complete_upload = deaf  # type: ignore[method-assign, assignment]
        with pytest.raises(BackendDown):
            await complete(place, upload_id, parts)
        assert await place.is_in_doubt()
        backend.complete_upload = honest  # type: ignore[method-assign]
        info = await complete(place, upload_id, parts)
        assert info.size_bytes == len(WHOLE)
        assert await place.bytes_here() == WHOLE
        assert not await place.is_in_doubt()

    run_in(tmp_path, work)


@pytest.mark.parametrize("has_multipart", [True, False])
def test_small_parts_go_to_the_backend_as_one_body(tmp_path: Path, has_multipart: bool) -> None:
    async def work(place: Place) -> None:
        place.backend.features = replace(
            place.backend.features, min_part_bytes=5 * 1024**2, has_multipart=has_multipart
        )
        upload_id = await begin(
            place,
            checksum_algorithm=ChecksumAlgorithm.CRC32C,
            checksum_type=ChecksumType.FULL_OBJECT,
        )
        parts = await fill(place, upload_id)
        if has_multipart:
            with pytest.raises(PartTooSmall):
                await complete(place, upload_id, parts)
        info = await complete(place, upload_id, parts, allows_small_parts=True)
        assert info.checksum is not None
        assert place.backend.data("there", "k") == WHOLE
        assert place.backend.uploads("there") == []
        assert await place.bytes_here() == WHOLE

    run_in(tmp_path, work)


def test_an_aborted_upload_is_gone_from_both_sides(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        upload_id = await begin(place)
        await fill(place, upload_id)
        place.backend.faults.fail("abort_upload", DOWN)
        with pytest.raises(BackendDown):
            await place.cached.abort_upload(THERE, key("k"), upload_id)
        await place.cached.abort_upload(THERE, key("k"), upload_id)
        assert place.backend.uploads("there") == []
        with pytest.raises(NoSuchUpload):
            await add(place, upload_id, 1, b"late")
        with pytest.raises(NoSuchUpload):
            await place.cached.abort_upload(THERE, key("k"), upload_id)
        assert place.backend.keys("there") == []

    run_in(tmp_path, work)


def test_an_upload_that_the_backend_refuses_begins_nowhere(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        place.backend.faults.fail("create_upload", DOWN)
        with pytest.raises(BackendDown):
            await begin(place)
        uploads = await place.cached.list_uploads(THERE, UploadListQuery())
        assert not uploads.uploads

    run_in(tmp_path, work)


def test_an_upload_does_not_follow_its_bucket_to_another_backend(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        upload_id = await begin(place)
        ref = BucketRef(BucketName("other"), "aws")
        elsewhere = replace(THERE, props=replace(THERE.props, backend=BackendBinding(ref)))
        with pytest.raises(InvalidBucketState):
            await place.cached.upload_part(elsewhere, key("k"), upload_id, 1, Body(b"x"))
        await place.cached.abort_upload(elsewhere, key("k"), upload_id)
        assert place.backend.uploads("there") == []

    run_in(tmp_path, work)


def test_parts_are_copied_from_wherever_their_source_lives(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        place.backend.place("other", "far", PARTS[0])
        await place.box.put("near", PARTS[2], bucket=HERE)
        copy = place.cached.upload_part_copy
        upload_id = await begin(place)
        made = [
            await copy(OTHER, key("far"), THERE, key("k"), upload_id, 1),
            await copy(HERE, key("near"), THERE, key("k"), upload_id, 2),
        ]
        parts = [CompletedPart(part.part_number, part.etag) for part in made]
        await complete(place, upload_id, parts)
        assert place.backend.data("there", "k") == PARTS[0] + PARTS[2]
        with pytest.raises(PreconditionFailed):
            await copy(
                OTHER,
                key("far"),
                THERE,
                key("k"),
                upload_id,
                3,
                source_conditions=Conditions(if_match=("e",)),
            )
        local = await place.node.create_upload(HERE, key("n"), attributes=PLAIN, initiator=USER)
        part = await copy(THERE, key("k"), HERE, key("n"), local.upload_id, 1)
        assert part.size_bytes == len(PARTS[0] + PARTS[2])

    run_in(tmp_path, work)
