"""Owns which members a selection means."""

from __future__ import annotations

from collections.abc import Callable

from core.patterns import compile_pattern
from core.shards import MatchMode, Member, Selection


def wanted_by(selection: Selection) -> Callable[[Member], bool]:
    """Whether a member is meant. A leading "/" of what begins paths does not count. Raises InvalidArgument."""
    pattern = selection.pattern
    match selection.mode:
        case MatchMode.PREFIX:
            start = pattern.lstrip("/")
            return lambda member: member.path.startswith(start)
        case MatchMode.SUFFIX:
            return lambda member: member.path.endswith(pattern)
        case MatchMode.SUBSTRING:
            return lambda member: pattern in member.path
        case MatchMode.WDS_KEY:
            key = pattern.lstrip("/")
            return lambda member: _has_key(member.path, key)
        case MatchMode.REGEXP:
            found = compile_pattern(pattern)
            return lambda member: found(member.path)


def _has_key(path: str, key: str) -> bool:
    """Whether a path is the key with extensions: what WebDataset takes for one sample, and each of its files alone."""
    if not path.startswith(key):
        return False
    rest = path[len(key) :]
    return not rest or (rest[0] == "." and "/" not in rest)
