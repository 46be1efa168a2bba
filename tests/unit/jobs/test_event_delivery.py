"""The delivery of events: at least once, in order, each destination by itself."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence

from core.errors import MountpathUnavailable
from core.events import PendingEvent
from jobs.event_delivery import EventDelivery, Pace, Sent

PACE = Pace(poll_interval_s=0.001, max_retry_interval_s=0.001)


class MemoryOutbox:
    """Messages by destination; `faults` are raised by the next looks."""

    def __init__(self, **waiting: list[PendingEvent]) -> None:
        self.waiting = waiting
        self.faults: list[Exception] = []
        self.emptied = asyncio.Event()

    async def pending(self, destination: str, limit: int) -> Sequence[PendingEvent]:
        if self.faults:
            raise self.faults.pop()
        return self.waiting.get(destination, [])[:limit]

    async def forget(self, events: Sequence[PendingEvent]) -> None:
        for queue in self.waiting.values():
            queue[:] = [each for each in queue if each not in events]
        if not any(self.waiting.values()):
            self.emptied.set()

    async def backlog(self) -> Mapping[str, int]:
        return Counter({name: len(queue) for name, queue in self.waiting.items()})


class MemoryDestination:
    """Takes one message a time, after as many failures as it was told to have."""

    def __init__(self, name: str, failures: int = 0) -> None:
        self.name = name
        self.failures = failures
        self.taken: list[bytes] = []
        self.is_closed = False

    async def send(self, events: Sequence[PendingEvent]) -> Sent:
        if self.failures:
            self.failures -= 1
            return Sent((), "down")
        self.taken.append(events[0].message)
        return Sent(events[:1], "" if len(events) == 1 else "only one at a time")

    async def close(self) -> None:
        self.is_closed = True


def waiting(count: int, place: int = 0) -> list[PendingEvent]:
    return [PendingEvent(place, number, b"key", b"%d" % number) for number in range(count)]


async def deliver(outbox: MemoryOutbox, *destinations: MemoryDestination) -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(EventDelivery(outbox, destinations, PACE).run(stop))
    async with asyncio.timeout(30):
        await outbox.emptied.wait()
        stop.set()
        await running


def test_all_is_delivered_in_order_whatever_fails() -> None:
    async def run() -> None:
        outbox = MemoryOutbox(one=waiting(5))
        outbox.faults = [MountpathUnavailable(mountpath="m", reason="gone", retry_after_s=1)]
        one = MemoryDestination("one", failures=2)
        await deliver(outbox, one)
        assert one.taken == [b"0", b"1", b"2", b"3", b"4"]
        assert one.is_closed

    asyncio.run(run())


def test_a_dead_destination_delays_only_itself() -> None:
    async def run() -> None:
        outbox = MemoryOutbox(dead=waiting(1, place=1), alive=waiting(3))
        dead, alive = MemoryDestination("dead", failures=10**9), MemoryDestination("alive")
        stop = asyncio.Event()
        running = asyncio.create_task(EventDelivery(outbox, (dead, alive), PACE).run(stop))
        async with asyncio.timeout(30):
            while outbox.waiting["alive"]:
                await asyncio.sleep(0)
            stop.set()
            await running
        assert alive.taken == [b"0", b"1", b"2"]
        assert outbox.waiting["dead"] == waiting(1, place=1)

    asyncio.run(run())


def test_an_unexpected_error_does_not_end_the_delivery() -> None:
    async def run() -> None:
        outbox = MemoryOutbox(one=waiting(1))
        outbox.faults = [RuntimeError("a mistake")]
        one = MemoryDestination("one")
        await deliver(outbox, one)
        assert one.taken == [b"0"]

    asyncio.run(run())
