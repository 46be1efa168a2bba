"""Owns the making of this machine's storage node from the settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import core.crashpoints
from backends.cache import crashpoints as cache_points
from cluster.placement import HrwPlacement
from core.control import KeyService
from core.protocols import Clock
from gateway.config import Config
from gateway.storage_classes import storage_classes
from storage import crashpoints
from storage.layout import MountpathSpec, open_set_sync
from storage.node import LocalNode
from storage.options import ClassPlacement, StorageOptions


async def open_node(config: Config, clock: Clock, keys: KeyService | None = None) -> LocalNode:
    """Open the store's mountpaths for this process. Close the node in the same event loop."""
    specs = open_set_sync(config.data)
    settings = config.storage
    options = StorageOptions(
        small_limit_bytes=settings.small_object_bytes,
        verify_rate=settings.verify_rate,
        free_space_reserve_bytes=settings.free_space_reserve_bytes,
        capacity_bytes=settings.quota_bytes or None,
        copies_end_at_percent=config.space.out_of_space_percent,
        threads=settings.threads,
        hot_bytes=settings.hot_object_bytes,
        classes=_class_placements(config, specs),
    )
    if config.debug.crash_at:
        point, _, skip = config.debug.crash_at.partition("@")
        arm = core.crashpoints.arm if point in cache_points.NAMES else crashpoints.arm
        arm(point, skip=int(skip or 0))
    placement = HrwPlacement([spec.uuid for spec in specs])
    node = LocalNode(specs, placement, clock, options, keys)
    await node.open()
    return node


def _class_placements(
    config: Config, specs: Sequence[MountpathSpec]
) -> Mapping[str, ClassPlacement]:
    """Of the classes that do not lie everywhere. New bytes go to those of its disks that are there; blobs say by
    themselves where they lie, so those written before are found all the same."""
    found: dict[str, ClassPlacement] = {}
    for each in storage_classes(config):
        if not each.directories:
            continue
        members = [n for n, spec in enumerate(specs) if spec.directory in each.directories]
        placement = HrwPlacement([specs[n].uuid for n in members]) if members else None
        found[each.name] = ClassPlacement(members, placement)
    return found
