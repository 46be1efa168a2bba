"""Owns the seam of who reads and writes objects whole, wherever they live."""

from __future__ import annotations

from typing import Protocol

from core.encryption import EncryptionRequest
from core.names import ObjectKey
from core.protocols import BodyStream, ObjectReader
from core.types import (
    NO_CONDITIONS,
    Bucket,
    ByteRange,
    Conditions,
    ObjectAttributes,
    ObjectInfo,
)


class WholeObjects(Protocol):
    """As much of an ObjectStore as reads and writes objects whole."""

    async def head(
        self,
        bucket: Bucket,
        key: ObjectKey,
        *,
        version_id: str | None = None,
        conditions: Conditions = NO_CONDITIONS,
    ) -> ObjectInfo:
        """See ObjectStore.head."""

    async def get(
        self,
        bucket: Bucket,
        key: ObjectKey,
        *,
        byte_range: ByteRange | None = None,
        conditions: Conditions = NO_CONDITIONS,
    ) -> ObjectReader:
        """See ObjectStore.get."""

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
