"""Owns the running of the jobs that were asked for: claiming them, keeping their progress, stopping and ending them.

What a kind of job does is its own module's. A job that its worker leaves, by a stop or by death, is gone on with by the
next worker from its cursor; so a kind may do a piece of its work twice, and must bear that.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from core.errors import StoreError
from core.job_table import idles
from core.jobs import BYTES, OBJECTS, JobProgress, JobRecord, JobState, JobStore, StandingStore
from core.load import Advice, FixedLoad, Load, LoadVector, advise
from core.protocols import Clock
from jobs.children import Children
from jobs.runner import wait_for

logger = logging.getLogger(__name__)

_POLL_S = 0.25
_SAVE_S = 1.0
_FIRST_SAVE_S = 0.1
"""Progress is kept more often in the beginning: whoever has just started a job looks at it."""
_IDLE_S = 6.0
"""How long a job of a kind that idles waits for more work."""
_TEND_S = 5.0
_MAX_RUNNING = 8
_NS_PER_S = 10**9


class JobStopped(Exception):
    """Raised by JobContext.check where a job is to leave off."""


class JobContext:
    """A running job's hold on its record. `count`, `say` and `cursor` are kept about once a second. A job that sets
    `is_waiting` does nothing but wait for its children, and keeps no other from running."""

    def __init__(
        self, record: JobRecord, load: Load | None = None, children: Children | None = None
    ) -> None:
        """`children`: what starts jobs for this one; None where jobs cannot have any."""
        self.children = children
        self.is_waiting = False
        self.job_id = record.job_id
        self.arguments: Mapping[str, str] = record.arguments
        self.cursor = record.progress.cursor
        self.created_ns = record.created_ns
        # Whether another worker began with it, and may have done more than its progress says.
        self.was_begun = record.deaths > 0 or record.progress != JobProgress()
        self._counters = dict(record.progress.counters)
        self._message = record.progress.message
        self._workers = record.progress.workers
        self._total = record.progress.total
        self.report = record.progress.report
        self._told: Callable[[], str] | None = None
        self._stop = asyncio.Event()
        self._load = load or FixedLoad()
        self._advice = Advice(0.0, 1)
        self._operations = 0
        self.idle_ns = 0
        self.saving = asyncio.Lock()

    def count(self, *, objects: int = 0, size_bytes: int = 0, **counters: int) -> None:
        """Add to the counters; those of further names are the kind's own."""
        for name, number in ((OBJECTS, objects), (BYTES, size_bytes), *counters.items()):
            if number or name in counters:
                self._counters[name] = self._counters.get(name, 0) + number

    def say(self, message: str) -> None:
        """Tell people the job's parameters and stage."""
        self._message = message

    def use_workers(self, count: int) -> None:
        """Tell how many pieces of work are done at a time."""
        self._workers = count

    @property
    def load(self) -> LoadVector:
        """The node's load."""
        return self._load.current

    def expect(self, total: int) -> None:
        """Tell how many objects there will be in the end."""
        self._total = total

    def tell_by(self, report: Callable[[], str]) -> None:
        """What gives the job's report whenever its progress is kept; `report` is that of an earlier worker."""
        self._told = report

    async def throttle(self, operations: int = 1) -> None:
        """To be called before each operation, or so many: sleeps now and then, as the node's load advises. Raises
        JobStopped."""
        self.check()
        self._operations += operations
        if self._operations >= self._advice.operations:
            self._operations = 0
            self._advice = advise(self._load.current.worst)
            await self.pause(self._advice.sleep_s)

    @property
    def is_at_work(self) -> bool:
        """Whether it counts among those that run at a time."""
        return not self.idle_ns and not self.is_waiting

    @property
    def is_stopping(self) -> bool:
        """Whether the job is to leave off; may be asked in threads."""
        return self._stop.is_set()

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
        report = self.report if self._told is None else self._told()
        return JobProgress(
            dict(self._counters), self._message, self.cursor, self._workers, self._total, report
        )

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
        fails the job. Of kinds that idle (core.job_table) the job then stays for a while, running but idle."""


class OnDemand:
    """What a JobKind has that runs when it is asked for and at no other time, beside others of its kind."""

    is_exclusive = False
    interval_s: float | None = None

    def is_needed(self) -> bool:
        """As JobKind."""
        return False


@dataclass(slots=True)
class _Running:
    record: JobRecord
    context: JobContext
    task: asyncio.Task[None]
    look: asyncio.Event


class JobQueue:
    """Runs jobs of the kinds it knows, for as long as it is let. One at a time for a store: see core.jobs."""

    def __init__(
        self,
        records: JobStore,
        kinds: Sequence[JobKind],
        clock: Clock,
        owner: str,
        *,
        load: Load | None = None,
        standing: StandingStore | None = None,
    ) -> None:
        """`load` is what jobs heed; `standing` has the jobs of request workers, which are tended here."""
        self._load = load
        self._standing = standing
        self._tended_ns = 0
        self._records = records
        self._kinds = {kind.name: kind for kind in kinds}
        self._clock = clock
        self._owner = owner
        self._running: dict[str, _Running] = {}
        self._slots: dict[str, int] = {}

    async def run(self, stop: asyncio.Event, bell_fd: int | None = None) -> None:
        """Work until `stop` is set; jobs that run then leave off and wait for the next worker.

        `bell_fd` becomes readable when there may be something to do, so that it is done at once."""
        rung = asyncio.Event()
        if bell_fd is not None:
            asyncio.get_running_loop().add_reader(bell_fd, _empty, bell_fd, rung)
        stopping = asyncio.create_task(_pass_on(stop, rung))
        try:
            await self._attempt(self.recover)
            while not stop.is_set():
                rung.clear()
                await self._attempt(self._step)
                await self._attempt(self._tend)
                if not stop.is_set():
                    await wait_for(rung, _POLL_S)
                if rung.is_set():
                    self._hurry()
        finally:
            stopping.cancel()
            if bell_fd is not None:
                asyncio.get_running_loop().remove_reader(bell_fd)
            await self._leave()

    def _hurry(self) -> None:
        """Somebody may have stopped a job: look now."""
        for each in self._running.values():
            each.look.set()

    async def _tend(self) -> None:
        now_ns = self._clock.now_ns()
        if self._standing is None or abs(now_ns - self._tended_ns) < _TEND_S * _NS_PER_S:
            return
        self._tended_ns = now_ns
        for record in await asyncio.to_thread(self._standing.tend_sync, now_ns):
            logger.info("job %s (%s) %s", record.job_id, record.kind, record.state)

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
        while sum(each.context.is_at_work for each in self._running.values()) < _MAX_RUNNING:
            record = await asyncio.to_thread(
                self._records.claim_sync, self._owner, self._free_kinds(), now_ns
            )
            if record is None:
                return
            self._start(record)

    def _free_kinds(self) -> list[str]:
        working = (each for each in self._running.values() if not each.context.idle_ns)
        busy = {each.record.kind for each in working}
        return [
            name for name, kind in self._kinds.items() if not kind.is_exclusive or name not in busy
        ]

    def _start(self, record: JobRecord) -> _Running:
        children = Children(self._records, self._clock, record.job_id, self._kinds)
        context = JobContext(record, self._load, children)
        look = asyncio.Event()
        task = asyncio.create_task(self._carry_out(record, context, look))
        running = self._running[record.job_id] = _Running(record, context, task, look)
        return running

    async def _leave(self) -> None:
        for each in self._running.values():
            each.context.stop()
        await asyncio.gather(*(each.task for each in self._running.values()))
        self._running.clear()

    async def _carry_out(self, record: JobRecord, context: JobContext, look: asyncio.Event) -> None:
        keeper = asyncio.create_task(self._keep(context, look))
        state, error = JobState.FINISHED, ""
        logger.info("job %s (%s) begins", record.job_id, record.kind)
        try:
            await self._kinds[record.kind].run(context)
            if idles(record.kind):
                await self._idle(context)
        except JobStopped:
            # end_sync makes it STOPPED if that is what was asked for; else the worker is leaving, and if it was idle,
            # there is nothing to go on with.
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
        if context.children is not None and context.children.has_any:
            await context.children.stop_with()
        logger.info(
            "job %s (%s) %s: %s", record.job_id, record.kind, state, counters_text(progress)
        )

    async def _idle(self, context: JobContext) -> None:
        context.idle_ns = self._clock.now_ns()
        await self._save(context)
        await context.pause(_IDLE_S)

    async def _keep(self, context: JobContext, look: asyncio.Event) -> None:
        """Keep the progress, and learn whether the job is to stop."""
        interval_s = min(_FIRST_SAVE_S, _SAVE_S)
        while True:
            await wait_for(look, interval_s)
            look.clear()
            await self._save(context)
            interval_s = min(interval_s * 1.5, _SAVE_S)

    async def _save(self, context: JobContext) -> None:
        try:
            async with context.saving:
                is_stop_wanted = await asyncio.to_thread(
                    self._records.save_sync,
                    *(context.job_id, self._owner, context.progress),
                    idle_ns=context.idle_ns,
                )
            if is_stop_wanted:
                context.stop()
        except StoreError as error:
            logger.warning("progress of job %s not kept: %s", context.job_id, error)


async def _pass_on(stop: asyncio.Event, rung: asyncio.Event) -> None:
    await stop.wait()
    rung.set()


def _empty(bell_fd: int, rung: asyncio.Event) -> None:
    with suppress(BlockingIOError):
        os.read(bell_fd, 4096)
    rung.set()


def counters_text(progress: JobProgress) -> str:
    """The counters for people; "nothing" where there are none."""
    return ", ".join(f"{n} {name}" for name, n in progress.counters.items() if n) or "nothing"
