"""Owns the sorted listing of what a scan finds in no order, in bounded memory: the names that come first after a place.

A scan gathers more than one page, and what is left of it is remembered, so that the pages of a large shard without an
index do not cost a scan each.
"""

from __future__ import annotations

import bisect
import collections
from collections.abc import Sequence
from dataclasses import dataclass

from core.names import ObjectKey
from core.shards import Member, MemberPage
from core.types import Bucket, ObjectInfo

_GATHERED = 50_000
_MAX_REMEMBERED = 4


class Gathering:
    """The members whose paths come first of those offered; of equal paths the first offered. For one thread."""

    def __init__(self, prefix: str, after: str, limit: int) -> None:
        self._prefix = prefix
        self._after = after
        self._limit = limit
        self._kept: dict[str, Member] = {}
        self._bound: str | None = None

    def offer(self, member: Member) -> bool:
        """Take it in, if it may be among them. It is not wanted for anything else, so False."""
        path = member.path
        if path <= self._after or not path.startswith(self._prefix):
            return False
        if self._bound is not None and path > self._bound:
            return False
        self._kept.setdefault(path, member)
        if len(self._kept) > 2 * self._limit:
            self._cut()
        return False

    def finish(self) -> Gathered:
        """All that was gathered, in order."""
        if len(self._kept) > self._limit:
            self._cut()
        paths = sorted(self._kept)
        members = [self._kept[path] for path in paths]
        return Gathered(self._after, paths, members, self._bound is not None)

    def _cut(self) -> None:
        paths = sorted(self._kept)[: self._limit]
        self._kept = {path: self._kept[path] for path in paths}
        self._bound = paths[-1]


@dataclass(frozen=True, slots=True)
class Gathered:
    """All members with a prefix that come after `after`, or the first of them if there are more."""

    after: str
    paths: Sequence[str]
    members: Sequence[Member]
    has_more: bool

    def page(self, after: str, limit: int) -> MemberPage | None:
        """None if it takes another scan to tell."""
        if after < self.after:
            return None
        first = bisect.bisect_right(self.paths, after)
        end = first + limit
        if self.has_more and end > len(self.paths):
            return None
        return MemberPage(self.members[first:end], self.has_more or end < len(self.paths))


def gathering(prefix: str, after: str, limit: int) -> Gathering:
    """One that is good for a page, and for more."""
    return Gathering(prefix, after, max(limit, _GATHERED))


_Name = tuple[int, ObjectKey, str, str, int, str]


class Remembered:
    """What was gathered last. Only what is longer than a page is worth it."""

    def __init__(self) -> None:
        self._kept: collections.OrderedDict[_Name, Gathered] = collections.OrderedDict()

    def page(
        self, bucket: Bucket, info: ObjectInfo, prefix: str, after: str, limit: int
    ) -> MemberPage | None:
        gathered = self._kept.get(_name_of(bucket, info, prefix))
        return None if gathered is None else gathered.page(after, limit)

    def keep(self, bucket: Bucket, info: ObjectInfo, prefix: str, gathered: Gathered) -> None:
        name = _name_of(bucket, info, prefix)
        self._kept.pop(name, None)
        self._kept[name] = gathered
        if len(self._kept) > _MAX_REMEMBERED:
            self._kept.popitem(last=False)


def _name_of(bucket: Bucket, info: ObjectInfo, prefix: str) -> _Name:
    identity = (info.key, info.etag, info.version_id, info.modified_ns)
    return (bucket.bucket_id, *identity, prefix)
