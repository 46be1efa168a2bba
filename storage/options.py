"""Owns what can be set about a storage node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from core.nodes import Placement
from core.types import MIN_PART_BYTES

SMALL_LIMIT_BYTES = 64 * 1024
"""Up to here the bytes of an object go into small.db with its record: one fsync for both, and no open file to read
them. See docs/performance.md for where a file of its own becomes cheaper."""


@dataclass(frozen=True, slots=True)
class ClassPlacement:
    """Where the bytes of a storage class lie: on these mountpaths of the set, by a placement over them alone. None of
    them, if none of their disks is there."""

    members: Sequence[int]
    placement: Placement | None


@dataclass(frozen=True, slots=True)
class StorageOptions:
    """Of every mountpath of a node. `capacity_bytes` None: as much as the disk has. `verify_rate`: the share of whole
    reads from files whose checksum is verified. `min_part_bytes` is S3's rule; tests may lower it.
    `hot_bytes`: memory for small objects that were read lately, of the whole node in this process. `classes`: where
    each storage class lies that does not lie everywhere. `copies_end_at_percent`: how full a disk, or its quota, may be
    for a copy of what a backend has to be taken in."""

    small_limit_bytes: int = SMALL_LIMIT_BYTES
    verify_rate: float = 0.0
    free_space_reserve_bytes: int = 256 * 1024**2
    capacity_bytes: int | None = None
    copies_end_at_percent: float = 100.0
    threads: int = 4
    hot_bytes: int = 8 * 1024**2
    min_part_bytes: int = MIN_PART_BYTES
    classes: Mapping[str, ClassPlacement] = field(default_factory=dict)
