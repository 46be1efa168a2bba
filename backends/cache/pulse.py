"""Owns Pulse: how a task tells any number of others that something has changed, again and again."""

from __future__ import annotations

import asyncio


class Pulse:
    """Who waits is woken by the next beat. One event loop."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []

    async def wait(self) -> None:
        """Until the next beat. Look at what is waited for first: a beat that was is over."""
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(woken)
        await woken

    def beat(self) -> None:
        """Wake all."""
        waiting, self._waiting = self._waiting, []
        for woken in waiting:
            if not woken.done():  # else cancelled
                woken.set_result(None)
