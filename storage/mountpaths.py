"""Owns the set of a node's mountpaths and what they share: placement, the clock, and the threads for computing."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import sqlite3
from collections.abc import Callable, Sequence
from typing import TypeVar

from core import cpus
from core.errors import MountpathUnavailable
from core.names import ObjectKey
from core.nodes import Placement
from core.protocols import Clock
from core.types import Bucket
from storage.faults import RETRY_AFTER_S
from storage.layout import MountpathSpec, host_name
from storage.mountpath import Mountpath
from storage.options import StorageOptions
from storage.records import FileSegment, Segment

T = TypeVar("T")


class Mountpaths:
    """All mountpaths of the store's set, present or not. Placement is over the whole set, so an absent disk misplaces
    nothing. `only`: the one there is, if it is one."""

    def __init__(
        self,
        specs: Sequence[MountpathSpec],
        placement: Placement,
        clock: Clock,
        options: StorageOptions,
    ) -> None:
        self.all = [Mountpath(spec, options, specs) for spec in specs]
        self._classes = options.classes
        self.clock = clock
        self.options = options
        self.cpu = cpus.pool(max(2, os.cpu_count() or 1), "digest")
        self.cpu_apart = cpus.distant_pool(2, "digest-apart")
        # One thread, so that one connection has the large cache: listings are bound by the interpreter's lock anyway.
        self._scans = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="scan")
        self._placement = placement
        self.only = self.all[0] if len(self.all) == 1 else None

    def owner(self, bucket: Bucket, key: ObjectKey) -> Mountpath:
        """The mountpath that an object lives on."""
        if self.only is not None:
            return self.only
        return self.all[self._placement.mountpath_index(bucket.bucket_id, key.encode())]

    def place(self, bucket: Bucket, key: ObjectKey, storage_class: str) -> Mountpath | None:
        """The mountpath that the bytes of an object lie on, if that is not its owner: whose class the owner is not of.
        As placement goes by the highest weight, an owner that is of the class has them itself.

        Raises MountpathUnavailable if no disk of the class is there."""
        if not self._classes:
            return None
        wanted = self._classes.get(storage_class)
        if wanted is None:
            return None
        if wanted.placement is None:
            raise MountpathUnavailable(
                mountpath=storage_class,
                reason=f"no disk of storage class {storage_class} is there",
                retry_after_s=RETRY_AFTER_S,
            )
        number = wanted.placement.mountpath_index(bucket.bucket_id, key.encode())
        place = self.all[wanted.members[number]]
        return None if place is self.owner(bucket, key) else place

    def spread(self, bucket: Bucket, key: ObjectKey, storage_class: str) -> Sequence[Mountpath]:
        """The mountpaths that the pieces of an object go to in turn: all that its class lies on and whose disks are
        there, the one first that has the bytes of an undivided object. Raises MountpathUnavailable."""
        first = self.place(bucket, key, storage_class) or self.owner(bucket, key)
        wanted = self._classes.get(storage_class)
        members = self.all if wanted is None else [self.all[n] for n in wanted.members]
        at = members.index(first)
        others = [each for each in (*members[at + 1 :], *members[:at]) if each.fault is None]
        return [first, *others]

    async def check_hosts(self, segments: Sequence[Segment]) -> None:
        """Raises MountpathUnavailable if any of the blobs lies on a disk that is not there."""
        names = {
            segment.blob_id.partition("@")[2]
            for segment in segments
            if isinstance(segment, FileSegment)
        }
        for mountpath in self.all:
            if host_name(mountpath.spec) in names:
                await mountpath.run(mountpath.watch_sync)
                mountpath.opened()

    async def read_all(self, query: Callable[[list[sqlite3.Connection]], T]) -> T:
        """Run a query over the indexes of all mountpaths, in the thread for scans. Raises MountpathUnavailable."""
        opened = [mountpath.opened() for mountpath in self.all]
        return await self.all[0].run(
            lambda: query([each.scan_connection() for each in opened]), self._scans
        )

    async def open(self) -> None:
        """Open all, side by side. What cannot be opened says so when it is used."""
        await asyncio.gather(*(mountpath.run(mountpath.open_sync) for mountpath in self.all))

    async def close(self) -> None:
        """Commit what waits and give everything back."""
        await asyncio.to_thread(self._scans.shutdown)  # before the connections that it uses
        await asyncio.gather(*(asyncio.to_thread(each.close_sync) for each in self.all))
        self.cpu.shutdown()
        self.cpu_apart.shutdown()
