"""Owns what the answer to a read of one of Azure's blobs offers."""

from __future__ import annotations

from backends.azure_client import Answer
from backends.azure_errors import broken
from backends.azure_facts import PROVIDER, info_of_headers, is_directory
from backends.incoming import Incoming
from backends.numbers import decimal
from core.errors import InvalidRange, NoSuchKey
from core.names import ObjectKey
from core.ranges import resolve_range
from core.types import BoundedRange, ByteRange, OffsetRange


def reader_of(
    answer: Answer, bucket: str, key: ObjectKey, byte_range: ByteRange | None
) -> Incoming:
    """The reader of an answer to a GET with `byte_range`. Raises BackendBroken where it is another answer."""
    if is_directory(answer.headers):
        raise NoSuchKey(key=key)
    length = length_of(answer, bucket, key)
    if answer.status != 206:
        info = info_of_headers(key, answer.headers, length)
        if byte_range is None:
            return Incoming(answer.response, info, 0, length, provider=PROVIDER, bucket=bucket)
        # An empty blob has no ranges, and the service gives it whole.
        if length == 0:
            raise InvalidRange(requested=byte_range, size_bytes=0)
        raise broken(bucket, key, "the whole object where a range was asked for")
    span, _, size = answer.headers.get("content-range", "").removeprefix("bytes ").partition("/")
    first, size_bytes = decimal(span.partition("-")[0]), decimal(size)
    if first is None or size_bytes is None:
        raise broken(bucket, key, "a range without its place")
    info = info_of_headers(key, answer.headers, size_bytes)
    if byte_range is None or resolve_range(info, byte_range) != (first, length):
        raise broken(bucket, key, "another range than was asked for")
    return Incoming(answer.response, info, first, length, provider=PROVIDER, bucket=bucket)


def length_of(answer: Answer, bucket: str, key: str) -> int:
    """How many bytes an answer promises."""
    length = decimal(answer.headers.get("content-length", ""))
    if length is None:
        raise broken(bucket, key, "no length")
    return length


def written_range(byte_range: ByteRange | None) -> str:
    """A range as a header says it; "" for what it cannot say."""
    match byte_range:
        case BoundedRange(first, last):
            return f"bytes={first}-{last}"
        case OffsetRange(first):
            return f"bytes={first}-"
        case _:
            return ""
