"""Owns the end of bucket deletions that were cut short, or too much for the request: a bucket that storage has closed
to writes, though the control store still names it, is opened again; one that the control store has forgotten is
dropped for good, with all that is in it. So is what was here of a bucket that has been bound to another one since.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from core.control import ControlStore
from core.names import BucketName, BucketRef
from core.protocols import Clock
from core.types import NOBODY, Bucket, User

GRACE_NS = 60 * 10**9
"""A deletion that runs now has its bucket closed too, but not for so long: its one step in between is a commit. And
requests that know a bucket by the id that it had before it was bound anew have this time to end."""
_SOMEBODY = User(NOBODY, "", "")


class ClosedBuckets(Protocol):
    """What the job asks of a StorageNode."""

    async def closed_buckets(self) -> Mapping[int, int]:
        """Bucket id → when it was closed, ns since the epoch, of all that are closed now."""

    async def close_bucket(self, bucket: Bucket, *, even_if_full: bool = False) -> None: ...
    async def reopen_bucket(self, bucket: Bucket) -> None: ...
    async def forget_bucket(self, bucket_id: int) -> bool:
        """drop_bucket, for a bucket of which nothing but the id is known any more."""


@dataclass(frozen=True, slots=True)
class BucketRepairJob:
    """A Job. `started_ns` is when this node started: what was closed before is no running deletion's."""

    interval_s: float
    control: ControlStore
    node: ClosedBuckets
    clock: Clock
    started_ns: int

    @property
    def name(self) -> str:
        return "bucket repair"

    async def run(self, stop: asyncio.Event) -> str:
        before_ns = max(self.clock.now_ns() - GRACE_NS, self.started_ns)
        await self._close_retired(before_ns)
        closed = await self.node.closed_buckets()
        if not closed:
            return ""
        # Asked after the list was made: a bucket that is not here now was deleted, for a new one is never closed.
        named = {bucket.bucket_id: bucket for bucket in self.control.buckets()}
        reopened = dropped = 0
        for bucket_id, closed_ns in closed.items():
            bucket = named.get(bucket_id)
            if bucket is None:
                # A worker may be at it too; each of its commits and ours finds what is left.
                dropped += await self._drop(bucket_id, stop)
            elif closed_ns < before_ns:
                await self.node.reopen_bucket(bucket)
                reopened += 1
            if stop.is_set():
                break
        if not reopened and not dropped:
            return ""
        return f"reopened {reopened} buckets, dropped {dropped}"

    async def _close_retired(self, before_ns: int) -> None:
        """What is closed and not named is dropped."""
        for retired in self.control.retired_buckets():
            if retired.at_ns < before_ns:
                nameless = Bucket(BucketRef(BucketName("")), retired.bucket_id, _SOMEBODY, 0)
                await self.node.close_bucket(nameless, even_if_full=True)
                await asyncio.to_thread(self.control.forget_retired_sync, retired.bucket_id)

    async def _drop(self, bucket_id: int, stop: asyncio.Event) -> bool:
        """Whether it came to the end."""
        while not await self.node.forget_bucket(bucket_id):
            if stop.is_set():
                return False
        return True
