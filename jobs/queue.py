"""Owns the running of the jobs that were asked for: claiming them, keeping their progress, stopping and ending them.

What a kind of job does is its own module's. A job that its worker leaves, by a stop or by death, is gone on with by the
next worker from its cursor; so a kind may do a piece of its work twice, and must bear that.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from core.errors import StoreError
from core.jobs import BYTES, OBJECTS, JobProgress, JobRecord, JobState, JobStore
from core.protocols import Clock
from jobs.runner import wait_for

logger = logging.getLogger(__name__)

_POLL_S = 0.25
_SAVE_S = 1.0
_MAX_RUNNING = 8
_NS_PER_S = 10**9


class JobStopped(Exception):
    """Raised by JobContext.check where a job is to leave off."""


class JobContext:
    """A running job's hold on its record. `count`, `say` and `cursor` are kept about once a second."""

    def __init__(self, record: JobRecord) -> None:
        self.job_id = record.job_id
        self.arguments: Mapping[str, str] = record.arguments
        self.cursor = record.progress.cursor
        self._counters = dict(record.progress.counters)
        self._message = record.progress.message
        self._stop = asyncio.Event()

    def count(self, *, objects: int = 0, size_bytes: int = 0, **counters: int) -> None:
        """Add to the counters; those of further names are the kind's own."""
        for name, number in ((OBJECTS, objects), (BYTES, size_bytes), *counters.items()):
            if number or name in counters:
                self._counters[name] = self._counters.get(name, 0) + number

    def say(self, message: str) -> None:
        """Tell people the job's parameters and stage."""
        self._message = message

    def check(self) -> None:
        """Raises JobStopped once the job is to leave off. Call it often: whoever stops a job waits for this."""
        if self._stop.is_set():
            raise JobStopped

    async def pause(self, seconds: float) -> None:
        """Sleep, but not past the moment at which the job is to leave off. Raises JobStopped."""
        if seconds > 0:
            try:
                async with asyncio.timeout(seconds):
                    await self._stop.wait()
            except TimeoutError:
                pass
        self.check()

    @property
    def progress(self) -> JobProgress:
        return JobProgress(dict(self._counters), self._message, self.cursor)

    def stop(self) -> None:
        """Have the job leave off."""
        self._stop.set()


class JobKind(Protocol):
    """A kind of job. `is_exclusive`: at most one of the kind runs at a time; the others wait."""

    @property
    def name(self) -> str: ...
    @property
    def is_exclusive(self) -> bool: ...
    @property
    def interval_s(self) -> float | None:
        """Time between scheduled runs, which begin at whole multiples of it since 1970; None: only on demand."""

    def is_needed(self) -> bool:
        """Whether a scheduled run would find anything to do. Cheap; never blocks."""

    async def run(self, context: JobContext) -> None:
        """Do the work, from `context.cursor`. A return says that all is done; JobStopped goes through; any other error
        fails the job."""


@dataclass(slots=True)
class _Running:
    record: JobRecord
    context: JobContext
    task: asyncio.Task[None]


class JobQueue:
    """Runs jobs of the kinds it knows, for as long as it is let. One at a time for a store: see core.jobs."""

    def __init__(
        self, records: JobStore, kinds: Sequence[JobKind], clock: Clock, owner: str
    ) -> None:
        self._records = records
        self._kinds = {kind.name: kind for kind in kinds}
        self._clock = clock
        self._owner = owner
        self._running: dict[str, _Running] = {}
        self._slots: dict[str, int] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; jobs that run then leave off and wait for the next worker."""
        await self._attempt(self.recover)
        while not stop.is_set():
            await self._attempt(self._step)
            await wait_for(stop, _POLL_S)
        await self._leave()

    async def recover(self) -> None:
        """Take back what a dead worker had."""
        for record in await asyncio.to_thread(self._records.recover_sync, self._clock.now_ns()):
            logger.warning(
                "job %s (%s) lost its worker: %s", record.job_id, record.kind, record.state
            )

    async def run_one(self, job_id: str, stop: asyncio.Event) -> None:
        """Run one job that waits, to its end or until `stop` is set."""
        record = await asyncio.to_thread(
            self._records.claim_sync,
            self._owner,
            list(self._kinds),
            self._clock.now_ns(),
            job_id=job_id,
        )
        if record is None:
            return
        running = self._start(record)
        waiting = asyncio.create_task(stop.wait())
        await asyncio.wait((running.task, waiting), return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        await self._leave()

    async def _attempt(self, step: Callable[[], Awaitable[object]]) -> None:
        """A disk that fails for a while must not end the queue."""
        try:
            await step()
        except StoreError as error:
            logger.warning("jobs put off: %s", error)

    async def _step(self) -> None:
        now_ns = self._clock.now_ns()
        for kind in self._kinds.values():
            if kind.interval_s is None:
                continue
            slot = now_ns // int(kind.interval_s * _NS_PER_S)
            if self._slots.get(kind.name) == slot:
                continue
            self._slots[kind.name] = slot
            if kind.is_needed():
                await asyncio.to_thread(self._records.add_due_sync, kind.name, slot, now_ns)
        self._running = {
            job_id: each for job_id, each in self._running.items() if not each.task.done()
        }
        while len(self._running) < _MAX_RUNNING:
            record = await asyncio.to_thread(
                self._records.claim_sync, self._owner, self._free_kinds(), now_ns
            )
            if record is None:
                return
            self._start(record)

    def _free_kinds(self) -> list[str]:
        busy = {each.record.kind for each in self._running.values()}
        return [
            name for name, kind in self._kinds.items() if not kind.is_exclusive or name not in busy
        ]

    def _start(self, record: JobRecord) -> _Running:
        context = JobContext(record)
        task = asyncio.create_task(self._carry_out(record, context))
        running = self._running[record.job_id] = _Running(record, context, task)
        return running

    async def _leave(self) -> None:
        for each in self._running.values():
            each.context.stop()
        await asyncio.gather(*(each.task for each in self._running.values()))
        self._running.clear()

    async def _carry_out(self, record: JobRecord, context: JobContext) -> None:
        keeper = asyncio.create_task(self._keep(context))
        state, error = JobState.FINISHED, ""
        logger.info("job %s (%s) begins", record.job_id, record.kind)
        try:
            await self._kinds[record.kind].run(context)
        except JobStopped:
            # end_sync makes it STOPPED if that is what was asked for; else the worker is leaving.
            state = JobState.WAITING
        except StoreError as failure:
            state, error = JobState.FAILED, f"{type(failure).__name__}: {failure}"
            logger.warning("job %s (%s) failed: %s", record.job_id, record.kind, error)
        except Exception as failure:
            state, error = JobState.FAILED, type(failure).__name__
            logger.exception("job %s (%s) failed", record.job_id, record.kind)
        finally:
            keeper.cancel()
        await self._end(record, context, state, error)

    async def _end(
        self, record: JobRecord, context: JobContext, state: JobState, error: str
    ) -> None:
        progress = context.progress
        try:
            await asyncio.to_thread(
                self._records.end_sync,
                *(record.job_id, self._owner, progress, state, self._clock.now_ns(), error),
            )
        except StoreError as failure:
            # The next worker finds it running, without an owner that lives.
            logger.warning("the end of job %s could not be kept: %s", record.job_id, failure)
        logger.info(
            "job %s (%s) %s: %s", record.job_id, record.kind, state, counters_text(progress)
        )

    async def _keep(self, context: JobContext) -> None:
        """Keep the progress, and learn whether the job is to stop."""
        while True:
            await asyncio.sleep(_SAVE_S)
            try:
                if await asyncio.to_thread(
                    self._records.save_sync, context.job_id, self._owner, context.progress
                ):
                    context.stop()
            except StoreError as error:
                logger.warning("progress of job %s not kept: %s", context.job_id, error)


def counters_text(progress: JobProgress) -> str:
    """The counters for people; "nothing" where there are none."""
    return ", ".join(f"{n} {name}" for name, n in progress.counters.items() if n) or "nothing"
