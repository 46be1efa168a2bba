"""Owns MemoryBackend: a provider with its buckets in one process's memory.

It is the reference for what Backend means, and what tests of the cache run over: it counts what is asked of it, and
goes wrong on demand (backends.memory_faults). Atomicity comes for free: bodies are read whole first, and no step after
that awaits. Objects have no versions.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from backends.memory_faults import Action, Faults, Read
from backends.memory_listing import page_of_objects
from core.backends import BackendFeatures, BackendPart, BackendReader, RemoteBucket
from core.checksums import digest_sync
from core.errors import (
    BackendBroken,
    IncompleteBody,
    InvalidPart,
    NoSuchBucket,
    NoSuchKey,
    NoSuchUpload,
    NoSuchVersion,
    PreconditionFailed,
)
from core.listing import Detail, ListPage, ListQuery
from core.names import ObjectKey
from core.protocols import BodyStream
from core.ranges import resolve_range
from core.types import ByteRange, ObjectAttributes, ObjectInfo, RemoteFacts

_SECOND_NS = 10**9


@dataclass(slots=True)
class _Held:
    info: ObjectInfo
    data: bytes
    tags: Mapping[str, str]


@dataclass(slots=True)
class _Upload:
    key: ObjectKey
    attributes: ObjectAttributes
    parts: dict[int, bytes] = field(default_factory=dict)


@dataclass(slots=True)
class _Contents:
    objects: dict[ObjectKey, _Held] = field(default_factory=dict)
    uploads: dict[str, _Upload] = field(default_factory=dict)


class MemoryBackend:
    """A Backend without a network. `now_ns` is the provider's clock; its times are whole seconds, as S3's."""

    def __init__(
        self,
        *buckets: str,
        provider: str = "aws",
        chunk_bytes: int = 64 * 1024,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.features = BackendFeatures(has_tags=True, min_part_bytes=1)
        self.faults = Faults()
        self.is_closed = False
        self._provider = provider
        self._chunk_bytes = chunk_bytes
        self._now_ns = now_ns
        self._buckets = {name: _Contents() for name in buckets}
        self._last_upload = 0

    # --- behind the back of whoever uses the backend ---

    def add_bucket(self, name: str) -> None:
        """Make a bucket, if it is not there."""
        self._buckets.setdefault(name, _Contents())

    def remove_bucket(self, name: str) -> None:
        """Remove a bucket with all that is in it."""
        del self._buckets[name]

    def place(self, bucket: str, key: str, data: bytes, **headers: str) -> ObjectInfo:
        """Write an object, uncounted. Names of headers as of arguments: content_type."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self._publish(bucket, ObjectKey(key), data, ObjectAttributes(headers=named))

    def remove(self, bucket: str, key: str) -> None:
        """Remove an object, uncounted."""
        del self._contents(bucket).objects[ObjectKey(key)]

    def data(self, bucket: str, key: str) -> bytes | None:
        """What an object has, None if there is none."""
        held = self._contents(bucket).objects.get(ObjectKey(key))
        return None if held is None else held.data

    def keys(self, bucket: str) -> list[str]:
        """All that is in a bucket, in order."""
        return sorted(self._contents(bucket).objects, key=str.encode)

    def uploads(self, bucket: str) -> list[str]:
        """The ids of the uploads in progress."""
        return list(self._contents(bucket).uploads)

    # --- Backend ---

    async def list_buckets(self) -> Sequence[RemoteBucket]:
        """See Backend."""
        await self.faults.begin("list_buckets")
        return [RemoteBucket(name) for name in sorted(self._buckets)]

    async def head_bucket(self, bucket: str) -> RemoteBucket:
        """See Backend."""
        await self.faults.begin("head_bucket")
        self._contents(bucket)
        return RemoteBucket(bucket)

    async def list_page(self, bucket: str, query: ListQuery) -> ListPage:
        """See Backend."""
        await self.faults.begin("list_page")
        objects = self._contents(bucket).objects.values()
        page = page_of_objects((held.info for held in objects), query)
        if query.detail is Detail.WHOLE:
            return page
        # As S3's own: a listing has no headers and no metadata.
        bare = ObjectAttributes()
        return replace(page, entries=[replace(info, attributes=bare) for info in page.entries])

    async def head(self, bucket: str, key: ObjectKey, *, version_id: str = "") -> ObjectInfo:
        """See Backend."""
        await self.faults.begin("head", key)
        return self._held(bucket, key, version_id).info

    async def open(
        self,
        bucket: str,
        key: ObjectKey,
        *,
        byte_range: ByteRange | None = None,
        if_match: str = "",
        version_id: str = "",
    ) -> BackendReader:
        """See Backend."""
        await self.faults.begin("open", key)
        held = self._held(bucket, key, version_id)
        if if_match and if_match != held.info.etag:
            raise PreconditionFailed(condition="If-Match")
        first, length = resolve_range(held.info, byte_range)
        read = Read(bucket, key, first, length)
        self.faults.reads.append(read)
        return MemoryReader(self.faults, read, held.info, held.data, self._chunk_bytes)

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
        await self.faults.begin("put", key)
        self._contents(bucket)
        data = await self._read(body, "put")
        current = self._contents(bucket).objects.get(key)
        if if_absent and current is not None:
            raise PreconditionFailed(condition="If-None-Match")
        if if_match and current is None:
            raise NoSuchKey(key=key)
        if if_match and current is not None and current.info.etag != if_match:
            raise PreconditionFailed(condition="If-Match")
        return self._publish(bucket, key, data, attributes)

    async def delete(self, bucket: str, key: ObjectKey, *, version_id: str = "") -> None:
        """See Backend."""
        await self.faults.begin("delete", key)
        contents = self._contents(bucket)
        if not version_id:
            contents.objects.pop(key, None)

    async def copy(
        self,
        source_bucket: str,
        source_key: ObjectKey,
        bucket: str,
        key: ObjectKey,
        attributes: ObjectAttributes | None,
    ) -> ObjectInfo:
        """See Backend."""
        await self.faults.begin("copy", key)
        source = self._held(source_bucket, source_key, "")
        kept = replace(source.info.attributes, tags=source.tags)
        return self._publish(bucket, key, source.data, kept if attributes is None else attributes)

    async def set_tags(self, bucket: str, key: ObjectKey, tags: Mapping[str, str]) -> None:
        """See Backend."""
        await self.faults.begin("set_tags", key)
        self._held(bucket, key, "").tags = dict(tags)

    async def get_tags(self, bucket: str, key: ObjectKey) -> Mapping[str, str]:
        """See Backend."""
        await self.faults.begin("get_tags", key)
        return dict(self._held(bucket, key, "").tags)

    async def create_upload(self, bucket: str, key: ObjectKey, attributes: ObjectAttributes) -> str:
        """See Backend."""
        await self.faults.begin("create_upload", key)
        contents = self._contents(bucket)
        self._last_upload += 1
        upload_id = f"upload-{self._last_upload}"
        contents.uploads[upload_id] = _Upload(key, attributes)
        return upload_id

    async def upload_part(
        self, bucket: str, key: ObjectKey, upload_id: str, part_number: int, body: BodyStream
    ) -> BackendPart:
        """See Backend."""
        await self.faults.begin("upload_part", key)
        self._upload(bucket, key, upload_id)
        data = await self._read(body, "upload_part")
        self._upload(bucket, key, upload_id).parts[part_number] = data
        return BackendPart(part_number, digest_sync("md5", data).hex(), len(data))

    async def complete_upload(
        self, bucket: str, key: ObjectKey, upload_id: str, parts: Sequence[BackendPart]
    ) -> ObjectInfo:
        """See Backend."""
        await self.faults.begin("complete_upload", key)
        upload = self._upload(bucket, key, upload_id)
        digests, found = b"", []
        for part in parts:
            data = upload.parts.get(part.part_number)
            digest = b"" if data is None else digest_sync("md5", data)
            if data is None or digest.hex() != part.token:
                raise InvalidPart(
                    part_number=part.part_number, upload_id=upload_id, etag=part.token
                )
            digests += digest
            found.append(data)
        etag = f"{digest_sync('md5', digests).hex()}-{len(found)}"
        info = self._publish(bucket, key, b"".join(found), upload.attributes, etag)
        del self._contents(bucket).uploads[upload_id]
        return info

    async def abort_upload(self, bucket: str, key: ObjectKey, upload_id: str) -> None:
        """See Backend."""
        await self.faults.begin("abort_upload", key)
        self._contents(bucket).uploads.pop(upload_id, None)

    async def close(self) -> None:
        """See Backend."""
        self.is_closed = True

    # --- what the operations share ---

    def _contents(self, bucket: str) -> _Contents:
        contents = self._buckets.get(bucket)
        if contents is None:
            raise NoSuchBucket(bucket=bucket)
        return contents

    def _held(self, bucket: str, key: ObjectKey, version_id: str) -> _Held:
        held = self._contents(bucket).objects.get(key)
        if held is None:
            raise NoSuchKey(key=key)
        if version_id:
            raise NoSuchVersion(key=key, version_id=version_id)
        return held

    def _upload(self, bucket: str, key: ObjectKey, upload_id: str) -> _Upload:
        upload = self._contents(bucket).uploads.get(upload_id)
        if upload is None or upload.key != key:
            raise NoSuchUpload(upload_id=upload_id)
        return upload

    async def _read(self, body: BodyStream, operation: str) -> bytes:
        chunks = []
        async for chunk in body:
            self.faults.written_bytes[operation] += len(chunk)
            chunks.append(bytes(chunk))
        data = b"".join(chunks)
        if body.size_bytes != len(data):
            raise IncompleteBody(expected_bytes=body.size_bytes, actual_bytes=len(data))
        return data

    def _publish(
        self,
        bucket: str,
        key: ObjectKey,
        data: bytes,
        attributes: ObjectAttributes,
        multipart_etag: str = "",
    ) -> ObjectInfo:
        md5 = b"" if multipart_etag else digest_sync("md5", data)
        etag = multipart_etag or md5.hex()
        seen = ObjectAttributes(
            headers={"content-type": "binary/octet-stream", **attributes.headers},
            user_metadata=dict(attributes.user_metadata),
            storage_class=attributes.storage_class,
        )
        info = ObjectInfo(
            key,
            len(data),
            etag,
            self._now_ns() // _SECOND_NS * _SECOND_NS,
            seen,
            remote=RemoteFacts(self._provider, etag, md5=md5),
            is_cached=False,
        )
        self._contents(bucket).objects[key] = _Held(info, data, dict(attributes.tags))
        return info


class MemoryReader:
    """A BackendReader over bytes, which goes wrong as its backend's faults say."""

    def __init__(
        self, faults: Faults, read: Read, info: ObjectInfo, data: bytes, chunk_bytes: int
    ) -> None:
        wrongs = faults.wrongs
        self.info = replace(info, size_bytes=info.size_bytes + wrongs.promised_more)
        self.first = read.first
        self.length = read.length = read.length + wrongs.promised_more
        self._read = read
        self._data = _spoilt(data, wrongs.flipped_at)
        self._end = min(read.first + read.length - wrongs.promised_more, len(data))
        if wrongs.truncated_to is not None:
            self._end = min(self._end, read.first + wrongs.truncated_to)
        self._chunk_bytes = chunk_bytes
        self._met: list[tuple[int, Action]] = faults.of_read(read.key)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        at = self.first
        while True:
            while self._met and self._met[0][0] <= at - self.first:
                await self._met.pop(0)[1]()
            if at >= self._end:
                break
            end = min(at + self._chunk_bytes, self._end)
            if self._met:
                end = min(end, self.first + self._met[0][0])
            given = min(end, self.first + self.length) - at
            if given <= 0:
                break
            self._read.given_bytes += given
            yield self._data[at : at + given]
            at += given
        if self._end - self.first != self.length:
            raise BackendBroken(
                provider=self.info.remote.provider if self.info.remote else "",
                bucket=self._read.bucket,
                key=self._read.key,
                reason=f"{self._end - self.first} bytes where {self.length} were promised",
                retry_after_s=1,
            )

    async def close(self) -> None:
        """See BackendReader."""
        self._read.is_closed = True


def _spoilt(data: bytes, place: int | None) -> bytes:
    """The bytes with one that is another."""
    if place is None or place >= len(data):
        return data
    return data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]
