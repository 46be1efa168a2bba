"""Many pieces of work at once: bounds, the cursor, errors and stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from core.errors import NoSuchKey
from core.jobs import JobProgress, JobRecord
from jobs.parallel import work_through
from jobs.queue import JobContext, JobStopped


async def numbers(count: int) -> AsyncIterator[tuple[str, int]]:
    for number in range(count):
        yield str(number), number


def context_of(cursor: str = "") -> JobContext:
    return JobContext(JobRecord("j", "count", progress=JobProgress(cursor=cursor)))


def go(
    context: JobContext, work: Callable[[int], Awaitable[None]], count: int, workers: int
) -> None:
    async def run() -> None:
        async with asyncio.timeout(30):
            await work_through(context, numbers(count), work, workers=workers)

    asyncio.run(run())


def test_no_more_work_at_once_than_asked_for() -> None:
    running = peak = 0

    async def work(_: int) -> None:
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        await asyncio.sleep(0)
        running -= 1

    context = context_of()
    go(context, work, 50, 4)
    assert peak == 4
    assert context.cursor == "49"
    assert context.progress.workers == 4


def test_the_cursor_stays_before_what_is_not_done() -> None:
    seen: list[str] = []

    async def run() -> None:
        held = asyncio.Event()
        context = context_of("before")

        async def work(number: int) -> None:
            if number == 3:
                await held.wait()
            if number == 9:
                seen.append(context.cursor)
                held.set()

        async with asyncio.timeout(30):
            await work_through(context, numbers(20), work, workers=2)
        seen.append(context.cursor)

    asyncio.run(run())
    assert seen == ["2", "19"]


def test_pieces_do_not_run_far_ahead_of_one_that_lasts() -> None:
    async def run() -> int:
        held, started = asyncio.Event(), 0

        async def work(number: int) -> None:
            nonlocal started
            started += 1
            if number == 0:
                await held.wait()

        task = asyncio.create_task(work_through(context_of(), numbers(1000), work, workers=2))
        for _ in range(2000):
            await asyncio.sleep(0)
        ahead = started
        held.set()
        async with asyncio.timeout(30):
            await task
        assert started == 1000
        return ahead

    assert asyncio.run(run()) == 16


def test_the_first_error_ends_the_others_and_is_raised_as_it_is() -> None:
    context = context_of()

    async def work(number: int) -> None:
        if number == 5:
            raise NoSuchKey(key="5")
        if number > 5:
            await asyncio.sleep(60)

    with pytest.raises(NoSuchKey):
        go(context, work, 100, 3)
    assert context.cursor == "4"


def test_a_stop_ends_the_work() -> None:
    context = context_of()

    async def work(number: int) -> None:
        if number == 7:
            context.stop()

    with pytest.raises(JobStopped):
        go(context, work, 100, 2)
    assert int(context.cursor) < 20
