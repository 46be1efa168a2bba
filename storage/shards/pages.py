"""Owns the sorted listing of what a scan finds in no order: the first names after a place, in bounded memory."""

from __future__ import annotations

import bisect
from collections.abc import AsyncIterator, Sequence

from core.shards import Member, MemberPage


async def page_of(found: AsyncIterator[Sequence[Member]], limit: int) -> MemberPage:
    """The `limit` members whose paths come first, of equal ones that which was found first."""
    kept: dict[str, Member] = {}
    paths: list[str] = []
    is_truncated = False
    async for batch in found:
        for member in batch:
            if member.path in kept:
                continue
            if len(paths) == limit:
                is_truncated = True
                if not paths or member.path > paths[-1]:
                    continue
                del kept[paths.pop()]
            bisect.insort(paths, member.path)
            kept[member.path] = member
    return MemberPage([kept[path] for path in paths], is_truncated)
