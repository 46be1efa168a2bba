"""Owns the listing of a bucket in which the members of shards are seen as objects: a merge of what is stored with the
members of each shard, in the order of names, at the cost of what a page has.

With a delimiter that comes right after a shard's key, the shard is not even opened: it is taken to have members.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator
from dataclasses import replace

from core.errors import CustomerKeyRequired, NotFound
from core.listing import ListPage, ListQuery
from core.names import MAX_KEY_BYTES, ObjectKey
from core.protocols import ObjectStore
from core.shards import BadShard, Member, MemberInfo, NotAShard, Shards, member_etag
from core.types import NULL_VERSION, Bucket, ObjectAttributes, ObjectInfo

ENDINGS = (".tar", ".tgz", ".tar.gz", ".tar.lz4", ".zip")
_LAST = "\U0010ffff"
_STORED = 0
_UNREADABLE = (NotFound, NotAShard, BadShard, CustomerKeyRequired)

Item = tuple[str, int, ObjectInfo | None]
"""A name, the rank of where it comes from (of equal names the lowest wins), and its object; None: a common prefix."""


def is_shard(key: str) -> bool:
    """Whether a key is that of a shard, by its ending."""
    return key.lower().endswith(ENDINGS)


def shards_before(name: str) -> list[ObjectKey]:
    """The keys of shards whose member a name may be, the shortest first."""
    places = (at for at, letter in enumerate(name) if letter == "/")
    return [ObjectKey(name[:at]) for at in places if at + 1 < len(name) and is_shard(name[:at])]


def _shards_begun(name: str) -> Iterator[ObjectKey]:
    """The keys of shards that a name begins with."""
    for ending in ENDINGS:
        at = name.lower().find(ending)
        while at >= 0:
            yield ObjectKey(name[: at + len(ending)])
            at = name.lower().find(ending, at + 1)


class ViewedListing:
    """One page of a listing."""

    def __init__(
        self, store: ObjectStore, shards: Shards, bucket: Bucket, query: ListQuery
    ) -> None:
        self._store = store
        self._shards = shards
        self._bucket = bucket
        self._query = query

    async def page(self) -> ListPage:
        query = self._query
        waiting: list[tuple[Item, _Source]] = []
        await self._add(waiting, _Stored(self._store, self._bucket, query))
        for shard in await self._shards_under_way():
            await self._add(waiting, self._members(shard))
        entries: list[ObjectInfo] = []
        prefixes: list[str] = []
        last = ""
        while waiting:
            (name, rank, info), source = waiting[0]
            if name != last:
                if len(entries) + len(prefixes) == query.limit:
                    return ListPage(entries, prefixes, True, last)
                last = name
                if info is None:
                    prefixes.append(name)
                else:
                    entries.append(info)
            following = await source.next()
            if following is None:
                heapq.heappop(waiting)
            else:
                heapq.heapreplace(waiting, (following, source))
            if rank == _STORED and info is not None and info.size_bytes and is_shard(name):
                await self._add(waiting, self._members(info))
        return ListPage(entries, prefixes, False, last)

    async def _add(self, waiting: list[tuple[Item, _Source]], source: _Source | None) -> None:
        if source is not None and (item := await source.next()) is not None:
            heapq.heappush(waiting, (item, source))

    async def _shards_under_way(self) -> list[ObjectInfo]:
        """Shards that do not come in the listing, or came on an earlier page, while their members do."""
        query = self._query
        keys = {*_shards_begun(query.after), *shards_before(query.prefix + "\0")}
        found = []
        for key in sorted(keys):
            if key > query.after and key.startswith(query.prefix):
                continue  # it comes in the listing itself
            if not _overlap(f"{key}/", query.prefix):
                continue
            try:
                info = await self._store.head(self._bucket, key)
            except NotFound:
                continue
            if info.size_bytes:
                found.append(info)
        return found

    def _members(self, info: ObjectInfo) -> _Source | None:
        """What a listing shows of a shard's members. Of several shards that have one, the longest key's wins."""
        rank = MAX_KEY_BYTES + 1 - len(info.key)
        query, home = self._query, f"{info.key}/"
        common = _common_prefix(home, query)
        if common is None:
            return _Members(self._shards, self._bucket, query, info, rank)
        # What lies under a prefix that holds the shard's own key too comes with that.
        if common == query.after or common != home:
            return None
        if query.after > home and not query.after.startswith(home):
            return None
        return _OnePrefix((common, rank, None))


def _overlap(home: str, prefix: str) -> bool:
    return home.startswith(prefix) or prefix.startswith(home)


def _common_prefix(name: str, query: ListQuery) -> str | None:
    if not query.delimiter or not name.startswith(query.prefix):
        return None
    at = name.find(query.delimiter, len(query.prefix))
    return None if at < 0 else name[: at + len(query.delimiter)]


class _Source:
    """Items in the order of their names."""

    async def next(self) -> Item | None:
        raise NotImplementedError

    def __lt__(self, other: object) -> bool:
        return False


class _OnePrefix(_Source):
    def __init__(self, item: Item) -> None:
        self._item: Item | None = item

    async def next(self) -> Item | None:
        item, self._item = self._item, None
        return item


class _Stored(_Source):
    """What is stored."""

    def __init__(self, store: ObjectStore, bucket: Bucket, query: ListQuery) -> None:
        self._store = store
        self._bucket = bucket
        self._query = query
        self._after: str | None = query.after
        self._items: deque[Item] = deque()

    async def next(self) -> Item | None:
        query = self._query
        while not self._items and self._after is not None:
            page = await self._store.list_objects(self._bucket, replace(query, after=self._after))
            self._after = page.next_after if page.is_truncated else None
            items: list[Item] = [(info.key, _STORED, info) for info in page.entries]
            items += [(name, _STORED, None) for name in page.common_prefixes]
            self._items.extend(sorted(items, key=lambda item: item[0]))
        return self._items.popleft() if self._items else None


class _Members(_Source):
    """The members of a shard."""

    def __init__(
        self, shards: Shards, bucket: Bucket, query: ListQuery, info: ObjectInfo, rank: int
    ) -> None:
        self._shards = shards
        self._bucket = bucket
        self._query = query
        self._info = info
        self._rank = rank
        self._home = home = f"{info.key}/"
        self._prefix = query.prefix[len(home) :] if query.prefix.startswith(home) else ""
        self._is_over = False
        self._after = ""
        if query.after.startswith(home):
            self._after = query.after[len(home) :]
            if query.delimiter and _common_prefix(query.after, query) == query.after:
                self._after += _LAST
        elif query.after > home:
            self._is_over = True
        self._found: deque[Member] = deque()

    async def next(self) -> Item | None:
        while True:
            if not self._found and not await self._fetch():
                return None
            member = self._found.popleft()
            name = self._home + member.path
            common = _common_prefix(name, self._query)
            if common is not None:
                self._skip(common)
                return common, self._rank, None
            if len(name.encode()) <= MAX_KEY_BYTES:
                return name, self._rank, self._info_of(member, ObjectKey(name))

    def _skip(self, common: str) -> None:
        """Go on behind a common prefix."""
        within = common[len(self._home) :]
        while self._found and self._found[0].path.startswith(within):
            self._found.popleft()
        if not self._found:
            self._after = within + _LAST

    async def _fetch(self) -> bool:
        if self._is_over:
            return False
        try:
            page = await self._shards.list_members(
                self._bucket,
                self._info.key,
                prefix=self._prefix,
                after=self._after,
                limit=min(self._query.limit + 1, 1000),
            )
        except _UNREADABLE:
            return False
        self._is_over = not page.is_truncated
        self._found.extend(page.members)
        if page.members:
            self._after = page.members[-1].path
        return bool(page.members)

    def _info_of(self, member: Member, name: ObjectKey) -> ObjectInfo:
        shard = self._info
        attributes = ObjectAttributes(
            storage_class=shard.attributes.storage_class, owner_id=shard.attributes.owner_id
        )
        return MemberInfo(
            name,
            member.size_bytes,
            member_etag(shard, member.path),
            shard.modified_ns,
            attributes,
            version_id=NULL_VERSION,
            shard=shard.key,
        )
