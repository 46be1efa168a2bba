"""Owns AisBackend: the buckets of another weir, or of an AIStore cluster, by the native API."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp

from backends import ais_listing
from backends.ais_client import PROVIDER, AisClient, broken
from backends.ais_facts import (
    HEAD_PROPS,
    custom_pairs,
    info_of_headers,
    pack_attributes,
    unpack_attributes,
)
from backends.incoming import Incoming
from backends.numbers import decimal
from backends.outgoing import Outgoing
from core.accounts import Account
from core.backends import BackendFeatures, BackendPart, RemoteBucket
from core.errors import (
    InvalidArgument,
    InvalidPart,
    InvalidRange,
    NoSuchKey,
    NoSuchUpload,
    NoSuchVersion,
    PreconditionFailed,
    StoreError,
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


class AisBackend:
    """See core.backends.Backend. There are no conditional writes over that API."""

    def __init__(self, account: Account) -> None:
        self.features = BackendFeatures(min_part_bytes=1, max_parts=9999)
        self._client = AisClient(account)

    async def list_buckets(self) -> Sequence[RemoteBucket]:
        """See Backend."""
        _, body = await self._client.ask("GET", "", action={"action": "list"})
        try:
            found: Any = json.loads(body)
            return [RemoteBucket(str(each["name"])) for each in found or () if self._is_ours(each)]
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
            raise broken("", "", "a list of buckets that is none") from None

    async def head_bucket(self, bucket: str) -> RemoteBucket:
        """See Backend."""
        response = await self._client.send("HEAD", bucket)
        response.close()
        return RemoteBucket(bucket)

    async def list_page(self, bucket: str, query: ListQuery) -> ListPage:
        """See Backend."""
        return await ais_listing.list_page(self._client, bucket, query)

    async def head(self, bucket: str, key: ObjectKey, *, version_id: str = "") -> ObjectInfo:
        """See Backend."""
        _check_readable(key, version_id)
        response = await self._client.send("HEAD", bucket, key, query={"props": HEAD_PROPS})
        response.close()
        return info_of_headers(key, response.headers, _length(response, bucket, key))

    async def open(
        self,
        bucket: str,
        key: ObjectKey,
        *,
        byte_range: ByteRange | None = None,
        if_match: str = "",
        version_id: str = "",
    ) -> Incoming:
        """See Backend. An answer is of one version, and its head says which."""
        _check_readable(key, version_id)
        written = _written_range(byte_range)
        headers = [("Range", f"bytes={written}")] if written else []
        response = await self._client.send("GET", bucket, key, headers=headers)
        try:
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
        if if_match or if_absent:
            raise Unsupported(what="condition", reason="that cluster knows no conditional writes")
        _check_writable(key)
        headers = [("Ais-Custom-Md", f"{name}={value}") for name, value in custom_pairs(attributes)]
        await self._send(bucket, key, Outgoing(body), {}, headers)
        return await self.head(bucket, key)

    async def delete(self, bucket: str, key: ObjectKey, *, version_id: str = "") -> None:
        """See Backend."""
        if version_id or _is_unsafe(key):
            return
        try:
            await self._client.ask("DELETE", bucket, key)
        except NoSuchKey:
            pass

    async def copy(
        self,
        source_bucket: str,
        source_key: ObjectKey,
        bucket: str,
        key: ObjectKey,
        attributes: ObjectAttributes | None,
    ) -> ObjectInfo:
        """See Backend. With other attributes it is a copy and then a change of them."""
        _check_readable(source_key, "")
        _check_writable(key)
        target = f"{PROVIDER}/@{self._client.namespace or '#'}/{bucket}/{key}"
        if (source_bucket, source_key) != (bucket, key):
            # First of all: an error does not say which of both sides is missing.
            await self.head(source_bucket, source_key)
            await self._client.ask("PUT", source_bucket, source_key, query={"object_to": target})
        if attributes is not None:
            await self._replace_custom(bucket, key, attributes)
        return await self.head(bucket, key)

    async def set_tags(self, bucket: str, key: ObjectKey, tags: Mapping[str, str]) -> None:
        """See Backend."""
        raise Unsupported(what="tags", reason="that API knows no tags")

    async def get_tags(self, bucket: str, key: ObjectKey) -> Mapping[str, str]:
        """See Backend."""
        raise Unsupported(what="tags", reason="that API knows no tags")

    async def create_upload(self, bucket: str, key: ObjectKey, attributes: ObjectAttributes) -> str:
        """See Backend."""
        _check_writable(key)
        _, body = await self._client.ask("POST", bucket, key, action={"action": "mpt-upload"})
        upload_id = body.decode("ascii", "replace").strip().strip('"')
        if not 0 < len(upload_id) <= 256 or not upload_id.isprintable() or " " in upload_id:
            raise broken(bucket, key, "an upload without an id")
        return pack_attributes(upload_id, attributes)

    async def upload_part(
        self, bucket: str, key: ObjectKey, upload_id: str, part_number: int, body: BodyStream
    ) -> BackendPart:
        """See Backend. There are no empty parts there, so one is remembered by its token alone."""
        theirs, _ = unpack_attributes(upload_id)
        outgoing = Outgoing(body)
        if outgoing.size_bytes == 0:
            await outgoing.content()
            return BackendPart(part_number, "", 0)
        query = {"uploadId": theirs, "partNumber": str(part_number)}
        try:
            answer = await self._send(bucket, key, outgoing, query, [])
        except NoSuchKey:
            raise NoSuchUpload(upload_id=upload_id) from None
        return BackendPart(
            part_number, answer.headers.get("etag", "").strip('"'), outgoing.size_bytes
        )

    async def complete_upload(
        self, bucket: str, key: ObjectKey, upload_id: str, parts: Sequence[BackendPart]
    ) -> ObjectInfo:
        """See Backend. What the object is to have beside its bytes comes right after it."""
        theirs, attributes = unpack_attributes(upload_id)
        named = [
            {"part-number": part.part_number, "etag": part.token}
            for part in parts
            if part.size_bytes
        ]
        try:
            await self._client.ask(
                "POST",
                bucket,
                key,
                query={"uploadId": theirs},
                action={"action": "mpt-complete", "value": named},
            )
        except NoSuchKey:
            raise NoSuchUpload(upload_id=upload_id) from None
        except (InvalidArgument, Unsupported):
            number = parts[0].part_number if parts else 0
            raise InvalidPart(part_number=number, upload_id=upload_id, etag="") from None
        if attributes.headers or attributes.user_metadata:
            await self._replace_custom(bucket, key, attributes)
        return await self.head(bucket, key)

    async def abort_upload(self, bucket: str, key: ObjectKey, upload_id: str) -> None:
        """See Backend."""
        theirs, _ = unpack_attributes(upload_id)
        try:
            await self._client.ask(
                "DELETE", bucket, key, query={"uploadId": theirs}, action={"action": "mpt-abort"}
            )
        except NoSuchKey:
            pass

    async def close(self) -> None:
        """See Backend."""
        await self._client.close()

    async def _send(
        self,
        bucket: str,
        key: str,
        outgoing: Outgoing,
        query: Mapping[str, str],
        headers: Sequence[tuple[str, str]],
    ) -> aiohttp.ClientResponse:
        """PUT a body."""
        content = await outgoing.content()
        sent = [("Content-Length", str(outgoing.size_bytes)), *headers]
        try:
            response, _ = await self._client.ask(
                "PUT", bucket, key, query=query, headers=sent, content=content
            )
        except StoreError:
            if outgoing.error is not None:
                raise outgoing.error from None
            raise
        return response

    async def _replace_custom(self, bucket: str, key: str, attributes: ObjectAttributes) -> None:
        await self._client.ask(
            "PATCH",
            bucket,
            key,
            query={"set-new-custom": "true"},
            action={"value": dict(custom_pairs(attributes))},
        )

    def _is_ours(self, named: Mapping[str, Any]) -> bool:
        """Whether a bucket is of the account's namespace, and that cluster's own."""
        space = named.get("namespace") or {}
        ours = self._client.namespace.removeprefix("#")
        return named.get("provider") == PROVIDER and (space.get("uuid"), space.get("name")) in (
            ("", ours),
            (None, ours or None),
        )


def _reader(
    response: aiohttp.ClientResponse,
    bucket: str,
    key: ObjectKey,
    byte_range: ByteRange | None,
    if_match: str,
) -> Incoming:
    length = _length(response, bucket, key)
    first, size_bytes = 0, length
    if response.status == 206:
        span, _, size = response.headers.get("content-range", "").rpartition("/")
        start = decimal(span.removeprefix("bytes ").partition("-")[0])
        whole = decimal(size)
        if start is None or whole is None:
            raise broken(bucket, key, "a range without its place")
        first, size_bytes = start, whole
    info = info_of_headers(key, response.headers, size_bytes)
    if if_match and (info.remote is None or info.remote.etag != if_match):
        raise PreconditionFailed(condition="If-Match")
    if resolve_range(info, byte_range) != (first, length):
        raise broken(bucket, key, "another range than was asked for")
    return Incoming(response, info, first, length, provider=PROVIDER, bucket=bucket)


def _length(response: aiohttp.ClientResponse, bucket: str, key: str) -> int:
    length = decimal(response.headers.get("content-length", ""))
    if length is None:
        raise broken(bucket, key, "no length")
    return length


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


def _is_unsafe(key: str) -> bool:
    """Whether that API refuses such a name."""
    return key.endswith("/") or any(part in (".", "..") for part in key.split("/"))


def _check_readable(key: ObjectKey, version_id: str) -> None:
    if version_id:
        raise NoSuchVersion(key=key, version_id=version_id)
    if _is_unsafe(key):
        raise NoSuchKey(key=key)


def _check_writable(key: ObjectKey) -> None:
    if _is_unsafe(key):
        reason = "that API has no such names: . or .. between slashes, or a slash at the end"
        raise Unsupported(what="key", reason=reason)
