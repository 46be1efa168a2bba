"""Who is at work on a key: writers, fetchers and followers of several processes, and what the death of one leaves."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from backends.cache.flight_page import FlightState
from backends.cache.flights import Flight, Flights, place_of
from core.names import BucketName, BucketRef, ObjectKey, UserId
from core.types import Bucket, User

BUCKET = Bucket(BucketRef(BucketName("far"), "aws"), 7, User(UserId("o"), "o", "O"), 1)
KEY = ObjectKey("a/key")
PLACE = place_of(BUCKET, KEY)


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 30))


@asynccontextmanager
async def two(directory: Path) -> AsyncIterator[tuple[Flights, Flights]]:
    """As two processes see one directory: each has a file description of its own."""
    one, other = Flights(directory / "flights"), Flights(directory / "flights")
    try:
        yield one, other
    finally:
        one.close()
        other.close()


def test_writers_of_one_key_come_one_after_the_other(tmp_path: Path) -> None:
    async def work() -> None:
        async with two(tmp_path) as (one, other):
            at_work: list[str] = []

            async def write(flights: Flights, name: str) -> None:
                async with flights.writing(BUCKET, KEY):
                    assert not at_work
                    at_work.append(name)
                    await asyncio.sleep(0)
                    at_work.pop()

            await asyncio.gather(*(write(each, str(each)) for each in (one, other) * 20))
            assert not one.is_written(PLACE)
            assert not other.is_written(PLACE)

    run(work())


def test_keys_do_not_wait_for_each_other(tmp_path: Path) -> None:
    async def work() -> None:
        async with (
            two(tmp_path) as (one, other),
            one.writing(BUCKET, KEY),
            one.writing(BUCKET, ObjectKey("b")),
            other.writing(BUCKET, ObjectKey("c")),
        ):
            assert other.is_written(PLACE)
            assert not other.is_written(place_of(BUCKET, ObjectKey("d")))

    run(work())


def test_a_writer_that_is_cancelled_while_it_waits_leaves_nothing(tmp_path: Path) -> None:
    async def write(flights: Flights) -> None:
        async with flights.writing(BUCKET, KEY):
            raise AssertionError("it is not free")

    async def work() -> None:
        async with two(tmp_path) as (one, other):
            async with one.writing(BUCKET, KEY):
                waiting = [asyncio.create_task(write(each)) for each in (one, other)]
                await asyncio.sleep(0.005)
                for task in waiting:
                    task.cancel()
                await asyncio.gather(*waiting, return_exceptions=True)
            for each in (one, other):
                async with each.writing(BUCKET, KEY):
                    pass

    run(work())


async def taken_off(flights: Flights) -> Flight | None:
    """A flight that has its page."""
    flight = flights.take_off(PLACE)
    if flight is not None:
        await flight.is_ready()
    return flight


def test_one_fetches_and_the_others_see_how_far_it_is(tmp_path: Path) -> None:
    async def work() -> None:
        async with two(tmp_path) as (one, other):
            assert await other.follow(PLACE) is None
            flight = await taken_off(one)
            assert flight is not None
            assert flight.page is not None
            assert one.take_off(PLACE) is None
            assert other.take_off(PLACE) is None
            page = await other.follow(PLACE)
            assert page is not None
            states = [page.state]
            flight.page.tell_sync(b"what it is" * 1000)
            flight.page.ready_bytes = 2**40
            states.append(page.state)
            assert page.ready_bytes == 2**40
            assert page.told_sync() == b"what it is" * 1000
            assert other.is_alive(PLACE, page)
            await one.land(flight, FlightState.KEPT)
            assert not other.is_alive(PLACE, page)
            states.append(page.state)
            assert states == [FlightState.OPENING, FlightState.FLOWING, FlightState.KEPT]
            page.close()
            assert await other.follow(PLACE) is None
            assert [path.name for path in (tmp_path / "flights").iterdir()] == ["locks"]
            flight = await taken_off(other)
            assert flight is not None
            await other.land(flight, FlightState.FAILED)

    run(work())


def test_a_write_spoils_the_fetch_that_it_overtakes(tmp_path: Path) -> None:
    async def work() -> None:
        async with two(tmp_path) as (one, other):
            for writer in (one, other):
                flight = await taken_off(one)
                assert flight is not None
                async with writer.writing(BUCKET, KEY):
                    pass
                async with one.keeping(flight) as may_keep:
                    assert not may_keep
                await one.land(flight, FlightState.UNKEPT)

    run(work())


def test_a_write_waits_for_the_page_of_the_fetch_that_it_overtakes(tmp_path: Path) -> None:
    """Also where a process that died has left one."""

    async def work() -> None:
        async with two(tmp_path) as (one, other):
            for writer in (one, other):
                (tmp_path / "flights" / f"{PLACE.name}.flight").write_bytes(bytes(4096))
                flight = one.take_off(PLACE)
                assert flight is not None
                async with writer.writing(BUCKET, KEY):
                    assert flight.is_spoiled
                await one.land(flight, FlightState.UNKEPT)

    run(work())


def test_a_fetch_that_begins_during_a_write_is_spoiled(tmp_path: Path) -> None:
    async def work() -> None:
        async with two(tmp_path) as (one, other):
            for writer in (one, other):
                async with writer.writing(BUCKET, KEY):
                    flight = one.take_off(PLACE)
                assert flight is not None
                assert flight.is_spoiled
                await one.land(flight, FlightState.UNKEPT)

    run(work())


def test_a_write_waits_for_a_fetch_that_publishes(tmp_path: Path) -> None:
    async def work() -> None:
        async with two(tmp_path) as (one, other):
            flight = await taken_off(one)
            assert flight is not None
            written = asyncio.Event()

            async def write() -> None:
                async with other.writing(BUCKET, KEY):
                    written.set()

            async with one.keeping(flight) as may_keep:
                assert may_keep
                task = asyncio.create_task(write())
                await asyncio.sleep(0.01)
                assert not written.is_set()
                async with other.settling(PLACE) as may_settle:
                    assert not may_settle
            await task
            await one.land(flight, FlightState.KEPT)

    run(work())


def test_a_fetch_without_a_page_is_for_nobody_else_and_not_kept(tmp_path: Path) -> None:
    async def work() -> None:
        async with two(tmp_path) as (one, other):
            path = tmp_path / "flights" / f"{PLACE.name}.new"
            path.mkdir()
            flight = await taken_off(one)
            assert flight is not None
            assert flight.is_spoiled
            path.rmdir()
            again = await taken_off(other)
            assert again is not None
            await one.land(flight, FlightState.FAILED)
            assert one.take_off(PLACE) is None
            await other.land(again, FlightState.FAILED)

    run(work())


_AT_WORK = """
import asyncio, sys
from pathlib import Path
from backends.cache.flight_page import FlightState
from tests.unit.backends.test_flights import BUCKET, KEY, PLACE, Flights, taken_off

async def work():
    flights = Flights(Path(sys.argv[1]))
    flight = await taken_off(flights)
    flight.page.tell_sync(b"it")
    async with flights.writing(BUCKET, KEY):
        print("ready", flush=True)
        await asyncio.sleep(60)

asyncio.run(work())
"""


def test_death_gives_everything_free(tmp_path: Path) -> None:
    directory = tmp_path / "flights"
    child = subprocess.Popen(
        [sys.executable, "-c", _AT_WORK, str(directory)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
        env={**os.environ, "PYTHONPATH": "."},
    )

    async def work() -> None:
        flights = Flights(directory)
        page = await flights.follow(PLACE)
        assert page is not None
        assert page.is_spoiled
        assert flights.is_alive(PLACE, page)
        assert flights.is_written(PLACE)
        child.send_signal(signal.SIGKILL)
        child.wait()
        assert not flights.is_alive(PLACE, page)
        assert page.state is FlightState.FLOWING
        page.close()
        async with flights.writing(BUCKET, KEY):
            pass
        flights.close()
        Flights(directory).close()
        assert [path.name for path in directory.iterdir()] == ["locks"]

    assert child.stdout is not None
    with child:
        try:
            assert child.stdout.readline() == b"ready\n"
            run(work())
        finally:
            child.kill()
