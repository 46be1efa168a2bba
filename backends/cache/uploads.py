"""Owns multipart uploads to buckets that live elsewhere: parts go on to the backend's own upload."""

from __future__ import annotations

from collections.abc import Sequence

from backends.cache.flights import Flights
from core.backends import Backends
from core.encryption import CustomerKey, EncryptionRequest
from core.names import ObjectKey, UploadId
from core.nodes import StorageNode
from core.protocols import BodyStream, Clock
from core.types import (
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


class Uploads:
    """Uploads."""

    def __init__(
        self, node: StorageNode, backends: Backends, clock: Clock, flights: Flights
    ) -> None:
        self._node = node
        self._backends = backends
        self._clock = clock
        self._flights = flights

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
        """See ObjectStore.create_upload."""
        return await self._node.create_upload(
            bucket,
            key,
            attributes=attributes,
            initiator=initiator,
            checksum_algorithm=checksum_algorithm,
            checksum_type=checksum_type,
            encryption=encryption,
        )

    async def get_upload(self, bucket: Bucket, key: ObjectKey, upload_id: UploadId) -> Upload:
        """See ObjectStore.get_upload."""
        return await self._node.get_upload(bucket, key, upload_id)

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
        """See ObjectStore.upload_part."""
        return await self._node.upload_part(
            bucket, key, upload_id, part_number, body, customer_key=customer_key
        )

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
        """See ObjectStore.upload_part_copy."""
        return await self._node.upload_part_copy(
            source_bucket,
            source_key,
            bucket,
            key,
            upload_id,
            part_number,
            source_version_id=source_version_id,
            source_range=source_range,
            source_conditions=source_conditions,
            customer_key=customer_key,
            source_customer_key=source_customer_key,
        )

    async def list_parts(
        self,
        bucket: Bucket,
        key: ObjectKey,
        upload_id: UploadId,
        *,
        after: int = 0,
        limit: int = 1000,
    ) -> PartListPage:
        """See ObjectStore.list_parts."""
        return await self._node.list_parts(bucket, key, upload_id, after=after, limit=limit)

    async def list_uploads(self, bucket: Bucket, query: UploadListQuery) -> UploadListPage:
        """See ObjectStore.list_uploads."""
        return await self._node.list_uploads(bucket, query)

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
        """See ObjectStore.complete_upload."""
        return await self._node.complete_upload(
            bucket,
            key,
            upload_id,
            parts,
            conditions=conditions,
            expected_checksum=expected_checksum,
            expected_size_bytes=expected_size_bytes,
            allows_small_parts=allows_small_parts,
        )

    async def abort_upload(self, bucket: Bucket, key: ObjectKey, upload_id: UploadId) -> None:
        """See ObjectStore.abort_upload."""
        return await self._node.abort_upload(bucket, key, upload_id)
