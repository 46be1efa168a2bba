"""Owns Batches: what a worker has of batches together. Which of them may begin, how much they read ahead, who sends,
and the job that they belong to."""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from core.batches import BatchItem, BatchSender, BatchSenders
from core.errors import Overloaded
from gateway.batch.assembly import Assembly, AssemblyRules, BatchCounters
from gateway.batch.request import BatchRequest
from gateway.batch.window import Check, ReadAhead, Window, WindowLimits
from gateway.batch.writers import WRITERS, ArchiveWriter

logger = logging.getLogger(__name__)

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


class BatchLedger(Protocol):
    """The standing job that all batches count in."""

    @property
    def job_id(self) -> str: ...

    def begin(self) -> Callable[[], bool]:
        """A batch begins; what is returned says whether it should stop."""

    def end(self, counters: BatchCounters) -> None:
        """A batch that had begun is over."""


class LocalSenders:
    """BatchSenders of a cluster of one node: it has everything."""

    def __init__(self, sender: BatchSender) -> None:
        self._sender = sender

    def sender(self, item: BatchItem) -> BatchSender:
        return self._sender


class NoLedger:
    """Counts in no job."""

    def __init__(self) -> None:
        self.job_id = f"gbt-{secrets.token_urlsafe(6)}"

    def begin(self) -> Callable[[], bool]:
        return lambda: False

    def end(self, counters: BatchCounters) -> None:
        return


class Batches:
    """For one event loop."""

    def __init__(
        self, senders: BatchSenders, settings: BatchSettings, ledger: BatchLedger | None = None
    ) -> None:
        self.settings = settings
        self.ledger: BatchLedger = NoLedger() if ledger is None else ledger
        self._senders = senders
        self._read_ahead = ReadAhead(settings.read_ahead_bytes)
        self._limits = WindowLimits()
        self._pending = 0
        self.is_under_pressure: Callable[[], bool] = lambda: False

    def begin(self, request: BatchRequest, check: Check | None) -> Batch:
        """Let a batch in; close what is returned. Raises Overloaded."""
        if self._pending >= self.settings.max_pending:
            raise Overloaded(what="pending batches", retry_after_s=_RETRY_AFTER_S)
        if self.is_under_pressure():
            raise Overloaded(what="memory or disks", retry_after_s=_RETRY_AFTER_S)
        self._pending += 1
        window = Window(request.items, self._senders, self._limits, self._read_ahead, check)
        return Batch(self, request, window, self.ledger.begin())

    def end(self, counters: BatchCounters) -> None:
        """A batch that was let in is over."""
        self._pending -= 1
        self.ledger.end(counters)


class Batch:
    """One batch that was let in: its archive, as an iterator that begins with what `prime` has read."""

    def __init__(
        self,
        batches: Batches,
        request: BatchRequest,
        window: Window,
        is_stopped: Callable[[], bool],
    ) -> None:
        self.writer: ArchiveWriter = WRITERS[request.archive]()
        self.rules = AssemblyRules(batches.settings.max_soft_errors, is_stopped)
        if not request.is_streaming:
            self.rules.told = []
        self._batches = batches
        self._blocks = Assembly(request, window, self.writer, self.rules).blocks()
        self._first: bytes | None = None
        self._is_closed = False

    async def prime(self) -> None:
        """Assemble the first block, so that what is wrong from the beginning can still be said with a status."""
        self._first = await anext(self._blocks, None)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        first, self._first = self._first, None
        return await anext(self._blocks) if first is None else first

    async def aclose(self) -> None:
        """Stop reading. Idempotent."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            await self._blocks.aclose()  # type: ignore[attr-defined]  # an async generator
        finally:
            self._batches.end(self.rules.counters)
            self._log()

    def _log(self) -> None:
        counters = self.rules.counters
        logger.debug(
            "batch objects=%d files=%d bytes=%d soft_errors=%d wait_ms=%.1f",
            counters.objects,
            counters.files,
            counters.object_bytes + counters.file_bytes,
            counters.soft_errors,
            counters.wait_ns / 1e6,
        )
