"""Owns reads of Azure's blobs: what an answer offers, and its bytes as they come in."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp

from backends.azure_client import Answer
from backends.azure_errors import broken, down
from backends.azure_facts import info_of_headers, is_directory
from core.errors import InvalidRange, NoSuchKey, StoreError
from core.names import ObjectKey
from core.ranges import resolve_range
from core.types import BoundedRange, ByteRange, ObjectInfo, OffsetRange

_CHUNK_BYTES = 256 * 1024


class AzureReader:
    """A blob, or a range of it, as it comes in."""

    def __init__(
        self, answer: Answer, bucket: str, info: ObjectInfo, first: int, length: int
    ) -> None:
        self.info = info
        self.first = first
        self.length = length
        self._answer = answer
        self._bucket = bucket

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = self.length
        while left > 0:
            try:
                chunk = await self._answer.content.read(_CHUNK_BYTES)
            except (aiohttp.ClientPayloadError, aiohttp.http.HttpProcessingError):
                raise self._broken(left) from None
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                raise down(self._bucket, type(error).__name__) from None
            if not chunk or len(chunk) > left:
                raise self._broken(left - len(chunk))
            left -= len(chunk)
            yield chunk

    async def close(self) -> None:
        """See BackendReader."""
        self._answer.close()

    def _broken(self, left: int) -> StoreError:
        reason = f"{self.length - left} bytes where {self.length} were promised"
        return broken(self._bucket, self.info.key, reason)


def reader_of(
    answer: Answer, bucket: str, key: ObjectKey, byte_range: ByteRange | None
) -> AzureReader:
    """The reader of an answer to a GET with `byte_range`. Raises BackendBroken where it is another answer."""
    if is_directory(answer.headers):
        raise NoSuchKey(key=key)
    length = length_of(answer, bucket, key)
    if answer.status != 206:
        info = info_of_headers(key, answer.headers, length)
        if byte_range is None:
            return AzureReader(answer, bucket, info, 0, length)
        # An empty blob has no ranges, and the service gives it whole.
        if length == 0:
            raise InvalidRange(requested=byte_range, size_bytes=0)
        raise broken(bucket, key, "the whole object where a range was asked for")
    first, _, size = answer.headers.get("content-range", "").removeprefix("bytes ").partition("/")
    first = first.partition("-")[0]
    if not (first.isdecimal() and size.isdecimal()):
        raise broken(bucket, key, "a range without its place")
    info = info_of_headers(key, answer.headers, int(size))
    if byte_range is None or resolve_range(info, byte_range) != (int(first), length):
        raise broken(bucket, key, "another range than was asked for")
    return AzureReader(answer, bucket, info, int(first), length)


def length_of(answer: Answer, bucket: str, key: str) -> int:
    """How many bytes an answer promises."""
    written = answer.headers.get("content-length", "")
    if not (written.isascii() and written.isdecimal()):
        raise broken(bucket, key, "no length")
    return int(written)


def written_range(byte_range: ByteRange | None) -> str:
    """A range as a header says it; "" for what it cannot say."""
    match byte_range:
        case BoundedRange(first, last):
            return f"bytes={first}-{last}"
        case OffsetRange(first):
            return f"bytes={first}-"
        case _:
            return ""
