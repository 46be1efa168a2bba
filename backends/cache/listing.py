"""Owns listings of buckets that live elsewhere: what the backend has, with what of it is here.

The backend says which keys there are, so a write that went through is on the next page. A page costs as many requests
to the backend as its length takes, and ordered scans of the local index over the same range. No page is fetched ahead:
one that was fetched before a write would hide it. Who asks for an inventory is answered from that alone; what is here
is told as of now all the same.
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import replace

from backends.cache.inventories import StoredInventories
from backends.cache.inventory_pages import InventoryPage, page_of
from core.backends import Backends, remote_name
from core.copies import is_current
from core.errors import BackendBroken, NoSuchInventory, NotFound, PreconditionFailed
from core.listing import (
    MAX_LISTED,
    Detail,
    ListPage,
    ListQuery,
    ObjectVersion,
    VersionListPage,
    VersionListQuery,
)
from core.nodes import StorageNode
from core.types import NULL_VERSION, Bucket, ObjectInfo

_BUDGET_S = 5.0
"""After so long a page of several requests ends early, provided that it has something."""

_TRIES = 5
_FEW = 200
"""As many copies are told in the event loop, in about a millisecond."""
_LAST = "\U0010ffff"


class Listing:
    """Listings."""

    def __init__(
        self,
        node: StorageNode,
        backends: Backends,
        inventories: StoredInventories | None = None,
    ) -> None:
        self._node = node
        self._backends = backends
        self._inventories = inventories

    async def list_objects(self, bucket: Bucket, query: ListQuery) -> ListPage:
        """See ObjectStore.list_objects. Entries are as the backend tells them, but for user metadata, digests and the
        like, which listings of providers have not: Detail.WHOLE has them of objects whose copy here is current."""
        if query.limit <= 0:
            return ListPage((), (), False)
        if query.inventory is not None:
            return await self._snapshot_page(bucket, query, query.inventory)
        if not self._backends.of(bucket).features.can_list:
            return await self._node.list_objects(bucket, query)
        page = await self._remote_page(bucket, query)
        if not page.entries:
            return page
        copies = await self._copies(bucket, query, [info.key for info in page.entries])
        if len(copies) <= _FEW:
            return replace(page, entries=_all_seen(page.entries, copies))
        return replace(page, entries=await asyncio.to_thread(_all_seen, page.entries, copies))

    async def list_versions(self, bucket: Bucket, query: VersionListQuery) -> VersionListPage:
        """See ObjectStore.list_versions. A bucket that lives elsewhere has no versions here: what is current is listed,
        each as a null version."""
        asked = ListQuery(query.prefix, query.delimiter, query.key_marker, query.limit)
        page = await self.list_objects(bucket, asked)
        versions = [
            info if info.version_id == NULL_VERSION else replace(info, version_id=NULL_VERSION)
            for info in page.entries
        ]
        is_key = bool(versions) and page.next_after == versions[-1].key
        return VersionListPage(
            versions=[ObjectVersion(info, is_latest=True) for info in versions],
            common_prefixes=page.common_prefixes,
            is_truncated=page.is_truncated,
            next_key_marker=page.next_after,
            next_version_id_marker=NULL_VERSION if page.is_truncated and is_key else "",
        )

    async def is_empty(self, bucket: Bucket) -> bool:
        """See ObjectStore.is_empty. Of the bucket where it lives, whatever is left of it here."""
        page = await self.list_objects(bucket, ListQuery(limit=1, detail=Detail.NAME))
        return not page.entries

    async def _snapshot_page(self, bucket: Bucket, query: ListQuery, name: str) -> ListPage:
        page = await self._inventory_page(bucket, query, name)
        keys = page.keys()
        copies = await self._copies(bucket, query, keys)
        binding = bucket.props.backend
        provider = "" if binding is None else binding.bucket.provider
        entries = await asyncio.to_thread(page.entries_sync, query.detail, provider, copies)
        if query.detail is Detail.WHOLE:
            entries = await asyncio.to_thread(_all_seen, entries, copies)
        return ListPage(entries, page.common_prefixes, page.is_truncated, page.last)

    async def _inventory_page(self, bucket: Bucket, query: ListQuery, name: str) -> InventoryPage:
        for _ in range(_TRIES):
            if self._inventories is None:
                break
            opened = await self._inventories.open(bucket, name, query.prefix)
            try:
                return await page_of(self._inventories, opened, query)
            except (NotFound, PreconditionFailed):
                continue  # made anew since it was opened
        raise NoSuchInventory(bucket=bucket.name, inventory=name)

    async def _remote_page(self, bucket: Bucket, query: ListQuery) -> ListPage:
        """A page as long as was asked for, of as many of the backend's as that takes."""
        backend, name = self._backends.of(bucket), remote_name(bucket)
        entries: list[ObjectInfo] = []
        prefixes: list[str] = []
        after, ends_at = query.after, time.monotonic() + _BUDGET_S
        while True:
            rest = query.limit - len(entries) - len(prefixes)
            page = await backend.list_page(name, replace(query, after=after, limit=rest))
            _check(bucket, page, after)
            entries += page.entries
            prefixes += page.common_prefixes
            count = len(entries) + len(prefixes)
            is_late = count > 0 and time.monotonic() > ends_at
            if not page.is_truncated or count >= query.limit or is_late:
                return replace(page, entries=entries, common_prefixes=prefixes)
            after = page.next_after

    async def _copies(
        self, bucket: Bucket, query: ListQuery, keys: Sequence[str]
    ) -> Mapping[str, ObjectInfo]:
        """What is here of these keys, which are in order: a merge of both orders, that leaps over what only we have."""
        detail = Detail.WHOLE if query.detail is Detail.WHOLE else Detail.NAME
        copies: dict[str, ObjectInfo] = {}
        after, passed = query.after, 0
        while passed < len(keys):
            limit = min(len(keys) - passed + 1, MAX_LISTED)
            asked = ListQuery(query.prefix, query.delimiter, after, limit, detail)
            page = await self._node.list_objects(bucket, asked)
            copies.update((info.key, info) for info in page.entries)
            if not page.is_truncated:
                break
            passed = bisect_right(keys, page.next_after)
            if passed < len(keys):
                after = max(page.next_after, _right_before(keys[passed]))
        return copies


def _all_seen(entries: Sequence[ObjectInfo], copies: Mapping[str, ObjectInfo]) -> list[ObjectInfo]:
    return [_seen(info, copies) for info in entries]


def _seen(info: ObjectInfo, copies: Mapping[str, ObjectInfo]) -> ObjectInfo:
    copy = copies.get(info.key)
    if copy is None:
        return replace(info, is_cached=False) if info.is_cached else info
    if copy.remote is not None and is_current(copy, info):
        return replace(
            info,
            attributes=copy.attributes,
            checksum=copy.checksum,
            remote=replace(copy.remote, in_doubt=False),
            is_cached=True,
        )
    return info if info.is_cached else replace(info, is_cached=True)


def _check(bucket: Bucket, page: ListPage, after: str) -> None:
    """That the listing goes on, and that keys come in order. Raises BackendBroken."""
    last = after
    for info in page.entries:
        if info.key <= last:
            raise _broken(bucket, "a listing is out of order")
        last = info.key
    if page.is_truncated and page.next_after <= after:
        raise _broken(bucket, "a listing does not go on")


def _broken(bucket: Bucket, reason: str) -> BackendBroken:
    provider = "" if bucket.props.backend is None else bucket.props.backend.bucket.provider
    return BackendBroken(
        provider=provider, bucket=bucket.name, key="", reason=reason, retry_after_s=1
    )


def _right_before(key: str) -> str:
    """A name before the key, with next to none between."""
    head, last = key[:-1], ord(key[-1])
    if last == 0:
        return head
    # Surrogates are no characters of names.
    before = 0xD7FF if last == 0xE000 else last - 1
    return f"{head}{chr(before)}{_LAST}"
