"""The running of jobs: their ends of every kind, stops, schedules, and one of a kind at a time."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from core.errors import OutOfSpace
from core.jobs import JobState
from core.load import FixedLoad, Reading
from jobs.queue import JobContext, JobQueue, JobStopped
from tests.contract.world import FakeClock
from tests.unit.jobs.fake_records import FakeRecords

Work = Callable[[JobContext], Awaitable[None]]


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.queue._POLL_S", 0.001)
    monkeypatch.setattr("jobs.queue._SAVE_S", 0.001)


@dataclass
class Kind:
    """A kind of job that does what a test says."""

    work: Work
    name: str = "count"
    is_exclusive: bool = True
    interval_s: float | None = None
    needed: bool = True
    runs: list[JobContext] = field(default_factory=list)

    def is_needed(self) -> bool:
        return self.needed

    async def run(self, context: JobContext) -> None:
        self.runs.append(context)
        await self.work(context)


class Bench:
    """A queue over records in memory, run until a condition holds."""

    def __init__(self, *kinds: Kind) -> None:
        self.records = FakeRecords()
        self.clock = FakeClock()
        self.queue = JobQueue(self.records, kinds, self.clock, "w")

    def add(self, kind: str = "count", **arguments: str) -> str:
        return self.records.add_sync(kind, arguments, 0).job_id

    def state(self, job_id: str) -> JobState:
        return self.records.records[job_id].state

    def run_until(self, condition: Callable[[], bool]) -> None:
        async def run() -> None:
            stop = asyncio.Event()
            task = asyncio.create_task(self.queue.run(stop))
            async with asyncio.timeout(30):
                while not condition():
                    await asyncio.sleep(0.001)
                stop.set()
                await task

        asyncio.run(run())


async def count_three(context: JobContext) -> None:
    for number in range(3):
        context.check()
        context.count(objects=1, size_bytes=10, odd=number % 2)
        context.cursor = str(number)
    context.say("counted")


async def forever(context: JobContext) -> None:
    while True:
        await context.pause(60)


def test_a_job_runs_to_its_end() -> None:
    bench = Bench(Kind(count_three))
    job_id = bench.add(bucket="b")
    bench.run_until(lambda: bench.state(job_id).has_ended)
    record = bench.records.get_sync(job_id)
    assert record.state is JobState.FINISHED
    assert record.progress.counters == {"objects": 3, "bytes": 30, "odd": 1}
    assert (record.progress.message, record.progress.cursor) == ("counted", "2")


@pytest.mark.parametrize(
    ("failure", "text"),
    [
        (OutOfSpace(mountpath="/d", retry_after_s=1), "OutOfSpace: "),
        (ValueError("x"), "ValueError"),
    ],
)
def test_a_job_that_fails_says_so(failure: Exception, text: str) -> None:
    async def fail(_: JobContext) -> None:
        raise failure

    bench = Bench(Kind(fail))
    job_id = bench.add()
    bench.run_until(lambda: bench.state(job_id).has_ended)
    assert bench.state(job_id) is JobState.FAILED
    assert bench.records.get_sync(job_id).error.startswith(text)


def test_a_job_is_stopped_on_demand() -> None:
    kind = Kind(forever)
    bench = Bench(kind)
    job_id = bench.add()
    bench.run_until(lambda: bool(kind.runs))
    assert bench.state(job_id) is JobState.WAITING, "its worker left it"
    bench.records.stop_sync(job_id, 1)
    bench.run_until(lambda: bench.state(job_id).has_ended)
    assert bench.state(job_id) is JobState.STOPPED


def test_a_job_goes_on_at_its_cursor() -> None:
    async def two_steps(context: JobContext) -> None:
        if not context.cursor:
            context.cursor = "half"
            await forever(context)

    kind = Kind(two_steps)
    bench = Bench(kind)
    job_id = bench.add()
    bench.run_until(lambda: bool(kind.runs) and kind.runs[0].cursor == "half")
    bench.run_until(lambda: bench.state(job_id).has_ended)
    assert bench.state(job_id) is JobState.FINISHED
    assert len(kind.runs) == 2


def test_a_dead_workers_job_is_taken_back() -> None:
    bench = Bench(Kind(count_three))
    job_id = bench.add()
    bench.records.claim_sync("dead", ["count"], 0)
    bench.run_until(lambda: bench.state(job_id).has_ended)
    assert bench.state(job_id) is JobState.FINISHED


def test_one_of_an_exclusive_kind_at_a_time() -> None:
    lone, free = Kind(forever), Kind(forever, "sort", is_exclusive=False)
    bench = Bench(lone, free)
    for kind in ("count", "count", "sort", "sort"):
        bench.add(kind)
    bench.run_until(lambda: len(free.runs) == 2)
    assert len(lone.runs) == 1


def test_scheduled_jobs_have_one_run_a_slot() -> None:
    kind = Kind(count_three, interval_s=10)
    bench = Bench(kind)
    bench.run_until(lambda: len(kind.runs) == 1 and kind.runs[0].progress.cursor != "")
    bench.run_until(lambda: True)
    assert len(kind.runs) == 1
    bench.clock.advance(10)
    bench.run_until(lambda: len(kind.runs) == 2)


def test_schedules_ask_first_whether_there_is_anything_to_do() -> None:
    kind = Kind(count_three, interval_s=10, needed=False)
    bench = Bench(kind, Kind(count_three, "sort"))
    job_id = bench.add("sort")
    bench.run_until(lambda: bench.state(job_id).has_ended)
    assert kind.runs == []


def test_run_one() -> None:
    bench = Bench(Kind(count_three))
    other, wanted = bench.add(), bench.add()
    asyncio.run(bench.queue.run_one(wanted, asyncio.Event()))
    assert bench.state(wanted) is JobState.FINISHED
    assert bench.state(other) is JobState.WAITING
    asyncio.run(bench.queue.run_one("unknown", asyncio.Event()))


def test_check_and_pause_end_a_stopped_job() -> None:
    async def run() -> None:
        context = JobContext(FakeRecords().add_sync("count", {}, 0))
        context.check()
        await context.pause(0)
        context.stop()
        with pytest.raises(JobStopped):
            context.check()
        with pytest.raises(JobStopped):
            await context.pause(3600)

    asyncio.run(run())


def test_a_kind_that_idles_stays_for_a_while_and_can_be_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("jobs.queue._IDLE_S", 60)
    bench = Bench(Kind(count_three, name="archive"))
    stopped, left = bench.add("archive"), bench.add("archive")

    def idle() -> bool:
        # Both at once, though the kind is exclusive: what idles is in nobody's way.
        return all(bench.records.records[each].idle_ns for each in (stopped, left))

    def over() -> bool:
        if idle():
            bench.records.stop_sync(stopped, 1)
        return bench.state(stopped) is JobState.STOPPED

    bench.run_until(over)
    assert bench.records.records[stopped].progress.counters["objects"] == 3


def test_a_kind_that_idles_ends_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.queue._IDLE_S", 0.001)
    bench = Bench(Kind(count_three, name="archive"))
    job_id = bench.add("archive")
    bench.run_until(lambda: bench.state(job_id) is JobState.FINISHED)


def test_the_bell_begins_a_job_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.queue._POLL_S", 3600)
    bench = Bench(Kind(count_three))
    listening, ringing = os.pipe()
    os.set_blocking(listening, False)

    async def run() -> None:
        stop = asyncio.Event()
        task = asyncio.create_task(bench.queue.run(stop, listening))
        await asyncio.sleep(0)
        job_id = bench.add()
        os.write(ringing, b"!!")
        async with asyncio.timeout(30):
            while bench.state(job_id) is not JobState.FINISHED:
                await asyncio.sleep(0.001)
            stop.set()
            await task

    asyncio.run(run())
    os.close(listening)
    os.close(ringing)


def test_jobs_heed_the_load() -> None:
    slept: list[float] = []

    async def work(context: JobContext) -> None:
        async def pause(seconds: float) -> None:
            slept.append(seconds)

        context.pause = pause  # type: ignore[method-assign]
        for _ in range(33):
            await context.throttle()

    bench = Bench(Kind(work))
    bench.queue = JobQueue(
        bench.records,
        [Kind(work)],
        bench.clock,
        "w",
        load=FixedLoad(Reading(memory=0.99)),
    )
    job_id = bench.add()
    bench.run_until(lambda: bench.state(job_id) is JobState.FINISHED)
    assert slept == [0.1] * 3
