"""Owns a request worker's part in standing jobs (core.jobs.StandingJobs).

What it counts is written down about twice a second, while there is something new; so it learns which jobs were stopped.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from core.errors import StoreError
from core.job_table import BUCKET
from core.jobs import BYTES, OBJECTS, StandingStore
from core.protocols import Clock

logger = logging.getLogger(__name__)

_SHARE_S = 0.5


class _Part:
    """What this process does of one standing job."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        self.looked_at = -1
        """The change of the store at which the job was seen to go on."""
        self.is_aborted = False
        self.active = 0
        self.shared_active = -1
        self.counters: dict[str, int] = {}

    @property
    def is_dirty(self) -> bool:
        return bool(self.counters) or self.active > 0 or self.active != self.shared_active


class Work:
    """A request's part in a job: StandingJob."""

    __slots__ = ("_has_ended", "_part")

    def __init__(self, part: _Part) -> None:
        self._part = part
        self._has_ended = False
        part.active += 1

    @property
    def job_id(self) -> str:
        return self._part.job_id

    @property
    def is_aborted(self) -> bool:
        return self._part.is_aborted

    def count(self, *, objects: int = 0, size_bytes: int = 0, **counters: int) -> None:
        """As StandingJob."""
        sums = self._part.counters
        for name, number in ((OBJECTS, objects), (BYTES, size_bytes), *counters.items()):
            if number:
                sums[name] = sums.get(name, 0) + number

    def end(self) -> None:
        """As StandingJob."""
        if not self._has_ended:
            self._has_ended = True
            self._part.active -= 1


class SharedJobs:
    """StandingJobs of one process. Close it when no request is left."""

    def __init__(
        self,
        store: StandingStore,
        clock: Clock,
        owner: str,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._clock = clock
        self._owner = owner
        self._sleep = sleep
        self._parts: dict[tuple[str, str], _Part] = {}
        self._left: list[_Part] = []
        self._joining = asyncio.Lock()
        self._sharer: asyncio.Task[None] | None = None

    async def begin(self, kind: str, bucket: str = "") -> Work:
        """As StandingJobs. Raises MountpathUnavailable, OutOfSpace where the job cannot be recorded."""
        part = self._parts.get((kind, bucket))
        if part is None or not (part.active or part.looked_at == self._store.change()):
            # Between requests the job may have ended, or been stopped, so its record is looked at again. That takes a
            # thread and its answer, a tenth of the time of a batch of 1,000.
            part = await self._join(kind, bucket)
        work = Work(part)
        if self._sharer is None or self._sharer.done():
            self._sharer = asyncio.create_task(self._share_while_busy())
        return work

    async def _join(self, kind: str, bucket: str) -> _Part:
        place = (kind, bucket)
        arguments = {BUCKET: bucket} if bucket else {}
        async with self._joining:
            change = self._store.change()
            record = await asyncio.to_thread(
                self._store.join_sync, kind, arguments, self._clock.now_ns()
            )
            part = self._parts.get(place)
            if part is None or part.job_id != record.job_id:
                if part is not None:
                    self._left.append(part)
                part = self._parts[place] = _Part(record.job_id)
            part.looked_at = change
        return part

    async def close(self) -> None:
        """Write down what is left."""
        if self._sharer is not None:
            self._sharer.cancel()
            with suppress(asyncio.CancelledError):
                await self._sharer
        for part in (*self._parts.values(), *self._left):
            part.active = 0
        await self.share()

    async def share(self) -> None:
        """Write down what is new, and learn which jobs go on."""
        for part in (*self._parts.values(), *self._left):
            if part.is_dirty and not part.is_aborted:
                await self._share_one(part)
        self._left = [part for part in self._left if part.active and not part.is_aborted]
        for place, part in list(self._parts.items()):
            if part.is_aborted or not part.is_dirty:
                self._parts.pop(place)
                self._left += [part] if part.active else []

    async def _share_one(self, part: _Part) -> None:
        counters, part.counters = part.counters, {}
        active = part.active
        try:
            goes_on = await asyncio.to_thread(
                self._store.share_sync,
                *(part.job_id, self._owner, counters, active, self._clock.now_ns()),
            )
        except StoreError as error:
            logger.warning("counters of job %s not kept: %s", part.job_id, error)
            for name, number in counters.items():
                part.counters[name] = part.counters.get(name, 0) + number
            return
        part.shared_active = active
        part.is_aborted = not goes_on

    async def _share_while_busy(self) -> None:
        while self._parts or self._left:
            await self.share()
            await self._sleep(_SHARE_S)
