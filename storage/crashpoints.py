"""Owns the named points between two commit steps at which a test may have the process tree die.

Nothing here reads the environment: the composition root arms a point, from its configuration.
"""

from __future__ import annotations

import os
import signal

_BLOB_STEPS = ("blob-written", "blob-synced", "named", "committed")
PIECES = (
    *(f"{what}:{step}" for what in ("chunks", "landing", "rechunk") for step in _BLOB_STEPS[1:]),
    "landing:blob-written",
)
"""Those on the way of objects in several blobs."""

NAMES = (
    *(f"{what}:{step}" for what in ("put", "copy", "part", "transition") for step in _BLOB_STEPS),
    *PIECES,
    "chunks:piece-synced",
    "put:small-written",
    "put:small-committed",
    "part:small-written",
    "part:small-committed",
    "attributes:named",
    "attributes:committed",
    "version:displaced",
    "version:marked",
    "version:removed",
    "update:named",
    "update:committed",
    "delete:unnamed",
    "delete:committed",
    "upload:created",
    "complete:published",
    "complete:committed",
    "abort:unnamed",
    "abort:committed",
    "shard-index:written",
    "bucket:closed",
    "bucket:unnamed",
    "bucket:dropped-some",
    "commit:run",
    "commit:committed",
    "reclaim:unlinked",
    "cleanup:garbage-unlinked",
    "cleanup:blobs-removed",
)
"""All points. They lie between every two steps of what changes a mountpath."""

_armed: dict[str, int] = {}


def arm(name: str, *, skip: int = 0) -> None:
    """Have the process group killed when `name` is reached for the (skip + 1)th time. Raises ValueError."""
    if name not in NAMES:
        raise ValueError(f"no crash point {name!r}")
    _armed[name] = skip


def reach(name: str) -> None:
    """Die here if armed. Costs one look at an empty dictionary otherwise."""
    if not _armed or name not in _armed:
        return
    if _armed[name] > 0:
        _armed[name] -= 1
        return
    os.killpg(os.getpgid(0), signal.SIGKILL)
