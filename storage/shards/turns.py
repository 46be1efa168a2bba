"""Owns the walk over a shard's members from the event loop: in turns, each a short time in a thread, so that no scan
holds a thread for long, and one that nobody waits for any more ends with its turn."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass

from core.names import ObjectKey
from core.shards import BadShard, Member
from storage.shards.source import Source
from storage.shards.tar import BadArchive

_TURN_S = 0.02
# The clock is looked at after so many entries.
_LOOK_ENTRIES = 32
_MAX_BATCH = 2048

Entries = Iterator[Member | None]


@dataclass(frozen=True, slots=True)
class _Turn:
    members: Sequence[Member]
    is_last: bool


@contextlib.contextmanager
def speaking_of(key: ObjectKey) -> Iterator[None]:
    """What is wrong with the archive is said of this shard."""
    try:
        yield
    except BadArchive as error:
        raise BadShard(key=key, reason=f"bad archive: {error}") from None


async def batches(
    source: Source, entries: Entries, wanted: Callable[[Member], bool] = lambda _: True
) -> AsyncIterator[Sequence[Member]]:
    """The members that are wanted, some at a time, in order; none may be among them. Raises BadShard."""

    def turn() -> _Turn:
        return _take(entries, wanted, _MAX_BATCH)

    with speaking_of(source.info.key):
        while True:
            taken = await source.run(turn)
            if taken.members:
                yield taken.members
            if taken.is_last:
                return


async def first(
    source: Source, entries: Entries, wanted: Callable[[Member], bool]
) -> Member | None:
    """The first member that is wanted, the walk left where it was found. Raises BadShard."""

    def turn() -> _Turn:
        return _take(entries, wanted, 1)

    with speaking_of(source.info.key):
        while True:
            taken = await source.run(turn)
            if taken.members:
                return taken.members[0]
            if taken.is_last:
                return None


def _take(entries: Entries, wanted: Callable[[Member], bool], limit: int) -> _Turn:
    deadline = time.monotonic() + _TURN_S
    members: list[Member] = []
    for count, member in enumerate(entries, 1):
        if member is not None and wanted(member):
            members.append(member)
            if len(members) == limit:
                return _Turn(members, False)
        if not count % _LOOK_ENTRIES and time.monotonic() > deadline:
            return _Turn(members, False)
    return _Turn(members, True)
