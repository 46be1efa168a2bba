"""Owns the objects of a MemoryStore; backends.memory adds uploads, backends.memory_versions the rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from backends.memory_buckets import MemoryBuckets
from backends.memory_listing import page_of_objects, page_of_versions
from backends.memory_versions import Change, Stored
from core.checksums import digest_sync
from core.conditions import check_copy_source, check_read
from core.control import KeyService
from core.deletion import DeleteItem, DeleteResult
from core.encryption import CustomerKey, EncryptionMode, EncryptionRequest, ObjectEncryption
from core.errors import (
    DigestMismatch,
    EntityTooLarge,
    IncompleteBody,
    StoreError,
)
from core.listing import (
    ListPage,
    ListQuery,
    VersionListPage,
    VersionListQuery,
)
from core.memory_reader import MemoryReader
from core.names import ObjectKey, UserId
from core.protocols import BodyStream, Clock
from core.ranges import resolve_range
from core.sealing import check_customer_key, new_encryption, open_encryption
from core.types import (
    MAX_PUT_BYTES,
    NO_CONDITIONS,
    Bucket,
    ByteRange,
    CannedAcl,
    Checksum,
    ChecksumAlgorithm,
    Conditions,
    ObjectAttributes,
    ObjectChanges,
    ObjectInfo,
)
from core.uploads import Upload


class MemoryObjects(MemoryBuckets):
    """The part of ObjectService that knows no uploads."""

    def __init__(self, clock: Clock, keys: KeyService) -> None:
        super().__init__(clock)
        self._keys = keys
        self.announced: list[tuple[str, bytes]] = []

    async def announce(self, bucket: Bucket, messages: Mapping[str, bytes]) -> None:
        self.announced.extend(messages.items())

    # --- objects ---

    async def head_with_tags(
        self, bucket: Bucket, key: ObjectKey, *, version_id: str | None = None
    ) -> ObjectInfo:
        return await self.head(bucket, key, version_id=version_id)

    async def head(
        self,
        bucket: Bucket,
        key: ObjectKey,
        *,
        version_id: str | None = None,
        conditions: Conditions = NO_CONDITIONS,
    ) -> ObjectInfo:
        info = self._stored(bucket, key, version_id).info
        check_read(info, conditions)
        return info

    async def get(
        self,
        bucket: Bucket,
        key: ObjectKey,
        *,
        version_id: str | None = None,
        byte_range: ByteRange | None = None,
        conditions: Conditions = NO_CONDITIONS,
        customer_key: CustomerKey | None = None,
    ) -> MemoryReader:
        stored = self._stored(bucket, key, version_id)
        check_read(stored.info, conditions)
        first, length = resolve_range(stored.info, byte_range)
        await self._open(bucket, stored.info, customer_key)
        return MemoryReader(stored.info, stored.data, first, length)

    async def put(
        self,
        bucket: Bucket,
        key: ObjectKey,
        body: BodyStream,
        *,
        attributes: ObjectAttributes,
        conditions: Conditions = NO_CONDITIONS,
        encryption: EncryptionRequest | None = None,
    ) -> ObjectInfo:
        kept = await self._encrypt(bucket, key, encryption)
        data = await read_whole(body)
        info = self._new_info(key, data, attributes, body.wanted_checksum)
        info = replace(info, etag=etag_of(data, kept), encryption=kept)
        return self._publish(bucket, info, data, conditions).info

    async def delete(
        self,
        bucket: Bucket,
        key: ObjectKey,
        *,
        version_id: str | None = None,
        conditions: Conditions = NO_CONDITIONS,
        bypass_governance: bool = False,
    ) -> DeleteResult:
        return self._delete(bucket, DeleteItem(key, version_id, conditions), bypass_governance)

    def _delete(self, bucket: Bucket, item: DeleteItem, bypass_governance: bool) -> DeleteResult:
        marker = ObjectInfo(
            item.key,
            0,
            "",
            self._clock.now_ns(),
            ObjectAttributes(owner_id=bucket.owner.user_id),
            is_delete_marker=True,
        )
        return self._contents(bucket).versions.delete(
            bucket.props, item, marker, bypass_governance=bypass_governance
        )

    async def delete_many(
        self, bucket: Bucket, items: Sequence[DeleteItem], *, bypass_governance: bool = False
    ) -> Sequence[DeleteResult | Exception]:
        outcomes: list[DeleteResult | Exception] = []
        for item in items:
            try:
                outcome: DeleteResult | Exception = self._delete(bucket, item, bypass_governance)
            except StoreError as error:
                outcome = error
            outcomes.append(outcome)
        return outcomes

    async def copy(  # noqa: PLR0913  # the protocol's signature
        self,
        source_bucket: Bucket,
        source_key: ObjectKey,
        bucket: Bucket,
        key: ObjectKey,
        *,
        source_version_id: str | None = None,
        source_conditions: Conditions = NO_CONDITIONS,
        conditions: Conditions = NO_CONDITIONS,
        attributes: ObjectAttributes | None = None,
        owner_id: UserId | None = None,
        checksum_algorithm: ChecksumAlgorithm | None = None,
        encryption: EncryptionRequest | None = None,
        source_customer_key: CustomerKey | None = None,
    ) -> ObjectInfo:
        source = self._stored(source_bucket, source_key, source_version_id)
        check_copy_source(source.info, source_conditions)
        await self._open(source_bucket, source.info, source_customer_key)
        encrypted = await self._encrypt(bucket, key, encryption)
        is_same = source_bucket.bucket_id == bucket.bucket_id and source_key == key
        if encrypted is None and is_same:
            encrypted = source.info.encryption
        if source.info.size_bytes > MAX_PUT_BYTES:
            raise EntityTooLarge(size_bytes=source.info.size_bytes, max_bytes=MAX_PUT_BYTES)
        kept = source.info.attributes
        if attributes is None:
            owner = kept.owner_id if owner_id is None else owner_id
            # A lock is the version's own: the copy gets what its bucket gives (AWS: CopyObject, Object Lock).
            attributes = replace(
                kept,
                owner_id=owner,
                acl=CannedAcl.PRIVATE,
                retention=None,
                legal_hold=None,
            )
        if checksum_algorithm is None and source.info.checksum is not None:
            checksum_algorithm = source.info.checksum.algorithm
        info = self._new_info(key, source.data, attributes, checksum_algorithm)
        info = replace(info, etag=etag_of(source.data, encrypted), encryption=encrypted)
        return self._publish(bucket, info, source.data, conditions).info

    async def update_object(
        self,
        bucket: Bucket,
        key: ObjectKey,
        changes: ObjectChanges,
        *,
        version_id: str | None = None,
        conditions: Conditions = NO_CONDITIONS,
        bypass_governance: bool = False,
    ) -> ObjectInfo:
        change = Change(changes, version_id, conditions, bypass_governance)
        return self._contents(bucket).versions.change(key, change, self._clock.now_ns())

    async def list_versions(self, bucket: Bucket, query: VersionListQuery) -> VersionListPage:
        return page_of_versions(self._contents(bucket).versions, query)

    async def list_objects(self, bucket: Bucket, query: ListQuery) -> ListPage:
        latest = (versions[0].info for versions in self._contents(bucket).versions.newest_first())
        return page_of_objects((info for info in latest if not info.is_delete_marker), query)

    # --- what the operations share ---

    def _stored(self, bucket: Bucket, key: ObjectKey, version_id: str | None) -> Stored:
        return self._contents(bucket).versions.read(key, version_id)

    async def _encrypt(
        self, bucket: Bucket, key: ObjectKey, request: EncryptionRequest | None
    ) -> ObjectEncryption | None:
        """What is kept of an encryption. Memory is no disk: the bytes stay as they are."""
        if request is None:
            return None
        kept, _ = await new_encryption(self._keys, bucket, key, request)
        return kept

    async def _open(
        self, bucket: Bucket, info: ObjectInfo | Upload, customer_key: CustomerKey | None
    ) -> None:
        """Raises what a wrong or missing key makes of a read or of a part."""
        check_customer_key(bucket, info.key, info.encryption, customer_key)
        if info.encryption is not None:
            await open_encryption(self._keys, bucket, info.key, info.encryption, customer_key)

    def _new_info(
        self,
        key: ObjectKey,
        data: bytes,
        attributes: ObjectAttributes,
        algorithm: ChecksumAlgorithm | None,
    ) -> ObjectInfo:
        return ObjectInfo(
            key,
            len(data),
            digest_sync("md5", data).hex(),
            self._clock.now_ns(),
            attributes,
            checksum_of(data, algorithm),
        )

    def _publish(
        self, bucket: Bucket, info: ObjectInfo, data: bytes, conditions: Conditions
    ) -> Stored:
        return self._contents(bucket).versions.publish(bucket.props, info, data, conditions)


def etag_of(data: bytes, encryption: ObjectEncryption | None) -> str:
    """The MD5, but for SSE-C and SSE-KMS something else that only depends on it."""
    md5 = digest_sync("md5", data)
    if encryption is None or encryption.mode is EncryptionMode.S3:
        return md5.hex()
    return digest_sync("md5", md5 + encryption.wrapped_key).hex()


def checksum_of(data: bytes, algorithm: ChecksumAlgorithm | None) -> Checksum | None:
    if algorithm is None:
        return None
    return Checksum(algorithm, digest_sync(algorithm.value.lower(), data))


async def read_whole(body: BodyStream) -> bytes:
    """The body's bytes, held to its declared length, S3's limit and every digest that its sender claims."""
    size_bytes = body.size_bytes
    if size_bytes is not None and size_bytes > MAX_PUT_BYTES:
        raise EntityTooLarge(size_bytes=size_bytes, max_bytes=MAX_PUT_BYTES)
    data = b"".join([chunk async for chunk in body])
    if size_bytes is not None and len(data) != size_bytes:
        raise IncompleteBody(expected_bytes=size_bytes, actual_bytes=len(data))
    for claim in body.expected_digests():
        actual = digest_sync(claim.algorithm, data)
        if actual != claim.digest:
            raise DigestMismatch(
                source=claim.source,
                algorithm=claim.algorithm,
                expected=claim.digest,
                actual=actual,
            )
    return data
