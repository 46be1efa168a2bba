"""Owns the putting together of a batch: what was read becomes an archive, in order, and what could not be read a
placeholder or the end of it all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from core.batches import BatchItem, ItemData, WholeItems
from core.errors import Corrupt, StoreError, Unavailable
from core.jobs import StandingJob
from core.protocols import ObjectReader
from core.tar import Entry
from gateway.batch.errors import BatchStopped, TooManySoftErrors
from gateway.batch.request import BatchRequest
from gateway.batch.window import Run, Window
from gateway.batch.writers import ArchiveWriter

T = TypeVar("T")

Block = Sequence[bytes]
"""Some of an archive, in pieces that lie where they were read."""

_NS_PER_S = 10**9
_SMALL_BYTES = 256 * 1024
"""What is opened alone and not larger is gathered with its neighbours."""


@dataclass(slots=True)
class BatchCounters:
    """What one batch came to: plain objects and files of shards with their bytes, items that failed, and the time that
    sending waited for reading."""

    objects: int = 0
    object_bytes: int = 0
    files: int = 0
    file_bytes: int = 0
    soft_errors: int = 0
    wait_ns: int = 0

    def __str__(self) -> str:
        """For the log."""
        return (
            f"objects={self.objects} object_bytes={self.object_bytes} files={self.files}"
            f" file_bytes={self.file_bytes} soft_errors={self.soft_errors}"
            f" wait_ms={self.wait_ns / 1e6:.1f}"
        )

    def count(self, item: BatchItem, size_bytes: int) -> None:
        if item.member:
            self.files += 1
            self.file_bytes += size_bytes
        else:
            self.objects += 1
            self.object_bytes += size_bytes


@dataclass(slots=True)
class AssemblyRules:
    """What an assembly does beside putting together. The job is looked at between blocks; `told`, if it is a list,
    gets the size and the error, if any, of each item in order."""

    max_soft_errors: int
    job: StandingJob
    counters: BatchCounters = field(default_factory=BatchCounters)
    told: list[tuple[int, StoreError | None]] | None = None


class Assembly:
    """One batch on its way into one archive."""

    def __init__(
        self, request: BatchRequest, window: Window, writer: ArchiveWriter, rules: AssemblyRules
    ) -> None:
        self._request = request
        self._window = window
        self._writer = writer
        self._rules = rules
        self._now_s = int(time.time())

    async def blocks(self) -> AsyncGenerator[Block, None]:
        """The archive, some of it at a time.

        Raises the error of an item that the batch cannot go on with, with its bucket as `ref`."""
        counters = self._rules.counters
        async with aclosing(self._window.runs()) as runs:
            while True:
                begun_ns = time.perf_counter_ns()
                run = await anext(runs, None)
                counters.wait_ns += time.perf_counter_ns() - begun_ns
                if run is None:
                    break
                async with aclosing(self._run_blocks(run)) as blocks:
                    async for block in blocks:
                        if self._rules.job.is_aborted:
                            raise BatchStopped
                        if any(block):
                            yield block
        yield (await self._write(self._writer.finish),)

    async def _run_blocks(self, run: Run) -> AsyncGenerator[Block, None]:
        if run.at_hand is not None:
            yield await self._write(self._whole_run(run.items, run.at_hand))
            return
        entries: list[Entry] = []
        gathered_bytes = 0
        name_of = self._request.name_of
        for number, (item, read) in enumerate(zip(run.items, run.outcomes, strict=True)):
            outcome = read
            if type(outcome) is ItemData:
                # Nearly all are.
                entries.append((name_of(item), outcome.modified_ns // _NS_PER_S, outcome.data))
                self._tell(item, len(outcome.data))
                continue
            if outcome is None:
                opened = await self._open(run, number)
                if not isinstance(opened, ItemData | StoreError):
                    try:
                        yield await self._write(partial(self._writer.add, entries))
                        entries = []
                        async for block in self._stream(item, opened):
                            yield (block,)
                    finally:
                        await opened.close()
                    continue
                outcome = opened
                gathered_bytes += len(outcome.data) if isinstance(outcome, ItemData) else 0
            if isinstance(outcome, ItemData):
                entries.append((name_of(item), outcome.modified_ns // _NS_PER_S, outcome.data))
                self._tell(item, len(outcome.data))
            else:
                entries.append(self._failed(item, outcome))
            if gathered_bytes > _SMALL_BYTES:
                yield await self._write(partial(self._writer.add, entries))
                entries, gathered_bytes = [], 0
        if entries:
            yield await self._write(partial(self._writer.add, entries))

    def _whole_run(
        self, items: Sequence[BatchItem], found: Sequence[ItemData]
    ) -> Callable[[], Block]:
        """What `_run_blocks` does of each item, for all of them: these are plain objects. Gives what writes them."""
        sizes = [len(each.data) for each in found]
        self._rules.counters.objects += len(sizes)
        self._rules.counters.object_bytes += sum(sizes)
        if self._rules.told is not None:
            self._rules.told += [(size_bytes, None) for size_bytes in sizes]
        if isinstance(items, WholeItems):
            before = self._request.before(items.bucket)
            return partial(self._writer.add_objects, before, items.keys, found)
        names = self._request.names_of(items)
        entries = [
            (name, each.modified_ns // _NS_PER_S, each.data)
            for name, each in zip(names, found, strict=True)
        ]
        return partial(self._writer.add, entries)

    async def _open(self, run: Run, number: int) -> ItemData | StoreError | ObjectReader:
        """What is to be opened alone: if it is small, its bytes."""
        begun_ns = time.perf_counter_ns()
        try:
            reader = await run.open(number)
            if reader.data is None and reader.length > _SMALL_BYTES:
                return reader
            try:
                return ItemData(await _whole(reader), reader.info.modified_ns)
            finally:
                await reader.close()
        except StoreError as error:
            return error
        finally:
            self._rules.counters.wait_ns += time.perf_counter_ns() - begun_ns

    async def _stream(self, item: BatchItem, reader: ObjectReader) -> AsyncGenerator[bytes, None]:
        """One that is not held in memory: its header, its bytes as they come, its end."""
        writer, left = self._writer, reader.length
        modified_s = reader.info.modified_ns // _NS_PER_S
        name = self._request.name_of(item)
        yield await self._write(partial(writer.begin, name, modified_s, reader.length))
        async with aclosing(_ahead(reader)) as pieces:
            async for piece in pieces:
                left -= len(piece)
                if left < 0:
                    break
                yield await self._write(partial(writer.feed, piece))
        if left:
            raise _of_item(Corrupt(what="length of an object in a batch", where=item.key), item)
        yield await self._write(writer.end)
        self._tell(item, reader.length)

    async def _write(self, call: Callable[[], T]) -> T:
        if self._writer.is_cheap:
            return call()
        return await asyncio.to_thread(call)

    def _tell(self, item: BatchItem, size_bytes: int) -> None:
        self._rules.counters.count(item, size_bytes)
        if self._rules.told is not None:
            self._rules.told.append((size_bytes, None))

    def _failed(self, item: BatchItem, error: StoreError) -> Entry:
        """The placeholder of an item that could not be read; or its error is raised."""
        rules = self._rules
        error = _of_item(error, item)
        if not self._request.continues_on_error or isinstance(error, Unavailable):
            raise error
        rules.counters.soft_errors += 1
        if rules.counters.soft_errors > rules.max_soft_errors:
            raise TooManySoftErrors(max_errors=rules.max_soft_errors, error=error)
        if rules.told is not None:
            rules.told.append((0, error))
        return self._request.missing_name_of(item), self._now_s, b""


def _of_item(error: StoreError, item: BatchItem) -> StoreError:
    """The error with what native clients are told of it: the bucket, and the object or member."""
    error.fields.setdefault("ref", item.bucket.ref)
    error.fields.setdefault("key", item.key)
    return error


async def _whole(reader: ObjectReader) -> bytes:
    """A small reader's bytes. Raises Corrupt if they are not as many as it said."""
    data = reader.data
    if data is None:
        data = b"".join([piece async for piece in reader])
    if len(data) != reader.length:
        raise Corrupt(what="length of an object in a batch", where=reader.info.key)
    return data


async def _ahead(reader: ObjectReader) -> AsyncGenerator[bytes, None]:
    """The reader's pieces; while one is sent, the next is read."""
    pieces = aiter(reader)
    task: asyncio.Task[bytes | None] = asyncio.ensure_future(_next(pieces))
    try:
        while (piece := await task) is not None:
            task = asyncio.ensure_future(_next(pieces))
            yield piece
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _next(pieces: AsyncIterator[bytes]) -> bytes | None:
    return await anext(pieces, None)
