"""Owns LocalNode: the StorageNode over this machine's mountpaths, put together from the parts that do the work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

from core.chunks import MAX_CHUNKS, chunk_rule
from core.control import KeyService
from core.encryption import CustomerKey, EncryptionRequest
from core.errors import MountpathUnavailable, StoreError
from core.listing import (
    ListPage,
    ListQuery,
    VersionListPage,
    VersionListQuery,
)
from core.names import ObjectKey, UserId
from core.nodes import DiskUse, Placement
from core.protocols import BodyStream, Clock
from core.sealing import NoKeys
from core.types import (
    NO_CONDITIONS,
    Bucket,
    ChecksumAlgorithm,
    Conditions,
    ObjectAttributes,
    ObjectInfo,
)
from core.uploads import Upload, UploadListPage, UploadListQuery
from storage.buckets import Buckets
from storage.copying import Copier, CopyRequest
from storage.intake import Intake
from storage.landing import LocalLanding, Place
from storage.layout import MountpathSpec
from storage.listing import (
    is_empty_sync,
    list_objects_sync,
    list_uploads_sync,
    list_versions_sync,
)
from storage.mountpaths import Mountpaths
from storage.multipart import Multipart
from storage.objects import Objects
from storage.options import StorageOptions
from storage.outbox import Outbox
from storage.publish import Publisher
from storage.rechunk import Rechunker
from storage.records import LISTED
from storage.sealed import Seals
from storage.staging import LocalStaged, stage
from storage.transition import Transitions
from storage.upload_records import decode_upload


class LocalNode:
    """A target in this process. Open it in the event loop that is to use it, and close it there."""

    def __init__(
        self,
        specs: Sequence[MountpathSpec],
        placement: Placement,
        clock: Clock,
        options: StorageOptions,
        keys: KeyService | None = None,
    ) -> None:
        """`keys` wraps the data keys of encrypted objects; without it only customers' own keys can be used."""
        self.mountpaths = Mountpaths(specs, placement, clock, options)
        self._publisher = Publisher()
        intake = Intake(self.mountpaths.cpu, self.mountpaths.cpu_apart)
        seals = Seals(NoKeys() if keys is None else keys)
        objects = Objects(self.mountpaths, intake, self._publisher, seals)
        multipart = Multipart(self.mountpaths, intake, self._publisher, objects, seals)
        buckets = Buckets(self.mountpaths)
        self.outbox = Outbox(self.mountpaths)
        self.announce = self.outbox.announce
        self.rechunk = Rechunker(self.mountpaths, objects, self._publisher, seals).rechunk
        self.change_class = Transitions(self.mountpaths, objects, self._publisher).change_class
        self._copier = Copier(self.mountpaths, objects, intake, self._publisher, seals)
        self._buckets = buckets
        self._intake = intake
        # Bound methods, not wrappers: these are the hot ones, and the parts fulfil the protocol themselves.
        self.head = self.head_with_tags = objects.head
        self.get = objects.get
        self.find = objects.find
        self.read_cached = objects.read_cached
        self.open_run = objects.open_run
        self.put = objects.put
        self.delete = objects.delete
        self.delete_many = objects.delete_many
        self.update_object = objects.update_object
        self.create_upload = multipart.create_upload
        self.get_upload = multipart.get_upload
        self.upload_part = multipart.upload_part
        self.upload_part_copy = multipart.upload_part_copy
        self.list_parts = multipart.list_parts
        self.complete_upload = multipart.complete_upload
        self.abort_upload = multipart.abort_upload
        self.open_part = multipart.open_part
        self.publish_upload = multipart.publish_upload
        self.close_bucket = buckets.close
        self.reopen_bucket = buckets.reopen

    def expect(self, bucket: Bucket, key: ObjectKey) -> None:
        """See StorageNode.expect."""
        with suppress(MountpathUnavailable):
            self.mountpaths.spread(bucket, key, "STANDARD")[0].expect_bytes()

    async def land(
        self,
        bucket: Bucket,
        key: ObjectKey,
        size_bytes: int,
        *,
        piece_bytes: int = 0,
        digests: Sequence[str] = (),
        storage_class: str = "STANDARD",
    ) -> LocalLanding:
        """See StorageNode.land."""
        owner = self.mountpaths.owner(bucket, key)
        disks = self.mountpaths.spread(bucket, key, storage_class)
        if bucket.props.backend is not None:
            await disks[0].require_room_for_copies()
        await disks[0].require_room(size_bytes)
        piece_bytes = piece_bytes or chunk_rule(bucket.props.native).piece_bytes(size_bytes)
        piece_bytes = max(piece_bytes or size_bytes, 1, -(-size_bytes // MAX_CHUNKS))
        is_here = disks[0] is owner
        small_limit = self.mountpaths.options.small_limit_bytes if is_here else -1
        sizes = (size_bytes, piece_bytes, min(small_limit, piece_bytes))
        return LocalLanding(Place(bucket, key, owner, disks), self._publisher, sizes, digests)

    async def stage(
        self,
        bucket: Bucket,
        key: ObjectKey,
        body: BodyStream,
        *,
        storage_class: str = "STANDARD",
    ) -> LocalStaged:
        """See StorageNode.stage."""
        if bucket.props.backend is not None:
            disks = self.mountpaths.spread(bucket, key, storage_class)
            await disks[0].require_room_for_copies()
        place = (bucket, key, storage_class)
        return await stage(self.mountpaths, self._intake, self._publisher, place, body)

    def disk_uses_sync(self) -> Sequence[DiskUse]:
        """How full the disks are that are there. Blocks."""
        found = []
        for number, mountpath in enumerate(self.mountpaths.all):
            try:
                found.append(DiskUse(number, *mountpath.opened().capacity.use_sync()))
            except (StoreError, OSError):
                continue
        return found

    def disk_of(self, bucket: Bucket, key: ObjectKey) -> int:
        """The number of the mountpath that an object belongs to."""
        return self.mountpaths.all.index(self.mountpaths.owner(bucket, key))

    async def open(self) -> None:
        """Open the mountpaths that are there."""
        await self.mountpaths.open()

    async def close(self) -> None:
        """Let what is being published come to its end, and give everything back."""
        await self._publisher.drain()
        await self.mountpaths.close()

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
        request = CopyRequest(
            source_version_id,
            source_conditions,
            conditions,
            attributes,
            owner_id,
            checksum_algorithm,
            encryption,
            source_customer_key,
        )
        return await self._copier.copy((source_bucket, source_key), (bucket, key), request)

    async def list_versions(self, bucket: Bucket, query: VersionListQuery) -> VersionListPage:
        return await self.mountpaths.read_all(
            lambda connections: list_versions_sync(connections, bucket.bucket_id, query)
        )

    async def list_objects(self, bucket: Bucket, query: ListQuery) -> ListPage:
        return await self.mountpaths.read_all(
            lambda connections: list_objects_sync(
                connections, bucket.bucket_id, query, LISTED[query.detail]
            )
        )

    async def list_uploads(self, bucket: Bucket, query: UploadListQuery) -> UploadListPage:
        def decode(key: bytes, record: bytes) -> Upload:
            return decode_upload(record, key).upload

        return await self.mountpaths.read_all(
            lambda connections: list_uploads_sync(connections, bucket.bucket_id, query, decode)
        )

    async def is_empty(self, bucket: Bucket) -> bool:
        return await self.mountpaths.read_all(
            lambda connections: is_empty_sync(connections, bucket.bucket_id)
        )

    async def drop_bucket(self, bucket: Bucket) -> bool:
        return await self.forget_bucket(bucket.bucket_id)

    async def forget_bucket(self, bucket_id: int) -> bool:
        """`drop_bucket`, for a bucket of which nothing but the id is known any more."""
        return await self._buckets.drop(bucket_id)

    async def closed_buckets(self) -> Mapping[int, int]:
        """Bucket id → when it was closed, ns since the epoch, of all that are closed and not dropped."""
        return await self._buckets.closed()

    async def health(self) -> Mapping[str, str]:
        return await self._buckets.health()
