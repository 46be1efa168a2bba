"""Owns the operations on plain objects: head, get, put, delete.

A put's way: the body comes in (storage.intake), a large one's blob gets its trailer and is synced, then one
transaction checks the conditions and names it (storage.publish, storage.index).
"""

from __future__ import annotations

import asyncio
import functools
import sqlite3
from collections.abc import Callable, Sequence

from core.conditions import check_read
from core.configs.versioning import Versioning
from core.deletion import DeleteItem, DeleteResult
from core.encryption import CustomerKey, EncryptionRequest
from core.errors import CustomerKeyNotApplicable, NoSuchKey, NotFound, StoreError
from core.memory_reader import MemoryReader
from core.names import ObjectKey
from core.protocols import BodyStream, ObjectReader
from core.ranges import resolve_range
from core.types import (
    NO_CONDITIONS,
    Bucket,
    ByteRange,
    Conditions,
    ObjectAttributes,
    ObjectChanges,
    ObjectInfo,
)
from storage import crashpoints
from storage.blob_run import BlobRun
from storage.intake import Intake
from storage.lookup import Found, lookup, lookup_version
from storage.manifests import Manifests, NotKept
from storage.mountpath import Mountpath
from storage.mountpaths import Mountpaths
from storage.pieces import Cutting, cutting_of
from storage.publish import Publisher, is_durable
from storage.reader import BlobGone, FileReader, log_corrupt
from storage.records import StoredObject
from storage.sealed import SealedReader, Seals, open_inline
from storage.transaction import Transaction
from storage.updates import Update, update_object
from storage.versions import Deletion, Publication, delete_object, missing

_MAX_ATTEMPTS = 10


class Objects:
    """Plain objects on a node's mountpaths."""

    def __init__(
        self, mountpaths: Mountpaths, intake: Intake, publisher: Publisher, seals: Seals
    ) -> None:
        self._mountpaths = mountpaths
        self._seals = seals
        self._intake = intake
        self._publisher = publisher
        self._manifests = Manifests()

    # --- reading ---

    async def find(
        self, bucket: Bucket, key: ObjectKey, version_id: str | None, *, with_data: bool = True
    ) -> Found:
        """Look an object up, on the loop if memory will answer. Raises NoSuchKey (KeyIsDeleted), NoSuchVersion,
        VersionIsDeleteMarker."""
        mountpath = self._mountpaths.owner(bucket, key)
        found: Found | None
        if version_id is None:
            query = functools.partial(
                lookup, bucket_id=bucket.bucket_id, key=key, with_data=with_data
            )
            hot = mountpath.opened().hot
            found = hot.find(bucket.bucket_id, key)
            if found is not None:
                return found
            read_at = hot.now
            found = await self._look_up(mountpath, query)
            if found is not None:
                if with_data:
                    hot.keep(bucket.bucket_id, key, found, read_at)
                return found
        else:
            query = functools.partial(
                lookup_version,
                bucket_id=bucket.bucket_id,
                key=key,
                version_id=version_id,
                with_data=with_data,
            )
            found = await self._look_up(mountpath, query)
            if found is not None:
                return found
        raise await self._missing(mountpath, bucket, key, version_id)

    def read_cached(self, bucket: Bucket, found: Found, first: int, length: int) -> bytes | None:
        """A run of the bytes of what `find` has found just now, if it can be had without waiting. None says nothing;
        what is encrypted is never had."""
        stored = found.stored
        if stored.info.encryption is not None:
            return None
        if found.data is not None:
            return found.data[first : first + length]
        mountpath = self._mountpaths.owner(bucket, stored.info.key)
        return mountpath.opened().open_blobs.read(stored, first, length)

    def open_run(
        self, bucket: Bucket, found: Found, place: int, offered: tuple[ObjectInfo, int, int]
    ) -> BlobRun | None:
        """A reader of a run of the bytes of what `find` has found just now, from `place` on, if they lie in one file
        that is at hand. None says nothing; what is encrypted is never had. `offered`: as BlobRun."""
        stored = found.stored
        if stored.info.encryption is not None or found.data is not None:
            return None
        mountpath = self._mountpaths.owner(bucket, stored.info.key)
        lent = mountpath.opened().open_blobs.lend(stored, place, offered[2])
        return None if lent is None else BlobRun(mountpath, offered, lent)

    async def _missing(
        self, mountpath: Mountpath, bucket: Bucket, key: ObjectKey, version_id: str | None
    ) -> NotFound:
        if bucket.props.versioning is Versioning.OFF and version_id is None:
            return NoSuchKey(key=key)

        def query(index: sqlite3.Connection) -> NotFound:
            return missing(index, bucket.bucket_id, key, version_id)

        return mountpath.read_inline(query) if mountpath.is_fast else await mountpath.read(query)

    async def _look_up(
        self, mountpath: Mountpath, query: Callable[..., Found | None]
    ) -> Found | None:
        uuid = mountpath.spec.uuid
        if mountpath.is_fast:
            try:
                return mountpath.read_inline(
                    functools.partial(query, load=functools.partial(self._manifests.recall, uuid))
                )
            except NotKept:
                pass
        return await mountpath.read(
            functools.partial(query, load=functools.partial(self._manifests.load, uuid))
        )

    async def head(
        self,
        bucket: Bucket,
        key: ObjectKey,
        *,
        version_id: str | None = None,
        conditions: Conditions = NO_CONDITIONS,
    ) -> ObjectInfo:
        found = await self.find(bucket, key, version_id, with_data=False)
        check_read(found.stored.info, conditions)
        return found.stored.info

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
        if version_id is None:
            found = self._mountpaths.owner(bucket, key).opened().hot.find(bucket.bucket_id, key)
            if found is not None and found.data is not None:
                info = found.stored.info
                check_read(info, conditions)
                first, length = resolve_range(info, byte_range)
                if info.encryption is None and customer_key is None:
                    return MemoryReader(info, found.data, first, length)
                data_key = await self._data_key(bucket, info, customer_key)
                assert data_key is not None
                return open_inline(found.stored, found.data, data_key, first, length)

        def choose(info: ObjectInfo) -> tuple[int, int]:
            check_read(info, conditions)
            return resolve_range(info, byte_range)

        reader, _ = await self.open_stored(bucket, key, version_id, choose, customer_key)
        return reader

    async def open_stored(
        self,
        bucket: Bucket,
        key: ObjectKey,
        version_id: str | None,
        choose: Callable[[ObjectInfo], tuple[int, int]],
        customer_key: CustomerKey | None = None,
    ) -> tuple[MemoryReader | FileReader, StoredObject]:
        """Open the run (first, length) that `choose` names of the object it is shown; it may refuse by raising."""
        gone_stamp = 0
        for _ in range(_MAX_ATTEMPTS):
            found = await self.find(bucket, key, version_id)
            stored = found.stored
            first, length = choose(stored.info)
            data_key = await self._data_key(bucket, stored.info, customer_key)
            if found.data is not None:
                if data_key is not None:
                    return open_inline(stored, found.data, data_key, first, length), stored
                return MemoryReader(stored.info, found.data, first, length), stored
            mountpath = self._mountpaths.owner(bucket, key)
            if stored.stamp == gone_stamp:
                # Gone with the disk, or alone?
                await mountpath.run(mountpath.watch_sync)
                mountpath.opened()
                await self._mountpaths.check_hosts(stored.segments)
                raise log_corrupt("blob missing", key)
            try:
                if data_key is None:
                    return await FileReader.open(mountpath, stored, first, length), stored
                sealed = SealedReader(mountpath, stored, first, length, data_key)
                await sealed.hold()
                return sealed, stored
            except BlobGone:
                gone_stamp = stored.stamp
        raise log_corrupt("object that never stays", key)

    async def _data_key(
        self, bucket: Bucket, info: ObjectInfo, customer_key: CustomerKey | None
    ) -> bytes | None:
        """None for what is not encrypted. Raises as core.sealing.open_encryption."""
        if info.encryption is None:
            if customer_key is not None:
                raise CustomerKeyNotApplicable
            return None
        seal = await self._seals.open(bucket, info.key, info.encryption, customer_key)
        return seal.data_key

    # --- writing ---

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
        mountpath = self._mountpaths.owner(bucket, key)
        seal = None if encryption is None else await self._seals.new(bucket, key, encryption)
        sealer = None if seal is None else seal.sealer()
        place: Mountpath | Cutting | None = None
        if bucket.props.native.sections:
            target = bucket, key, attributes.storage_class
            new_sealer = None if seal is None else seal.sealer
            place = cutting_of(self._mountpaths, target, body.size_bytes, new_sealer)
        if place is None:
            place = self._mountpaths.place(bucket, key, attributes.storage_class)
        received = await self._intake.receive(mountpath, body, body.wanted_checksum, sealer, place)
        info = ObjectInfo(
            key,
            received.size_bytes,
            received.etag if seal is None else seal.etag(received),
            self._mountpaths.clock.now_ns(),
            attributes,
            received.checksum,
            encryption=None if seal is None else seal.encryption,
        )
        if received.data is None:
            made = (info, received)
            return await self._publisher.publish_received(mountpath, bucket, made, conditions)
        publication = Publication(info, received.data, received.data_checksum)
        return await self._publisher.publish_inline(mountpath, bucket, publication, conditions)

    async def delete(
        self,
        bucket: Bucket,
        key: ObjectKey,
        *,
        version_id: str | None = None,
        conditions: Conditions = NO_CONDITIONS,
        bypass_governance: bool = False,
    ) -> DeleteResult:
        deletion = self._deletion(bucket, bypass_governance)
        item = DeleteItem(key, version_id, conditions)
        (outcome,) = await self._delete_on(self._mountpaths.owner(bucket, key), deletion, [item])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def delete_many(
        self, bucket: Bucket, items: Sequence[DeleteItem], *, bypass_governance: bool = False
    ) -> Sequence[DeleteResult | Exception]:
        deletion = self._deletion(bucket, bypass_governance)
        places: dict[Mountpath, list[int]] = {}
        for place, item in enumerate(items):
            places.setdefault(self._mountpaths.owner(bucket, item.key), []).append(place)
        outcomes: list[DeleteResult | Exception] = [StoreError()] * len(items)

        async def delete_share(mountpath: Mountpath, share: list[int]) -> None:
            wanted = [items[place] for place in share]
            try:
                results = await self._delete_on(mountpath, deletion, wanted)
            except StoreError as error:
                results = [error] * len(share)
            for place, result in zip(share, results, strict=True):
                outcomes[place] = result

        async with asyncio.TaskGroup() as group:
            for mountpath, share in places.items():
                group.create_task(delete_share(mountpath, share))
        return outcomes

    def _deletion(self, bucket: Bucket, bypasses_governance: bool) -> Deletion:
        return Deletion(bucket, self._mountpaths.clock.now_ns(), bypasses_governance)

    async def _delete_on(
        self, mountpath: Mountpath, deletion: Deletion, items: Sequence[DeleteItem]
    ) -> list[DeleteResult | Exception]:
        """Delete on one mountpath, all in one transaction; one item's failure is its own outcome."""
        bucket = deletion.bucket

        def run(tx: Transaction) -> list[DeleteResult | Exception]:
            outcomes = [_delete_one(tx, deletion, item) for item in items]
            crashpoints.reach("delete:unnamed")
            return outcomes

        outcomes = await mountpath.commit(run, is_durable=is_durable(bucket), frees=True)
        crashpoints.reach("delete:committed")
        return outcomes

    # --- changing ---

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
        now_ns = self._mountpaths.clock.now_ns()
        update = Update(key, changes, now_ns, version_id, conditions, bypass_governance)
        mountpath = self._mountpaths.owner(bucket, key)
        info = await mountpath.commit(
            lambda tx: update_object(tx, bucket, update), is_durable=is_durable(bucket)
        )
        crashpoints.reach("update:committed")
        return info


def _delete_one(tx: Transaction, deletion: Deletion, item: DeleteItem) -> DeleteResult | Exception:
    try:
        return delete_object(tx, deletion, item)
    except StoreError as error:
        # Raised before anything was written, so the others of the transaction are not touched.
        return error
