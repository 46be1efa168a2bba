"""Owns work on many things at once inside a job: a bounded number of workers, and a cursor that is right."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from jobs.queue import JobContext

T = TypeVar("T")

MAX_WORKERS = 64
_AHEAD = 8
"""Pieces that may be done, for each worker, while an earlier one is not: so much is done twice after a death."""


@dataclass(slots=True)
class _Piece(Generic[T]):
    cursor: str
    is_done: bool = False


async def work_through(
    context: JobContext,
    pieces: AsyncIterable[tuple[str, T]],
    work: Callable[[T], Awaitable[None]],
    *,
    workers: int,
) -> None:
    """Do `work` on each piece, `workers` at a time at most, as fast as the node's load lets it.

    Pieces come with the cursor from which one goes on once they, and all before them, are done; "" leaves it. The first
    error ends the others and is raised, as is JobStopped; the cursor is then behind the last piece before which nothing
    is undone.
    """
    workers = max(1, min(workers, MAX_WORKERS))
    context.use_workers(workers)
    line: deque[_Piece[T]] = deque()
    room = asyncio.Semaphore(workers)
    moved = asyncio.Event()

    async def do(piece: _Piece[T], item: T) -> None:
        try:
            await work(item)
        finally:
            room.release()
        piece.is_done = True
        while line and line[0].is_done:
            context.cursor = line.popleft().cursor or context.cursor
        moved.set()

    try:
        async with asyncio.TaskGroup() as group:
            async for cursor, item in pieces:
                await context.throttle()
                while len(line) >= workers * _AHEAD:
                    moved.clear()
                    await moved.wait()
                await room.acquire()
                piece: _Piece[T] = _Piece(cursor)
                line.append(piece)
                group.create_task(do(piece, item))
    except BaseExceptionGroup as failures:
        raise first_error(failures) from None


def first_error(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that ended a task group."""
    error: BaseException = failures
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
