"""Owns the delivery of event notifications: what waits in the outboxes goes to its destinations, at least once, those
about one key in order.

Each destination has a task of its own, so one that is down delays only itself. A message leaves its outbox after the
destination has taken it; what was sent and not yet taken out when the process dies is sent again.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from core.errors import Unavailable
from core.events import PendingEvent
from jobs.runner import wait_for

logger = logging.getLogger(__name__)

_BATCH = 100
_FIRST_RETRY_S = 0.5
_REPORT_INTERVAL_S = 60.0


@dataclass(frozen=True, slots=True)
class Sent:
    """What a destination has taken of what it was given, and why not the rest; "" if it took all."""

    taken: Sequence[PendingEvent]
    failure: str = ""


class Destination(Protocol):
    """Where messages go."""

    @property
    def name(self) -> str: ...

    async def send(self, events: Sequence[PendingEvent]) -> Sent:
        """Send, and wait for the acknowledgements. Of one subject, no message is sent before the one in front of it
        was taken. Failures are told, not raised; cancelled, it leaves unknown what was taken."""

    async def close(self) -> None: ...


class Outbox(Protocol):
    """What the delivery asks of a StorageNode."""

    async def pending(self, destination: str, limit: int) -> Sequence[PendingEvent]:
        """The oldest that wait for a destination."""

    async def forget(self, events: Sequence[PendingEvent]) -> None: ...
    async def backlog(self) -> Mapping[str, int]:
        """Destination → how many wait."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often the outboxes are looked into, and the longest wait before a destination that failed is tried again."""

    poll_interval_s: float = 0.25
    max_retry_interval_s: float = 60.0


class EventDelivery:
    """Delivers to all destinations of a node until it is stopped."""

    def __init__(
        self, outbox: Outbox, destinations: Sequence[Destination], pace: Pace | None = None
    ) -> None:
        self._outbox = outbox
        self._destinations = destinations
        self._pace = pace or Pace()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set. What is being sent then is cut short, and sent again after the next start."""
        tasks = [asyncio.create_task(self._serve(each, stop)) for each in self._destinations]
        tasks.append(asyncio.create_task(self._report(stop)))
        await stop.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for destination in self._destinations:
            await destination.close()

    async def _serve(self, destination: Destination, stop: asyncio.Event) -> None:
        failures = 0
        while not stop.is_set():
            failure, has_more = await self._deliver(destination)
            if failure:
                if not failures:
                    logger.warning("events for %s are held back: %s", destination.name, failure)
                failures += 1
                await wait_for(stop, self._retry_after_s(failures))
                continue
            if failures:
                logger.info("events for %s are delivered again", destination.name)
            failures = 0
            if not has_more:
                await wait_for(stop, self._pace.poll_interval_s)

    async def _deliver(self, destination: Destination) -> tuple[str, bool]:
        """Deliver once what waits; what failed, and whether there may be more."""
        try:
            events = await self._outbox.pending(destination.name, _BATCH)
            if not events:
                return "", False
            sent = await destination.send(events)
            if sent.taken:
                await self._outbox.forget(sent.taken)
        except Unavailable as error:
            return str(error), False
        except Exception as error:
            logger.exception("delivery of events to %s failed", destination.name)
            return repr(error), False
        return sent.failure, True

    def _retry_after_s(self, failures: int) -> float:
        """Doubles with every failure; with some chance in it, so that nodes do not return to a destination together."""
        longest = self._pace.max_retry_interval_s
        wait_s = min(longest, _FIRST_RETRY_S * 2.0 ** min(failures - 1, 16))
        return wait_s * random.uniform(0.5, 1.0)

    async def _report(self, stop: asyncio.Event) -> None:
        """Say now and then what waits, also for destinations that are not configured any more."""
        while not stop.is_set():
            try:
                backlog = await self._outbox.backlog()
            except Unavailable:
                backlog = {}
            configured = {destination.name for destination in self._destinations}
            for name, count in sorted(backlog.items()):
                if name in configured:
                    logger.info("events waiting for %s: %d", name, count)
                else:
                    logger.warning("events waiting for %s, not configured: %d", name, count)
            await wait_for(stop, _REPORT_INTERVAL_S)
