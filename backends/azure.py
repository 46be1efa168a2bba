"""Owns AzureBackend: containers of a storage account as buckets, their blobs as objects.

Objects are block blobs. An object is written by one request, or by blocks and a list of them where it is larger than a
request may be; either way it is there as a whole or not at all. Versions and tags of Azure are not used.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp

from backends.azure_client import Answer, AzureClient
from backends.azure_errors import down, translated
from backends.azure_facts import (
    DEFAULT_TYPE,
    http_time_ns,
    info_of_headers,
    is_directory,
    make_info,
    metadata_of,
    put_headers,
    time_ns,
)
from backends.azure_listing import AzureListing
from backends.azure_reader import length_of, reader_of, written_range
from backends.azure_uploads import (
    MAX_BLOCK_BYTES,
    attributes_of_upload,
    chosen_blocks,
    new_blocks,
    new_upload_id,
    token_of,
)
from backends.incoming import Incoming
from backends.outgoing import Outgoing
from core.accounts import Account
from core.backends import BackendFeatures, BackendPart, RemoteBucket
from core.errors import (
    NoSuchKey,
    NoSuchVersion,
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
    PartRange,
    SuffixRange,
)

_COPY_POLL_S = 0.2


class AzureBackend:
    """See core.backends.Backend."""

    def __init__(self, account: Account) -> None:
        self.features = BackendFeatures(min_part_bytes=1, max_part_bytes=5 * 1024**3)
        self._client = AzureClient(account)
        self._listing = AzureListing()

    async def list_buckets(self) -> Sequence[RemoteBucket]:
        """See Backend."""
        service = await self._client.service()
        async with translated(""):
            return [_bucket(each) async for each in service.list_containers()]

    async def head_bucket(self, bucket: str) -> RemoteBucket:
        """See Backend."""
        service = await self._client.service()
        async with translated(bucket):
            return _bucket(await service.get_container_client(bucket).get_container_properties())

    async def list_page(self, bucket: str, query: ListQuery) -> ListPage:
        """See Backend."""
        return await self._listing.page(await self._client.service(), bucket, query)

    async def head(self, bucket: str, key: ObjectKey, *, version_id: str = "") -> ObjectInfo:
        """See Backend."""
        _check_readable(key, version_id)
        answer = await self._client.call("HEAD", bucket, key)
        answer.close()
        if is_directory(answer.headers):
            raise NoSuchKey(key=key)
        return info_of_headers(key, answer.headers, length_of(answer, bucket, key))

    async def open(
        self,
        bucket: str,
        key: ObjectKey,
        *,
        byte_range: ByteRange | None = None,
        if_match: str = "",
        version_id: str = "",
    ) -> Incoming:
        """See Backend."""
        _check_readable(key, version_id)
        headers = {"If-Match": f'"{if_match}"'} if if_match else {}
        if isinstance(byte_range, SuffixRange | PartRange):
            # The service knows no suffixes; the range is of the object that was asked, or of none.
            info = await self.head(bucket, key)
            first, length = resolve_range(info, byte_range)
            if info.size_bytes:
                byte_range = BoundedRange(first, first + length - 1)
                headers.setdefault("If-Match", f'"{info.etag}"')
            else:
                byte_range = None
        written = written_range(byte_range)
        if written:
            headers["x-ms-range"] = written
        answer = await self._client.call("GET", bucket, key, headers=headers)
        try:
            return reader_of(answer, bucket, key, byte_range)
        except BaseException:
            answer.close()
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
        _check_writable(key)
        outgoing = Outgoing(body)
        if outgoing.size_bytes > MAX_BLOCK_BYTES:
            upload_id = new_upload_id(attributes)
            part = await self._stage(bucket, key, upload_id, 1, outgoing)
            return await self._commit(
                bucket, key, upload_id, [part], _conditions(if_match, if_absent)
            )
        headers = {
            "x-ms-blob-type": "BlockBlob",
            **put_headers(attributes),
        }
        if if_match:
            headers["If-Match"] = f'"{if_match}"'
        if if_absent:
            headers["If-None-Match"] = "*"
        answer = await self._send(bucket, key, outgoing, outgoing.size_bytes, headers=headers)
        md5 = base64.b64decode(answer.headers.get("content-md5", ""))
        return _written_info(key, outgoing.size_bytes, answer.headers, attributes, md5)

    async def delete(self, bucket: str, key: ObjectKey, *, version_id: str = "") -> None:
        """See Backend."""
        if version_id or _is_unsafe(key):
            return
        try:
            headers = {"x-ms-delete-snapshots": "include"}
            answer = await self._client.call("DELETE", bucket, key, headers=headers)
        except NoSuchKey:
            return
        answer.close()

    async def copy(
        self,
        source_bucket: str,
        source_key: ObjectKey,
        bucket: str,
        key: ObjectKey,
        attributes: ObjectAttributes | None,
    ) -> ObjectInfo:
        """See Backend. With other attributes it is a copy and then a change of them, of the copy that was made."""
        _check_readable(source_key, "")
        _check_writable(key)
        service = await self._client.service()
        source = service.get_blob_client(source_bucket, source_key)
        blob = service.get_blob_client(bucket, key)
        metadata = None if attributes is None else metadata_of(attributes)
        # The source first: where there is none, the service's answer is of the wrong blob.
        await self.head(source_bucket, source_key)
        async with translated(bucket, key):
            copied: Any = await blob.start_copy_from_url(source.url, metadata=metadata or None)
            while copied.get("copy_status") == "pending":
                await asyncio.sleep(_COPY_POLL_S)
                state = await blob.get_blob_properties()
                copied = {"copy_status": state.copy.status, "etag": state.etag}
            if copied.get("copy_status") != "success":
                raise down(bucket, f"the copy ended as {copied.get('copy_status')}")
            if attributes is not None:
                await _change(blob, copied["etag"], attributes, metadata or {})
        return await self.head(bucket, key)

    async def set_tags(self, bucket: str, key: ObjectKey, tags: Mapping[str, str]) -> None:
        """See Backend."""
        raise Unsupported(what="tags", reason="tags are not kept in Azure")

    async def get_tags(self, bucket: str, key: ObjectKey) -> Mapping[str, str]:
        """See Backend."""
        raise Unsupported(what="tags", reason="tags are not kept in Azure")

    async def create_upload(self, bucket: str, key: ObjectKey, attributes: ObjectAttributes) -> str:
        """See Backend. The service is not asked: it knows of an upload with its first part."""
        _check_writable(key)
        return new_upload_id(attributes)

    async def upload_part(
        self, bucket: str, key: ObjectKey, upload_id: str, part_number: int, body: BodyStream
    ) -> BackendPart:
        """See Backend."""
        attributes_of_upload(upload_id)
        return await self._stage(bucket, key, upload_id, part_number, Outgoing(body))

    async def complete_upload(
        self, bucket: str, key: ObjectKey, upload_id: str, parts: Sequence[BackendPart]
    ) -> ObjectInfo:
        """See Backend."""
        return await self._commit(bucket, key, upload_id, parts, {})

    async def abort_upload(self, bucket: str, key: ObjectKey, upload_id: str) -> None:
        """See Backend. Nothing of it is visible, and there is no way to take it back: the service drops what was not
        committed with the next write of the blob, or after a week."""

    async def close(self) -> None:
        """See Backend."""
        await self._client.close()

    async def _stage(
        self, bucket: str, key: str, upload_id: str, part_number: int, outgoing: Outgoing
    ) -> BackendPart:
        blocks = new_blocks(upload_id, part_number, outgoing.size_bytes)
        if not blocks:
            await outgoing.content()
        left = outgoing.size_bytes
        for block in blocks:
            size_bytes = min(left, MAX_BLOCK_BYTES)
            block_id = base64.b64encode(str(block).encode()).decode()
            await self._send(
                bucket, key, outgoing, size_bytes, query={"comp": "block", "blockid": block_id}
            )
            left -= size_bytes
        return BackendPart(part_number, token_of(blocks), outgoing.size_bytes)

    async def _send(  # what a request is made of
        self,
        bucket: str,
        key: str,
        outgoing: Outgoing,
        size_bytes: int,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """PUT the next bytes of a body."""
        content = await outgoing.content(size_bytes)
        # Both are signed; without a type the client of HTTP would add its own.
        sent = {
            "Content-Length": str(size_bytes),
            "Content-Type": DEFAULT_TYPE,
            **(headers or {}),
        }
        try:
            answer = await self._client.call(
                "PUT", bucket, key, query=query, headers=sent, content=content
            )
        except (StoreError, aiohttp.ClientError, OSError):
            if outgoing.error is not None:
                raise outgoing.error from None
            raise
        answer.close()
        return answer

    async def _commit(
        self,
        bucket: str,
        key: ObjectKey,
        upload_id: str,
        parts: Sequence[BackendPart],
        conditions: Mapping[str, Any],
    ) -> ObjectInfo:
        from azure.storage.blob import BlobBlock

        attributes = attributes_of_upload(upload_id)
        service = await self._client.service()
        blob = service.get_blob_client(bucket, key)
        staged: list[str] = []
        async with translated(bucket, key):
            try:
                _, uncommitted = await blob.get_block_list("uncommitted")
                staged = [str(block.id) for block in uncommitted]
            except Exception as error:
                if getattr(error, "status_code", 0) != 404:
                    raise
        chosen = chosen_blocks(upload_id, parts, staged)
        async with translated(bucket, key):
            done: Any = await blob.commit_block_list(
                [BlobBlock(block_id) for block_id in chosen],
                content_settings=_content_settings(attributes),
                metadata=metadata_of(attributes) or None,
                **conditions,
            )
        size_bytes = sum(part.size_bytes for part in parts)
        headers = {"etag": done["etag"], "last-modified": ""}
        info = _written_info(key, size_bytes, headers, attributes, b"")
        return make_info(
            key, size_bytes, info.etag, time_ns(done["last_modified"]), info.attributes, b""
        )


def _written_info(
    key: ObjectKey,
    size_bytes: int,
    answered: Mapping[str, str],
    attributes: ObjectAttributes,
    md5: bytes,
) -> ObjectInfo:
    """What a HEAD would say of what was just written."""
    seen = ObjectAttributes(
        headers={"content-type": DEFAULT_TYPE, **attributes.headers},
        user_metadata=dict(attributes.user_metadata),
    )
    modified_ns = http_time_ns(answered.get("last-modified", ""))
    return make_info(key, size_bytes, answered.get("etag", ""), modified_ns, seen, md5)


def _content_settings(attributes: ObjectAttributes) -> Any:
    from azure.storage.blob import ContentSettings

    said = attributes.headers
    return ContentSettings(
        content_type=said.get("content-type", DEFAULT_TYPE),
        content_encoding=said.get("content-encoding"),
        content_language=said.get("content-language"),
        content_disposition=said.get("content-disposition"),
        cache_control=said.get("cache-control"),
    )


def _conditions(if_match: str, if_absent: bool) -> dict[str, Any]:
    from azure.core import MatchConditions

    if if_match:
        return {"etag": f'"{if_match}"', "match_condition": MatchConditions.IfNotModified}
    return {"match_condition": MatchConditions.IfMissing} if if_absent else {}


async def _change(
    blob: Any, etag: str, attributes: ObjectAttributes, metadata: Mapping[str, str]
) -> None:
    """Give a copy its attributes, if it is still there."""
    from azure.core import MatchConditions

    only = {"match_condition": MatchConditions.IfNotModified}
    changed = await blob.set_http_headers(_content_settings(attributes), etag=etag, **only)
    if not metadata:
        # Without any, the copy has its source's.
        await blob.set_blob_metadata({}, etag=changed["etag"], **only)


def _bucket(properties: Any) -> RemoteBucket:
    created_ns = time_ns(properties.last_modified) if properties.last_modified else 0
    return RemoteBucket(properties.name, created_ns=created_ns)


def _is_unsafe(key: str) -> bool:
    """Whether a key would be another one there: clients and servers shorten paths in URLs, and the service takes a
    backslash for a slash."""
    return "\\" in key or any(part in (".", "..") for part in key.split("/"))


def _check_readable(key: ObjectKey, version_id: str) -> None:
    if version_id:
        raise NoSuchVersion(key=key, version_id=version_id)
    if _is_unsafe(key):
        raise NoSuchKey(key=key)


def _check_writable(key: ObjectKey) -> None:
    if _is_unsafe(key):
        raise Unsupported(
            what="key", reason="Azure has no such names: . or .. between slashes, backslashes"
        )
