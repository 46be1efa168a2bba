"""What the contract suites run in: a store under test, buckets for it, bodies to feed it and a clock to turn."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any, TypeVar

from backends.memory_keys import MemoryKeyService
from core.configs.versioning import DefaultRetention, ObjectLock, Versioning
from core.listing import VersionListQuery
from core.names import BucketName, BucketRef, ObjectKey, UserId
from core.protocols import ObjectReader, ObjectStore
from core.types import (
    Bucket,
    ByteRange,
    ChecksumAlgorithm,
    ExpectedDigest,
    ObjectAttributes,
    ObjectInfo,
    User,
)

T = TypeVar("T")

USER = User(UserId("owner-id"), "owner", "The Owner")
PLAIN = ObjectAttributes(owner_id=USER.user_id)
START_NS = 1_700_000_000 * 10**9
MIN_PART_BYTES = 16


class FakeClock:
    """Time that moves only when told to."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._now_ns = START_NS

    def now_ns(self) -> int:
        return self._now_ns

    def advance(self, seconds: float) -> None:
        self._now_ns += int(seconds * 10**9)


class Body:
    """A BodyStream from memory, that may lie about its size, claim digests, or break off with an error."""

    def __init__(
        self,
        data: bytes = b"",
        *,
        chunk_bytes: int = 64 * 1024,
        declared: int | None = -1,
        wanted: ChecksumAlgorithm | None = None,
        claims: Sequence[ExpectedDigest] = (),
        error: Exception | None = None,
    ) -> None:
        self._data = data
        self._chunk_bytes = chunk_bytes
        self._claims = claims
        self._error = error
        self.size_bytes = len(data) if declared == -1 else declared
        self.wanted_checksum = wanted

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for first in range(0, len(self._data), self._chunk_bytes):
            yield self._data[first : first + self._chunk_bytes]
            await asyncio.sleep(0)
        if self._error is not None:
            raise self._error

    def expected_digests(self) -> Sequence[ExpectedDigest]:
        return self._claims

    def expected_algorithms(self) -> Sequence[str]:
        return [claim.algorithm for claim in self._claims]


class World:
    """A store and what surrounds it. Subclasses make `store` and the buckets that it knows."""

    store: ObjectStore

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.keys = MemoryKeyService("key-1", "key-2")
        self._runner = asyncio.Runner()
        self._bucket_count = 0

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(coroutine)

    async def new_bucket(self) -> Bucket:
        self._bucket_count += 1
        ref = BucketRef(BucketName(f"bucket-{self._bucket_count}"))
        return Bucket(ref, self._bucket_count, USER, self.clock.now_ns())

    async def restart(self) -> None:
        """Close the store and open what is left of it. A store in memory stays as it is."""

    async def rebuild(self) -> None:
        """Lose what can be made anew from the stored bytes, and make it. A store in memory stays as it is."""

    async def settle(self, within_s: float = 10.0) -> None:
        """Wait for what the store does after it has answered, but only so long."""

    def leftovers(self) -> Sequence[str]:
        """What lies about unnamed behind the store's back: empty, once it has settled."""
        return ()

    def holds_on_disk(self, data: bytes) -> bool:
        """Whether bytes can be found as they are in what the store has written. A store in memory writes nothing."""
        return False

    async def close_store(self) -> None:
        """Release what the store holds."""

    def close(self) -> None:
        self.run(self.close_store())
        self._runner.close()


def key(text: str) -> ObjectKey:
    return ObjectKey(text)


def etag_of(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def pattern(size_bytes: int, seed: int = 0) -> bytes:
    """Bytes that differ from place to place, and with the seed."""
    block = hashlib.sha256(str(seed).encode()).digest() * 32
    return b"".join(
        number.to_bytes(4, "big") + block for number in range(size_bytes // len(block) + 1)
    )[:size_bytes]


def as_listed(info: ObjectInfo) -> ObjectInfo:
    """What a listing of keys says for certain: of the attributes the class and the owner, and no parts."""
    known = info.attributes
    attributes = ObjectAttributes(storage_class=known.storage_class, owner_id=known.owner_id)
    return dataclasses.replace(info, attributes=attributes, parts=())


async def read_all(reader: ObjectReader) -> bytes:
    """The bytes of an open object, by iteration, checked against `data` and the length; then it is closed."""
    try:
        data = b"".join([chunk async for chunk in reader])
        assert len(data) == reader.length
        assert reader.data is None or reader.data == data
        return data
    finally:
        await reader.close()


async def read(
    store: ObjectStore, bucket: Bucket, name: str, byte_range: ByteRange | None = None
) -> bytes:
    """Get an object, or a range of it, whole."""
    return await read_all(await store.get(bucket, key(name), byte_range=byte_range))


async def put(store: ObjectStore, bucket: Bucket, name: str, data: bytes) -> str:
    """Store an object and return its ETag."""
    info = await store.put(bucket, key(name), Body(data), attributes=PLAIN)
    return info.etag


# --- versions ----------------------------------------------------------------------------------------------------


def enabled(bucket: Bucket) -> Bucket:
    """The bucket as a caller sees it once it keeps versions."""
    return _with_versioning(bucket, Versioning.ENABLED)


def suspended(bucket: Bucket) -> Bucket:
    return _with_versioning(bucket, Versioning.SUSPENDED)


def lockable(bucket: Bucket, default: DefaultRetention | None = None) -> Bucket:
    """The bucket once its versions can be locked, and are by default."""
    props = dataclasses.replace(bucket.props, object_lock=ObjectLock(default))
    return enabled(dataclasses.replace(bucket, props=props))


def _with_versioning(bucket: Bucket, versioning: Versioning) -> Bucket:
    props = dataclasses.replace(bucket.props, versioning=versioning)
    return dataclasses.replace(bucket, props=props)


async def put_version(store: ObjectStore, bucket: Bucket, name: str, data: bytes) -> ObjectInfo:
    """Store an object and return what is known of it."""
    return await store.put(bucket, key(name), Body(data), attributes=PLAIN)


async def mark_deleted(store: ObjectStore, bucket: Bucket, name: str) -> str:
    """Put a delete marker on top of a key and return its version id."""
    result = await store.delete(bucket, key(name))
    assert result.is_delete_marker
    assert result.version_id is not None
    return result.version_id


async def read_version(store: ObjectStore, bucket: Bucket, name: str, version_id: str) -> bytes:
    return await read_all(await store.get(bucket, key(name), version_id=version_id))


async def history(store: ObjectStore, bucket: Bucket, name: str) -> list[str]:
    """The ids of a key's versions and delete markers as they list, the latest first."""
    page = await store.list_versions(bucket, VersionListQuery(prefix=name))
    found = [version for version in page.versions if version.info.key == name]
    assert [version.is_latest for version in found] == [place == 0 for place in range(len(found))]
    return [version.info.version_id for version in found]
