"""Owns what keeps the indexes of shards in step with the shards: word of each change is left in its own commit, and
carried out here; what was missed, as with the end of a whole bucket, is found by going through the indexes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from core.errors import Corrupt, NotFound, StoreError, Unavailable
from core.events import PendingEvent
from core.listing import ListPage, ListQuery
from core.names import BucketRef, ObjectKey
from core.protocols import Clock
from core.shard_indexes import (
    INDEX_BUCKET,
    SHARDS_CHANGED,
    is_tar_key,
    parse_shard_message,
    shard_of,
)
from core.shards import Shards
from core.types import Bucket, ObjectInfo
from jobs.event_delivery import Sent

logger = logging.getLogger(__name__)

_CONCURRENCY = 2
_PAGE = 1000
_PAGES = 10
_MIN_AGE_NS = 3600 * 10**9
"""An index is stored before its shard is flagged; a younger one may still come to be needed."""


class Buckets(Protocol):
    """What the upkeep asks of the control store. Never blocks for long."""

    def bucket(self, ref: BucketRef) -> Bucket | None: ...


class Objects(Protocol):
    """What the upkeep asks of an ObjectStore."""

    async def head(self, bucket: Bucket, key: ObjectKey) -> ObjectInfo: ...
    async def list_objects(self, bucket: Bucket, query: ListQuery) -> ListPage: ...
    async def delete(self, bucket: Bucket, key: ObjectKey) -> object: ...


class ChangedShards:
    """A destination of messages: has new shards indexed where their bucket wants that, and indexes removed whose shard
    is gone. One message may come twice."""

    name = SHARDS_CHANGED

    def __init__(self, store: Objects, shards: Shards, buckets: Buckets) -> None:
        self._store = store
        self._shards = shards
        self._buckets = buckets

    async def send(self, events: Sequence[PendingEvent]) -> Sent:
        turns = asyncio.Semaphore(_CONCURRENCY)
        taken: list[PendingEvent] = []
        failures: list[str] = []
        by_subject = {event.subject: event for event in events}

        async def see_to(event: PendingEvent) -> None:
            async with turns:
                try:
                    await self._see_to(*parse_shard_message(event.message))
                except Unavailable as error:
                    failures.append(str(error))
                    return
                except StoreError as error:
                    logger.warning("index of a shard left as it is: %s", error)
                taken.extend(each for each in events if each.subject == event.subject)

        async with asyncio.TaskGroup() as group:
            for event in by_subject.values():
                group.create_task(see_to(event))
        return Sent(taken, failures[0] if failures else "")

    async def close(self) -> None:
        return

    async def _see_to(self, ref: BucketRef, key: ObjectKey) -> None:
        bucket = self._buckets.bucket(ref)
        info = None
        if bucket is not None:
            try:
                info = await self._store.head(bucket, key)
            except NotFound:
                info = None
        if bucket is None or info is None:
            await self._shards.drop_index(ref, key)
        elif bucket.props.native.index_shards and is_tar_key(key):
            outcome = await self._shards.index(bucket, key)
            if outcome.reason:
                logger.info("shard %s/%s is not indexed: %s", ref.name, key, outcome.reason)
        elif not info.has_shard_index:
            await self._shards.drop_index(ref, key)


@dataclass(slots=True)
class OrphanedIndexes:
    """A Job: removes the indexes of shards and buckets that are gone. Of many indexes it looks at some in each run, so
    that the jobs that wait for it do not wait for long."""

    interval_s: float
    store: Objects
    buckets: Buckets
    clock: Clock
    _after: str = ""

    @property
    def name(self) -> str:
        return "orphaned shard indexes"

    async def run(self, stop: asyncio.Event) -> str | None:
        home = self.buckets.bucket(INDEX_BUCKET)
        removed = 0
        for _ in range(_PAGES):
            if home is None or stop.is_set():
                break
            page = await self.store.list_objects(home, ListQuery(after=self._after, limit=_PAGE))
            for entry in page.entries:
                if await self._is_orphan(entry):
                    await self.store.delete(home, entry.key)
                    removed += 1
            self._after = page.next_after if page.is_truncated else ""
            if not page.is_truncated:
                break
        return f"removed {removed} shard indexes" if removed else None

    async def _is_orphan(self, entry: ObjectInfo) -> bool:
        """Of a shard that its index's name does not tell, an index goes only with the bucket."""
        named = shard_of(entry.key)
        if named is None or self.clock.now_ns() - entry.modified_ns < _MIN_AGE_NS:
            return False
        ref, key = named
        bucket = self.buckets.bucket(ref)
        if bucket is None:
            return True
        if key is None:
            return False
        try:
            return not (await self.store.head(bucket, key)).has_shard_index
        except NotFound:
            return True
        except Corrupt:
            return False
