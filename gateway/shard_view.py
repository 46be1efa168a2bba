"""Owns the view of buckets with `shard_view`: members of a shard are objects too, named by the shard's key, a slash and
their path.

It stands in place of the object service for S3 requests to such buckets. What is stored wins over members of the same
name; members are read and listed, never written. Shards are known by the endings of their keys alone.
"""

from __future__ import annotations

import mimetypes
from collections.abc import AsyncIterator
from dataclasses import fields, replace
from typing import Any, cast

from core.encryption import CustomerKey
from core.errors import CustomerKeyRequired, NoSuchKey, NoSuchVersion
from core.listing import ListPage, ListQuery
from core.names import ObjectKey
from core.protocols import ObjectReader, ObjectService, Slice
from core.shards import (
    BadShard,
    MemberInfo,
    NoSuchMember,
    NotAShard,
    Shards,
    member_path,
)
from core.types import (
    NO_CONDITIONS,
    NULL_VERSION,
    Bucket,
    ByteRange,
    Conditions,
    ObjectInfo,
)
from gateway.bringing import bring_here
from gateway.shard_listing import ViewedListing, shards_before

_BINARY = "application/octet-stream"
_TYPES = mimetypes.MimeTypes()
_ABSENT = (NoSuchKey, NoSuchMember, NotAShard, BadShard, CustomerKeyRequired)
"""What says that a name is no member's that could be read; the client is told what it would be without the view."""


def shard_view(service: ObjectService, shards: Shards) -> ObjectService:
    """The service, with members of shards to be seen in every bucket that it is asked about."""
    return cast(ObjectService, _ShardView(service, shards))


class _ShardView:
    """Whatever is not here is the service's own."""

    def __init__(self, service: ObjectService, shards: Shards) -> None:
        self._service = service
        self._shards = shards

    def __getattr__(self, name: str) -> Any:
        return getattr(self._service, name)

    async def head(
        self,
        bucket: Bucket,
        key: ObjectKey,
        *,
        version_id: str | None = None,
        conditions: Conditions = NO_CONDITIONS,
    ) -> ObjectInfo:
        try:
            return await self._service.head(
                bucket, key, version_id=version_id, conditions=conditions
            )
        except (NoSuchKey, NoSuchVersion):
            reader = await self._open(bucket, key, version_id, None, conditions)
            if reader is None:
                raise
        await reader.close()
        return reader.info

    async def head_with_tags(
        self, bucket: Bucket, key: ObjectKey, *, version_id: str | None = None
    ) -> ObjectInfo:
        try:
            return await self._service.head_with_tags(bucket, key, version_id=version_id)
        except (NoSuchKey, NoSuchVersion):
            # A member, whose tags are its shard's.
            return await self.head(bucket, key, version_id=version_id)

    async def get(
        self,
        bucket: Bucket,
        key: ObjectKey,
        *,
        version_id: str | None = None,
        byte_range: ByteRange | None = None,
        conditions: Conditions = NO_CONDITIONS,
        customer_key: CustomerKey | None = None,
    ) -> ObjectReader:
        try:
            return await self._service.get(
                bucket,
                key,
                version_id=version_id,
                byte_range=byte_range,
                conditions=conditions,
                customer_key=customer_key,
            )
        except (NoSuchKey, NoSuchVersion):
            reader = await self._open(bucket, key, version_id, byte_range, conditions)
            if reader is None:
                raise
            return reader

    async def list_objects(self, bucket: Bucket, query: ListQuery) -> ListPage:
        return await ViewedListing(self._service, self._shards, bucket, query).page()

    async def _open(
        self,
        bucket: Bucket,
        key: ObjectKey,
        version_id: str | None,
        byte_range: ByteRange | None,
        conditions: Conditions,
    ) -> ObjectReader | None:
        """The member of that name; of several shards that it could be in, the one with the longest key counts."""
        if version_id not in (None, NULL_VERSION):
            return None
        for shard in reversed(shards_before(key)):
            path = key[len(shard) + 1 :]
            if member_path(path) != path:
                continue
            try:
                await bring_here(self._service, bucket, shard)
                reader = await self._shards.open_member(
                    bucket, shard, path, byte_range=byte_range, conditions=conditions
                )
            except _ABSENT:
                continue
            return _Viewed(reader, info_in_view(reader.info, key, shard))
        return None


def info_in_view(info: ObjectInfo, key: ObjectKey, shard: ObjectKey) -> MemberInfo:
    """A member as an object: it has its shard's owner, ACL, tags, class and time, and a content type by its name."""
    guessed, encoding = _TYPES.guess_type(key, strict=False)
    content_type = _BINARY if guessed is None or encoding is not None else guessed
    attributes = replace(
        info.attributes,
        headers={"content-type": content_type},
        user_metadata={},
        retention=None,
        legal_hold=None,
    )
    kept = {each.name: getattr(info, each.name) for each in fields(ObjectInfo)}
    kept.update(
        key=key,
        attributes=attributes,
        version_id=NULL_VERSION,
        has_shard_index=False,
        generation=1,
    )
    return MemberInfo(**kept, shard=shard)


class _Viewed:
    """A member's reader under the name that it has in the view."""

    __slots__ = ("_reader", "info")

    def __init__(self, reader: ObjectReader, info: ObjectInfo) -> None:
        self._reader = reader
        self.info = info

    @property
    def first(self) -> int:
        return self._reader.first

    @property
    def length(self) -> int:
        return self._reader.length

    @property
    def data(self) -> bytes | None:
        return self._reader.data

    @property
    def has_slices(self) -> bool:
        return self._reader.has_slices

    async def next_slice(self) -> Slice | None:
        return await self._reader.next_slice()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self._reader)

    async def close(self) -> None:
        await self._reader.close()
