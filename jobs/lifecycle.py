"""Owns the carrying out of lifecycle rules: it pages through the buckets that have some, and does what they ask for.

What is removed is what was judged: each removal names the version as it was seen, and the store refuses it if that has
changed; locks are the store's to keep. After a restart a run goes on at its cursor, so that a store too large for one
go between two restarts gets done; keys that were judged since the cursor was kept are judged again, which does no harm.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from core import origin
from core.configs.lifecycle import Lifecycle
from core.deletion import DeleteItem, DeleteResult
from core.errors import (
    Conflict,
    InvalidArgument,
    NoSuchBucket,
    NotFound,
    ObjectLocked,
    PreconditionFailed,
    StoreError,
)
from core.events import with_origin
from core.lifecycle import (
    Action,
    ActionKind,
    KeyJudge,
    Terms,
    abort_expiry,
    aborts_uploads,
    is_active,
    prefixes,
)
from core.listing import ObjectVersion, VersionListQuery
from core.names import BucketName, BucketRef, ObjectKey, UploadId
from core.protocols import Clock, ObjectStore
from core.types import Bucket, ObjectInfo
from core.uploads import UploadListQuery
from jobs.queue import JobContext

LIFECYCLE = "lifecycle"
_PAGE = 1000
_BATCH = 100
_OBJECTS, _UPLOADS = "objects", "uploads"


class Buckets(Protocol):
    """What the job asks of the control store. Never blocks for long."""

    def bucket(self, ref: BucketRef) -> Bucket | None: ...
    def buckets(self) -> Sequence[Bucket]: ...


class Mover(Protocol):
    """What the job asks of a StorageNode."""

    async def change_class(
        self, bucket: Bucket, seen: ObjectVersion, storage_class: str
    ) -> ObjectInfo:
        """Give a version another storage class, if it is as it was `seen`. Raises PreconditionFailed, NotFound kinds,
        Unavailable kinds, Corrupt."""


@dataclass(frozen=True, slots=True, order=True)
class _Place:
    """How far a run has come: in which bucket, in which of its two passes, under which prefix, after which key."""

    bucket_id: int = 0
    stage: str = _OBJECTS
    prefix: str = ""
    after: str = ""

    @classmethod
    def parse(cls, cursor: str) -> _Place:
        return cls(*json.loads(cursor)) if cursor else cls()

    def __str__(self) -> str:
        return json.dumps([self.bucket_id, self.stage, self.prefix, self.after])


class RulesChanged(Exception):
    """The bucket's rules, or whether it has versions, are no longer those that it was judged by."""


@dataclass(slots=True)
class Rate:
    """Lets so many things happen in a second, evenly."""

    per_s: float
    monotonic_s: Callable[[], float] = time.monotonic
    _next_s: float = 0.0

    def delay_s(self, count: int) -> float:
        """How long to wait after `count` things."""
        now = self.monotonic_s()
        self._next_s = max(self._next_s, now) + count / self.per_s
        return self._next_s - now


@dataclass(frozen=True, slots=True)
class LifecycleJob:
    """A JobKind. With the argument "bucket" it looks at that bucket alone."""

    store: ObjectStore
    mover: Mover
    control: Buckets
    clock: Clock
    terms: Terms
    interval_s: float | None
    actions_per_s: float
    monotonic_s: Callable[[], float] = field(default=time.monotonic, compare=False)

    @property
    def name(self) -> str:
        return LIFECYCLE

    @property
    def is_exclusive(self) -> bool:
        return True

    def is_needed(self) -> bool:
        return any(is_active(bucket.props.lifecycle) for bucket in self.control.buckets())

    async def run(self, context: JobContext) -> None:
        run = _Run(self, context, Rate(self.actions_per_s, self.monotonic_s))
        failure: StoreError | None = None
        for bucket in self._chosen(context.arguments.get("bucket", "")):
            if bucket.bucket_id < run.place.bucket_id:
                continue
            context.check()
            try:
                await run.bucket(bucket)
            except StoreError as error:
                # One sick disk must not keep the rules of all other buckets waiting.
                context.count(failed_buckets=1)
                failure = failure or error
        if failure is not None:
            raise failure
        context.say("all buckets done")

    def _chosen(self, name: str) -> list[Bucket]:
        """Raises InvalidArgument for a bucket that is not there."""
        if name:
            bucket = self.control.bucket(BucketRef(BucketName(name)))
            if bucket is None:
                raise InvalidArgument(name="bucket", value=name, reason="there is no such bucket")
            return [bucket]
        found = [each for each in self.control.buckets() if is_active(each.props.lifecycle)]
        return sorted(found, key=lambda bucket: bucket.bucket_id)


class _Run:
    """One run of the job."""

    def __init__(self, job: LifecycleJob, context: JobContext, rate: Rate) -> None:
        self._job = job
        self._context = context
        self._rate = rate
        self.place = _Place.parse(context.cursor)

    async def bucket(self, bucket: Bucket) -> None:
        """Carry out a bucket's rules. Rules that change meanwhile are carried out from its beginning."""
        context = self._context
        if bucket.bucket_id != self.place.bucket_id:
            self._reach(_Place(bucket.bucket_id))
        while True:
            current = self._job.control.bucket(bucket.ref)
            if current is None or current.bucket_id != bucket.bucket_id:
                return
            lifecycle = current.props.lifecycle
            if lifecycle is None or not is_active(lifecycle):
                return
            context.say(f"bucket {bucket.name}: {self.place.stage}")
            try:
                await self._objects(with_origin(current, origin.LIFECYCLE), lifecycle)
                await self._uploads(current, lifecycle)
            except RulesChanged:
                self._reach(_Place(bucket.bucket_id))
                continue
            except NoSuchBucket:
                return
            context.count(buckets=1)
            return

    def _reach(self, place: _Place) -> None:
        self.place = place
        self._context.cursor = str(place)

    def _check_rules(self, bucket: Bucket) -> None:
        """Raises RulesChanged, JobStopped."""
        self._context.check()
        now = self._job.control.bucket(bucket.ref)
        if (
            now is None
            or now.bucket_id != bucket.bucket_id
            or now.props.lifecycle != bucket.props.lifecycle
            or now.props.versioning is not bucket.props.versioning
        ):
            raise RulesChanged

    # --- objects ---

    async def _objects(self, bucket: Bucket, lifecycle: Lifecycle) -> None:
        if self.place.stage != _OBJECTS:
            return
        for prefix in prefixes(lifecycle.rules):
            if prefix < self.place.prefix:
                continue
            if prefix != self.place.prefix:
                self._reach(_Place(bucket.bucket_id, _OBJECTS, prefix))
            await self._under_prefix(bucket, lifecycle, prefix)
        self._reach(_Place(bucket.bucket_id, _UPLOADS))

    async def _under_prefix(self, bucket: Bucket, lifecycle: Lifecycle, prefix: str) -> None:
        job = self._job
        judge = KeyJudge(lifecycle, bucket.props.versioning, job.clock.now_ns(), job.terms)
        async for versions in self._pages(bucket, prefix):
            actions: list[Action] = []
            for version in versions:
                actions += judge.judge(version)
            self._context.count(scanned=len(versions))
            await self._context.throttle(len(versions))
            await self._carry_out(bucket, actions)
            # Only a key whose last version was seen is done with.
            last = versions[-1].info.key
            done = next((v.info.key for v in reversed(versions) if v.info.key != last), None)
            if done is not None:
                self._reach(_Place(bucket.bucket_id, _OBJECTS, prefix, done))
        await self._carry_out(bucket, judge.finish())

    async def _pages(self, bucket: Bucket, prefix: str) -> AsyncIterator[Sequence[ObjectVersion]]:
        query = VersionListQuery(prefix, key_marker=self.place.after, limit=_PAGE)
        while True:
            self._check_rules(bucket)
            page = await self._job.store.list_versions(bucket, query)
            if page.versions:
                yield page.versions
            if not page.is_truncated:
                return
            query = VersionListQuery(
                prefix,
                key_marker=page.next_key_marker,
                version_id_marker=page.next_version_id_marker,
                limit=_PAGE,
            )

    async def _carry_out(self, bucket: Bucket, actions: Sequence[Action]) -> None:
        for action in actions:
            if action.kind is ActionKind.TRANSITION:
                if bucket.props.backend is not None:
                    continue  # in which class copies lie is no affair of the bucket's rules
                self._check_rules(bucket)
                await self._move(bucket, action)
        removals = [a for a in actions if a.kind is not ActionKind.TRANSITION]
        for first in range(0, len(removals), _BATCH):
            self._check_rules(bucket)
            await self._remove(bucket, removals[first : first + _BATCH])

    async def _remove(self, bucket: Bucket, actions: Sequence[Action]) -> None:
        items = [_item(bucket, action) for action in actions]
        outcomes = await self._job.store.delete_many(bucket, items)
        for action, outcome in zip(actions, outcomes, strict=True):
            if isinstance(outcome, DeleteResult):
                self._count_removed(action)
            else:
                self._count_refused(outcome)
        await self._context.pause(self._rate.delay_s(len(actions)))

    async def _move(self, bucket: Bucket, action: Action) -> None:
        info = action.version.info
        try:
            await self._job.mover.change_class(bucket, action.version, action.storage_class)
        except StoreError as error:
            self._count_refused(error)
        else:
            self._context.count(objects=1, size_bytes=info.size_bytes, moved=1)
        await self._context.pause(self._rate.delay_s(1))

    def _count_removed(self, action: Action) -> None:
        info = action.version.info
        if action.kind is ActionKind.MARK:
            self._context.count(objects=1, expired=1)
        elif info.is_delete_marker:
            self._context.count(objects=1, markers=1)
        else:
            self._context.count(objects=1, size_bytes=info.size_bytes, removed=1)

    def _count_refused(self, error: Exception) -> None:
        """What has changed, is gone or is locked is passed over; any other error ends the run, and the next one sees to
        what it left."""
        match error:
            case ObjectLocked():
                self._context.count(locked=1)
            case PreconditionFailed() | NotFound() | Conflict():
                self._context.count(changed=1)
            case _:
                raise error

    # --- uploads ---

    async def _uploads(self, bucket: Bucket, lifecycle: Lifecycle) -> None:
        if not aborts_uploads(lifecycle):
            return
        job = self._job
        now_ns = job.clock.now_ns()
        query = UploadListQuery(key_marker=self.place.after, limit=_PAGE)
        while True:
            self._check_rules(bucket)
            page = await job.store.list_uploads(bucket, query)
            aborted = 0
            for upload in page.uploads:
                due = abort_expiry(lifecycle, upload.key, upload.created_ns, job.terms.day_ns)
                if due is not None and due.at_ns <= now_ns:
                    self._check_rules(bucket)
                    aborted += await self._abort(bucket, upload.key, upload.upload_id)
            await self._context.pause(self._rate.delay_s(aborted))
            if not page.is_truncated:
                return
            query = UploadListQuery(
                key_marker=page.next_key_marker,
                upload_id_marker=page.next_upload_id_marker,
                limit=_PAGE,
            )

    async def _abort(self, bucket: Bucket, key: ObjectKey, upload_id: UploadId) -> int:
        try:
            await self._job.store.abort_upload(bucket, key, upload_id)
        except StoreError as error:
            self._count_refused(error)
            return 0
        self._context.count(aborted=1)
        return 1


def _item(bucket: Bucket, action: Action) -> DeleteItem:
    """A version is removed by its id; the object of a bucket that never had versions as one deletes it."""
    info = action.version.info
    by_id = action.kind is ActionKind.REMOVE and bool(bucket.props.versioning)
    return DeleteItem(info.key, info.version_id if by_id else None, seen=action.version)
