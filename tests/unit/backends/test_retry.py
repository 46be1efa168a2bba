"""What is tried again, how often, and what never is; and reads that go on where they broke."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

import pytest

from backends.memory_backend import MemoryBackend
from backends.wrappers.faults import Fault, Faults
from backends.wrappers.retry import Retrying, RetryPolicy
from backends.wrappers.stack import Shared, wrap
from core.accounts import Account
from core.errors import (
    BackendBroken,
    BackendBusy,
    BackendDown,
    IncompleteBody,
    NoSuchKey,
    PreconditionFailed,
    StoreError,
)
from core.names import ObjectKey
from core.types import BoundedRange, ByteRange, ObjectAttributes
from tests.contract.world import Body, pattern

T = TypeVar("T")

KEY = ObjectKey("k")
PLAIN = ObjectAttributes()
DATA = pattern(1_000_000)


class World:
    """A backend in memory behind all wrappers, with a clock that only pauses move."""

    def __init__(self, **policy: Any) -> None:
        self.memory = MemoryBackend("b")
        self.memory.place("b", "k", DATA)
        self.faults = Faults()
        self.pauses: list[float] = []
        policy = {"sleep": self._sleep, "now": lambda: sum(self.pauses), **policy}
        shared = Shared(policy=RetryPolicy(random=lambda: 1.0, **policy))
        self.backend: Retrying = wrap(self.memory, Account("aws"), shared, self.faults)

    def fail(self, **fault: Any) -> None:
        self.faults.faults.append(Fault(**fault))

    async def read(self, byte_range: ByteRange | None = None) -> bytes:
        reader = await self.backend.open("b", KEY, byte_range=byte_range)
        try:
            return b"".join([chunk async for chunk in reader])
        finally:
            await reader.close()

    async def _sleep(self, pause_s: float) -> None:
        self.pauses.append(pause_s)


class Again(Body):
    """A body that can be read again from its start."""

    is_replayable = True


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


@pytest.mark.parametrize("error", ["down", "busy"])
def test_what_fails_for_the_moment_is_tried_again(error: str) -> None:
    world = World()
    world.fail(name="head", error=error, times=2)
    assert run(world.backend.head("b", KEY)).size_bytes == len(DATA)
    assert world.pauses == [0.4, 0.8]


@pytest.mark.parametrize(("error", "raised"), [("down", BackendDown), ("busy", BackendBusy)])
def test_tries_run_out(error: str, raised: type[StoreError]) -> None:
    world = World()
    world.fail(name="head", error=error)
    with pytest.raises(raised):
        run(world.backend.head("b", KEY))
    assert len(world.pauses) == 3


def test_time_runs_out() -> None:
    world = World(tries=100, total_s=10.0)
    world.fail(name="head", error="down")
    with pytest.raises(BackendDown):
        run(world.backend.head("b", KEY))
    assert sum(world.pauses) <= 10


def test_throttling_is_left_alone_for_as_long_as_asked() -> None:
    world = World()
    world.fail(name="head", error="busy", times=1, retry_after_s=5)
    run(world.backend.head("b", KEY))
    assert world.pauses == [5]


@pytest.mark.parametrize("error", ["denied", "broken", "absent"])
def test_what_will_not_change_is_not_tried_again(error: str) -> None:
    world = World()
    world.fail(name="head", error=error)
    with pytest.raises(StoreError):
        run(world.backend.head("b", KEY))
    assert world.pauses == []


# --- reads ---


@pytest.mark.parametrize("after_bytes", [0, 1, 300_000, 999_999])
@pytest.mark.parametrize(
    "fault", [{"error": "down"}, {"error": "busy"}, {"error": "broken"}, {"ends": True}]
)
def test_a_read_goes_on_where_it_broke(after_bytes: int, fault: dict[str, Any]) -> None:
    world = World()
    world.fail(name="open", after_bytes=after_bytes, times=1, **fault)
    assert run(world.read()) == DATA
    asked = [(each.first, each.length) for each in world.memory.faults.reads]
    assert asked == [(0, len(DATA)), (after_bytes, len(DATA) - after_bytes)]
    assert world.memory.faults.open_readers == 0


def test_a_range_goes_on_where_it_broke() -> None:
    world = World()
    world.fail(name="open", error="down", after_bytes=100, times=2)
    assert run(world.read(BoundedRange(1000, 1999))) == DATA[1000:2000]


def test_a_read_that_keeps_breaking_ends() -> None:
    world = World()
    world.fail(name="open", error="down", after_bytes=1)
    with pytest.raises(BackendDown):
        run(world.read())
    assert len(world.pauses) == 3
    assert world.memory.faults.open_readers == 0


def test_a_long_read_may_break_often() -> None:
    world = World()
    world.fail(name="open", error="down", after_bytes=260 * 1024)
    world.memory.place("b", "k", pattern(5_000_000))
    assert run(world.read()) == pattern(5_000_000)


@pytest.mark.parametrize("is_removed", [True, False])
def test_a_read_does_not_go_on_with_another_object(is_removed: bool) -> None:
    world = World()
    world.fail(name="open", error="down", after_bytes=1000, times=1)

    async def work() -> None:
        reader = await world.backend.open("b", KEY)
        if is_removed:
            world.memory.remove("b", "k")
        else:
            world.memory.place("b", "k", pattern(len(DATA), seed=2))
        with pytest.raises(BackendBroken):
            [chunk async for chunk in reader]
        await reader.close()

    run(work())


def test_bytes_that_are_missing_at_the_end_are_asked_for() -> None:
    world = World()
    world.memory.faults.wrongs.truncated_to = 5000

    async def work() -> None:
        reader = await world.backend.open("b", KEY)
        world.memory.faults.wrongs.truncated_to = None
        assert b"".join([chunk async for chunk in reader]) == DATA

    run(work())


# --- writes ---


@pytest.mark.parametrize("after_bytes", [-1, 0, 200_000])
def test_a_small_write_is_sent_again(after_bytes: int) -> None:
    world = World()
    world.fail(name="put", error="down", after_bytes=after_bytes, times=2)
    data = pattern(250_000)
    run(world.backend.put("b", KEY, Body(data), PLAIN))
    assert world.memory.data("b", "k") == data


def test_a_write_whose_bytes_are_gone_is_not_sent_again() -> None:
    world = World()
    world.fail(name="put", error="down", after_bytes=500_000, times=1)
    with pytest.raises(BackendDown):
        run(world.backend.put("b", KEY, Body(pattern(900_000, seed=2)), PLAIN))
    assert world.pauses == []
    assert world.memory.data("b", "k") == DATA


def test_a_body_that_can_be_read_again_is() -> None:
    world = World()
    world.fail(name="upload_part", error="busy", after_bytes=500_000, times=2)

    async def work() -> None:
        upload_id = await world.backend.create_upload("b", KEY, PLAIN)
        data = pattern(900_000, seed=2)
        part = await world.backend.upload_part("b", KEY, upload_id, 1, Again(data))
        await world.backend.complete_upload("b", KEY, upload_id, [part])
        assert world.memory.data("b", "k") == data

    run(work())


def test_what_the_body_raises_is_not_tried_again() -> None:
    world = World()
    body = Body(b"1234", declared=10, error=IncompleteBody(expected_bytes=10, actual_bytes=4))
    with pytest.raises(IncompleteBody):
        run(world.backend.put("b", KEY, body, PLAIN))
    assert world.memory.faults.calls["put"] == 1


def test_a_conditional_write_that_may_have_been_done_is_not_sent_again() -> None:
    world = World()
    world.fail(name="put", error="down", lost=True, times=1)
    with pytest.raises(BackendDown):
        run(world.backend.put("b", ObjectKey("new"), Body(b"1"), PLAIN, if_absent=True))
    assert world.memory.data("b", "new") == b"1"
    world.fail(name="put", error="busy", times=1)
    with pytest.raises(PreconditionFailed):
        run(world.backend.put("b", ObjectKey("new"), Body(b"2"), PLAIN, if_absent=True))


def test_a_completion_whose_answer_was_lost_is_unknown() -> None:
    world = World()

    async def work() -> None:
        upload_id = await world.backend.create_upload("b", KEY, PLAIN)
        part = await world.backend.upload_part("b", KEY, upload_id, 1, Body(b"data"))
        world.fail(name="complete_upload", error="down", lost=True, times=1)
        with pytest.raises(BackendDown):
            await world.backend.complete_upload("b", KEY, upload_id, [part])

    run(work())


def test_a_reader_that_was_given_up_takes_no_bytes_from_the_next() -> None:
    world = World()
    taken: list[AsyncIterator[bytes]] = []
    put = world.memory.put

    async def first_fails(bucket: str, key: ObjectKey, body: Any, *rest: Any, **more: Any) -> Any:
        if not taken:
            taken.append(aiter(body))
            await anext(taken[0])
            raise BackendDown(provider="aws", bucket=bucket, reason="made to", retry_after_s=1)
        with pytest.raises(StopAsyncIteration):
            await anext(taken[0])
        return await put(bucket, key, body, *rest, **more)

    world.memory.put = first_fails  # type: ignore[method-assign]
    data = pattern(200_000)

    async def work() -> None:
        with pytest.raises(NoSuchKey):
            await world.backend.head("b", ObjectKey("new"))
        await world.backend.put("b", KEY, Body(data), PLAIN)

    run(work())
    assert world.memory.data("b", "k") == data
