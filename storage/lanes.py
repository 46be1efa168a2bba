"""Owns work that goes through a thread pool in order, block by block, while the event loop gathers the next block."""

from __future__ import annotations

import asyncio
import collections
import concurrent.futures
import functools
import threading
from collections.abc import Callable, Sequence

Block = Sequence[bytes]

# After so many blocks a lane lets the pool's other users in.
_TURN_BLOCKS = 4


class Lane:
    """Blocks pushed on the loop's thread are worked off in order, by one pool thread at a time."""

    def __init__(
        self, executor: concurrent.futures.Executor, work: Callable[[Block], None]
    ) -> None:
        self._executor = executor
        self._work = work
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._tasks: collections.deque[tuple[Callable[[], None], int]] = collections.deque()
        self._is_running = False
        self._waiter: asyncio.Future[None] | None = None
        self._error: Exception | None = None
        self._queued_bytes = 0

    def push(self, block: Block, size_bytes: int) -> None:
        """Add a block."""
        self._add(functools.partial(self._work, block), size_bytes)

    def _add(self, task: Callable[[], None], size_bytes: int) -> None:
        with self._lock:
            self._tasks.append((task, size_bytes))
            self._queued_bytes += size_bytes
            must_start, self._is_running = not self._is_running, True
        if must_start:
            self._executor.submit(self._run)

    async def wait_below(self, limit_bytes: int) -> None:
        """Until no more than so many bytes wait. Raises what the work raised."""
        while self._error is None and self._queued_bytes > limit_bytes:
            self._waiter = self._loop.create_future()
            # The thread may have finished before it could see the waiter.
            if self._queued_bytes > limit_bytes and self._error is None:
                await self._waiter
        if self._error is not None:
            raise self._error

    def give_up(self, last: Callable[[], None]) -> None:
        """Forget what waits and end with `last`, after a block that is being worked on."""
        with self._lock:
            self._tasks.clear()
        self._add(last, 0)

    def _run(self) -> None:
        for _ in range(_TURN_BLOCKS):
            with self._lock:
                if not self._tasks:
                    self._is_running = False
                    return
                task, size_bytes = self._tasks.popleft()
            try:
                task()
            except Exception as error:
                self._error = error
            with self._lock:
                self._queued_bytes -= size_bytes
            try:
                self._loop.call_soon_threadsafe(self._wake)
            except RuntimeError:
                continue  # the loop has gone; what is left is clean-up
        self._executor.submit(self._run)

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
