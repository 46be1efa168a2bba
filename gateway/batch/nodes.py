"""Owns which node does what of a batch: first the one that puts it together is chosen, then, by that, those that send.

That order lets an assembling node be reached before any sender has begun, so that nothing is sent to nobody.
"""

from __future__ import annotations

from typing import Protocol

from gateway.batch.request import BatchRequest
from gateway.batch.service import Batch, BatchSettings
from gateway.batch.window import Check


class BatchAssembler(Protocol):
    """A node that puts batches together. Its own choice are the senders (core.batches.BatchSenders)."""

    @property
    def settings(self) -> BatchSettings: ...

    async def begin(self, request: BatchRequest, check: Check | None) -> Batch:
        """Let a batch in; close what is returned. `check` is asked before an item is read. Raises Overloaded."""


class BatchNodes(Protocol):
    """The nodes that batches may be put together on."""

    def assembler(self, request: BatchRequest) -> BatchAssembler:
        """The one for this batch: best where most of its bytes lie."""


class OneBatchNode:
    """BatchNodes of a cluster of one node."""

    def __init__(self, assembler: BatchAssembler) -> None:
        self._assembler = assembler

    def assembler(self, request: BatchRequest) -> BatchAssembler:
        return self._assembler
