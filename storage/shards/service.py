"""Owns LocalShards: core.shards.Shards over the objects of a local node."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator

from core.names import ObjectKey
from core.protocols import ObjectReader, ObjectStore
from core.shards import (
    IndexOutcome,
    Member,
    MemberPage,
    NewMember,
    NotAShard,
    Selection,
    ShardFormat,
)
from core.types import NO_CONDITIONS, Bucket, ByteRange, Conditions, ObjectAttributes, ObjectInfo


class LocalShards:
    """Implements core.shards.Shards."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    async def open_member(
        self,
        bucket: Bucket,
        key: ObjectKey,
        path: str,
        *,
        mime: str = "",
        byte_range: ByteRange | None = None,
        conditions: Conditions = NO_CONDITIONS,
    ) -> ObjectReader:
        raise NotAShard(key=key, reason=f"unknown format {mime}")

    async def select(
        self, bucket: Bucket, key: ObjectKey, selection: Selection, *, mime: str = ""
    ) -> AsyncIterator[tuple[Member, AsyncIterator[bytes]]]:
        raise NotAShard(key=key, reason=f"unknown format {mime}")
        yield  # type: ignore[unreachable]

    async def members(
        self, bucket: Bucket, key: ObjectKey, *, mime: str = ""
    ) -> AsyncIterator[Member]:
        raise NotAShard(key=key, reason=f"unknown format {mime}")
        yield  # type: ignore[unreachable]

    async def list_members(
        self,
        bucket: Bucket,
        key: ObjectKey,
        *,
        prefix: str = "",
        after: str = "",
        limit: int = 1000,
    ) -> MemberPage:
        raise NotAShard(key=key, reason="unknown format")

    async def create(
        self,
        bucket: Bucket,
        key: ObjectKey,
        members: AsyncIterable[NewMember],
        *,
        shard_format: ShardFormat,
        attributes: ObjectAttributes,
        conditions: Conditions = NO_CONDITIONS,
    ) -> ObjectInfo:
        raise NotAShard(key=key, reason=f"unknown format {shard_format}")

    async def append(
        self,
        bucket: Bucket,
        key: ObjectKey,
        members: AsyncIterable[NewMember],
        *,
        mime: str = "",
        may_create: bool = False,
    ) -> ObjectInfo:
        raise NotAShard(key=key, reason=f"unknown format {mime}")

    async def index(
        self, bucket: Bucket, key: ObjectKey, *, verifies_present: bool = True
    ) -> IndexOutcome:
        raise NotAShard(key=key, reason="unknown format")
