"""Conformance of Backend: multipart uploads."""

from __future__ import annotations

import pytest

from core.errors import InvalidPart, NoSuchKey, NoSuchUpload
from core.types import ObjectAttributes, SuffixRange
from tests.conformance.subject import BreakingBody, Subject, key, put, read
from tests.conformance.test_listing import keys
from tests.conformance.test_objects import RICH, BodyIsBadError
from tests.contract.world import Body, pattern

PART_BYTES = 5 * 1024**2
"""S3's least."""


@pytest.fixture(autouse=True)
def can_upload(subject: Subject) -> None:
    subject.need("write", "multipart")


async def test_upload(subject: Subject, bucket: str) -> None:
    backend = subject.backend
    upload_id = await backend.create_upload(bucket, key("a +%/k"), RICH)
    whole = pattern(2 * PART_BYTES + 1000)
    parts = {}
    # As they come, not as they go: the last first, and one twice.
    for number in (3, 1, 2):
        first = (number - 1) * PART_BYTES
        body = Body(whole[first : first + PART_BYTES])
        parts[number] = await backend.upload_part(bucket, key("a +%/k"), upload_id, number, body)
        assert parts[number].part_number == number
        assert parts[number].size_bytes == body.size_bytes
    with pytest.raises(NoSuchKey):
        await backend.head(bucket, key("a +%/k"))
    assert await keys(backend, bucket) == []
    ordered = [parts[number] for number in (1, 2, 3)]
    made = await backend.complete_upload(bucket, key("a +%/k"), upload_id, ordered)
    assert made.size_bytes == len(whole)
    found = await backend.head(bucket, key("a +%/k"))
    assert made.remote is not None
    assert found.remote is not None
    if "multipart etags" not in subject.cannot:
        assert (made.etag, made.remote.etag) == (found.etag, found.remote.etag)
        assert found.remote.md5 == b""
    assert found.size_bytes == len(whole)
    assert await read(backend, bucket, "a +%/k") == whole
    assert await read(backend, bucket, "a +%/k", SuffixRange(2000)) == whole[-2000:]
    if "attributes" not in subject.cannot:
        assert found.attributes.user_metadata == RICH.user_metadata
        assert found.attributes.headers == RICH.headers


async def test_part_replaced(subject: Subject, bucket: str) -> None:
    subject.need("replace parts")
    backend = subject.backend
    upload_id = await backend.create_upload(bucket, key("k"), ObjectAttributes())
    await backend.upload_part(bucket, key("k"), upload_id, 7, Body(b"first"))
    part = await backend.upload_part(bucket, key("k"), upload_id, 7, Body(b"second"))
    made = await backend.complete_upload(bucket, key("k"), upload_id, [part])
    assert made.size_bytes == 6
    assert await read(backend, bucket, "k") == b"second"


async def test_part_that_breaks_off(subject: Subject, bucket: str) -> None:
    backend = subject.backend
    upload_id = await backend.create_upload(bucket, key("k"), ObjectAttributes())
    good = await backend.upload_part(bucket, key("k"), upload_id, 1, Body(b"good"))
    for size_bytes in (1000, 3 * 1024**2):
        for body in (
            Body(pattern(size_bytes), declared=2 * size_bytes, error=BodyIsBadError("broke off")),
            BreakingBody(pattern(size_bytes), BodyIsBadError("bad at its end")),
        ):
            with pytest.raises(BodyIsBadError):
                await backend.upload_part(bucket, key("k"), upload_id, 1, body)
    await backend.complete_upload(bucket, key("k"), upload_id, [good])
    assert await read(backend, bucket, "k") == b"good"


async def test_abort(subject: Subject, bucket: str) -> None:
    backend = subject.backend
    await put(backend, bucket, "k", b"old")
    upload_id = await backend.create_upload(bucket, key("k"), ObjectAttributes())
    part = await backend.upload_part(bucket, key("k"), upload_id, 1, Body(b"new"))
    await backend.abort_upload(bucket, key("k"), upload_id)
    await backend.abort_upload(bucket, key("k"), upload_id)
    assert await read(backend, bucket, "k") == b"old"
    subject.need("forget uploads")
    with pytest.raises(NoSuchUpload):
        await backend.complete_upload(bucket, key("k"), upload_id, [part])


async def test_unknown_upload(subject: Subject, bucket: str) -> None:
    subject.need("forget uploads")
    backend = subject.backend
    unknown = await backend.create_upload(bucket, key("k"), ObjectAttributes())
    await backend.abort_upload(bucket, key("k"), unknown)
    with pytest.raises(NoSuchUpload):
        await backend.upload_part(bucket, key("k"), unknown, 1, Body(b"data"))
    await backend.abort_upload(bucket, key("k"), unknown)


async def test_wrong_part(subject: Subject, bucket: str) -> None:
    subject.need("replace parts")
    backend = subject.backend
    upload_id = await backend.create_upload(bucket, key("k"), ObjectAttributes())
    old = await backend.upload_part(bucket, key("k"), upload_id, 1, Body(b"first"))
    await backend.upload_part(bucket, key("k"), upload_id, 1, Body(b"second"))
    with pytest.raises(InvalidPart):
        await backend.complete_upload(bucket, key("k"), upload_id, [old])
    await backend.abort_upload(bucket, key("k"), upload_id)
    with pytest.raises(NoSuchKey):
        await backend.head(bucket, key("k"))
