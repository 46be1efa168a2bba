"""Owns reads of buckets that live elsewhere: from the copy that is here, or from the backend, keeping a copy."""

from __future__ import annotations

from core.backends import Backends, remote_name
from core.encryption import CustomerKey
from core.errors import NoSuchKey
from core.names import ObjectKey
from core.nodes import StorageNode
from core.protocols import Clock, ObjectReader
from core.types import NO_CONDITIONS, Bucket, ByteRange, Conditions, ObjectInfo


class Reading:
    """HEAD and GET."""

    def __init__(self, node: StorageNode, backends: Backends, clock: Clock) -> None:
        self._node = node
        self._backends = backends
        self._clock = clock

    async def head(
        self,
        bucket: Bucket,
        key: ObjectKey,
        *,
        version_id: str | None = None,
        conditions: Conditions = NO_CONDITIONS,
    ) -> ObjectInfo:
        """See ObjectStore.head."""
        try:
            return await self._node.head(bucket, key, version_id=version_id, conditions=conditions)
        except NoSuchKey:
            return await self._backends.of(bucket).head(remote_name(bucket), key)

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
        """See ObjectStore.get."""
        try:
            return await self._node.get(
                bucket,
                key,
                version_id=version_id,
                byte_range=byte_range,
                conditions=conditions,
                customer_key=customer_key,
            )
        except NoSuchKey:
            await self._fetch(bucket, key)
        return await self._node.get(bucket, key, byte_range=byte_range, conditions=conditions)

    async def _fetch(self, bucket: Bucket, key: ObjectKey) -> None:
        reader = await self._backends.of(bucket).open(remote_name(bucket), key)
        try:
            landing = await self._node.land(bucket, key, reader.length)
            try:
                number = 0
                async for chunk in reader:
                    rest = memoryview(chunk)
                    while rest:
                        piece = landing.pieces[number]
                        take = rest[: piece.size_bytes - piece.written_bytes]
                        await piece.write(bytes(take))
                        await piece.flush()
                        rest = rest[len(take) :]
                        number += piece.written_bytes == piece.size_bytes
                await landing.publish(reader.info)
            finally:
                await landing.abandon()
        finally:
            await reader.close()
