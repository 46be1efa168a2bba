"""Owns the named points between two steps of a write to a bucket that lives elsewhere, at which a test may have the
process tree die."""

from __future__ import annotations

from core import crashpoints

NAMES = (
    "through:staged",
    "through:marked",
    "through:sent",
    "through:published",
    "through:deleted",
    "through:removed",
    "through:upload-created",
    "through:upload-kept",
    "through:part-received",
    "through:part-sent",
    "through:part-kept",
    "through:completing",
    "through:completed",
    "through:remembered",
    "through:upload-aborted",
)
"""All points, in the order of a put, a delete, an upload."""

reach = crashpoints.reach
