"""Owns what all wrappers have in common: a Backend that passes each call on to another, through one method that a
wrapper overrides (`around`), and readers and bodies that do the same."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from core.backends import Backend, BackendFeatures, BackendPart, BackendReader, RemoteBucket
from core.listing import ListPage, ListQuery
from core.names import ObjectKey
from core.protocols import BodyStream
from core.types import ByteRange, ChecksumAlgorithm, ExpectedDigest, ObjectAttributes, ObjectInfo

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a backend. `verb` is what limits and counters go by: list, head, get, put, delete or copy."""

    verb: str
    name: str
    bucket: str = ""
    key: str = ""


class Wrapper:
    """Passes on. `around` sees each call but `open`, `put` and `upload_part`, which have a stream: those go by it too,
    unless a wrapper has its own."""

    def __init__(self, inner: Backend) -> None:
        self.inner = inner

    @property
    def features(self) -> BackendFeatures:
        return self.inner.features

    async def around(self, call: Call, go: Callable[[], Awaitable[T]]) -> T:
        """Make the call; `go` may be called again where the wrapper knows that this does no harm."""
        return await go()

    async def list_buckets(self) -> Sequence[RemoteBucket]:
        return await self.around(Call("list", "list_buckets"), self.inner.list_buckets)

    async def head_bucket(self, bucket: str) -> RemoteBucket:
        call = Call("head", "head_bucket", bucket)
        return await self.around(call, lambda: self.inner.head_bucket(bucket))

    async def list_page(self, bucket: str, query: ListQuery) -> ListPage:
        call = Call("list", "list_page", bucket)
        return await self.around(call, lambda: self.inner.list_page(bucket, query))

    async def head(self, bucket: str, key: ObjectKey, *, version_id: str = "") -> ObjectInfo:
        call = Call("head", "head", bucket, key)
        return await self.around(call, lambda: self.inner.head(bucket, key, version_id=version_id))

    async def open(
        self,
        bucket: str,
        key: ObjectKey,
        *,
        byte_range: ByteRange | None = None,
        if_match: str = "",
        version_id: str = "",
    ) -> BackendReader:
        return await self.around(
            Call("get", "open", bucket, key),
            lambda: self.inner.open(
                bucket, key, byte_range=byte_range, if_match=if_match, version_id=version_id
            ),
        )

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
        return await self.around(
            Call("put", "put", bucket, key),
            lambda: self.inner.put(
                bucket, key, body, attributes, if_match=if_match, if_absent=if_absent
            ),
        )

    async def delete(self, bucket: str, key: ObjectKey, *, version_id: str = "") -> None:
        call = Call("delete", "delete", bucket, key)
        await self.around(call, lambda: self.inner.delete(bucket, key, version_id=version_id))

    async def copy(
        self,
        source_bucket: str,
        source_key: ObjectKey,
        bucket: str,
        key: ObjectKey,
        attributes: ObjectAttributes | None,
    ) -> ObjectInfo:
        return await self.around(
            Call("copy", "copy", bucket, key),
            lambda: self.inner.copy(source_bucket, source_key, bucket, key, attributes),
        )

    async def set_tags(self, bucket: str, key: ObjectKey, tags: Mapping[str, str]) -> None:
        call = Call("put", "set_tags", bucket, key)
        await self.around(call, lambda: self.inner.set_tags(bucket, key, tags))

    async def get_tags(self, bucket: str, key: ObjectKey) -> Mapping[str, str]:
        call = Call("head", "get_tags", bucket, key)
        return await self.around(call, lambda: self.inner.get_tags(bucket, key))

    async def create_upload(self, bucket: str, key: ObjectKey, attributes: ObjectAttributes) -> str:
        call = Call("put", "create_upload", bucket, key)
        return await self.around(call, lambda: self.inner.create_upload(bucket, key, attributes))

    async def upload_part(
        self, bucket: str, key: ObjectKey, upload_id: str, part_number: int, body: BodyStream
    ) -> BackendPart:
        return await self.around(
            Call("put", "upload_part", bucket, key),
            lambda: self.inner.upload_part(bucket, key, upload_id, part_number, body),
        )

    async def complete_upload(
        self, bucket: str, key: ObjectKey, upload_id: str, parts: Sequence[BackendPart]
    ) -> ObjectInfo:
        return await self.around(
            Call("put", "complete_upload", bucket, key),
            lambda: self.inner.complete_upload(bucket, key, upload_id, parts),
        )

    async def abort_upload(self, bucket: str, key: ObjectKey, upload_id: str) -> None:
        call = Call("delete", "abort_upload", bucket, key)
        await self.around(call, lambda: self.inner.abort_upload(bucket, key, upload_id))

    async def close(self) -> None:
        await self.inner.close()


class WrappedReader:
    """A BackendReader over another, whose chunks go through `chunks`."""

    def __init__(self, inner: BackendReader) -> None:
        self.inner = inner

    @property
    def info(self) -> ObjectInfo:
        return self.inner.info

    @property
    def first(self) -> int:
        return self.inner.first

    @property
    def length(self) -> int:
        return self.inner.length

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self.chunks()

    def chunks(self) -> AsyncIterator[bytes]:
        """What iteration gives."""
        return aiter(self.inner)

    async def close(self) -> None:
        await self.inner.close()


class WrappedBody:
    """A BodyStream over another, whose chunks go through `chunks`."""

    def __init__(self, inner: BodyStream) -> None:
        self.inner = inner

    @property
    def size_bytes(self) -> int | None:
        return self.inner.size_bytes

    @property
    def wanted_checksum(self) -> ChecksumAlgorithm | None:
        return self.inner.wanted_checksum

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self.chunks()

    def chunks(self) -> AsyncIterator[bytes]:
        """What iteration gives."""
        return aiter(self.inner)

    def expected_digests(self) -> Sequence[ExpectedDigest]:
        return self.inner.expected_digests()

    def expected_algorithms(self) -> Sequence[str]:
        return self.inner.expected_algorithms()
