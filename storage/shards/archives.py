"""Owns an open shard as an archive, whatever its format: its entries in order, and the bytes of its members."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Protocol

from core.shards import Member, ShardFormat
from storage.shards.limits import ShardLimits
from storage.shards.source import Readable, Source
from storage.shards.tar import BadArchive, TarWalk
from storage.shards.unpack import GzipUnpacker, Lz4Unpacker, Unpacked, Unpacker
from storage.shards.zip import STORED, ZipMember, ZipWalk, data_offset, unpacked

_BLOCK_BYTES = 256 * 1024

Entries = Iterator[Member | None]

UNPACKERS: Mapping[ShardFormat, Callable[[], Unpacker]] = {
    ShardFormat.TGZ: GzipUnpacker,
    ShardFormat.TAR_LZ4: Lz4Unpacker,
}
"""What takes apart the formats that are a TAR, compressed."""


class Archive(Protocol):
    """For the turns of one source. There is one walk, and a member's blocks are taken before its next step."""

    def entries(self) -> Entries:
        """The walk: members, and None for each step that brought none. Raises BadArchive."""

    def offset_of(self, member: Member) -> int | None:
        """Where the member's bytes lie in the shard, if they lie there as they are. Raises BadArchive."""

    def blocks(self, member: Member) -> Iterator[bytes]:
        """The member's bytes, each block a bounded piece of work. Raises BadArchive, at the latest in place of the last
        block, if they are not what the archive says they are."""


def open_archive(source: Source, shard_format: ShardFormat, limits: ShardLimits) -> Archive:
    """Nothing is read yet."""
    match shard_format:
        case ShardFormat.TAR:
            return _Tar(source, limits)
        case ShardFormat.TGZ | ShardFormat.TAR_LZ4:
            return _PackedTar(Unpacked(source, UNPACKERS[shard_format], limits), limits)
        case ShardFormat.ZIP:
            return _Zip(source, limits)


class _Tar:
    def __init__(self, source: Source, limits: ShardLimits) -> None:
        self._source = source
        self._limits = limits

    def entries(self) -> Entries:
        return iter(TarWalk(self._source, self._limits))

    def offset_of(self, member: Member) -> int | None:
        return member.offset

    def blocks(self, member: Member) -> Iterator[bytes]:
        assert member.offset is not None
        return blocks_between(self._source, member.offset, member.offset + member.size_bytes)


class _PackedTar:
    """Members have no `offset`: theirs is one of what comes out."""

    def __init__(self, source: Unpacked, limits: ShardLimits) -> None:
        self._source = source
        self._limits = limits
        self._at = 0

    def entries(self) -> Entries:
        for member in TarWalk(self._source, self._limits):
            if member is None:
                yield None
                continue
            assert member.offset is not None
            self._at = member.offset
            yield replace(member, offset=None)

    def offset_of(self, member: Member) -> int | None:
        return None

    def blocks(self, member: Member) -> Iterator[bytes]:
        return blocks_between(self._source, self._at, self._at + member.size_bytes)


class _Zip:
    def __init__(self, source: Source, limits: ShardLimits) -> None:
        self._source = source
        self._limits = limits

    def entries(self) -> Entries:
        return iter(ZipWalk(self._source, self._source.size_bytes, self._limits))

    def offset_of(self, member: Member) -> int | None:
        assert isinstance(member, ZipMember)
        offset = data_offset(self._source, member)
        return offset if member.method == STORED else None

    def blocks(self, member: Member) -> Iterator[bytes]:
        assert isinstance(member, ZipMember)
        return unpacked(self._source, member)


def blocks_between(source: Readable, first: int, end: int) -> Iterator[bytes]:
    """The bytes [first, end). Raises BadArchive if there are fewer."""
    for place in range(first, end, _BLOCK_BYTES):
        count = min(_BLOCK_BYTES, end - place)
        block = source.read_at(place, count)
        if len(block) < count:
            raise BadArchive(f"it ends at byte {place + len(block)}, within a member")
        yield block
