"""Owns MemoryStore: a whole object service in one process's memory.

It is the reference for what the protocol means, and what tests of the fronts run over. Nothing in
it is fast, bounded or durable. Atomicity comes for free: bodies are read whole first, and no step
after that awaits.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from backends.memory_buckets import StoredPart, Uploading
from backends.memory_keys import MemoryKeyService
from backends.memory_listing import page_of_uploads
from backends.memory_objects import (
    MemoryObjects,
    checksum_of,
    etag_of,
    read_whole,
)
from core.checksums import upload_checksum_type
from core.completion import CompletionRequest, complete, names_same_parts, upload_id_of
from core.conditions import check_copy_source
from core.control import KeyService
from core.encryption import CustomerKey, EncryptionRequest
from core.errors import NoSuchUpload
from core.names import ObjectKey, UploadId
from core.protocols import BodyStream, Clock
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
    UploadListPage,
    UploadListQuery,
)


class MemoryStore(MemoryObjects):
    """An ObjectService without disks. `min_part_bytes` is S3's rule; tests may lower it."""

    def __init__(
        self,
        clock: Clock,
        *,
        min_part_bytes: int = MIN_PART_BYTES,
        keys: KeyService | None = None,
    ) -> None:
        super().__init__(clock, keys or MemoryKeyService())
        self._min_part_bytes = min_part_bytes

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
        created_ns = self._clock.now_ns()
        upload = Upload(
            upload_id_of(created_ns, os.urandom(8)),
            key,
            created_ns,
            attributes,
            initiator,
            checksum_algorithm,
            upload_checksum_type(checksum_algorithm, checksum_type),
            await self._encrypt(bucket, key, encryption),
        )
        self._contents(bucket).uploads[upload.upload_id] = Uploading(upload)
        return upload

    async def get_upload(self, bucket: Bucket, key: ObjectKey, upload_id: UploadId) -> Upload:
        return self._uploading(bucket, key, upload_id).upload

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
        upload = self._uploading(bucket, key, upload_id).upload
        await self._open(bucket, upload, customer_key)
        algorithm = upload.checksum_algorithm
        data = await read_whole(body)
        uploading = self._uploading(bucket, key, upload_id)
        return self._keep_part(uploading, part_number, data, algorithm or body.wanted_checksum)

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
        uploading = self._uploading(bucket, key, upload_id)
        await self._open(bucket, uploading.upload, customer_key)
        source = self._stored(source_bucket, source_key, source_version_id)
        await self._open(source_bucket, source.info, source_customer_key)
        check_copy_source(source.info, source_conditions)
        first, length = resolve_source_range(source.info, source_range)
        data = source.data[first : first + length]
        return self._keep_part(uploading, part_number, data, uploading.upload.checksum_algorithm)

    async def list_parts(
        self,
        bucket: Bucket,
        key: ObjectKey,
        upload_id: UploadId,
        *,
        after: int = 0,
        limit: int = 1000,
    ) -> PartListPage:
        uploading = self._uploading(bucket, key, upload_id)
        numbers = [number for number in sorted(uploading.parts) if number > after]
        page = [uploading.parts[number].part for number in numbers[:limit]]
        is_truncated = 0 < limit < len(numbers)
        marker = page[-1].part_number if is_truncated else 0
        return PartListPage(uploading.upload, page, is_truncated, marker)

    async def list_uploads(self, bucket: Bucket, query: UploadListQuery) -> UploadListPage:
        uploads = self._contents(bucket).uploads.values()
        return page_of_uploads((uploading.upload for uploading in uploads), query)

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
        request = CompletionRequest(
            parts, expected_checksum, expected_size_bytes, allows_small_parts
        )
        contents = self._contents(bucket)
        current = contents.versions.current(key)
        if current is not None and contents.completed.get(upload_id) == current.order:
            if names_same_parts(request, current.info.etag):
                return current.info
            raise NoSuchUpload(upload_id=upload_id)
        uploading = self._uploading(bucket, key, upload_id)
        held = {number: kept.part for number, kept in uploading.parts.items()}
        whole = complete(uploading.upload, held, request, min_part_bytes=self._min_part_bytes)
        info = ObjectInfo(
            key,
            whole.size_bytes,
            whole.etag,
            self._clock.now_ns(),
            uploading.upload.attributes,
            whole.checksum,
            parts=whole.parts,
            encryption=uploading.upload.encryption,
        )
        data = b"".join(uploading.parts[part.part_number].data for part in whole.parts)
        made = self._publish(bucket, info, data, conditions)
        del contents.uploads[upload_id]
        contents.completed[upload_id] = made.order
        return made.info

    async def abort_upload(self, bucket: Bucket, key: ObjectKey, upload_id: UploadId) -> None:
        self._uploading(bucket, key, upload_id)
        del self._contents(bucket).uploads[upload_id]

    def _uploading(self, bucket: Bucket, key: ObjectKey, upload_id: UploadId) -> Uploading:
        uploading = self._contents(bucket).uploads.get(upload_id)
        if uploading is None or uploading.upload.key != key:
            raise NoSuchUpload(upload_id=upload_id)
        return uploading

    def _keep_part(
        self,
        uploading: Uploading,
        part_number: int,
        data: bytes,
        algorithm: ChecksumAlgorithm | None,
    ) -> UploadedPart:
        encryption = uploading.upload.encryption
        part = UploadedPart(
            part_number,
            len(data),
            etag_of(data, encryption),
            self._clock.now_ns(),
            checksum_of(data, algorithm),
            encryption,
        )
        uploading.parts[part_number] = StoredPart(part, data)
        return part
