"""Owns copies of objects where the source, the target or both live elsewhere.

Between buckets of one account the provider copies, if it can, and no byte comes here; the copy of the source that is
here, if it is of the same bytes, becomes the target's. Everything else is read where it lives and written where it is
to live, through this node.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from backends.cache.bodies import ReaderBody
from backends.cache.copies import Copies, Writers, copy_info, is_same, local_view, sent_attributes
from backends.cache.crashpoints import reach
from backends.cache.reading import Reading
from backends.cache.sending import (
    Target,
    check_attributes,
    check_version,
    guard_of,
)
from backends.cache.writing import Writing, refuse_encryption
from core.backends import remote_name
from core.conditions import check_copy_source
from core.digests import MD5
from core.encryption import CustomerKey, EncryptionRequest
from core.errors import EntityTooLarge, NotFound, StoreError, Unsupported
from core.names import ObjectKey, UserId
from core.nodes import StorageNode
from core.protocols import ObjectReader
from core.staging import Staged
from core.told_attributes import sayable
from core.types import (
    MAX_PUT_BYTES,
    NO_CONDITIONS,
    BoundedRange,
    Bucket,
    CannedAcl,
    ChecksumAlgorithm,
    Conditions,
    ObjectAttributes,
    ObjectInfo,
)

_LATEST = Conditions(latest=True)


@dataclass(frozen=True, slots=True)
class Source:
    """What is copied."""

    bucket: Bucket
    key: ObjectKey
    version_id: str | None = None
    conditions: Conditions = NO_CONDITIONS
    customer_key: CustomerKey | None = None

    def check(self, info: ObjectInfo) -> None:
        """Raises PreconditionFailed, EntityTooLarge."""
        check_copy_source(info, self.conditions)
        if info.size_bytes > MAX_PUT_BYTES:
            raise EntityTooLarge(size_bytes=info.size_bytes, max_bytes=MAX_PUT_BYTES)


@dataclass(frozen=True, slots=True)
class Wish:
    """What the copy is to be. `attributes` None: as the source, of an owner."""

    attributes: ObjectAttributes | None = None
    owner_id: UserId | None = None
    conditions: Conditions = NO_CONDITIONS
    checksum_algorithm: ChecksumAlgorithm | None = None
    encryption: EncryptionRequest | None = None

    def attributes_of(self, source: ObjectInfo) -> ObjectAttributes:
        """Of the copy. Neither an ACL nor what locks the source goes with it."""
        if self.attributes is not None:
            return self.attributes
        old = source.attributes
        return replace(
            old,
            owner_id=old.owner_id if self.owner_id is None else self.owner_id,
            acl=CannedAcl.PRIVATE,
            retention=None,
            legal_hold=None,
        )


class Copying:
    """Copies."""

    def __init__(self, node: StorageNode, reading: Reading, writing: Writing) -> None:
        self._node = node
        self._reading = reading
        self._writing = writing
        self._flights: Writers = writing.flights
        self._copies: Copies = writing.copies

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
        """See ObjectStore.copy."""
        source = Source(
            source_bucket, source_key, source_version_id, source_conditions, source_customer_key
        )
        wish = Wish(attributes, owner_id, conditions, checksum_algorithm, encryption)
        if bucket.props.backend is not None:
            refuse_encryption(encryption)
            target = self._writing.target(bucket, key)
            if self._can_copy_there(source, target):
                try:
                    return await self.copy_there(source, target, wish)
                except Unsupported:
                    pass  # an object that this provider doesn't copy: too large, say
        return await self._copy_through(source, bucket, key, wish)

    def _can_copy_there(self, source: Source, target: Target) -> bool:
        one, other = source.bucket.props.backend, target.bucket.props.backend
        if one is None or other is None or check_version(source.version_id):
            return False
        is_one_account = (one.bucket.provider, one.bucket.namespace, one.account) == (
            other.bucket.provider,
            other.bucket.namespace,
            other.account,
        )
        return is_one_account and target.features.can_copy

    # --- at the provider ---

    async def copy_there(self, source: Source, target: Target, wish: Wish) -> ObjectInfo:
        """Have the provider copy. Raises Unsupported, and then nothing has changed."""
        backend = target.backend
        there = remote_name(source.bucket)
        now = sayable(await backend.head(there, source.key))
        source.check(now)
        if wish.attributes is not None:
            check_attributes(wish.attributes)
        staged, kept = await self._stage_present(source, now, target)
        attributes = wish.attributes_of(now if kept is None else kept)
        sent = sent_attributes(attributes, has_tags=target.features.has_tags)
        bucket, key = target.bucket, target.key
        try:
            async with self._flights.writing(bucket, key):
                await guard_of(target, wish.conditions)
                before = await self._copies.doubt(bucket, key)
                reach("through:marked")
                try:
                    given = None if wish.attributes is None else sent
                    answer = await backend.copy(there, source.key, target.name, key, given)
                except StoreError as error:
                    await self._copies.settle(bucket, key, before, error)
                    raise
                reach("through:sent")
                info = copy_info(answer, attributes)
                return await self._keep(target, info, staged)
        finally:
            if staged is not None:
                await staged.abandon()

    async def _stage_present(
        self, source: Source, now: ObjectInfo, target: Target
    ) -> tuple[Staged | None, ObjectInfo | None]:
        """The bytes of the source's copy, if one is here and is what the backend has; and its record."""
        view = local_view(source.bucket)
        try:
            reader = await self._node.get(view, source.key)
        except StoreError:
            return None, None
        try:
            info = reader.info
            if info.remote is None or info.remote.in_doubt or now.remote is None:
                return None, None
            if not is_same(info.remote, now.remote):
                return None, None
            place = local_view(target.bucket, announces=True)
            staged = await self._node.stage(place, target.key, ReaderBody(reader))
        except StoreError:
            return None, None
        finally:
            await reader.close()
        return staged, info

    async def _keep(self, target: Target, info: ObjectInfo, staged: Staged | None) -> ObjectInfo:
        """Publish what was staged if it is what the provider copied, by its MD5; else there is no copy."""
        md5 = info.remote.md5 if info.remote else b""
        if staged is None or not md5 or md5 != staged.digests[MD5]:
            return await self._writing.unkept(target, info)
        try:
            kept = await staged.publish(info)
        except StoreError as error:
            return await self._writing.unkept(target, info, error)
        reach("through:published")
        return kept

    # --- through this node ---

    async def _copy_through(
        self, source: Source, bucket: Bucket, key: ObjectKey, wish: Wish
    ) -> ObjectInfo:
        if source.conditions.latest and self._reads_there(source):
            reader = await self._reading.get_now(source.bucket, source.key)
        else:
            reader = await self.open(replace(source, conditions=NO_CONDITIONS))
        try:
            source.check(reader.info)
            attributes = wish.attributes_of(reader.info)
            if wish.attributes is None:
                try:
                    tags = await self.tags_of(source, reader.info)
                except NotFound:
                    if source.conditions.latest:
                        raise
                    tags = attributes.tags  # it is gone there; what is copied is what is here
                attributes = replace(attributes, tags=tags)
            return await self._put(bucket, key, reader, replace(wish, attributes=attributes))
        finally:
            await reader.close()

    async def _put(
        self, bucket: Bucket, key: ObjectKey, reader: ObjectReader, wish: Wish
    ) -> ObjectInfo:
        assert wish.attributes is not None
        body = ReaderBody(reader, wish.checksum_algorithm)
        put = self._node.put if bucket.props.backend is None else self._writing.put
        return await put(
            bucket,
            key,
            body,
            attributes=wish.attributes,
            conditions=wish.conditions,
            encryption=wish.encryption,
        )

    async def tags_of(self, source: Source, info: ObjectInfo) -> Mapping[str, str]:
        """The tags of an object, where they are: at its provider, if that has any."""
        if source.bucket.props.backend is None or check_version(source.version_id):
            return info.attributes.tags
        target = self._writing.where(source.bucket, source.key)
        if not target.features.has_tags:
            return info.attributes.tags
        return await target.backend.get_tags(target.name, target.key)

    async def head(self, source: Source) -> ObjectInfo:
        """What a source is, where it lives."""
        store = self._store(source)
        return await store.head(
            source.bucket, source.key, version_id=source.version_id, conditions=_LATEST
        )

    async def open(self, source: Source, run: tuple[int, int] | None = None) -> ObjectReader:
        """Read a source: whole, as any reader would, from a copy that is here if the bucket lets it count; or a run of
        it (first, length), of what lives elsewhere as it is there now."""
        store = self._store(source)
        first, length = run or (0, 0)
        conditions = source.conditions if run is None else replace(source.conditions, latest=True)
        return await store.get(
            source.bucket,
            source.key,
            version_id=source.version_id,
            byte_range=BoundedRange(first, first + length - 1) if length else None,
            conditions=conditions,
            customer_key=source.customer_key,
        )

    def _reads_there(self, source: Source) -> bool:
        return source.bucket.props.backend is not None and source.version_id is None

    def _store(self, source: Source) -> StorageNode | Reading:
        return self._node if source.bucket.props.backend is None else self._reading
