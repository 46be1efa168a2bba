"""Owns the comparison of copies with what their backend has: HEADs, each for all who ask meanwhile, and what becomes of
a copy that is another, in doubt, or of something that is gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from backends.cache.flights import Flights
from backends.cache.views import Wanted, is_current, settled
from core.errors import NoSuchKey, PreconditionFailed
from core.nodes import StorageNode
from core.types import Conditions, ObjectChanges, ObjectInfo


@dataclass(slots=True)
class _Line:
    """Who waits for the next HEAD of a key. One that has begun may be older than what the next caller knows."""

    waiting: list[asyncio.Future[ObjectInfo]] = field(default_factory=list)
    task: asyncio.Task[None] | None = None


class Validation:
    """Asks backends what they have."""

    def __init__(self, node: StorageNode, flights: Flights) -> None:
        self._node = node
        self._flights = flights
        self._lines: dict[str, _Line] = {}

    async def ask(self, wanted: Wanted) -> ObjectInfo:
        """What the backend has of an object now. Callers at the same time share a HEAD that begins after they asked.
        Raises as Backend.head."""
        name = wanted.place.name
        line = self._lines.setdefault(name, _Line())
        answer: asyncio.Future[ObjectInfo] = asyncio.get_running_loop().create_future()
        line.waiting.append(answer)
        if line.task is None:
            line.task = asyncio.create_task(self._answer(name, line, wanted))
        return await answer

    async def compare(self, wanted: Wanted, kept: ObjectInfo) -> ObjectInfo:
        """What the backend has now in place of a copy. A copy in doubt that is current is so no more; what is gone
        there goes here too, as the bucket says, and NoSuchKey is raised."""
        if kept.remote is not None and kept.remote.in_doubt:
            return await self._settle(wanted, kept)
        try:
            return await self.ask(wanted)
        except NoSuchKey:
            if wanted.view.synchronizes:
                await self._remove(wanted, kept)
            raise

    async def _answer(self, name: str, line: _Line, wanted: Wanted) -> None:
        try:
            while line.waiting:
                waiting, line.waiting = line.waiting, []
                try:
                    info = wanted.seen(await wanted.backend.head(wanted.view.name, wanted.key))
                except Exception as error:
                    _tell(waiting, error)
                else:
                    _tell(waiting, info)
        finally:
            del self._lines[name]

    async def _settle(self, wanted: Wanted, kept: ObjectInfo) -> ObjectInfo:
        """Only while no writer is at work does the answer settle anything."""
        async with self._flights.settling(wanted.place) as may_settle:
            if not may_settle:
                return await self.ask(wanted)
            try:
                now = await self.ask(wanted)
            except NoSuchKey:
                await self._node.delete(wanted.view.local, wanted.key)
                raise
            try:
                held = await self._node.head(wanted.view.local, wanted.key)
                if held.remote is not None and held.remote.in_doubt and is_current(held, now):
                    changes = ObjectChanges(remote=settled(held.remote))
                    await self._node.update_object(wanted.view.local, wanted.key, changes)
            except NoSuchKey:
                pass  # evicted meanwhile
            return now

    async def _remove(self, wanted: Wanted, kept: ObjectInfo) -> None:
        """Unless it has become another copy since."""
        async with self._flights.settling(wanted.place) as may_settle:
            if may_settle:
                conditions = Conditions(if_match=(kept.etag,), if_size=kept.size_bytes)
                try:
                    await self._node.delete(wanted.view.local, wanted.key, conditions=conditions)
                except (NoSuchKey, PreconditionFailed):
                    pass


def _tell(waiting: Sequence[asyncio.Future[ObjectInfo]], said: ObjectInfo | Exception) -> None:
    for answer in waiting:
        if answer.done():
            continue  # who asked has left
        if isinstance(said, Exception):
            answer.set_exception(said)
        else:
            answer.set_result(said)
