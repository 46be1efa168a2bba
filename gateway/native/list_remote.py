"""Owns how buckets that live elsewhere are listed natively: what is here alone, what is not, and how the two differ.

A difference is found by a merge of two listings in the order of names: the backend's, and that of the copies.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from core.copies import is_current
from core.errors import Denied, Unavailable
from core.listing import Detail, ListPage, ListQuery
from core.protocols import ObjectService
from core.types import Bucket, ObjectInfo
from gateway.native.list_entries import CHANGED, REMOVED, UNVERIFIED
from gateway.native.list_query import ListFlag, NativeListQuery

_BUDGET_S = 5.0
"""After so long a page from which much is left out ends early, provided that it has something."""

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class RemotePage:
    """A page, and what entries are flagged with, by their keys."""

    page: ListPage
    flags: Mapping[str, int] = field(default_factory=dict)


async def remote_page(store: ObjectService, bucket: Bucket, query: NativeListQuery) -> RemotePage:
    """A page of a bucket that lives elsewhere, as the query's flags want it."""
    flags = query.flags
    detail = Detail.WHOLE if "checksum" in query.props else query.detail
    asked = ListQuery(
        query.prefix, query.delimiter, query.after, query.limit, detail, query.inventory
    )
    if ListFlag.DIFF in flags:
        found = await _Difference(store, bucket, query, detail).page()
    elif ListFlag.CACHED in flags and query.inventory is None:
        found = RemotePage(await store.present.list_objects(bucket, asked))
    elif flags & (ListFlag.NOT_CACHED | ListFlag.CACHED):
        is_cached = ListFlag.CACHED in flags
        found = RemotePage(await _filtered(store, bucket, asked, is_cached=is_cached))
    else:
        found = RemotePage(await store.list_objects(bucket, asked))
    if ListFlag.NO_DIRS in flags:
        return replace(found, page=replace(found.page, common_prefixes=()))
    return found


async def _filtered(
    store: ObjectService, bucket: Bucket, asked: ListQuery, *, is_cached: bool
) -> ListPage:
    """A page of what is here, or of what is not."""
    entries: list[ObjectInfo] = []
    prefixes: list[str] = []
    after, ends_at = asked.after, time.monotonic() + _BUDGET_S
    while True:
        rest = asked.limit - len(entries) - len(prefixes)
        page = await store.list_objects(bucket, replace(asked, after=after, limit=rest))
        entries += [info for info in page.entries if info.is_cached is is_cached]
        prefixes += page.common_prefixes
        count = len(entries) + len(prefixes)
        is_late = count > 0 and time.monotonic() > ends_at
        if not page.is_truncated or count >= asked.limit or is_late:
            return replace(page, entries=entries, common_prefixes=prefixes)
        after = page.next_after


class _Difference:
    """One page of a comparison: what the backend has, flagged where the copy is of something else, and copies of what
    it has no more. With CACHED, copies alone; what the backend cannot be asked about is flagged too."""

    def __init__(
        self, store: ObjectService, bucket: Bucket, query: NativeListQuery, detail: Detail
    ) -> None:
        self._store = store
        self._bucket = bucket
        self._query = query
        if detail is not Detail.WHOLE:
            detail = Detail.SUMMARY  # which tells what copies are of
        self._asked = ListQuery(query.prefix, query.delimiter, query.after, query.limit, detail)
        self._only_copies = ListFlag.CACHED in query.flags
        self._flags: dict[str, int] = {}
        self._entries: list[ObjectInfo] = []

    async def page(self) -> RemotePage:
        try:
            remote = await self._store.list_objects(self._bucket, self._asked)
        except (Unavailable, Denied):
            if not self._only_copies:
                raise
            return await self._unverified()
        limit = self._query.limit
        is_cut = await self._merge(remote)
        prefixes = list(remote.common_prefixes)
        names = sorted([*(info.key for info in self._entries), *prefixes])
        if len(names) > limit or is_cut:
            names = names[:limit]
            last = names[-1]
            kept = [info for info in self._entries if info.key <= last]
            if self._only_copies:
                kept = [info for info in kept if info.is_cached]
            prefixes = prefixes[: bisect_left(prefixes, f"{last}\0")]
            return RemotePage(ListPage(kept, prefixes, True, last), self._flags)
        entries = [info for info in self._entries if info.is_cached or not self._only_copies]
        page = ListPage(entries, prefixes, remote.is_truncated, remote.next_after)
        return RemotePage(page, self._flags)

    async def _merge(self, remote: ListPage) -> bool:
        """Entries of both in one order, as far as the backend's page goes; whether copies were left over."""
        theirs = remote.entries
        end = remote.next_after if remote.is_truncated else None
        at = 0
        async for copy in self._copies(end):
            while at < len(theirs) and theirs[at].key < copy.key:
                self._entries.append(theirs[at])
                at += 1
            if at < len(theirs) and theirs[at].key == copy.key:
                if not is_current(copy, theirs[at]):
                    self._flags[copy.key] = CHANGED
                self._entries.append(theirs[at])
                at += 1
            else:
                self._flags[copy.key] = REMOVED
                self._entries.append(copy)
            if len(self._entries) > self._query.limit:
                return True
        self._entries += theirs[at:]
        return False

    async def _copies(self, end: str | None) -> AsyncIterator[ObjectInfo]:
        # In short pages: the event loop has its turn between two.
        asked = replace(self._asked, limit=_PAGE)
        while True:
            page = await self._store.present.list_objects(self._bucket, asked)
            for info in page.entries:
                if end is not None and info.key > end:
                    return
                yield info
            if not page.is_truncated or (end is not None and page.next_after > end):
                return
            asked = replace(asked, after=page.next_after)

    async def _unverified(self) -> RemotePage:
        page = await self._store.present.list_objects(self._bucket, self._asked)
        return RemotePage(page, _all_flagged(page.entries, UNVERIFIED))


def _all_flagged(entries: Sequence[ObjectInfo], flag: int) -> Mapping[str, int]:
    return {info.key: flag for info in entries}
