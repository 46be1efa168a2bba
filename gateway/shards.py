"""Owns the making of this node's access to shards, with the indexes that are kept of them."""

from __future__ import annotations

from core.control import ControlStore
from core.protocols import Clock
from gateway.config import ShardsConfig
from gateway.service import SingleNodeService
from storage.node import LocalNode
from storage.shards.indexes import ShardIndexes
from storage.shards.limits import ShardLimits
from storage.shards.service import LocalShards


def open_shards(
    config: ShardsConfig, control: ControlStore, node: LocalNode, clock: Clock
) -> LocalShards:
    """For processes that serve no requests. Close it before the node."""
    service = SingleNodeService(control, node, clock)
    return LocalShards(node, shard_limits(config), indexes=ShardIndexes(node, service))


def shard_limits(config: ShardsConfig) -> ShardLimits:
    """What the settings permit a shard to cost."""
    return ShardLimits(
        max_members=config.max_members,
        max_unpacked_bytes=config.max_unpacked_bytes,
        max_ratio=config.max_ratio,
    )
