"""Owns the pages of a listing that is answered from an inventory: which of its entries are on one, found by binary
search over chunks and within them, and their making.
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from backends.cache.inventories import OpenInventory, StoredInventories
from core.inventory_format import MD5_IS_ETAG, Chunk
from core.listing import Detail, ListQuery
from core.names import ObjectKey
from core.types import NULL_VERSION, ObjectAttributes, ObjectInfo, RemoteFacts

_BUDGET_S = 5.0
"""After so long a page ends early, provided that it has something."""

_NO_ATTRIBUTES = ObjectAttributes()


@dataclass(slots=True)
class InventoryPage:
    """What is on a page: runs of entries of chunks, and common prefixes, each in order."""

    runs: list[tuple[Chunk, int, int]] = field(default_factory=list)
    common_prefixes: list[str] = field(default_factory=list)
    count: int = 0
    last: str = ""
    is_truncated: bool = False

    def keys(self) -> list[str]:
        """Of the entries."""
        if len(self.runs) == 1:
            chunk, first, end = self.runs[0]
            return chunk.names[first:end]
        return [name for chunk, first, end in self.runs for name in chunk.names[first:end]]

    def entries_sync(
        self, detail: Detail, provider: str, cached: Container[str]
    ) -> list[ObjectInfo]:
        """The entries, with what `detail` wants; `cached`: the keys of those that are here."""
        make = _bare if detail in (Detail.NAME, Detail.SIZE) else _whole
        return [info for run in self.runs for info in make(run, provider, cached)]


async def page_of(
    inventories: StoredInventories, opened: OpenInventory, query: ListQuery
) -> InventoryPage:
    """Raises Corrupt, and PreconditionFailed or NotFound if the inventory is another by now."""
    return await _Walk(inventories, opened, query).page()


class _Walk:
    """The making of one page. `start`: the smallest name that may come next; None: none may."""

    def __init__(
        self, inventories: StoredInventories, opened: OpenInventory, query: ListQuery
    ) -> None:
        self._inventories = inventories
        self._opened = opened
        self._places = opened.directory.places
        self._query = query
        self._end = past(query.prefix)
        self._page = InventoryPage()
        self._start = _start_of(query)

    async def page(self) -> InventoryPage:
        query, page, ends_at = self._query, self._page, time.monotonic() + _BUDGET_S
        while not self._is_done():
            if page.count and time.monotonic() > ends_at:
                break
            number = self._next_chunk()
            if number is None:
                self._start = None
                break
            # Directories may be leapt over, chunks and all: one chunk at a time.
            wanted = 1 if query.delimiter else query.limit - page.count
            for chunk in await self._inventories.chunks(self._opened, number, wanted):
                if self._is_done():
                    break
                if query.delimiter:
                    await asyncio.to_thread(self._take_grouped, chunk)
                else:
                    self._take(chunk)
        page.is_truncated = page.count > 0 and await self._has_more()
        return page

    def _is_done(self) -> bool:
        return self._start is None or self._page.count >= self._query.limit

    def _next_chunk(self) -> int | None:
        number = bisect_left(self._opened.directory.lasts, self._start or "")
        if number == len(self._places):
            return None
        if self._end is not None and self._places[number].first >= self._end:
            return None
        return number

    async def _has_more(self) -> bool:
        if self._start is None:
            return False
        number = self._next_chunk()
        if number is None:
            return False
        if self._places[number].first >= self._start:
            return True
        chunk = (await self._inventories.chunks(self._opened, number, 1))[0]
        # The chunk's last name is not before the start, so there is one.
        name = chunk.names[bisect_left(chunk.names, self._start)]
        return self._end is None or name < self._end

    def _bounds(self, chunk: Chunk) -> tuple[int, int]:
        first = bisect_left(chunk.names, self._start or "")
        if self._end is None:
            return first, len(chunk.names)
        return first, bisect_left(chunk.names, self._end, first)

    def _take(self, chunk: Chunk) -> None:
        first, end = self._bounds(chunk)
        end = min(end, first + self._query.limit - self._page.count)
        if first < end:
            self._keep(chunk, first, end)
        elif self._page.count < self._query.limit:
            self._start = None  # the chunk has names behind the last that is wanted

    def _keep(self, chunk: Chunk, first: int, end: int) -> None:
        page = self._page
        page.runs.append((chunk, first, end))
        page.count += end - first
        page.last = chunk.names[end - 1]
        self._start = f"{page.last}\0"

    def _take_grouped(self, chunk: Chunk) -> None:
        query, page, names = self._query, self._page, chunk.names
        delimiter, skipped = query.delimiter, len(query.prefix)
        at, end = self._bounds(chunk)
        if at == end:
            self._start = None
            return
        begun = at
        while at < end and page.count + at - begun < query.limit:
            found = names[at].find(delimiter, skipped)
            if found < 0:
                at += 1
                continue
            if begun < at:
                self._keep(chunk, begun, at)
            page.last = names[at][: found + len(delimiter)]
            page.common_prefixes.append(page.last)
            page.count += 1
            self._start = past(page.last)
            if self._start is None:
                return
            at = begun = bisect_left(names, self._start, at, end)
        if begun < at:
            self._keep(chunk, begun, at)


def past(prefix: str) -> str | None:
    """The first name after all that begin with the prefix; None if there is none."""
    while prefix:
        last = ord(prefix[-1])
        if last < 0x10FFFF:
            # Surrogates are no characters of names.
            return prefix[:-1] + chr(0xE000 if last == 0xD7FF else last + 1)
        prefix = prefix[:-1]
    return None


def _start_of(query: ListQuery) -> str | None:
    after, prefix, delimiter = query.after, query.prefix, query.delimiter
    if not after:
        return prefix
    start: str | None = f"{after}\0"
    if delimiter and after.startswith(prefix):
        at = after.find(delimiter, len(prefix))
        if at >= 0 and at + len(delimiter) == len(after):
            start = past(after)
    return None if start is None else max(start, prefix)


def _bare(run: tuple[Chunk, int, int], _: str, cached: Container[str]) -> Sequence[ObjectInfo]:
    chunk, first, end = run
    return [
        ObjectInfo(
            *(ObjectKey(name), size_bytes, "", 0, _NO_ATTRIBUTES, None, NULL_VERSION, (), False),
            *(None, 1, False, None, name in cached),
        )
        for name, size_bytes in zip(chunk.names[first:end], chunk.sizes[first:end], strict=True)
    ]


def _whole(
    run: tuple[Chunk, int, int], provider: str, cached: Container[str]
) -> Sequence[ObjectInfo]:
    chunk, first, end = run
    found = []
    details = chunk.details
    for at in range(first, end):
        name, their = chunk.names[at], details.remote_etags[at]
        etag = details.etags[at] or their
        md5 = details.md5s[at]
        if md5 == MD5_IS_ETAG:
            md5 = bytes.fromhex(etag)
        found.append(
            ObjectInfo(
                ObjectKey(name),
                chunk.sizes[at],
                etag,
                details.modified_ns[at],
                _attributes(details.classes[at]),
                remote=RemoteFacts(provider, their, details.version_ids[at], md5),
                is_cached=name in cached,
            )
        )
    return found


@lru_cache(maxsize=64)
def _attributes(storage_class: str) -> ObjectAttributes:
    return ObjectAttributes(storage_class=storage_class)
