"""A real node with buckets of a provider in memory, the service over both, and jobs run on them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from backends.cache.store import CachedStore
from backends.memory_backend import MemoryBackend
from backends.registry import OpenBackends
from core.accounts import FixedAccounts
from core.configs.backend import BackendBinding
from core.jobs import JobProgress, JobRecord
from core.listing import ListQuery
from core.load import Load
from core.names import BucketName, BucketRef, UserId
from core.types import Bucket, BucketProps, User
from gateway.service import SingleNodeService
from jobs.children import Children
from jobs.object_group import GroupRequest
from jobs.queue import JobContext, JobKind
from jobs.selection import Selection
from storage.node import LocalNode
from tests.unit.jobs.fake_records import FakeRecords
from tests.unit.storage.box import USER, Box, Clock, key, opened

BEGINNING = JobProgress()
ALL = Selection()


def bound(name: str, bucket_id: int) -> Bucket:
    ref = BucketRef(BucketName(name), "aws")
    return Bucket(ref, bucket_id, USER, 1, props=BucketProps(backend=BackendBinding(ref)))


def named(*names: str) -> Selection:
    return Selection([key(name) for name in names])


THERE = bound("there", 9)
OTHER = bound("other", 10)
HERE = Bucket(BucketRef(BucketName("here")), 11, USER, 1)


class Control:
    """As much of a control store as jobs and the service ask."""

    def __init__(self, *buckets: Bucket) -> None:
        self.all = {bucket.ref: bucket for bucket in buckets}

    def bucket(self, ref: BucketRef) -> Bucket | None:
        return self.all.get(ref)

    def user(self, _user_id: UserId) -> User | None:
        return USER

    def delete_bucket_sync(self, ref: BucketRef) -> None:
        del self.all[ref]


class RemotePlace:
    """Two buckets at a provider, `there` and `other`, and one of our own, `here`."""

    def __init__(self, box: Box) -> None:
        self.box = box
        self.backend = MemoryBackend("there", "other")
        self.control = Control(THERE, OTHER, HERE)
        self.records = FakeRecords()
        self.backends = OpenBackends(FixedAccounts(), {"aws": lambda _: self.backend})
        self.cached = CachedStore(box.node, self.backends, Clock(), box.root / "flights")
        self.service = SingleNodeService(self.control, box.node, Clock(), self.cached)  # type: ignore[arg-type]

    @property
    def node(self) -> LocalNode:
        return self.box.node

    async def present(self, bucket: Bucket = THERE) -> list[str]:
        """What of a bucket is here."""
        return [e.key for e in (await self.node.list_objects(bucket, ListQuery())).entries]

    def context(
        self,
        request: GroupRequest,
        progress: JobProgress = BEGINNING,
        load: Load | None = None,
    ) -> JobContext:
        record = JobRecord("j", "kind", request.arguments(), progress=progress)
        self.records.records["j"] = record
        return JobContext(record, load, Children(self.records, Clock(), "j", ["blob-download"]))

    async def run(
        self, kind: JobKind, selection: Selection, *, bucket: Bucket = THERE, **changes: Any
    ) -> Mapping[str, int]:
        request = GroupRequest(bucket.ref, bucket.bucket_id, USER.user_id, selection)
        context = self.context(replace(request, **changes))
        await kind.run(context)
        return context.progress.counters


@asynccontextmanager
async def remote_place(
    root: Path, objects: Sequence[tuple[str, bytes]] = ()
) -> AsyncIterator[RemotePlace]:
    async with opened(root) as box:
        place = RemotePlace(box)
        for name, data in objects:
            place.backend.place("there", name, data)
        try:
            yield place
        finally:
            await place.cached.close()
