"""Owns the making of this machine's storage node from the settings."""

from __future__ import annotations

from cluster.placement import HrwPlacement
from core.protocols import Clock, KeyService
from gateway.config import Config
from storage import crashpoints
from storage.layout import open_set_sync
from storage.node import LocalNode
from storage.options import StorageOptions


async def open_node(config: Config, clock: Clock, keys: KeyService | None = None) -> LocalNode:
    """Open the store's mountpaths for this process. Close the node in the same event loop."""
    specs = open_set_sync(config.data)
    settings = config.storage
    options = StorageOptions(
        small_limit_bytes=settings.small_object_bytes,
        verify_rate=settings.verify_rate,
        free_space_reserve_bytes=settings.free_space_reserve_bytes,
        capacity_bytes=settings.quota_bytes or None,
        threads=settings.threads,
        hot_bytes=settings.hot_object_bytes,
    )
    if config.debug.crash_at:
        point, _, skip = config.debug.crash_at.partition("@")
        crashpoints.arm(point, skip=int(skip or 0))
    placement = HrwPlacement([spec.uuid for spec in specs])
    node = LocalNode(specs, placement, clock, options, keys)
    await node.open()
    return node
