"""Owns jobs that are one blocking call, done in a thread: space cleanup, copies of the control store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

ShouldStop = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class ThreadJob:
    """A Job around a blocking function, which asks its argument now and then whether to stop early.

    The function's result says in a few words what it did, "" if nothing."""

    name: str
    interval_s: float
    work: Callable[[ShouldStop], str]

    async def run(self, stop: asyncio.Event) -> str:
        return await asyncio.to_thread(self.work, stop.is_set)
