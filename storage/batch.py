"""Owns a batch: operations that wait for one transaction, how it runs them, and how their callers are told."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from storage.transaction import Operation, Together, Transaction, run_guarded

_log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Waiting:
    """An operation in the queue, and the future that is told of its outcome. `frees`: it makes room."""

    operation: Operation[Any]
    is_durable: bool
    future: asyncio.Future[Any] | concurrent.futures.Future[Any] | None
    frees: bool = False
    is_lazy: bool = False
    together: Together[Any] | None = None
    value: Any = None
    error: Exception | None = None


def run_all(tx: Transaction, batch: Sequence[Waiting]) -> Sequence[Waiting]:
    """Run a batch in a transaction; what each returned or raised is noted on it. Gives those that ran by themselves,
    or, in one that only adds, were left out."""
    alone: list[Waiting] = []
    groups: dict[Together[Any], list[Waiting]] = {}
    for waiting in batch:
        if waiting.together is None:
            alone.append(waiting)
        else:
            groups.setdefault(waiting.together, []).append(waiting)
    for together, members in groups.items():
        alone += _run_together(tx, together, members)
    for waiting in () if tx.only_adds else alone:
        waiting.value, waiting.error = run_guarded(tx, waiting.operation)
    return alone


def _run_together(
    tx: Transaction, together: Together[Any], members: Sequence[Waiting]
) -> Sequence[Waiting]:
    """Gives those that are left to run by themselves."""
    operations = [waiting.operation for waiting in members]
    outcomes, _ = run_guarded(tx, lambda tx: together(tx, operations))
    if outcomes is None:
        return members
    for waiting, outcome in zip(members, outcomes, strict=True):
        waiting.value, waiting.error = (
            (None, outcome) if isinstance(outcome, Exception) else (outcome, None)
        )
    return [each for each in members if each.value is None and each.error is None]


def resolve(batch: Sequence[Waiting]) -> None:
    """Tell every future, with one wake-up for each event loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Waiting]] = {}
    for waiting in batch:
        future = waiting.future
        if isinstance(future, asyncio.Future):
            by_loop.setdefault(future.get_loop(), []).append(waiting)
        elif future is not None:
            _settle(waiting, future)
        elif waiting.error is not None:
            _log.warning("background commit failed error=%r", waiting.error)
    for loop, told in by_loop.items():
        try:
            loop.call_soon_threadsafe(_settle_all, told)
        except RuntimeError:
            _log.debug("the event loop has gone before its commits")


def _settle_all(batch: Sequence[Waiting]) -> None:
    for waiting in batch:
        if waiting.future is not None and not waiting.future.done():
            _settle(waiting, waiting.future)


def _settle(waiting: Waiting, future: asyncio.Future[Any] | concurrent.futures.Future[Any]) -> None:
    if waiting.error is not None:
        future.set_exception(waiting.error)
    else:
        future.set_result(waiting.value)
