"""Owns the work on an archive from the event loop: in turns, each a short time in a thread, so that no scan holds a
thread for long, and one that nobody waits for any more ends with its turn."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from core.shards import BadShard, Member
from storage.shards.archives import Archive, Entries
from storage.shards.source import Source
from storage.shards.tar import BadArchive

T = TypeVar("T")

Wanted = Callable[[Member], bool]

EAGER_BYTES = 64 * 1024
"""Members up to here are read in the turn that finds them."""

_TURN_S = 0.02
_MAX_BATCH = 2048
_MAX_BATCH_BYTES = 1024**2


@dataclass(frozen=True, slots=True)
class Found:
    """A member with its bytes, or None if they are yet to be read."""

    member: Member
    data: bytes | None


@dataclass(frozen=True, slots=True)
class Opened:
    """A member whose bytes can be had: those in the shard from `offset` if it is not None, else `start` and then
    `rest`. An archive that is damaged is so found out before anything is answered, in most cases."""

    member: Member
    offset: int | None
    start: bytes = b""
    rest: Iterator[bytes] = field(default_factory=lambda: iter(()))


@dataclass(frozen=True, slots=True)
class _Turn:
    found: Sequence[Found]
    is_last: bool


async def turn(source: Source, work: Callable[[], T]) -> T:
    """Do a bounded piece of work on an archive in a thread. What is wrong with it comes back as BadShard."""
    try:
        return await source.run(work)
    except BadArchive as error:
        raise BadShard(key=source.info.key, reason=f"bad archive: {error}") from None


async def batches(
    source: Source, entries: Entries, wanted: Wanted | None = None
) -> AsyncGenerator[Sequence[Member], None]:
    """The members that are wanted, all if not said, some at a time, in order. Raises BadShard."""
    is_last = False
    while not is_last:
        taken = await turn(source, lambda: _take(entries, wanted, _MAX_BATCH))
        if taken.found:
            yield [each.member for each in taken.found]
        is_last = taken.is_last


async def first(source: Source, archive: Archive, wanted: Wanted) -> Opened | None:
    """The first member that is wanted, and the beginning of it. Raises BadShard."""
    entries = archive.entries()

    def work() -> _Turn | Opened:
        taken = _take(entries, wanted, 1)
        return _open(archive, taken.found[0].member) if taken.found else taken

    while True:
        outcome = await turn(source, work)
        if isinstance(outcome, Opened):
            return outcome
        if outcome.is_last:
            return None


async def with_bytes(
    source: Source, archive: Archive, wanted: Wanted
) -> AsyncGenerator[tuple[Member, AsyncIterator[bytes]], None]:
    """The members that are wanted, in order, each with its bytes. Raises BadShard."""
    entries = archive.entries()
    is_last = False
    while not is_last:
        taken = await turn(source, lambda: _take_with_bytes(archive, entries, wanted))
        for found in taken.found:
            if found.data is not None:
                yield found.member, _at_once(found.data)
            else:
                yield found.member, blocks_of(source, archive.blocks(found.member))
        is_last = taken.is_last


async def blocks_of(source: Source, blocks: Iterator[bytes]) -> AsyncGenerator[bytes, None]:
    """A member's blocks, each fetched when the last one has been taken. Raises BadShard."""
    while (block := await turn(source, lambda: next(blocks, None))) is not None:
        yield block


async def _at_once(data: bytes) -> AsyncIterator[bytes]:
    if data:
        yield data


def _open(archive: Archive, member: Member) -> Opened:
    offset = archive.offset_of(member)
    if offset is not None:
        return Opened(member, offset)
    rest = archive.blocks(member)
    start = next(rest, b"")
    # One more: what is whole by now has passed all checks.
    more = next(rest, b"")
    return Opened(member, None, start + more, rest)


def _take(entries: Entries, wanted: Wanted | None, limit: int) -> _Turn:
    deadline = time.monotonic() + _TURN_S
    found: list[Found] = []
    for member in entries:
        if member is not None and (wanted is None or wanted(member)):
            found.append(Found(member, None))
            if len(found) == limit:
                return _Turn(found, False)
        if time.monotonic() > deadline:
            return _Turn(found, False)
    return _Turn(found, True)


def _take_with_bytes(archive: Archive, entries: Entries, wanted: Wanted) -> _Turn:
    """Small members with their bytes, up to one that is not small, if one comes."""
    deadline = time.monotonic() + _TURN_S
    found: list[Found] = []
    size_bytes = 0
    for member in entries:
        if member is not None and wanted(member):
            if member.size_bytes > EAGER_BYTES:
                found.append(Found(member, None))
                return _Turn(found, False)
            found.append(Found(member, b"".join(archive.blocks(member))))
            size_bytes += member.size_bytes
            if size_bytes >= _MAX_BATCH_BYTES or len(found) == _MAX_BATCH:
                return _Turn(found, False)
        if time.monotonic() > deadline:
            return _Turn(found, False)
    return _Turn(found, True)
