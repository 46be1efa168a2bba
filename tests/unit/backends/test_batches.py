"""What fetches hold between network and disk: never more than there is room for, and all of it given back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import pytest

from backends.cache.batches import Room, batches_of


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 20))


async def stream(count: int, size_bytes: int = 10) -> AsyncIterator[bytes]:
    for number in range(count):
        yield bytes([number % 256]) * size_bytes


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_many_hold_no_more_than_one_may() -> None:
    async def work() -> None:
        room = Room(50)
        least = room.free_bytes

        async def one() -> int:
            nonlocal least
            total = 0
            async for batch in batches_of(stream(30), room):
                least = min(least, room.free_bytes)
                await asyncio.sleep(0)
                total += sum(map(len, batch))
            return total

        totals = await asyncio.gather(*(one() for _ in range(20)))
        assert totals == [300] * 20
        assert 0 <= least < 50
        assert room.free_bytes == 50

    run(work())


def test_who_writes_slowly_holds_up_others_only_as_far_as_there_is_room() -> None:
    async def work() -> None:
        room = Room(30)
        slow = batches_of(stream(30), room)
        await anext(slow)
        await turns()
        assert room.free_bytes == 0
        other = asyncio.ensure_future(anext(batches_of(stream(1), room)))
        await turns()
        assert not other.done()
        await slow.aclose()
        assert sum(map(len, await other)) == 10

    run(work())


def test_a_chunk_larger_than_all_room_passes() -> None:
    async def work() -> None:
        room = Room(5)
        assert [len(each[0]) async for each in batches_of(stream(3), room)] == [10, 10, 10]
        assert room.free_bytes == 5

    run(work())


@pytest.mark.parametrize("is_given", [False, True])
def test_who_leaves_the_queue_leaves_nothing(is_given: bool) -> None:
    async def work() -> None:
        room = Room(10)
        held = await room.take(10)
        first = asyncio.create_task(room.take(10))
        second = asyncio.create_task(room.take(1))
        await turns()
        if is_given:
            room.give(held)
        first.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await first
        if not is_given:
            room.give(held)
        assert await second == 1
        room.give(1)
        assert room.free_bytes == 10

    run(work())


def test_errors_give_all_back() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"12345"
        raise ValueError("it broke")

    async def work() -> None:
        room = Room(10)
        with pytest.raises(ValueError, match="broke"):
            async for _ in batches_of(broken(), room):
                pass
        await turns()
        assert room.free_bytes == 10

    run(work())
