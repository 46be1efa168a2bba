"""Owns Pulse: how a task tells any number of others that something has changed, again and again."""

from __future__ import annotations

import asyncio


class Pulse:
    """Who waits is woken by the next beat. One event loop."""

    __slots__ = ("_next",)

    def __init__(self) -> None:
        self._next: asyncio.Future[None] | None = None

    async def wait(self) -> None:
        """Until the next beat. Look at what is waited for first: a beat that was is over."""
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._next)

    def beat(self) -> None:
        """Wake all."""
        if self._next is not None:
            self._next.set_result(None)
            self._next = None
