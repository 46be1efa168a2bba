"""Owns the making of this node's access to shards, with the indexes that are kept of them."""

from __future__ import annotations

from core.backends import copies_of
from core.names import ObjectKey
from core.protocols import ObjectReader
from core.types import NO_CONDITIONS, Bucket, ByteRange, Conditions
from gateway.config import ShardsConfig
from gateway.service import SingleNodeService
from storage.node import LocalNode
from storage.shards.indexes import ShardIndexes
from storage.shards.limits import ShardLimits
from storage.shards.service import LocalShards


class ShardObjects:
    """The objects as work on shards needs them, which reads here and there: what lives elsewhere is brought here first.
    core.whole_objects.WholeObjects."""

    def __init__(self, service: SingleNodeService, node: LocalNode) -> None:
        self._service = service
        self._node = node
        self.head = service.head
        self.put = service.put

    async def get(
        self,
        bucket: Bucket,
        key: ObjectKey,
        *,
        byte_range: ByteRange | None = None,
        conditions: Conditions = NO_CONDITIONS,
    ) -> ObjectReader:
        """See WholeObjects.get."""
        if bucket.props.backend is not None and self._service.bring is not None:
            await self._service.bring(bucket, key, conditions.latest)
            bucket = copies_of(bucket)
        return await self._node.get(bucket, key, byte_range=byte_range, conditions=conditions)


def open_shards(config: ShardsConfig, service: SingleNodeService, node: LocalNode) -> LocalShards:
    """Close it before the node."""
    indexes = ShardIndexes(node, service)
    objects = ShardObjects(service, node)
    return LocalShards(objects, shard_limits(config), indexes=indexes, near=node)


def shard_limits(config: ShardsConfig) -> ShardLimits:
    """What the settings permit a shard to cost."""
    return ShardLimits(
        max_members=config.max_members,
        max_unpacked_bytes=config.max_unpacked_bytes,
        max_ratio=config.max_ratio,
    )
