"""Owns where indexes of shards are kept: as objects of a system bucket, and, of shards read lately, in memory.

An index is written before its shard's record is flagged, so whoever sees the flag finds the index. One that is stale,
damaged or gone is as good as none: readers scan, and take the flag away.
"""

from __future__ import annotations

import asyncio
import collections
import logging
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from core.encryption import EncryptionMode, EncryptionRequest
from core.errors import Corrupt, NotFound, StoreError
from core.names import BucketRef, ObjectKey
from core.protocols import ObjectStore
from core.shard_indexes import INDEX_BUCKET, index_key
from core.shards import IndexState
from core.types import (
    Bucket,
    ChecksumAlgorithm,
    Conditions,
    ExpectedDigest,
    ObjectAttributes,
    ObjectChanges,
    ObjectInfo,
)
from storage import crashpoints
from storage.shards.index import MAX_INDEX_BYTES, BadIndexError, ShardIndex

logger = logging.getLogger(__name__)

MEMORY_BYTES = 64 * 1024**2

_CHUNK_BYTES = 1024**2
# Checked on the event loop up to here: 64 KiB are digested in 10 µs.
_SMALL_BYTES = 64 * 1024


class SystemBuckets(Protocol):
    """What the indexes ask of an ObjectService."""

    def get_bucket(self, ref: BucketRef) -> Bucket:
        """Raises NoSuchBucket."""

    async def ensure_system_bucket(self, ref: BucketRef) -> Bucket:
        """The bucket, made if it is not there."""


_Name = tuple[int, ObjectKey, str, int]


class IndexMemory:
    """The indexes used last, of one event loop. What names one is all that its shard's content hangs on."""

    def __init__(self, max_bytes: int = MEMORY_BYTES) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._kept: collections.OrderedDict[_Name, ShardIndex] = collections.OrderedDict()

    def find(self, bucket: Bucket, info: ObjectInfo) -> ShardIndex | None:
        name = _name_of(bucket, info)
        kept = self._kept.get(name)
        if kept is not None:
            self._kept.move_to_end(name)
        return kept

    def keep(self, bucket: Bucket, info: ObjectInfo, index: ShardIndex) -> None:
        """The newest is kept whatever its size: without it, each read of a large shard would fetch it again."""
        name = _name_of(bucket, info)
        replaced = self._kept.pop(name, None)
        if replaced is not None:
            self._bytes -= replaced.raw_bytes
        self._kept[name] = index
        self._bytes += index.raw_bytes
        while self._bytes > self._max_bytes and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._bytes -= dropped.raw_bytes

    def forget(self, bucket: Bucket, info: ObjectInfo) -> None:
        dropped = self._kept.pop(_name_of(bucket, info), None)
        if dropped is not None:
            self._bytes -= dropped.raw_bytes


def _name_of(bucket: Bucket, info: ObjectInfo) -> _Name:
    return bucket.bucket_id, info.key, info.etag, info.size_bytes


class ShardIndexes:
    """Finds, keeps and removes the indexes of shards."""

    def __init__(
        self, store: ObjectStore, buckets: SystemBuckets, memory: IndexMemory | None = None
    ) -> None:
        self._store = store
        self._buckets = buckets
        self._memory = IndexMemory() if memory is None else memory
        self._loading: dict[_Name, asyncio.Task[ShardIndex | None]] = {}

    def recall(self, bucket: Bucket, info: ObjectInfo) -> ShardIndex | None:
        """The index of exactly this content, if memory has it."""
        return self._memory.find(bucket, info)

    def remember(self, bucket: Bucket, info: ObjectInfo, index: ShardIndex) -> None:
        """Keep in memory what was made of this content."""
        self._memory.keep(bucket, info, index)

    async def find(self, bucket: Bucket, info: ObjectInfo) -> ShardIndex | None:
        """The valid index of a shard, by its record; None if there is none. Raises nothing of the store's: what cannot
        be read is as good as absent."""
        kept = self._memory.find(bucket, info)
        if kept is not None or not info.has_shard_index:
            return kept
        name = _name_of(bucket, info)
        loading = self._loading.get(name)
        if loading is None:
            loading = self._loading[name] = asyncio.create_task(self._find(bucket, info))
            loading.add_done_callback(lambda _: self._loading.pop(name, None))
        return await asyncio.shield(loading)

    async def _find(self, bucket: Bucket, info: ObjectInfo) -> ShardIndex | None:
        try:
            index = await self.load(bucket, info)
        except StoreError as error:
            logger.warning("index of shard %s cannot be read: %s", info.key, error)
            return None
        if index is None:
            await self.unflag(bucket, info)
            return None
        self._memory.keep(bucket, info, index)
        return index

    async def load(self, bucket: Bucket, info: ObjectInfo) -> ShardIndex | None:
        """The index that is stored, whether or not the record is flagged; None if there is none that is valid. Raises
        what reading an object does, but for its absence and corruption."""
        try:
            index = await self.read(bucket, info.key)
        except (NotFound, Corrupt, BadIndexError):
            return None
        return index if index.is_of(info) else None

    async def read(self, bucket: Bucket, key: ObjectKey) -> ShardIndex:
        """The index that is stored for a key, of whatever content. Raises BadIndexError, and as ObjectStore.get."""
        home = self._buckets.get_bucket(INDEX_BUCKET)
        reader = await self._store.get(home, index_key(bucket.ref, key))
        try:
            if reader.length > MAX_INDEX_BYTES:
                raise BadIndexError("too large")
            data = reader.data
            if data is None:
                data = b"".join([chunk async for chunk in reader])
        finally:
            await reader.close()
        if len(data) <= _SMALL_BYTES:
            return ShardIndex(data)
        return await asyncio.to_thread(ShardIndex, data)

    async def examine(self, bucket: Bucket, info: ObjectInfo) -> tuple[IndexState, int]:
        """What state a shard's index is in, and how many members a valid one has. Raises as ObjectStore.get, but for
        absence and corruption."""
        try:
            index = await self.read(bucket, info.key)
        except NotFound:
            return (IndexState.INVALID if info.has_shard_index else IndexState.ABSENT), 0
        except (Corrupt, BadIndexError):
            return IndexState.INVALID, 0
        if not index.is_of(info):
            return IndexState.STALE, 0
        return (IndexState.VALID, index.count) if info.has_shard_index else (IndexState.ABSENT, 0)

    async def write(self, bucket: Bucket, info: ObjectInfo, raw: bytes) -> None:
        """Store a shard's index, then flag the shard, if it is still what was indexed. Raises PreconditionFailed,
        NoSuchKey, and as ObjectStore.put."""
        home = await self._buckets.ensure_system_bucket(INDEX_BUCKET)
        attributes = ObjectAttributes(
            headers={"content-type": "application/octet-stream"},
            owner_id=home.owner.user_id,
        )
        await self._store.put(
            home,
            index_key(bucket.ref, info.key),
            _Body(raw),
            attributes=attributes,
            encryption=_encryption_like(info),
        )
        crashpoints.reach("shard-index:written")
        await self.flag(bucket, info)

    async def flag(self, bucket: Bucket, info: ObjectInfo) -> None:
        """Say in a shard's record that its index is there. Raises PreconditionFailed if the shard is another by now."""
        await self._set_flag(bucket, info, True)

    async def unflag(self, bucket: Bucket, info: ObjectInfo) -> None:
        """Best effort: a flag without an index costs readers one look-up more."""
        try:
            await self._set_flag(bucket, info, False)
        except StoreError as error:
            logger.info("shard %s keeps the flag of an index it has not: %s", info.key, error)

    async def refuse(self, bucket: Bucket, info: ObjectInfo) -> None:
        """An index turned out to be wrong: forget it, and have readers scan."""
        self._memory.forget(bucket, info)
        await self.unflag(bucket, info)

    async def _set_flag(self, bucket: Bucket, info: ObjectInfo, is_set: bool) -> None:
        await self._store.update_object(
            bucket,
            info.key,
            ObjectChanges(has_shard_index=is_set),
            conditions=Conditions(if_match=(info.etag,), if_size=info.size_bytes),
        )

    async def remove(self, ref: BucketRef, key: ObjectKey) -> None:
        """Remove the index of a shard, if there is one. Raises as ObjectStore.delete."""
        try:
            home = self._buckets.get_bucket(INDEX_BUCKET)
        except NotFound:
            return
        await self._store.delete(home, index_key(ref, key))


def _encryption_like(info: ObjectInfo) -> EncryptionRequest | None:
    """Names of members are as secret as their bytes."""
    encryption = info.encryption
    if encryption is None:
        return None
    if encryption.mode is EncryptionMode.KMS:
        return EncryptionRequest(EncryptionMode.KMS, kms_key_id=encryption.kms_key_id)
    return EncryptionRequest(EncryptionMode.S3)


class _Body:
    """An index on its way into the store."""

    wanted_checksum: ChecksumAlgorithm | None = None

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self.size_bytes = len(raw)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for first in range(0, len(self._raw), _CHUNK_BYTES):
            yield self._raw[first : first + _CHUNK_BYTES]

    def expected_digests(self) -> Sequence[ExpectedDigest]:
        return ()

    def expected_algorithms(self) -> Sequence[str]:
        return ()
