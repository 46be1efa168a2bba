"""Owns what tests make a MemoryBackend do wrong, or make it wait for, and its count of what was asked of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

Action = Callable[[], Awaitable[None]]
"""What happens at a point of an operation. What it raises comes out of the operation there."""


class Gate:
    """A point where an operation waits until it is let through."""

    def __init__(self) -> None:
        self._reached = asyncio.Event()
        self._opened = asyncio.Event()
        self.waiting = 0

    async def reached(self, within_s: float = 10.0) -> None:
        """Until somebody has come here."""
        async with asyncio.timeout(within_s):
            await self._reached.wait()

    def open(self) -> None:
        """Let everybody through, now and later."""
        self._opened.set()

    async def __call__(self) -> None:
        """Be the operation that comes here."""
        self.waiting += 1
        self._reached.set()
        try:
            await self._opened.wait()
        finally:
            self.waiting -= 1


@dataclass(slots=True)
class Read:
    """A reader that was opened: what it promised, and what it gave."""

    bucket: str
    key: str
    first: int
    length: int
    given_bytes: int = 0
    is_closed: bool = False


@dataclass(slots=True)
class _Planned:
    operation: str
    action: Action
    times: int
    key: str | None


@dataclass(slots=True)
class _InRead:
    at_bytes: int
    action: Action
    times: int
    key: str | None


@dataclass(slots=True)
class Wrongs:
    """How readers go wrong: what they leave out at the end, promise too much (or, below zero, too little), and which
    byte they change. Each holds until it is set back."""

    truncated_to: int | None = None
    promised_more: int = 0
    flipped_at: int | None = None


@dataclass(slots=True)
class Faults:
    """What is to happen in a MemoryBackend, and what did. Operations go by the names of Backend's methods."""

    calls: Counter[str] = field(default_factory=Counter)
    reads: list[Read] = field(default_factory=list)
    written_bytes: Counter[str] = field(default_factory=Counter)
    wrongs: Wrongs = field(default_factory=Wrongs)
    _planned: list[_Planned] = field(default_factory=list)
    _in_read: list[_InRead] = field(default_factory=list)

    # --- for tests ---

    @property
    def read_bytes(self) -> int:
        """How many bytes all readers gave."""
        return sum(read.given_bytes for read in self.reads)

    @property
    def open_readers(self) -> int:
        """How many readers nobody has closed."""
        return sum(not read.is_closed for read in self.reads)

    def fail(
        self, operation: str, error: Exception, *, times: int = 1, key: str | None = None
    ) -> None:
        """Let the next calls of an operation ("*": of any) fail before they did anything; `times` -1: for good."""
        self.act(operation, partial(_raise, error), times=times, key=key)

    def hold(self, operation: str, *, times: int = 1, key: str | None = None) -> Gate:
        """Let the next calls wait before they did anything."""
        gate = Gate()
        self.act(operation, gate, times=times, key=key)
        return gate

    def act(
        self, operation: str, action: Action, *, times: int = 1, key: str | None = None
    ) -> None:
        """Let something happen at the beginning of the next calls of an operation."""
        self._planned.append(_Planned(operation, action, times, key))

    def act_in_read(
        self, at_bytes: int, action: Action, *, times: int = 1, key: str | None = None
    ) -> None:
        """Let something happen when the next reader has given so many bytes (readers end a chunk there)."""
        self._in_read.append(_InRead(at_bytes, action, times, key))

    def hold_read(self, at_bytes: int, *, times: int = 1, key: str | None = None) -> Gate:
        """Let the next reader wait when it has given so many bytes."""
        gate = Gate()
        self.act_in_read(at_bytes, gate, times=times, key=key)
        return gate

    def fail_read(
        self, at_bytes: int, error: Exception, *, times: int = 1, key: str | None = None
    ) -> None:
        """Let the next reader break off when it has given so many bytes."""
        self.act_in_read(at_bytes, partial(_raise, error), times=times, key=key)

    def clear(self) -> None:
        """Nothing goes wrong any more. What was counted stays."""
        self._planned.clear()
        self._in_read.clear()
        self.wrongs = Wrongs()

    # --- for the backend ---

    async def begin(self, operation: str, key: str = "") -> None:
        """An operation begins."""
        self.calls[operation] += 1
        for planned in list(self._planned):
            if planned.operation in (operation, "*") and planned.key in (None, key):
                if planned.times > 0:
                    planned.times -= 1
                if planned.times == 0:
                    self._planned.remove(planned)
                await planned.action()

    def of_read(self, key: str) -> list[tuple[int, Action]]:
        """What a reader that is opened now meets on its way, by offsets."""
        met = []
        for planned in list(self._in_read):
            if planned.key in (None, key):
                met.append((planned.at_bytes, planned.action))
                planned.times -= 1
                if planned.times == 0:
                    self._in_read.remove(planned)
        return sorted(met, key=lambda each: each[0])


async def _raise(error: Exception) -> None:
    raise error
