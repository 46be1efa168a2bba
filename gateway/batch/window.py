"""Owns the reading ahead of a batch: runs of items are read side by side, and handed out in request order.

What is held in memory is bounded by a window and not by the batch: a few runs of some 256 KiB each. All runs but the
one whose turn it is also count against what all batches of the worker may hold together.
"""

from __future__ import annotations

import asyncio
import collections
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass

from core.batches import BatchItem, BatchSender, BatchSenders, ItemData, Outcome
from core.errors import StoreError
from core.protocols import ObjectReader

_FIRST_RUN_ITEMS = 16
_MIN_RUN_ITEMS = 8
_RUNS_A_TURN = 2
"""Of those that memory has, between which other requests have their turn."""

Check = Callable[[BatchItem], Awaitable[None]]
"""Raises what keeps an item from being read for this caller."""


@dataclass(frozen=True, slots=True)
class WindowLimits:
    """How far one batch reads ahead. A run is of so many items, or of fewer once they are seen to be large.
    `at_hand_bytes`, `at_hand_items`: of a run whose bytes are in memory already."""

    run_bytes: int = 256 * 1024
    run_items: int = 128
    runs: int = 4
    openings: int = 4
    at_hand_bytes: int = 1024 * 1024
    at_hand_items: int = 256


class ReadAhead:
    """What all batches of a worker may hold beyond the runs whose turn it is."""

    def __init__(self, max_bytes: int) -> None:
        self._free_bytes = max_bytes

    def try_take(self, size_bytes: int) -> bool:
        """Take so much, if it is there."""
        if self._free_bytes < size_bytes:
            return False
        self._free_bytes -= size_bytes
        return True

    def give_back(self, size_bytes: int) -> None:
        self._free_bytes += size_bytes


class Run:
    """Consecutive items and what became of them; `at_hand` is that too, if they were all in memory. Those that are to
    be opened alone are, some ahead; close it."""

    def __init__(
        self,
        items: Sequence[BatchItem],
        outcomes: Sequence[Outcome],
        senders: BatchSenders,
        openings: int,
        *,
        at_hand: Sequence[ItemData] | None = None,
    ) -> None:
        self.items = items
        self.outcomes = outcomes
        self.at_hand = at_hand
        self._senders = senders
        self._openings = openings
        self._waiting: collections.deque[int] = collections.deque()
        if at_hand is None:
            self._waiting.extend(n for n, outcome in enumerate(outcomes) if outcome is None)
        self._opening: dict[int, asyncio.Task[ObjectReader]] = {}

    async def open(self, number: int) -> ObjectReader:
        """The next item that is to be opened. Raises as BatchSender.open."""
        self._open_ahead()
        task = self._opening.pop(number)
        try:
            return await task
        except asyncio.CancelledError:
            self._opening[number] = task
            raise
        finally:
            self._open_ahead()

    def _open_ahead(self) -> None:
        while self._waiting and len(self._opening) < self._openings:
            number = self._waiting.popleft()
            item = self.items[number]
            self._opening[number] = asyncio.create_task(self._senders.sender(item).open(item))

    async def close(self) -> None:
        """Close what was opened and not taken."""
        self._waiting.clear()
        tasks = list(self._opening.values())
        self._opening.clear()
        for task in tasks:
            task.cancel()
        for opened in await asyncio.gather(*tasks, return_exceptions=True):
            if not isinstance(opened, BaseException):
                await opened.close()


class Window:
    """The runs of one batch."""

    def __init__(
        self,
        items: Sequence[BatchItem],
        senders: BatchSenders,
        limits: WindowLimits,
        read_ahead: ReadAhead,
        check: Check | None = None,
    ) -> None:
        self._items = items
        self._senders = senders
        self._limits = limits
        self._read_ahead = read_ahead
        self._check = check
        self._next = 0
        self._run_items = min(_FIRST_RUN_ITEMS, limits.run_items)
        self._reading: collections.deque[
            tuple[Sequence[BatchItem], asyncio.Task[Sequence[Outcome]]]
        ]
        self._reading = collections.deque()
        self._taken_bytes = 0

    async def runs(self) -> AsyncGenerator[Run, None]:
        """In order. Closing the iterator ends the reading. Raises what fails a sender."""
        try:
            turn = 0
            while run := self._at_hand():
                yield run
                turn += 1
                if not turn % _RUNS_A_TURN:
                    await asyncio.sleep(0)
            while self._next < len(self._items) or self._reading:
                self._read_on()
                items, task = self._reading[0]
                outcomes = await task
                self._reading.popleft()
                self._learn(outcomes)
                self._read_on()
                run = Run(items, outcomes, self._senders, self._limits.openings)
                try:
                    yield run
                finally:
                    await run.close()
                self._give_back_one()
        finally:
            tasks = [task for _, task in self._reading]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._read_ahead.give_back(self._taken_bytes)
            self._taken_bytes = 0

    def _at_hand(self) -> Run | None:
        """The next run, if memory has it whole: without a task, and without an end to wait for. Once it has not, it is
        not asked again: what follows is read ahead."""
        sender = None if self._check else self._senders.only()
        if sender is None or self._next == len(self._items):
            return None
        wanted = self._items[self._next : self._next + self._limits.at_hand_items]
        found = sender.at_hand(wanted, self._limits.at_hand_bytes)
        if not found:
            return None
        self._next += len(found)
        return Run(wanted[: len(found)], found, self._senders, 0, at_hand=found)

    def _read_on(self) -> None:
        """Start as many runs as there is room for, and the one whose turn it is in any case."""
        limits = self._limits
        while self._next < len(self._items) and len(self._reading) < limits.runs:
            if self._reading:
                if not self._read_ahead.try_take(limits.run_bytes):
                    return
                self._taken_bytes += limits.run_bytes
            items = self._items[self._next : self._next + self._run_items]
            self._next += len(items)
            self._reading.append((items, asyncio.create_task(self._read(items))))

    def _give_back_one(self) -> None:
        """A run was used up; the next one's turn has come, so that it counts no more."""
        size_bytes = min(self._taken_bytes, self._limits.run_bytes)
        self._taken_bytes -= size_bytes
        self._read_ahead.give_back(size_bytes)

    def _learn(self, outcomes: Sequence[Outcome]) -> None:
        """How many items the next runs may have, given what these weigh."""
        sizes = [len(outcome.data) for outcome in outcomes if type(outcome) is ItemData]
        if not sizes:
            return
        fitting = self._limits.run_bytes * len(sizes) // max(sum(sizes), 1)
        self._run_items = max(min(fitting, self._limits.run_items), _MIN_RUN_ITEMS)

    async def _read(self, items: Sequence[BatchItem]) -> Sequence[Outcome]:
        if self._check is None:
            return await self._send_for(items)
        refused: dict[int, StoreError] = {}
        for number, item in enumerate(items):
            try:
                await self._check(item)
            except StoreError as error:
                refused[number] = error
        wanted = [item for number, item in enumerate(items) if number not in refused]
        found = iter(await self._send_for(wanted) if wanted else ())
        return [
            refused[number] if number in refused else next(found) for number in range(len(items))
        ]

    async def _send_for(self, items: Sequence[BatchItem]) -> Sequence[Outcome]:
        max_bytes = self._limits.run_bytes
        shares = self._senders.shares(items)
        if len(shares) == 1:
            return await shares[0][0].read(items, max_bytes)
        outcomes: list[Outcome] = [None] * len(items)

        async def read_share(sender: BatchSender, share: Sequence[int]) -> None:
            wanted = [items[number] for number in share]
            for number, outcome in zip(share, await sender.read(wanted, max_bytes), strict=True):
                outcomes[number] = outcome

        await asyncio.gather(*(read_share(*each) for each in shares))
        return outcomes
