"""Owns what a member of a shard is to those who read it: its info, and readers of it."""

from __future__ import annotations

from collections.abc import AsyncIterator

from core.conditions import check_read
from core.memory_reader import MemoryReader
from core.protocols import ObjectReader, Slice
from core.ranges import resolve_range
from core.shards import Member, member_etag
from core.types import ByteRange, Conditions, ObjectInfo
from storage.shards.source import Source
from storage.shards.turns import Opened, blocks_of


def info_of_member(shard: ObjectInfo, member: Member) -> ObjectInfo:
    """The shard's info with the member's size, and an ETag that is the member's own while the shard is the same."""
    # Field by field: `replace` takes ten times as long, and this is done for each member that is read.
    return ObjectInfo(
        shard.key,
        member.size_bytes,
        member_etag(shard, member.path),
        shard.modified_ns,
        shard.attributes,
        version_id=shard.version_id,
        generation=shard.generation,
        has_shard_index=shard.has_shard_index,
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

    async def next_slice(self) -> Slice | None:
        return await self._inner.next_slice()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._inner.__aiter__()

    async def close(self) -> None:
        await self._inner.close()


class UnpackingReader:
    """A member that is unpacked while it is read. `opened.rest` goes on where `start` ends."""

    has_slices = False
    data = None

    def __init__(
        self, info: ObjectInfo, source: Source, opened: Opened, first: int, length: int
    ) -> None:
        self.info = info
        self.first = first
        self.length = length
        self._source = source
        self._opened = opened

    async def next_slice(self) -> Slice | None:
        return None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        skip, left = self.first, self.length
        async for block in self._blocks():
            piece = block[skip : skip + left]
            skip = max(0, skip - len(block))
            left -= len(piece)
            if piece:
                yield piece
            if not left:
                return

    async def _blocks(self) -> AsyncIterator[bytes]:
        yield self._opened.start
        async for block in blocks_of(self._source, self._opened.rest):
            yield block

    async def close(self) -> None:
        self._source.close()


def reader_of(
    source: Source, opened: Opened, byte_range: ByteRange | None, conditions: Conditions
) -> ObjectReader:
    """A reader of an opened member, which takes the source over once nothing can fail. Raises PreconditionFailed,
    NotModified, InvalidRange."""
    member = opened.member
    info = info_of_member(source.info, member)
    check_read(info, conditions)
    first, length = resolve_range(info, byte_range)
    if opened.offset is not None:
        return MemberReader(info, source.release(opened.offset + first, length), first)
    if len(opened.start) == member.size_bytes:
        source.close()
        return MemoryReader(info, opened.start, first, length)
    return UnpackingReader(info, source, opened, first, length)
