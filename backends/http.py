"""Owns HttpBackend: files of plain HTTP(S) servers as objects of buckets that can only be read.

A bucket is an origin: the URL under which its keys lie, which the bucket says (`extra.http.original_url`) or its
account (`endpoint`, where `{bucket}` stands for the bucket's name). Servers list nothing, so keys must be known. Which
state of a file one has is known by its ETag, or by time and size where a server has none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import aiohttp

from backends.http_client import HttpClient
from backends.http_facts import info_of, length_of, place_of
from backends.incoming import Incoming
from core.accounts import Account
from core.backends import BackendFeatures, BackendPart, RemoteBucket
from core.errors import (
    BackendBroken,
    InvalidRange,
    NoSuchKey,
    NoSuchVersion,
    PreconditionFailed,
    Unsupported,
)
from core.listing import ListPage, ListQuery
from core.names import ObjectKey
from core.protocols import BodyStream
from core.ranges import resolve_range
from core.types import (
    BoundedRange,
    ByteRange,
    ObjectAttributes,
    ObjectInfo,
    OffsetRange,
    SuffixRange,
)

PROVIDER = "ht"
_NO_HEAD = frozenset({405, 501})


class HttpBackend:
    """See core.backends.Backend."""

    def __init__(self, account: Account) -> None:
        self.features = BackendFeatures(
            can_write=False,
            can_list=False,
            can_copy=False,
            has_multipart=False,
            max_parts=0,
            max_part_bytes=0,
            max_put_bytes=0,
        )
        self._client = HttpClient(account)

    async def list_buckets(self) -> Sequence[RemoteBucket]:
        """See Backend. A server cannot be asked for what it has."""
        return []

    async def head_bucket(self, bucket: str) -> RemoteBucket:
        """See Backend. Whatever the server answers, it is there: many show nothing at their root."""
        response = await self._client.send("HEAD", bucket, "")
        response.close()
        self._client.check_server(response, bucket)
        return RemoteBucket(bucket)

    async def list_page(self, bucket: str, query: ListQuery) -> ListPage:
        """See Backend."""
        raise Unsupported(what="list", reason="HTTP servers do not list their files")

    async def head(self, bucket: str, key: ObjectKey, *, version_id: str = "") -> ObjectInfo:
        """See Backend."""
        _check_name(key, version_id)
        response = await self._client.send("HEAD", bucket, key)
        response.close()
        # Some know no HEAD, or tell the length with the bytes alone.
        if response.status in _NO_HEAD or (
            response.status == 200 and length_of(response.headers) is None
        ):
            response = await self._client.send("GET", bucket, key)
            response.close()
        self._client.check(response, bucket, key)
        return info_of(key, response.headers, _length(response, key))

    async def open(
        self,
        bucket: str,
        key: ObjectKey,
        *,
        byte_range: ByteRange | None = None,
        if_match: str = "",
        version_id: str = "",
    ) -> Incoming:
        """See Backend. One answer is of one state of a file, and its head says which; so `if_match` is compared with
        that, and servers that know no conditions are none the worse."""
        _check_name(key, version_id)
        written = _written_range(byte_range)
        headers = {"Range": f"bytes={written}"} if written else {}
        response = await self._client.send("GET", bucket, key, headers)
        try:
            self._client.check(response, bucket, key, byte_range)
            return _reader(response, bucket, key, byte_range, if_match)
        except BaseException:
            response.close()
            raise

    async def put(
        self,
        bucket: str,
        key: ObjectKey,
        body: BodyStream,
        attributes: ObjectAttributes,
        *,
        if_match: str = "",
        if_absent: bool = False,
    ) -> ObjectInfo:
        """See Backend."""
        raise _read_only()

    async def delete(self, bucket: str, key: ObjectKey, *, version_id: str = "") -> None:
        """See Backend."""
        raise _read_only()

    async def copy(
        self,
        source_bucket: str,
        source_key: ObjectKey,
        bucket: str,
        key: ObjectKey,
        attributes: ObjectAttributes | None,
    ) -> ObjectInfo:
        """See Backend."""
        raise _read_only()

    async def set_tags(self, bucket: str, key: ObjectKey, tags: Mapping[str, str]) -> None:
        """See Backend."""
        raise _read_only()

    async def get_tags(self, bucket: str, key: ObjectKey) -> Mapping[str, str]:
        """See Backend."""
        raise _read_only()

    async def create_upload(self, bucket: str, key: ObjectKey, attributes: ObjectAttributes) -> str:
        """See Backend."""
        raise _read_only()

    async def upload_part(
        self, bucket: str, key: ObjectKey, upload_id: str, part_number: int, body: BodyStream
    ) -> BackendPart:
        """See Backend."""
        raise _read_only()

    async def complete_upload(
        self, bucket: str, key: ObjectKey, upload_id: str, parts: Sequence[BackendPart]
    ) -> ObjectInfo:
        """See Backend."""
        raise _read_only()

    async def abort_upload(self, bucket: str, key: ObjectKey, upload_id: str) -> None:
        """See Backend."""
        raise _read_only()

    async def close(self) -> None:
        """See Backend."""
        await self._client.close()


def _reader(
    response: aiohttp.ClientResponse,
    bucket: str,
    key: ObjectKey,
    byte_range: ByteRange | None,
    if_match: str,
) -> Incoming:
    length = _length(response, key)
    first, size_bytes = 0, length
    if response.status == 206:
        first, size_bytes = place_of(response.headers, bucket, key)
    info = info_of(key, response.headers, size_bytes)
    if if_match and (info.remote is None or info.remote.etag != if_match):
        raise PreconditionFailed(condition="If-Match")
    wanted = resolve_range(info, byte_range)
    if response.status == 206 and wanted != (first, length):
        raise BackendBroken(
            provider=PROVIDER,
            bucket=bucket,
            key=key,
            reason="another range than was asked for",
            retry_after_s=1,
        )
    # A server without ranges gives the whole, of which what comes before the range is read over.
    return Incoming(
        response, info, *wanted, provider=PROVIDER, bucket=bucket, skip_bytes=wanted[0] - first
    )


def _written_range(byte_range: ByteRange | None) -> str:
    match byte_range:
        case BoundedRange(first, last):
            return f"{first}-{last}"
        case OffsetRange(first):
            return f"{first}-"
        case SuffixRange(length) if length > 0:
            return f"-{length}"
        case SuffixRange():
            raise InvalidRange(requested=byte_range, size_bytes=0)
        case _:
            return ""


def _length(response: aiohttp.ClientResponse, key: str) -> int:
    length = length_of(response.headers)
    if length is None:
        raise Unsupported(what=key, reason="the server does not say how long it is")
    return length


def _check_name(key: str, version_id: str) -> None:
    if version_id:
        raise NoSuchVersion(key=key, version_id=version_id)
    # Directories are not files; and dots between slashes are other names in a URL.
    if key.endswith("/") or any(part in (".", "..") for part in key.split("/")):
        raise NoSuchKey(key=key)


def _read_only() -> Unsupported:
    return Unsupported(what="write", reason="buckets of plain HTTP servers can only be read")
