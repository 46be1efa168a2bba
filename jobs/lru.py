"""Owns the eviction of what was read longest ago, where disks grow full of copies: when it begins (SpaceWatch), and
what it gives up (LruJob).

A disk above the high watermark is brought below the low one. Only copies of what a backend has are given up, in
buckets that let them be, and none that is locked, in use, in doubt, or was read within the time that its bucket keeps.
Memory is bounded by the candidates of one round.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from core.backends import copies_of
from core.configs.sections import is_on, number, seconds
from core.job_table import BUCKET, parse_ref
from core.jobs import JobStore
from core.listing import Detail, ListQuery
from core.names import ObjectKey
from core.nodes import DiskUse
from core.protocols import Clock, ObjectStore
from core.types import Bucket, ObjectInfo
from jobs.eviction import evict
from jobs.queue import JobContext, OnDemand

LRU = "lru"
_PAGE = 1000
_KEEP_S = 2 * 3600.0
_ROUND = 32_768
_MAX_ROUNDS = 1000
_RECLAIM_S = 0.5
"""Blobs of what was given up are removed in the background; so long after, most are gone."""

_NS_PER_S = 10**9


class Disks(Protocol):
    """What eviction asks of a storage node."""

    def disk_uses_sync(self) -> Sequence[DiskUse]:
        """Of the disks that are there. Blocks."""

    def disk_of(self, bucket: Bucket, key: ObjectKey) -> int:
        """The number of the disk that an object has most of its bytes on."""


class Usage(Protocol):
    """What is known of how copies are used; see backends.cache.usage."""

    lag_s: float

    async def times(self, bucket: Bucket, keys: Sequence[ObjectKey]) -> Mapping[ObjectKey, int]: ...
    def in_use(self, bucket: Bucket, keys: Sequence[ObjectKey]) -> Collection[ObjectKey]: ...
    async def forget(self, bucket: Bucket, keys: Sequence[ObjectKey]) -> None: ...


class AllBuckets(Protocol):
    """What eviction asks of the control store."""

    def buckets(self) -> Sequence[Bucket]: ...


@dataclass(frozen=True, slots=True)
class Watermarks:
    """In percent of a disk: above `high` eviction begins, below `low` it ends."""

    low: float
    high: float


@dataclass(slots=True)
class SpaceWatch:
    """A Job that asks for eviction when a disk is above the high watermark."""

    interval_s: float
    disks: Disks
    buckets: AllBuckets
    records: JobStore
    marks: Watermarks
    clock: Clock
    name: str = "space watch"

    async def run(self, stop: asyncio.Event) -> str:
        """As Job."""
        return await asyncio.to_thread(self._look_sync)

    def _look_sync(self) -> str:
        if not any(_may_lose_copies(bucket) for bucket in self.buckets.buckets()):
            return ""
        uses = self.disks.disk_uses_sync()
        if all(use.above_bytes(self.marks.high) <= 0 for use in uses):
            return ""
        if any(record.kind == LRU for record in self.records.list_sync(only_pending=True)):
            return ""
        record = self.records.add_sync(LRU, {}, self.clock.now_ns())
        return f"a disk is above {self.marks.high:g} %: eviction {record.job_id}"


@dataclass(frozen=True, slots=True)
class LruJob(OnDemand):
    """A JobKind. Asked for by hand, it evicts down to the low watermark too; with a bucket, of that one alone."""

    present: ObjectStore
    disks: Disks
    usage: Usage
    buckets: AllBuckets
    marks: Watermarks
    name = LRU
    is_exclusive = True

    async def run(self, context: JobContext) -> None:
        """As JobKind."""
        if not any(_may_lose_copies(bucket) for bucket in self.buckets.buckets()):
            context.say("nothing to evict: ais buckets are the only place of their objects")
            return
        await asyncio.sleep(self.usage.lag_s)
        for _ in range(_MAX_ROUNDS):
            uses = await asyncio.to_thread(self.disks.disk_uses_sync)
            needs = {use.number: use.above_bytes(self.marks.low) for use in uses}
            needs = {number: size for number, size in needs.items() if size > 0}
            if not needs:
                context.say(f"every disk is below {self.marks.low:g} %")
                return
            context.say(f"looking for {sum(needs.values())} bytes to give up")
            round_ = _Round(needs)
            async for bucket, info, at_s in self._copies(context):
                round_.offer(self.disks.disk_of(bucket, info.key), bucket, info, at_s)
            given_up = await self._give_up(context, round_)
            if not given_up:
                context.say(
                    "nothing may be given up: the rest is in use, locked, or was read lately"
                )
                return
            await asyncio.sleep(_RECLAIM_S)

    async def _copies(self, context: JobContext) -> AsyncIterator[tuple[Bucket, ObjectInfo, int]]:
        """All that may be given up, and when it was read last (s)."""
        only = context.arguments.get(BUCKET)
        for bucket in self.buckets.buckets():
            if not _may_lose_copies(bucket) or (only and bucket.ref != parse_ref(only)):
                continue
            keep_s = seconds(bucket.props.native, "lru.dont_evict_time", _KEEP_S)
            copies, after = copies_of(bucket), ""
            while True:
                context.check()
                await context.throttle()
                query = ListQuery(after=after, limit=_PAGE, detail=Detail.WHOLE)
                page = await self.present.list_objects(copies, query)
                times = await self.usage.times(bucket, [info.key for info in page.entries])
                latest_s = time.time() - keep_s
                for info in page.entries:
                    at_s = times.get(info.key, info.modified_ns // _NS_PER_S)
                    if at_s <= latest_s and _is_free(info):
                        yield bucket, info, at_s
                if not page.is_truncated:
                    break
                after = page.next_after

    async def _give_up(self, context: JobContext, round_: _Round) -> int:
        """How many bytes were given up, the oldest first."""
        given_up = 0
        for bucket, infos in round_.groups():
            context.check()
            used = set(self.usage.in_use(bucket, [info.key for info in infos]))
            found = {info.key: info for info in infos if info.key not in used}
            if not found or not self._is_still_bound(bucket):
                continue
            done = await evict(self.present, bucket, list(found), found)
            await self.usage.forget(bucket, list(found))
            given_up += done.size_bytes
            context.count(objects=done.objects, size_bytes=done.size_bytes)
        return given_up

    def _is_still_bound(self, bucket: Bucket) -> bool:
        """A bucket that was let go of meanwhile owns what were copies."""
        return any(
            each.bucket_id == bucket.bucket_id and _may_lose_copies(each)
            for each in self.buckets.buckets()
        )


def _may_lose_copies(bucket: Bucket) -> bool:
    """Where a backend has the objects, unless the bucket says no."""
    return bucket.props.backend is not None and is_on(bucket.props.native, "lru.enabled", True)


def _is_free(info: ObjectInfo) -> bool:
    attributes = info.attributes
    is_locked = attributes.retention is not None or bool(attributes.legal_hold)
    return info.remote is not None and not info.remote.in_doubt and not is_locked


@dataclass(slots=True)
class _Round:
    """The copies read longest ago that make up what each disk needs."""

    needs: Mapping[int, int]
    _heaps: dict[int, list[tuple[int, int, Bucket, ObjectInfo]]] = field(default_factory=dict)
    _sizes: dict[int, int] = field(default_factory=dict)
    _count: int = 0

    def offer(self, disk: int, bucket: Bucket, info: ObjectInfo, at_s: int) -> None:
        """Take it if its disk needs it, in place of what was read later."""
        need = self.needs.get(disk)
        if need is None:
            return
        heap = self._heaps.setdefault(disk, [])
        size = self._sizes.get(disk, 0)
        most = number(bucket.props.native, "lru.batch_size", _ROUND)
        if (size >= need or len(heap) >= most) and heap and at_s >= -heap[0][0]:
            return
        self._count += 1
        # The latest is on top.
        heapq.heappush(heap, (-at_s, self._count, bucket, info))
        size += info.size_bytes
        while heap and (len(heap) > most or size - heap[0][3].size_bytes >= need):
            size -= heapq.heappop(heap)[3].size_bytes
        self._sizes[disk] = size

    def groups(self) -> list[tuple[Bucket, list[ObjectInfo]]]:
        """By bucket, up to 1,000 at a time, in the order in which they were read."""
        chosen = sorted(
            (entry for heap in self._heaps.values() for entry in heap),
            key=lambda entry: (-entry[0], entry[1]),
        )
        found: list[tuple[Bucket, list[ObjectInfo]]] = []
        open_groups: dict[int, list[ObjectInfo]] = {}
        for _, _, bucket, info in chosen:
            group = open_groups.get(bucket.bucket_id)
            if group is None or len(group) >= _PAGE:
                group = open_groups[bucket.bucket_id] = []
                found.append((bucket, group))
            group.append(info)
        return found
