"""Owns writes to buckets that live elsewhere: through to the backend, and kept here."""

from __future__ import annotations

from collections.abc import Sequence

from backends.cache.flights import Flights
from core.backends import Backends
from core.deletion import DeleteItem, DeleteResult
from core.encryption import CustomerKey, EncryptionRequest
from core.names import ObjectKey, UserId
from core.nodes import StorageNode
from core.protocols import BodyStream, Clock
from core.types import (
    NO_CONDITIONS,
    Bucket,
    ChecksumAlgorithm,
    Conditions,
    ObjectAttributes,
    ObjectChanges,
    ObjectInfo,
)


class Writing:
    """Writes, deletes and copies."""

    def __init__(
        self, node: StorageNode, backends: Backends, clock: Clock, flights: Flights
    ) -> None:
        self._node = node
        self._backends = backends
        self._clock = clock
        self._flights = flights

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
        """See ObjectStore.put."""
        return await self._node.put(
            bucket, key, body, attributes=attributes, conditions=conditions, encryption=encryption
        )

    async def delete(
        self,
        bucket: Bucket,
        key: ObjectKey,
        *,
        version_id: str | None = None,
        conditions: Conditions = NO_CONDITIONS,
        bypass_governance: bool = False,
    ) -> DeleteResult:
        """See ObjectStore.delete."""
        return await self._node.delete(
            bucket,
            key,
            version_id=version_id,
            conditions=conditions,
            bypass_governance=bypass_governance,
        )

    async def delete_many(
        self, bucket: Bucket, items: Sequence[DeleteItem], *, bypass_governance: bool = False
    ) -> Sequence[DeleteResult | Exception]:
        """See ObjectStore.delete_many."""
        return await self._node.delete_many(bucket, items, bypass_governance=bypass_governance)

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
        return await self._node.copy(
            source_bucket,
            source_key,
            bucket,
            key,
            source_version_id=source_version_id,
            source_conditions=source_conditions,
            conditions=conditions,
            attributes=attributes,
            owner_id=owner_id,
            checksum_algorithm=checksum_algorithm,
            encryption=encryption,
            source_customer_key=source_customer_key,
        )

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
        """See ObjectStore.update_object."""
        return await self._node.update_object(
            bucket,
            key,
            changes,
            version_id=version_id,
            conditions=conditions,
            bypass_governance=bypass_governance,
        )
