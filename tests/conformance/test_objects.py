"""Conformance of Backend: whole objects, their ranges, attributes and conditions."""

from __future__ import annotations

import time

import pytest

from core.errors import IncompleteBody, InvalidRange, NoSuchKey, PreconditionFailed, Unsupported
from core.types import BoundedRange, ByteRange, ObjectAttributes, OffsetRange, SuffixRange
from tests.conformance.names import ODD_NAMES
from tests.conformance.subject import BreakingBody, Subject, key, put, read, read_all
from tests.contract.world import Body, etag_of, pattern

SIZES = [0, 1, 1000, 64 * 1024, 3 * 1024**2 + 7]
RICH = ObjectAttributes(
    headers={
        "content-type": "text/plain; charset=utf-8",
        "cache-control": "max-age=60",
        "content-disposition": 'attachment; filename="a b.txt"',
        "content-language": "de",
    },
    user_metadata={"colour": "green", "two-words": "a, b; c=d", "number": "1"},
)


@pytest.mark.parametrize("size_bytes", SIZES)
async def test_put_then_read(subject: Subject, bucket: str, size_bytes: int) -> None:
    subject.need("write")
    data = pattern(size_bytes)
    made = await subject.backend.put(bucket, key("k"), Body(data), ObjectAttributes())
    assert (made.key, made.size_bytes) == ("k", size_bytes)
    assert made.remote is not None
    assert made.remote.md5 in (b"", bytes.fromhex(etag_of(data)))
    found = await subject.backend.head(bucket, key("k"))
    assert found.remote is not None
    assert found.remote.etag == made.remote.etag
    assert found.etag == made.etag
    assert found.size_bytes == size_bytes
    assert await read(subject.backend, bucket, "k") == data


async def test_what_head_and_readers_tell(subject: Subject, bucket: str) -> None:
    data = pattern(5000)
    await subject.place(bucket, "dir/k", data)
    found = await subject.backend.head(bucket, key("dir/k"))
    assert (found.key, found.size_bytes, found.is_cached) == ("dir/k", 5000, False)
    assert abs(found.modified_ns - time.time_ns()) < 600 * 10**9
    assert found.remote is not None
    assert found.remote.etag
    assert '"' not in found.remote.etag + found.etag
    reader = await subject.backend.open(bucket, key("dir/k"))
    assert (reader.first, reader.length) == (0, 5000)
    assert reader.info == found
    assert await read_all(reader) == data
    await reader.close()


async def test_attributes_come_back(subject: Subject, bucket: str) -> None:
    subject.need("write", "attributes")
    await put(subject.backend, bucket, "k", b"data", RICH)
    found = await subject.backend.head(bucket, key("k"))
    assert found.attributes.headers == RICH.headers
    assert found.attributes.user_metadata == RICH.user_metadata
    reader = await subject.backend.open(bucket, key("k"))
    assert reader.info.attributes == found.attributes
    await read_all(reader)


async def test_overwritten(subject: Subject, bucket: str) -> None:
    subject.need("write")
    old = await put(subject.backend, bucket, "k", pattern(1000), RICH)
    new = await put(subject.backend, bucket, "k", b"new")
    assert old != new
    found = await subject.backend.head(bucket, key("k"))
    assert found.size_bytes == 3
    assert found.attributes.user_metadata == {}
    assert await read(subject.backend, bucket, "k") == b"new"


@pytest.mark.parametrize("name", ODD_NAMES)
async def test_odd_name(subject: Subject, bucket: str, name: str) -> None:
    subject.need("write", f"name {name}" if len(name) < 100 else "long names")
    data = name.encode()
    await put(subject.backend, bucket, name, data)
    assert (await subject.backend.head(bucket, key(name))).key == name
    assert await read(subject.backend, bucket, name) == data
    await subject.backend.delete(bucket, key(name))
    with pytest.raises(NoSuchKey):
        await subject.backend.head(bucket, key(name))


async def test_absent(subject: Subject, bucket: str) -> None:
    with pytest.raises(NoSuchKey):
        await subject.backend.head(bucket, key("absent"))
    with pytest.raises(NoSuchKey):
        await subject.backend.open(bucket, key("absent"))
    with pytest.raises(NoSuchKey):
        await subject.backend.open(bucket, key("absent"), byte_range=BoundedRange(0, 9))


async def test_delete(subject: Subject, bucket: str) -> None:
    subject.need("write")
    await put(subject.backend, bucket, "k", b"data")
    await subject.backend.delete(bucket, key("k"))
    with pytest.raises(NoSuchKey):
        await subject.backend.head(bucket, key("k"))
    await subject.backend.delete(bucket, key("k"))
    await subject.backend.delete(bucket, key("never was"))


# --- ranges ---


@pytest.mark.parametrize(
    ("byte_range", "first", "length"),
    [
        (BoundedRange(0, 0), 0, 1),
        (BoundedRange(0, 99_999), 0, 100_000),
        (BoundedRange(70_000, 70_009), 70_000, 10),
        (BoundedRange(99_990, 10**12), 99_990, 10),
        (OffsetRange(0), 0, 100_000),
        (OffsetRange(99_999), 99_999, 1),
        (SuffixRange(10), 99_990, 10),
        (SuffixRange(10**9), 0, 100_000),
    ],
)
async def test_range(
    subject: Subject, bucket: str, byte_range: ByteRange, first: int, length: int
) -> None:
    data = pattern(100_000)
    await subject.place(bucket, "k", data)
    reader = await subject.backend.open(bucket, key("k"), byte_range=byte_range)
    assert (reader.first, reader.length) == (first, length)
    assert reader.info.size_bytes == 100_000
    assert await read_all(reader) == data[first : first + length]


async def test_ranges_past_the_end(subject: Subject, bucket: str) -> None:
    await subject.place(bucket, "k", b"0123456789")
    for byte_range in (BoundedRange(10, 20), OffsetRange(10), OffsetRange(10**12)):
        with pytest.raises(InvalidRange) as caught:
            await subject.backend.open(bucket, key("k"), byte_range=byte_range)
        assert caught.value.size_bytes == 10


async def test_ranges_of_an_empty_object(subject: Subject, bucket: str) -> None:
    await subject.place(bucket, "k", b"")
    assert await read(subject.backend, bucket, "k") == b""
    for byte_range in (BoundedRange(0, 0), OffsetRange(0), SuffixRange(5)):
        with pytest.raises(InvalidRange):
            await subject.backend.open(bucket, key("k"), byte_range=byte_range)


# --- conditions ---


async def test_read_of_the_object_that_was_meant(subject: Subject, bucket: str) -> None:
    subject.need("if_match")
    await subject.place(bucket, "k", b"0123456789")
    known = (await subject.backend.head(bucket, key("k"))).remote
    assert known is not None
    reader = await subject.backend.open(
        bucket, key("k"), byte_range=BoundedRange(2, 4), if_match=known.etag
    )
    assert await read_all(reader) == b"234"
    await subject.place(bucket, "k", b"something else")
    for byte_range in (None, BoundedRange(2, 4)):
        with pytest.raises(PreconditionFailed):
            await subject.backend.open(bucket, key("k"), byte_range=byte_range, if_match=known.etag)


async def test_conditional_writes(subject: Subject, bucket: str) -> None:
    subject.need("write", "conditional writes")
    backend = subject.backend
    try:
        first = await backend.put(bucket, key("k"), Body(b"1"), ObjectAttributes(), if_absent=True)
    except Unsupported:
        return
    with pytest.raises(PreconditionFailed):
        await backend.put(bucket, key("k"), Body(b"2"), ObjectAttributes(), if_absent=True)
    assert first.remote is not None
    etag = first.remote.etag
    await backend.put(bucket, key("k"), Body(b"3"), ObjectAttributes(), if_match=etag)
    with pytest.raises(PreconditionFailed):
        await backend.put(bucket, key("k"), Body(b"4"), ObjectAttributes(), if_match=etag)
    assert await read(backend, bucket, "k") == b"3"


# --- bodies that turn out bad ---


class BodyIsBadError(Exception):
    """What a body raises."""


@pytest.mark.parametrize("size_bytes", [1000, 3 * 1024**2])
async def test_body_that_breaks_off(subject: Subject, bucket: str, size_bytes: int) -> None:
    subject.need("write")
    await put(subject.backend, bucket, "k", b"old")
    for body in (
        Body(pattern(size_bytes), declared=2 * size_bytes, error=BodyIsBadError("broke off")),
        BreakingBody(pattern(size_bytes), BodyIsBadError("bad at its end")),
    ):
        with pytest.raises(BodyIsBadError):
            await subject.backend.put(bucket, key("k"), body, ObjectAttributes())
        assert await read(subject.backend, bucket, "k") == b"old"


@pytest.mark.parametrize("size_bytes", [1000, 3 * 1024**2])
@pytest.mark.parametrize("more", [1, -1])
async def test_body_of_another_size(
    subject: Subject, bucket: str, size_bytes: int, more: int
) -> None:
    subject.need("write")
    body = Body(pattern(size_bytes), declared=size_bytes + more)
    with pytest.raises(IncompleteBody):
        await subject.backend.put(bucket, key("k"), body, ObjectAttributes())
    with pytest.raises(NoSuchKey):
        await subject.backend.head(bucket, key("k"))


# --- copies and tags ---


async def test_copy(subject: Subject, bucket: str) -> None:
    subject.need("write", "copy")
    other = await subject.new_bucket()
    await put(subject.backend, bucket, "a +k%", b"data", RICH)
    made = await subject.backend.copy(bucket, key("a +k%"), other, key("copy"), None)
    assert made == await subject.backend.head(other, key("copy"))
    assert made.size_bytes == 4
    assert made.attributes.user_metadata == RICH.user_metadata
    assert made.attributes.headers["content-type"] == RICH.headers["content-type"]
    assert await read(subject.backend, other, "copy") == b"data"


async def test_copy_with_other_attributes(subject: Subject, bucket: str) -> None:
    subject.need("write", "copy")
    await put(subject.backend, bucket, "k", b"data", RICH)
    plain = ObjectAttributes(headers={"content-type": "x/y"}, user_metadata={"new": "1"})
    for target in ("other", "k"):
        made = await subject.backend.copy(bucket, key("k"), bucket, key(target), plain)
        assert made.attributes.headers["content-type"] == "x/y"
        assert made.attributes.user_metadata == {"new": "1"}
    with pytest.raises(NoSuchKey):
        await subject.backend.copy(bucket, key("absent"), bucket, key("copy"), None)


async def test_tags(subject: Subject, bucket: str) -> None:
    subject.need("write", "tags")
    if not subject.backend.features.has_tags:
        with pytest.raises(Unsupported):
            await subject.backend.get_tags(bucket, key("k"))
        return
    tags = {"colour": "green", "two words": "a+b/c=d@e"}
    await put(subject.backend, bucket, "k", b"data", ObjectAttributes(tags=tags))
    assert await subject.backend.get_tags(bucket, key("k")) == tags
    await subject.backend.set_tags(bucket, key("k"), {"other": ""})
    assert await subject.backend.get_tags(bucket, key("k")) == {"other": ""}
    await subject.backend.set_tags(bucket, key("k"), {})
    assert await subject.backend.get_tags(bucket, key("k")) == {}
