"""Owns the reading of TAR shards by their indexes, and the making of indexes."""

from __future__ import annotations

import functools
import time
from typing import Protocol

from core.conditions import check_read
from core.errors import NotFound, PreconditionFailed
from core.memory_reader import MemoryReader
from core.names import ObjectKey
from core.protocols import ObjectReader
from core.ranges import resolve_range
from core.shards import IndexOutcome, Member, MemberPage, NoSuchMember, NotAShard, ShardFormat
from core.types import Bucket, ByteRange, Conditions, ObjectInfo
from storage.lookup import Found
from storage.reader import FileReader
from storage.shards.archives import Entries
from storage.shards.formats import SNIFFED_BYTES, format_of_bytes, format_of_key
from storage.shards.index import (
    BadIndexError,
    IndexWriter,
    TooManyMembersError,
)
from storage.shards.indexes import ShardIndexes
from storage.shards.limits import ShardLimits
from storage.shards.reading import MemberReader, info_of_member
from storage.shards.source import Source
from storage.shards.tar import BadArchive, TarWalk

SMALL_MEMBER_BYTES = 64 * 1024
"""Up to here a member's bytes are taken into memory with one read; larger ones leave by sendfile."""

_TURN_S = 0.02
_LOOK_ENTRIES = 64


async def member_by_index(
    indexes: ShardIndexes, bucket: Bucket, info: ObjectInfo, path: str
) -> Member | None:
    """Where a member lies by the shard's index; None if no valid index is there to say so. Raises NoSuchMember."""
    index = indexes.recall(bucket, info)
    if index is None:
        if not info.has_shard_index:
            return None
        index = await indexes.find(bucket, info)
        if index is None:
            return None
    try:
        member = index.find(path)
    except BadIndexError:
        await indexes.refuse(bucket, info)
        return None
    if member is None:
        raise NoSuchMember(key=info.key, member=path)
    return member


class NearObjects(Protocol):
    """What small members ask of a LocalNode: records, and bytes that can be had without waiting."""

    async def find(self, bucket: Bucket, key: ObjectKey, version_id: str | None) -> Found:
        """Raises NoSuchKey."""

    def read_cached(self, bucket: Bucket, found: Found, first: int, length: int) -> bytes | None:
        """None says nothing."""

    def open_run(
        self, bucket: Bucket, found: Found, place: int, offered: tuple[ObjectInfo, int, int]
    ) -> ObjectReader | None:
        """None says nothing."""


async def find_near(
    near: tuple[NearObjects, ShardIndexes],
    bucket: Bucket,
    place: tuple[ObjectKey, str],
    byte_range: ByteRange | None,
    conditions: Conditions,
) -> ObjectReader | None:
    """A member, by the shard's key and its path, of a shard that has a valid index and whose bytes are at hand; None if
    the shard has to be opened to know. Raises as Shards.open_member."""
    objects, indexes = near
    key, path = place
    found = await objects.find(bucket, key, None)
    shard = found.stored.info
    member = await member_by_index(indexes, bucket, shard, path)
    if member is None:
        return None
    assert member.offset is not None
    info = info_of_member(shard, member)
    check_read(info, conditions)
    first, length = resolve_range(info, byte_range)
    if length > SMALL_MEMBER_BYTES:
        return objects.open_run(bucket, found, member.offset + first, (info, first, length))
    data = objects.read_cached(bucket, found, member.offset + first, length)
    return None if data is None else MemoryReader(info, data, first, length)


async def page_by_index(
    indexes: ShardIndexes, bucket: Bucket, source: Source, prefix: str, after: str, limit: int
) -> MemberPage | None:
    """A page of members by the shard's index; None if no valid index is there."""
    index = await indexes.find(bucket, source.info)
    if index is None:
        return None
    try:
        # A page of members takes some milliseconds to make.
        members, is_truncated = await source.run(lambda: index.page(prefix, after, limit))
    except BadIndexError:
        await indexes.refuse(bucket, source.info)
        return None
    return MemberPage(members, is_truncated)


async def open_at(
    reader: ObjectReader, member: Member, byte_range: ByteRange | None, conditions: Conditions
) -> MemberReader:
    """A reader of a member that has an `offset`, which takes over a reader of the whole shard. Small members are in
    memory then, read on the event loop if the kernel has them at hand. Raises PreconditionFailed, NotModified,
    InvalidRange; then the shard's reader is the caller's still."""
    assert member.offset is not None
    info = info_of_member(reader.info, member)
    check_read(info, conditions)
    first, length = resolve_range(info, byte_range)
    start = member.offset + first
    if not isinstance(reader, FileReader):
        assert reader.data is not None
        inner = MemoryReader(reader.info, reader.data, start, length)
        await reader.close()
        return MemberReader(info, inner, first)
    reader.narrow(start, length)
    if length > SMALL_MEMBER_BYTES:
        return MemberReader(info, reader, first)
    data = reader.read_cached()
    if data is None:
        data = b"".join([block async for block in reader])
    await reader.close()
    return MemberReader(info, MemoryReader(info, data, 0, length), first)


async def make_index(
    indexes: ShardIndexes,
    bucket: Bucket,
    source: Source,
    limits: ShardLimits,
    *,
    verifies_present: bool,
) -> IndexOutcome:
    """core.shards.Shards.index, of an open shard."""
    info = source.info
    try:
        present = await _present(indexes, bucket, info, verifies_present=verifies_present)
        if present is not None:
            return present
        if info.size_bytes == 0:
            return IndexOutcome(reason="it is empty")
        entries = await _tar_entries(source, limits)
        writer = IndexWriter()
        while not await source.run(functools.partial(_gather, entries, writer)):
            pass
        raw = await source.run(lambda: writer.finish(info.etag, info.size_bytes))
        await indexes.write(bucket, info, raw)
    except (BadArchive, NotAShard) as error:
        return IndexOutcome(reason=_reason(error))
    except TooManyMembersError:
        return IndexOutcome(reason="it has too many members for an index")
    except (PreconditionFailed, NotFound):
        return IndexOutcome(reason="it was replaced meanwhile")
    return IndexOutcome(writer.count, info.size_bytes)


async def _present(
    indexes: ShardIndexes, bucket: Bucket, info: ObjectInfo, *, verifies_present: bool
) -> IndexOutcome | None:
    """The outcome where an index is there already; one that lost its flag, or whose shard was written again with the
    same bytes, needs nothing but the flag."""
    if info.has_shard_index and not verifies_present:
        return IndexOutcome()
    index = await indexes.load(bucket, info)
    if index is None:
        return None
    if not info.has_shard_index:
        await indexes.flag(bucket, info)
    return IndexOutcome(index.count, info.size_bytes)


async def _tar_entries(source: Source, limits: ShardLimits) -> Entries:
    """Raises NotAShard for what is no TAR."""
    key = source.info.key
    found = format_of_key(key)
    if found is None:
        start = await source.run(lambda: source.read_at(0, SNIFFED_BYTES))
        found = format_of_bytes(start, key)
    if found is not ShardFormat.TAR:
        raise NotAShard(key=key, reason="only TAR shards are indexed")
    return iter(TarWalk(source, limits))


def _gather(entries: Entries, writer: IndexWriter) -> bool:
    """One turn of a walk; whether it was the last."""
    deadline = time.monotonic() + _TURN_S
    for count, member in enumerate(entries, 1):
        if member is not None:
            writer.add(member)
        if not count % _LOOK_ENTRIES and time.monotonic() > deadline:
            return False
    return True


def _reason(error: BadArchive | NotAShard) -> str:
    return str(error.fields["reason"]) if isinstance(error, NotAShard) else f"bad archive: {error}"
