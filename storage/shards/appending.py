"""Owns how a shard that exists is gone on with: what of its bytes stays, and the encoder that goes on behind it."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass

from core.shards import ShardFormat
from storage.shards.archives import UNPACKERS, blocks_between
from storage.shards.encoders import Encoder, ZipEncoder, new_encoder
from storage.shards.limits import ShardLimits
from storage.shards.source import Readable, Source
from storage.shards.tar import BLOCK_BYTES, TarWalk
from storage.shards.turns import blocks_of, turn
from storage.shards.unpack import Unpacked
from storage.shards.zip import find_directory

_TURN_S = 0.02


@dataclass(frozen=True, slots=True)
class Continuation:
    """`start` is what the encoder is to `resume` with."""

    encoder: Encoder
    start: AsyncGenerator[bytes, None]


async def continuation(
    source: Source, shard_format: ShardFormat, limits: ShardLimits
) -> Continuation:
    """How to go on with a shard. Raises BadShard for one that is damaged: nothing is put behind that."""
    if shard_format is ShardFormat.ZIP:
        return await _behind_zip(source)
    first, second = _unpacked(source, shard_format, limits)
    walk = TarWalk(first, limits)
    entries = iter(walk)
    while not await turn(source, lambda: _pass_some(entries)):
        pass
    assert walk.end is not None
    blocks = _tar_blocks(second, walk.end.offset)
    return Continuation(new_encoder(shard_format), blocks_of(source, blocks))


def _unpacked(
    source: Source, shard_format: ShardFormat, limits: ShardLimits
) -> tuple[Readable, Readable]:
    """What is a TAR, to be read through twice."""
    unpacker = UNPACKERS.get(shard_format)
    if unpacker is None:
        return source, source
    return Unpacked(source, unpacker, limits), Unpacked(source, unpacker, limits)


def _pass_some(entries: Iterator[object]) -> bool:
    """One turn of a walk; whether it was the last."""
    deadline = time.monotonic() + _TURN_S
    return all(time.monotonic() < deadline for _ in entries)


def _tar_blocks(source: Readable, end: int) -> Iterator[bytes]:
    """All of a TAR but its end mark. The last member's padding may be missing from the end of the file."""
    last = max(0, end - BLOCK_BYTES)
    yield from blocks_between(source, 0, last)
    yield source.read_at(last, end - last).ljust(end - last, b"\0")


async def _behind_zip(source: Source) -> Continuation:
    directory = await turn(source, lambda: find_directory(source, source.size_bytes))
    end = directory.at + directory.size_bytes
    old = blocks_between(source, directory.at, end)
    encoder = ZipEncoder(directory.at, directory.shift, directory.count, old)
    return Continuation(encoder, blocks_of(source, blocks_between(source, 0, directory.at)))
