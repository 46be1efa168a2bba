"""Owns the operations on multipart uploads.

A part's way is a plain object's (storage.objects), but what names it is its upload. Completing writes a manifest of
the parts' blobs and no data: the parts become the object's chunks as they lie.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Sequence
from typing import TypeVar

from core.checksums import upload_checksum_type
from core.completion import CompletionRequest, upload_id_of
from core.conditions import check_copy_source
from core.encryption import CustomerKey, EncryptionRequest
from core.errors import CustomerKeyNotApplicable, InvalidPart
from core.names import ObjectKey, UploadId
from core.protocols import BodyStream, ObjectReader
from core.ranges import resolve_source_range
from core.types import (
    MIN_PART_BYTES,
    NO_CONDITIONS,
    Bucket,
    ByteRange,
    Checksum,
    ChecksumAlgorithm,
    ChecksumType,
    Conditions,
    ObjectAttributes,
    ObjectInfo,
    User,
)
from core.uploads import (
    CompletedPart,
    PartListPage,
    Upload,
    UploadedPart,
)
from storage import crashpoints, uploads
from storage.copying import ReaderBody
from storage.database import snapshot
from storage.intake import Intake, Received
from storage.mountpath import Mountpath
from storage.mountpaths import Mountpaths
from storage.objects import Objects
from storage.publish import BlobCommit, Publisher, is_durable
from storage.reader import FileReader
from storage.records import FileSegment
from storage.sealed import Seal, Seals
from storage.staging import open_part
from storage.transaction import Transaction
from storage.upload_records import StoredPart, decode_part
from storage.uploads import Completion, Plan, UploadName

T = TypeVar("T")

_ID_RANDOM_BYTES = 12


class Multipart:
    """Uploads on a node's mountpaths; an upload and its parts live on the mountpath of the object they are to be."""

    def __init__(
        self,
        mountpaths: Mountpaths,
        intake: Intake,
        publisher: Publisher,
        objects: Objects,
        seals: Seals,
    ) -> None:
        self._mountpaths = mountpaths
        self._seals = seals
        self._intake = intake
        self._publisher = publisher
        self._objects = objects

    async def create_upload(  # noqa: PLR0913  # the protocol's signature
        self,
        bucket: Bucket,
        key: ObjectKey,
        *,
        attributes: ObjectAttributes,
        initiator: User,
        checksum_algorithm: ChecksumAlgorithm | None = None,
        checksum_type: ChecksumType | None = None,
        encryption: EncryptionRequest | None = None,
    ) -> Upload:
        created_ns = self._mountpaths.clock.now_ns()
        seal = None if encryption is None else await self._seals.new(bucket, key, encryption)
        upload = Upload(
            upload_id_of(created_ns, os.urandom(_ID_RANDOM_BYTES)),
            key,
            created_ns,
            attributes,
            initiator,
            checksum_algorithm,
            upload_checksum_type(checksum_algorithm, checksum_type),
            None if seal is None else seal.encryption,
        )
        await self._mountpaths.owner(bucket, key).commit(
            lambda tx: uploads.add_upload(tx, bucket, upload), is_durable=is_durable(bucket)
        )
        crashpoints.reach("upload:created")
        return upload

    async def get_upload(self, bucket: Bucket, key: ObjectKey, upload_id: UploadId) -> Upload:
        name = UploadName(bucket, key, upload_id)
        mountpath = self._mountpaths.owner(bucket, key)
        stored = await _read(mountpath, lambda index: uploads.require_upload(index, name))
        return stored.upload

    # --- parts ---

    async def upload_part(
        self,
        bucket: Bucket,
        key: ObjectKey,
        upload_id: UploadId,
        part_number: int,
        body: BodyStream,
        *,
        customer_key: CustomerKey | None = None,
    ) -> UploadedPart:
        upload = await self.get_upload(bucket, key, upload_id)
        seal = await self._seal_of(bucket, upload, customer_key)
        mountpath = self._mountpaths.owner(bucket, key)
        if bucket.props.backend is not None and (body.size_bytes or 0) >= MIN_PART_BYTES:
            # Smaller ones wait here until all are there; these have gone to the backend by then.
            await mountpath.require_room_for_copies()
        wanted = upload.checksum_algorithm or body.wanted_checksum
        sealer = None if seal is None else seal.sealer(part_number)
        place = self._mountpaths.place(bucket, key, upload.attributes.storage_class)
        received = await self._intake.receive(mountpath, body, wanted, sealer, place)
        name = UploadName(bucket, key, upload_id)
        return await self._keep_part(name, part_number, received, seal)

    async def _seal_of(
        self, bucket: Bucket, upload: Upload, customer_key: CustomerKey | None
    ) -> Seal | None:
        if upload.encryption is None:
            if customer_key is not None:
                raise CustomerKeyNotApplicable
            return None
        return await self._seals.open(bucket, upload.key, upload.encryption, customer_key)

    async def upload_part_copy(  # noqa: PLR0913  # the protocol's signature
        self,
        source_bucket: Bucket,
        source_key: ObjectKey,
        bucket: Bucket,
        key: ObjectKey,
        upload_id: UploadId,
        part_number: int,
        *,
        source_version_id: str | None = None,
        source_range: ByteRange | None = None,
        source_conditions: Conditions = NO_CONDITIONS,
        customer_key: CustomerKey | None = None,
        source_customer_key: CustomerKey | None = None,
    ) -> UploadedPart:
        def choose(info: ObjectInfo) -> tuple[int, int]:
            check_copy_source(info, source_conditions)
            return resolve_source_range(info, source_range)

        upload = await self.get_upload(bucket, key, upload_id)
        seal = await self._seal_of(bucket, upload, customer_key)
        reader, _ = await self._objects.open_stored(
            source_bucket, source_key, source_version_id, choose, source_customer_key
        )
        try:
            if isinstance(reader, FileReader) and reader.length == reader.info.size_bytes:
                reader.verify()
            received = await self._intake.receive(
                self._mountpaths.owner(bucket, key),
                ReaderBody(reader),
                upload.checksum_algorithm,
                None if seal is None else seal.sealer(part_number),
                self._mountpaths.place(bucket, key, upload.attributes.storage_class),
            )
        finally:
            await reader.close()
        name = UploadName(bucket, key, upload_id)
        return await self._keep_part(name, part_number, received, seal)

    async def _keep_part(
        self, name: UploadName, part_number: int, received: Received, seal: Seal | None
    ) -> UploadedPart:
        part = UploadedPart(
            part_number,
            received.size_bytes,
            received.etag if seal is None else seal.etag(received),
            self._mountpaths.clock.now_ns(),
            received.checksum,
            None if seal is None else seal.encryption,
        )
        if received.blob is not None:
            await self._keep_blob(name, part, received)
        else:
            await self._keep_inline(name, part, received)
        return part

    async def _keep_blob(self, name: UploadName, part: UploadedPart, received: Received) -> None:
        blob = received.blob
        assert blob is not None
        mountpath = self._mountpaths.owner(name.bucket, name.key)
        segment = FileSegment(blob.blob_id, blob.size_bytes, received.data_checksum)
        stored = StoredPart(name.upload_id, part, segment, mountpath.opened().next_stamp())
        description = uploads.describe_part(name, stored)
        await self._publisher.commit_blob(
            mountpath,
            BlobCommit(blob, description, is_durable(name.bucket), "part"),
            lambda tx: uploads.add_part(tx, name, stored),
        )

    async def _keep_inline(self, name: UploadName, part: UploadedPart, received: Received) -> None:
        data = received.data
        assert data is not None

        def run(tx: Transaction) -> None:
            uploads.add_inline_part(tx, name, part, data, received.data_checksum)
            crashpoints.reach("part:small-written")

        mountpath = self._mountpaths.owner(name.bucket, name.key)
        await mountpath.commit(run, is_durable=is_durable(name.bucket))
        crashpoints.reach("part:small-committed")

    async def list_parts(
        self,
        bucket: Bucket,
        key: ObjectKey,
        upload_id: UploadId,
        *,
        after: int = 0,
        limit: int = 1000,
    ) -> PartListPage:
        name = UploadName(bucket, key, upload_id)

        def query(index: sqlite3.Connection) -> PartListPage:
            with snapshot(index):
                stored = uploads.require_upload(index, name)
                rows = uploads.part_rows(index, upload_id, after=after, limit=limit + 1)
            parts = [decode_part(record).part for _, record in rows[:limit]]
            is_truncated = 0 < limit < len(rows)
            marker = parts[-1].part_number if is_truncated else 0
            return PartListPage(stored.upload, parts, is_truncated, marker)

        return await self._mountpaths.owner(bucket, key).read(query)

    async def open_part(
        self, bucket: Bucket, key: ObjectKey, upload_id: UploadId, part_number: int
    ) -> ObjectReader:
        """See StorageNode.open_part."""
        name = UploadName(bucket, key, upload_id)
        mountpath = self._mountpaths.owner(bucket, key)

        def query(index: sqlite3.Connection) -> list[uploads.PartRow]:
            uploads.require_upload(index, name)
            return uploads.part_rows(index, upload_id, after=part_number - 1, limit=1)

        for number, record in await mountpath.read(query):
            if number == part_number:
                return await open_part(mountpath, key, decode_part(record))
        raise InvalidPart(part_number=part_number, upload_id=upload_id, etag="")

    # --- the end ---

    async def complete_upload(  # noqa: PLR0913  # the protocol's signature
        self,
        bucket: Bucket,
        key: ObjectKey,
        upload_id: UploadId,
        parts: Sequence[CompletedPart],
        *,
        conditions: Conditions = NO_CONDITIONS,
        expected_checksum: Checksum | None = None,
        expected_size_bytes: int | None = None,
        allows_small_parts: bool = False,
    ) -> ObjectInfo:
        name = UploadName(bucket, key, upload_id)
        request = CompletionRequest(
            parts, expected_checksum, expected_size_bytes, allows_small_parts
        )
        return await self._complete(name, request, conditions)

    async def publish_upload(
        self,
        bucket: Bucket,
        key: ObjectKey,
        upload_id: UploadId,
        parts: Sequence[CompletedPart],
        info: ObjectInfo,
    ) -> ObjectInfo:
        """See StorageNode.publish_upload."""
        request = CompletionRequest(
            parts, expected_size_bytes=info.size_bytes, allows_small_parts=True
        )
        return await self._complete(UploadName(bucket, key, upload_id), request, known=info)

    async def _complete(
        self,
        name: UploadName,
        request: CompletionRequest,
        conditions: Conditions = NO_CONDITIONS,
        known: ObjectInfo | None = None,
    ) -> ObjectInfo:
        min_part_bytes = self._mountpaths.options.min_part_bytes
        mountpath = self._mountpaths.owner(name.bucket, name.key)

        def prepare(index: sqlite3.Connection) -> Plan | ObjectInfo:
            # Between two states, an upload that is being completed elsewhere would still be there but not its parts.
            with snapshot(index):
                stored = uploads.find_upload(index, name)
                rows = uploads.part_rows(index, name.upload_id)
            if stored is None:
                # Outside, because the small.db of a snapshot may be older than its index, and so without the manifest.
                return uploads.repeat_completion(index, name, request)
            return uploads.plan_completion(stored, rows, request, min_part_bytes)

        plan = await mountpath.read(prepare)
        if isinstance(plan, ObjectInfo):
            return plan
        now_ns = self._mountpaths.clock.now_ns()
        completion = Completion(name, request, conditions, plan, min_part_bytes, now_ns, known)

        def run(tx: Transaction) -> ObjectInfo:
            info = uploads.complete_upload(tx, completion)
            crashpoints.reach("complete:published")
            return info

        info = await mountpath.commit(run, is_durable=is_durable(name.bucket))
        crashpoints.reach("complete:committed")
        return info

    async def abort_upload(self, bucket: Bucket, key: ObjectKey, upload_id: UploadId) -> None:
        name = UploadName(bucket, key, upload_id)

        def run(tx: Transaction) -> None:
            uploads.abort_upload(tx, name)
            crashpoints.reach("abort:unnamed")

        mountpath = self._mountpaths.owner(bucket, key)
        await mountpath.commit(run, is_durable=is_durable(bucket), frees=True)
        crashpoints.reach("abort:committed")


async def _read(mountpath: Mountpath, query: Callable[[sqlite3.Connection], T]) -> T:
    """A point read: on the loop while memory answers, else in a thread."""
    if mountpath.is_fast:
        return mountpath.read_inline(query)
    return await mountpath.read(query)
