"""Owns the running of background jobs: when each is due, one at a time, and what is logged of it.

What a job does is its own module's; what it works on arrives by constructor.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from core.errors import Unavailable

logger = logging.getLogger(__name__)


class Job(Protocol):
    """Background work that is done again and again. A run that is cut short leaves nothing broken."""

    @property
    def name(self) -> str: ...
    @property
    def interval_s(self) -> float:
        """From the end of a run to the start of the next."""

    async def run(self, stop: asyncio.Event) -> str | None:
        """Do it once; blocking work runs in threads. Return soon after `stop` is set.

        The result says in a few words what was done; None or "" if there was nothing to do."""


class JobRunner:
    """Runs each job at once, then each time its interval has passed, never two together.

    A job that fails is logged and tried again at its next turn; it never stops the others.
    """

    def __init__(
        self, jobs: Sequence[Job], monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._jobs = jobs
        self._monotonic_s = monotonic_s

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; a job that is running then is told and awaited."""
        due = {job.name: (self._monotonic_s(), order) for order, job in enumerate(self._jobs)}
        by_name = {job.name: job for job in self._jobs}
        while by_name and not stop.is_set():
            name = min(due, key=lambda item: due[item])
            at_s, order = due[name]
            wait_s = at_s - self._monotonic_s()
            if wait_s > 0:
                await wait_for(stop, wait_s)
                continue
            await self._run_one(by_name[name], stop)
            due[name] = (self._monotonic_s() + by_name[name].interval_s, order)

    async def _run_one(self, job: Job, stop: asyncio.Event) -> None:
        begun_s = self._monotonic_s()
        try:
            done = await job.run(stop)
        except Unavailable as error:
            logger.warning("job %s put off: %s", job.name, error)
            return
        except Exception:
            logger.exception("job %s failed", job.name)
            return
        took_s = self._monotonic_s() - begun_s
        level = logging.INFO if done else logging.DEBUG
        logger.log(level, "job %s: %s (%.1f s)", job.name, done or "nothing to do", took_s)


async def wait_for(stop: asyncio.Event, timeout_s: float) -> None:
    """Wait until it is time to stop, but no longer than `timeout_s`."""
    try:
        async with asyncio.timeout(timeout_s):
            await stop.wait()
    except TimeoutError:
        pass
