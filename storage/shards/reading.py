"""Owns what a member of a shard is to those who read it: its info, and readers of it."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace

from core.conditions import check_read
from core.protocols import FileSlice, ObjectReader
from core.ranges import resolve_range
from core.shards import Member
from core.types import ByteRange, Conditions, ObjectInfo
from storage.shards.source import Source


def info_of_member(shard: ObjectInfo, member: Member) -> ObjectInfo:
    """The shard's info with the member's size, and an ETag that is the member's own while the shard is the same."""
    named = f"{shard.etag}/{shard.version_id}/{member.path}"
    etag = hashlib.md5(named.encode(), usedforsecurity=False).hexdigest()
    return replace(
        shard, size_bytes=member.size_bytes, etag=etag, checksum=None, parts=(), encryption=None
    )


class MemberReader:
    """A member whose bytes lie in its shard as they are: another reader's, under the member's name."""

    __slots__ = ("_inner", "first", "info")

    def __init__(self, info: ObjectInfo, inner: ObjectReader, first: int) -> None:
        self.info = info
        self.first = first
        self._inner = inner

    @property
    def length(self) -> int:
        return self._inner.length

    @property
    def data(self) -> bytes | None:
        return self._inner.data

    @property
    def has_slices(self) -> bool:
        return self._inner.has_slices

    async def next_slice(self) -> FileSlice | None:
        return await self._inner.next_slice()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._inner.__aiter__()

    async def close(self) -> None:
        await self._inner.close()


def open_in_place(
    source: Source, member: Member, byte_range: ByteRange | None, conditions: Conditions
) -> MemberReader:
    """A reader of a member that has an `offset`, which takes the source over once nothing can fail. Raises
    PreconditionFailed, NotModified, InvalidRange."""
    assert member.offset is not None
    info = info_of_member(source.info, member)
    check_read(info, conditions)
    first, length = resolve_range(info, byte_range)
    return MemberReader(info, source.release(member.offset + first, length), first)
