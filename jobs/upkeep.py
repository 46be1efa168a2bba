"""Owns the kinds of jobs that keep a store in order, and those that have nothing to do on a single node."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from core.control import ControlStore
from core.errors import NoSuchBucket
from core.job_table import BUCKET, parse_ref
from core.listing import ListQuery
from core.protocols import ObjectStore
from jobs.periodic import ShouldStop
from jobs.queue import JobContext, OnDemand

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class NothingToDo(OnDemand):
    """A JobKind that says why there is nothing to do, and has done it."""

    name: str
    reason: str

    async def run(self, context: JobContext) -> None:
        """As JobKind."""
        context.say(self.reason)


@dataclass(frozen=True, slots=True)
class Removed:
    """What a cleanup did: blobs without an object, their bytes, and all of it in words."""

    blobs: int
    size_bytes: int
    report: str


@dataclass(frozen=True, slots=True)
class CleanupJob(OnDemand):
    """Removes what crashes left behind, now: a JobKind around a blocking function."""

    clean: Callable[[ShouldStop], Removed]
    name = "cleanup-store"
    is_exclusive = True

    async def run(self, context: JobContext) -> None:
        """As JobKind."""
        context.say("looking for blobs that nothing names")
        removed = await asyncio.to_thread(self.clean, lambda: context.is_stopping)
        context.check()
        context.count(objects=removed.blobs, size_bytes=removed.size_bytes)
        context.say(removed.report or "nothing to remove")


@dataclass(frozen=True, slots=True)
class WarmUpJob(OnDemand):
    """Reads the records of all objects of a bucket, so that the pages of the index that have them are in memory."""

    control: ControlStore
    store: ObjectStore
    name = "load-lom-cache"

    async def run(self, context: JobContext) -> None:
        """As JobKind."""
        ref = parse_ref(context.arguments[BUCKET])
        bucket = self.control.bucket(ref)
        if bucket is None:
            raise NoSuchBucket(bucket=ref.name, ref=ref)
        context.say("reading the index")
        while True:
            await context.throttle()
            query = ListQuery(after=context.cursor, limit=_PAGE)
            page = await self.store.list_objects(bucket, query)
            sizes = sum(info.size_bytes for info in page.entries)
            context.count(objects=len(page.entries), size_bytes=sizes)
            if not page.is_truncated:
                return
            context.cursor = page.next_after
