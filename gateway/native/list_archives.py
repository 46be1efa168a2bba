"""Owns listings that show what lies in shards: each shard's entry, and its members under SHARD/PATH, in one order.

The order is that of the names' bytes over everything, so a page begins anywhere by its token alone, in the middle of a
shard too. Only what is here is listed: shards are not fetched to be looked into. One that cannot be read is listed
without members. Shards are opened only as a page needs them, and a page that took long ends early: clients go on with
its token.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final

from core.claims import Permission
from core.errors import NotFound, StoreError, Unavailable
from core.listing import ListQuery
from core.names import MAX_KEY_BYTES, ObjectKey
from core.types import Bucket
from gateway.native.call import NativeCall
from gateway.native.list_entries import (
    ARCHIVE,
    IN_ARCHIVE,
    PRESENT,
    Entry,
    MakeEntry,
    directory_entry,
)
from gateway.native.list_query import NativeListQuery

logger = logging.getLogger(__name__)

_ENDINGS = (".tar", ".tgz", ".tar.gz", ".tar.lz4", ".zip")
_LAST: Final = "\U0010ffff"
"""Behind every other character."""

_PAGE = 1000
_BUDGET_S = 5.0
"""After so long a page ends early, provided that it has something; well before clients give up."""


def is_shard_name(name: str) -> bool:
    """Whether the name says that it is an archive: none is opened to find out."""
    return name.lower().endswith(_ENDINGS)


def _ends_of_endings(name: str) -> set[int]:
    lowered = name.lower()
    if len(lowered) != len(name):
        return set()
    return {found.end() for ending in _ENDINGS for found in re.finditer(re.escape(ending), lowered)}


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


@dataclass(slots=True)
class _Source:
    """A stream of entries in order, of which the first is known."""

    entry: Entry
    rest: AsyncIterator[Entry]


@dataclass(slots=True)
class ArchiveListing:
    """One page. `make` makes the entries of objects."""

    call: NativeCall
    bucket: Bucket
    query: NativeListQuery
    make: MakeEntry
    _sources: list[_Source] = field(default_factory=list)
    _found: list[Entry] = field(default_factory=list)

    async def page(self) -> tuple[list[Entry], str]:
        """The entries, and the token of the next page, "" if there is none."""
        ends_at = time.monotonic() + _BUDGET_S
        limit = self.query.limit
        for shard in self._shards_begun():
            await self._open(shard)
        is_cut = False
        async for entry in self._objects():
            name = str(entry["n"])
            await self._take(name)
            if len(self._found) > limit or (self._found and time.monotonic() > ends_at):
                is_cut = True
                break
            if entry["f"] & PRESENT and is_shard_name(name):
                entry["f"] |= ARCHIVE
                self._found.append(entry)
                await self._open(name)
            else:
                self._found.append(entry)
        if not is_cut:
            await self._take(None)
        page = self._found[:limit]
        is_cut = is_cut or len(self._found) > limit
        return page, str(page[-1]["n"]) if is_cut else ""

    async def _take(self, before: str | None) -> None:
        """Move what the opened shards have before a name (None: all) to what was found."""
        found = self._found
        while self._sources and len(found) <= self.query.limit:
            source = min(self._sources, key=lambda each: str(each.entry["n"]))
            name = str(source.entry["n"])
            if before is not None and name >= before:
                return
            # An object may have a member's very name; it stands for both.
            if not found or found[-1]["n"] != name:
                found.append(source.entry)
            following = await anext(source.rest, None)
            if following is None:
                self._sources.remove(source)
            else:
                source.entry = following

    async def _objects(self) -> AsyncIterator[Entry]:
        """The bucket's own entries, in order."""
        query, after = self.query, self.query.after
        while True:
            page = await self.call.store.present.list_objects(
                self.bucket,
                ListQuery(
                    query.prefix,
                    query.delimiter,
                    after,
                    min(_PAGE, query.limit + 1),
                    query.detail,
                ),
            )
            entries = [self.make(info) for info in page.entries]
            if page.common_prefixes:
                entries += map(directory_entry, page.common_prefixes)
                entries.sort(key=lambda entry: str(entry["n"]))
            for entry in entries:
                yield entry
            if not page.is_truncated:
                return
            after = page.next_after

    def _shards_begun(self) -> set[str]:
        """Names of shards whose own entry lies before the page, but some of whose members may be on it."""
        after, prefix = self.query.after, self.query.prefix
        begun = {after[:end] for end in _ends_of_endings(after)}
        begun |= {prefix[:end] for end in _ends_of_endings(prefix) if prefix[end : end + 1] == "/"}
        return {name for name in begun if len(name.encode()) <= MAX_KEY_BYTES}

    async def _open(self, shard: str) -> None:
        """Add what is wanted of a shard to the sources."""
        inside, prefix, after = f"{shard}/", self.query.prefix, self.query.after
        if prefix.startswith(inside):
            inner_prefix = prefix[len(inside) :]
        elif inside.startswith(prefix):
            inner_prefix = ""
        else:
            return
        if after.startswith(inside):
            inner_after = after[len(inside) :]
        elif after > inside:
            return
        else:
            inner_after = ""
        key = ObjectKey(shard)
        if self.query.delimiter and not prefix.startswith(inside):
            stream = self._as_directory(key)
        else:
            stream = self._members(key, inner_prefix, inner_after)
        first = await anext(stream, None)
        if first is not None:
            self._sources.append(_Source(first, stream))

    async def _as_directory(self, shard: ObjectKey) -> AsyncIterator[Entry]:
        """Where directories are not entered, a shard is one more of them."""
        name = f"{shard}/"
        if name <= self.query.after:
            return
        try:
            await self.call.store.present.head(self.bucket, shard)
        except NotFound:
            return
        yield directory_entry(name)

    async def _members(self, shard: ObjectKey, prefix: str, after: str) -> AsyncIterator[Entry]:
        shards, has_size = self.call.services.shards, "size" in self.query.props
        group = after if self.query.delimiter and after.endswith("/") else ""
        wanted = self.query.limit + 1 - len(self._found)
        try:
            await self.call.require("s3:GetObject", Permission.GET, self.bucket, shard)
            while True:
                if group and after.startswith(group):
                    after = group + _LAST
                page = await shards.list_members(
                    self.bucket, shard, prefix=prefix, after=after, limit=wanted
                )
                for member in page.members:
                    after = member.path
                    if self.query.delimiter and (at := after.find("/", len(prefix))) >= 0:
                        if after[: at + 1] != group:
                            group = after[: at + 1]
                            yield directory_entry(f"{shard}/{group}")
                        continue
                    if not _is_text(after):
                        continue
                    entry: Entry = {"n": f"{shard}/{after}", "f": PRESENT | IN_ARCHIVE}
                    if has_size:
                        entry["s"] = member.size_bytes
                    yield entry
                if not page.is_truncated or not page.members:
                    return
        except Unavailable:
            raise
        except StoreError as error:
            logger.info("members of %s not listed: %s", shard, error)
