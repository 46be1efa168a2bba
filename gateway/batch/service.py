"""Owns Batches: what a worker has of batches together. Which of them may begin, how much they read ahead, who sends,
and the job that they belong to."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.batches import BatchItem, BatchSender, BatchSenders
from core.errors import Overloaded, StoreError
from core.job_table import ref_text
from core.jobs import StandingJob, StandingJobs
from core.load import Load
from gateway.batch.assembly import Assembly, AssemblyRules, BatchCounters, Block
from gateway.batch.request import BatchRequest
from gateway.batch.window import Check, ReadAhead, Window, WindowLimits
from gateway.batch.writers import WRITERS, ArchiveWriter

logger = logging.getLogger(__name__)

KIND = "get-batch"
"""The kind of the standing jobs that batches are part of, one for each bucket."""

_RETRY_AFTER_S = 1.0


@dataclass(frozen=True, slots=True)
class BatchSettings:
    """See gateway.config.GetBatchConfig."""

    max_pending: int
    max_soft_errors: int
    read_ahead_bytes: int
    send_timeout_s: float
    max_buffered_bytes: int
    spool_directory: Path


class LocalSenders:
    """BatchSenders of a cluster of one node: it has everything."""

    def __init__(self, sender: BatchSender) -> None:
        self._sender = sender

    def sender(self, item: BatchItem) -> BatchSender:
        return self._sender

    def only(self) -> BatchSender | None:
        return self._sender

    def shares(self, items: Sequence[BatchItem]) -> Sequence[tuple[BatchSender, Sequence[int]]]:
        return [(self._sender, range(len(items)))]


class Batches:
    """For one event loop."""

    def __init__(
        self, senders: BatchSenders, settings: BatchSettings, jobs: StandingJobs, load: Load
    ) -> None:
        self.settings = settings
        self._senders = senders
        self._jobs = jobs
        self._load = load
        self._read_ahead = ReadAhead(settings.read_ahead_bytes)
        self._limits = WindowLimits()
        self._pending = 0

    async def begin(self, request: BatchRequest, check: Check | None) -> Batch:
        """Let a batch in; close what is returned. Raises Overloaded."""
        if self._pending >= self.settings.max_pending:
            raise Overloaded(what="pending batches", retry_after_s=_RETRY_AFTER_S)
        self._load.check()
        self._pending += 1
        try:
            job = await self._jobs.begin(KIND, ref_text(request.bucket.ref))
        except BaseException:
            self._pending -= 1
            raise
        window = Window(request.items, self._senders, self._limits, self._read_ahead, check)
        return Batch(request, window, job, self.settings.max_soft_errors, self._end)

    def _end(self) -> None:
        self._pending -= 1


class Batch:
    """One batch that was let in: its archive, as an iterator that begins with what `prime` has read."""

    def __init__(
        self,
        request: BatchRequest,
        window: Window,
        job: StandingJob,
        max_soft_errors: int,
        on_end: Callable[[], None],
    ) -> None:
        self.writer: ArchiveWriter = WRITERS[request.archive]()
        self.job_id = job.job_id
        self.counters = BatchCounters()
        self.told: list[tuple[int, StoreError | None]] | None = None if request.is_streaming else []
        rules = AssemblyRules(max_soft_errors, job, self.counters, self.told)
        self._job = job
        self._on_end = on_end
        self._blocks = Assembly(request, window, self.writer, rules).blocks()
        self._first: Block | None = None
        self._counted = (0, 0, 0, 0, 0)
        self._is_closed = False

    async def prime(self) -> None:
        """Assemble the first block, so that what is wrong from the beginning can still be said with a status."""
        self._first = await anext(self._blocks, None)

    def __aiter__(self) -> AsyncIterator[Block]:
        return self

    async def __anext__(self) -> Block:
        self._count()
        first, self._first = self._first, None
        return await anext(self._blocks) if first is None else first

    async def aclose(self) -> None:
        """Stop reading. Idempotent."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            await self._blocks.aclose()
        finally:
            self._count(batches=1)
            self._job.end()
            self._on_end()
            logger.info("batch job=%s %s", self.job_id, self.counters)

    def _count(self, **more: int) -> None:
        """Add what is new to the job's counters."""
        now = self.counters
        counted = (
            now.objects + now.files,
            now.object_bytes + now.file_bytes,
            now.files,
            now.soft_errors,
            now.wait_ns,
        )
        objects, size_bytes, files, soft_errors, wait_ns = self._counted
        self._job.count(
            objects=counted[0] - objects,
            size_bytes=counted[1] - size_bytes,
            files=counted[2] - files,
            soft_errors=counted[3] - soft_errors,
            wait_ns=counted[4] - wait_ns,
            **more,
        )
        self._counted = counted
