"""Owns the making of this node's access to shards, with the indexes that are kept of them."""

from __future__ import annotations

from core.control import ControlStore
from core.protocols import Clock
from gateway.service import SingleNodeService
from storage.node import LocalNode
from storage.shards.indexes import ShardIndexes
from storage.shards.service import LocalShards


def open_shards(control: ControlStore, node: LocalNode, clock: Clock) -> LocalShards:
    """For processes that serve no requests. Close it before the node."""
    service = SingleNodeService(control, node, clock)
    return LocalShards(node, indexes=ShardIndexes(node, service))
