"""Owns the refusal of what only its provider can do for a bucket that lives elsewhere."""

from __future__ import annotations

from core.errors import Unsupported
from core.types import Bucket


def refuse_elsewhere(bucket: Bucket, what: str) -> None:
    """Raises Unsupported: settings that copies alone would follow are none."""
    if bucket.props.backend is not None:
        reason = f"{what} of a bucket that lives elsewhere is configured at its provider"
        raise Unsupported(what=what, reason=reason)
