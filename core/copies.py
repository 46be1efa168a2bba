"""Owns the comparison of a copy with what its backend has now."""

from __future__ import annotations

from core.types import ObjectInfo


def is_current(copy: ObjectInfo, truth: ObjectInfo) -> bool:
    """Whether a copy is of what the backend tells of the object. A doubt about the copy is settled by this very
    comparison. What only one of them knows says nothing; where nothing is left to compare, it is not current."""
    ours, theirs = copy.remote, truth.remote
    if ours is None or theirs is None or copy.size_bytes != truth.size_bytes:
        return False
    is_alike = False
    if ours.provider == theirs.provider:
        pairs = ((ours.etag, theirs.etag), (ours.version_id, theirs.version_id))
        known = [pair for pair in pairs if pair[0] and pair[1]]
        if any(one != other for one, other in known):
            return False
        is_alike = bool(known)
    if ours.md5 and theirs.md5:
        return ours.md5 == theirs.md5
    return is_alike
