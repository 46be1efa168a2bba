"""Owns the jobs that a job has others do parts of its work: they are records of their own, and outlive its worker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence

from core.errors import StoreError
from core.job_table import PARENT
from core.jobs import JobRecord, JobStore, NoSuchJob
from core.protocols import Clock

_LOOK_S = 0.05
_SELDOM_S = 0.5


class Children:
    """The children of one job."""

    def __init__(
        self, records: JobStore, clock: Clock, parent_id: str, kinds: Collection[str]
    ) -> None:
        """`kinds`: those that there is somebody for to carry out."""
        self.kinds = kinds
        self._records = records
        self._clock = clock
        self._parent_id = parent_id
        self.has_any = False

    async def known(self) -> Sequence[JobRecord]:
        """Those that have not ended, also those that an earlier worker of the parent has begun."""
        pending = await asyncio.to_thread(self._records.list_sync, only_pending=True)
        found = [each for each in pending if each.arguments.get(PARENT) == self._parent_id]
        self.has_any = self.has_any or bool(found)
        return found

    async def start(self, kind: str, arguments: Mapping[str, str]) -> str:
        """Ask for one; its id. It is done by whoever runs jobs, whatever becomes of the parent's worker."""
        named = {**arguments, PARENT: self._parent_id}
        self.has_any = True
        record = await asyncio.to_thread(self._records.add_sync, kind, named, self._clock.now_ns())
        return record.job_id

    async def ended(self, job_id: str, check: Callable[[], None]) -> JobRecord:
        """Its record, once it has ended. `check` is called now and then and may raise."""
        interval_s = _LOOK_S
        while True:
            record = await asyncio.to_thread(self._records.get_sync, job_id)
            if record.state.has_ended:
                return record
            check()
            await asyncio.sleep(interval_s)
            interval_s = min(interval_s * 1.2, _SELDOM_S)

    async def stop_with(self) -> None:
        """Stop them all, if the parent has ended."""
        try:
            parent = await asyncio.to_thread(self._records.get_sync, self._parent_id)
            if not parent.state.has_ended:
                return
            for each in await self.known():
                await asyncio.to_thread(self._records.stop_sync, each.job_id, self._clock.now_ns())
        except (NoSuchJob, StoreError):
            return  # the records are out of reach: they end by themselves
