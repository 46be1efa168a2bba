"""Owns the named points between two commit steps at which a test may have the process tree die."""

from __future__ import annotations

from core import crashpoints

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


def arm(name: str, *, skip: int = 0) -> None:
    """See core.crashpoints. Raises ValueError."""
    if name not in NAMES:
        raise ValueError(f"no crash point {name!r}")
    crashpoints.arm(name, skip=skip)


reach = crashpoints.reach
