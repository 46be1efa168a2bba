"""Owns the making of this node's access to shards, with the indexes that are kept of them."""

from __future__ import annotations

from gateway.config import ShardsConfig
from gateway.service import SingleNodeService
from storage.node import LocalNode
from storage.shards.indexes import ShardIndexes
from storage.shards.limits import ShardLimits
from storage.shards.service import LocalShards


def open_shards(config: ShardsConfig, service: SingleNodeService, node: LocalNode) -> LocalShards:
    """Close it before the node."""
    indexes = ShardIndexes(node, service)
    return LocalShards(node, shard_limits(config), indexes=indexes, near=node)


def shard_limits(config: ShardsConfig) -> ShardLimits:
    """What the settings permit a shard to cost."""
    return ShardLimits(
        max_members=config.max_members,
        max_unpacked_bytes=config.max_unpacked_bytes,
        max_ratio=config.max_ratio,
    )
