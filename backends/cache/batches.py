"""Owns what fetches hold of bytes between the network and the disk: each a few chunks, and all of a process together
no more than a bound, however many there are.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable

ROOM_BYTES = 24 * 1024**2
"""Of all fetches of a process. What the HTTP client has read ahead comes to it, a few 100 KiB a connection."""

_QUEUED_CHUNKS = 4
_BATCH_BYTES = 2 * 1024**2


class Room:
    """A bound on bytes that are held by many. Who takes some gives it back without waiting for more."""

    def __init__(self, size_bytes: int = ROOM_BYTES) -> None:
        self._size_bytes = size_bytes
        self.free_bytes = size_bytes
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, count: int) -> int:
        """Wait for room, in turn; gives what was taken, which is to be given back. One that wants more than there is
        takes all."""
        count = min(count, self._size_bytes)
        if count <= self.free_bytes and not self._waiting:
            self.free_bytes -= count
            return count
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((count, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give(count)
            else:
                # Who comes after one that wanted much may find room now.
                turn.cancel()
                self.give(0)
            raise
        return count

    def give(self, count: int) -> None:
        """Give room back."""
        self.free_bytes += count
        while self._waiting:
            wanted, turn = self._waiting[0]
            if turn.cancelled():
                self._waiting.popleft()
                continue
            if wanted > self.free_bytes:
                return
            self._waiting.popleft()
            self.free_bytes -= wanted
            turn.set_result(None)


async def batches_of(stream: AsyncIterable[bytes], room: Room) -> AsyncGenerator[list[bytes]]:
    """A stream's chunks, as many at a time as have come while the last were worked on; a few wait at most."""
    queue: asyncio.Queue[bytes | Exception | None] = asyncio.Queue(_QUEUED_CHUNKS)
    taken: deque[int] = deque()

    async def read() -> None:
        try:
            async for chunk in stream:
                taken.append(await room.take(len(chunk)))
                await queue.put(chunk)
            await queue.put(None)
        except Exception as error:  # it is raised again on the other side
            await queue.put(error)

    task = asyncio.create_task(read())
    try:
        while True:
            batch: list[bytes] = []
            size_bytes = 0
            item = await queue.get()
            while isinstance(item, bytes):
                batch.append(item)
                size_bytes += len(item)
                if queue.empty() or size_bytes >= _BATCH_BYTES:
                    break
                item = queue.get_nowait()
            if batch:
                yield batch
                room.give(sum(taken.popleft() for _ in batch))
            if isinstance(item, Exception):
                raise item
            if item is None:
                return
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        room.give(sum(taken))
