"""Owns the job that brings remote objects here: what is absent or, if that was asked for, no longer current.

Small ones are fetched many at a time, each as for a reader that is nobody. Large ones are jobs of their own (blob
downloads), so that one takes many streams, and none holds the small ones up.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from core.backends import Backends, copies_of, remote_name
from core.blob_jobs import BLOB_DOWNLOAD, BlobRequest
from core.configs import sections
from core.errors import InvalidArgument, NotFound, StoreError
from core.jobs import BYTES, JobState
from core.load import Level
from core.names import ObjectKey
from core.protocols import ObjectStore
from core.templates import parse_template
from core.types import Bucket, ObjectInfo
from jobs.children import Children
from jobs.eviction import evict
from jobs.lookup import AtBackend, missing_from, objects_of
from jobs.object_group import Control, GroupRun, Wanted
from jobs.parallel import first_error, work_through
from jobs.queue import JobContext, OnDemand

PREFETCH = "prefetch-listrange"
MIN_THRESHOLD_BYTES = 1024**2
"""Lower thresholds count as this one (as with AIStore)."""

Fetch = Callable[[Bucket, ObjectKey, bool], Awaitable[ObjectInfo]]
"""Brings an object here, unless a copy is that will do: with True only one that is what the backend has now. Whoever
reads the same object meanwhile shares the work. Gives the object's info."""

_DEFAULT_WORKERS = 16
_LARGE_AT_ONCE = 4
_FETCH, _DROP = "fetch:", "drop:"
"""What cursors begin with."""
_BY_LOAD = {Level.LOW: 64, Level.MODERATE: 16, Level.HIGH: 4, Level.CRITICAL: 1}


@dataclass(frozen=True, slots=True)
class PrefetchOptions:
    """What is told of a prefetch beside its objects. `synchronizes`: copies of what the backend no longer has go.
    `suffix`: only of names that end so. `workers` 0: as many as suit; `blob_threshold` 0: every object is a small one.
    The rest is for blob downloads."""

    latest: bool = False
    synchronizes: bool = False
    suffix: str = ""
    workers: int = 0
    blob_threshold: int = 0
    blob_chunk_bytes: int = 0
    blob_workers: int = 0

    def __str__(self) -> str:
        said = ["latest versions"] if self.latest else []
        said += ["synchronized"] if self.synchronizes else []
        said += [f"{self.blob_threshold} bytes and more by blob download"] * (
            self.blob_threshold > 0
        )
        return "".join(f", {each}" for each in said)


@dataclass(frozen=True, slots=True)
class PrefetchJob(OnDemand):
    """A JobKind. `service` reaches what is remote, `present` what is here."""

    service: ObjectStore
    present: ObjectStore
    backends: Backends
    control: Control
    fetch: Fetch

    name = PREFETCH

    async def run(self, context: JobContext) -> None:
        run = GroupRun(self.service, self.control, context)
        if run.source.props.backend is None:
            reason = "it has no backend: all that is in it is here"
            raise InvalidArgument(name="bucket", value=run.source.name, reason=reason)
        await _Prefetch(self, run).work()


class BlobDownloadFailed(StoreError):
    """The job that was to fetch a large object ended otherwise. Fields: job_id, reason."""


class _Prefetch:
    """One run."""

    def __init__(self, kind: PrefetchJob, run: GroupRun) -> None:
        self._kind = kind
        self._run = run
        self._context = run.context
        self._bucket = run.source
        self._copies = copies_of(run.source)
        self._options = PrefetchOptions(**run.request.options)
        threshold = self._options.blob_threshold
        self._threshold = max(threshold, MIN_THRESHOLD_BYTES) if threshold > 0 else 0
        self._drops = self._options.synchronizes or (
            self._options.latest
            and sections.is_on(run.source.props.native, "versioning.synchronize")
        )
        self._room = asyncio.Semaphore(_LARGE_AT_ONCE)
        self._large = asyncio.TaskGroup()

    async def work(self) -> None:
        run, context = self._run, self._context
        context.say(f"bucket {run.source.name}: {run.request.selection}{self._options}")
        try:
            async with self._large:
                await self._join_earlier()
                if not context.cursor.startswith(_DROP):
                    wanted = run.each(run.source, _FETCH)
                    await work_through(context, wanted, self._one, workers=self._workers())
                if self._options.synchronizes and run.request.selection.names is None:
                    await work_through(context, self._extra(), self._drop, workers=self._workers())
                context.is_waiting = True
        except BaseExceptionGroup as failures:
            raise first_error(failures) from None

    def _workers(self) -> int:
        asked = self._options.workers or _DEFAULT_WORKERS
        return max(1, min(asked, _BY_LOAD[self._context.load.worst]))

    async def _one(self, wanted: Wanted) -> None:
        run, key = self._run, wanted.key
        if not key.endswith(self._options.suffix):
            return
        try:
            copy = await self._copy(key)
            if copy is not None and not self._options.latest:
                self._context.count(skipped_objects=1)
                return
            there = await self._there(wanted, copy)
            if there is not None and copy is not None and _is_current(copy, there):
                self._context.count(skipped_objects=1)
            elif there is not None and 0 < self._threshold <= there.size_bytes:
                await self._start_large(key)
            else:
                info = await self._kind.fetch(self._bucket, key, self._options.latest)
                self._context.count(objects=1, size_bytes=info.size_bytes)
        except NotFound as error:
            if self._drops:
                await self._evict(key)
            if not self._options.synchronizes:
                run.missing(wanted, error)
        except StoreError as error:
            run.failed(key, error)

    async def _copy(self, key: ObjectKey) -> ObjectInfo | None:
        """What is here and counts."""
        try:
            copy = await self._kind.present.head(self._copies, key)
        except NotFound:
            return None
        return None if copy.remote is not None and copy.remote.in_doubt else copy

    async def _there(self, wanted: Wanted, copy: ObjectInfo | None) -> ObjectInfo | None:
        """What the backend says, if it matters. A listing has just said it of what is not here. Raises NoSuchKey."""
        if copy is None and not self._threshold:
            return None
        if copy is None and wanted.info is not None:
            return wanted.info
        if copy is not None and copy.remote is None:
            return copy  # it is nowhere else
        return await self._at_backend(wanted.key)

    # --- what the backend has no more ---

    async def _extra(self) -> AsyncIterator[tuple[str, ObjectKey]]:
        """What is here and was not in the backend's list."""
        template = parse_template(self._run.request.selection.template)
        prefix = max(template.prefix, self._run.request.selection.prefix, key=len)
        cursor = self._context.cursor
        after = cursor.removeprefix(_DROP) if cursor.startswith(_DROP) else ""
        there = objects_of(AtBackend(self._kind.backends), self._bucket, prefix, after)
        here = objects_of(self._kind.present, self._copies, prefix, after)
        async for info in missing_from(there, here):
            if template.matches(info.key) and info.key.endswith(self._options.suffix):
                yield f"{_DROP}{info.key}", info.key

    async def _drop(self, key: ObjectKey) -> None:
        try:
            await self._at_backend(key)
        except NotFound:
            await self._evict(key)

    async def _evict(self, key: ObjectKey) -> None:
        done = await evict(self._kind.present, self._bucket, [key])
        if done.objects:
            self._context.count(removed_objects=done.objects)

    async def _at_backend(self, key: ObjectKey) -> ObjectInfo:
        return await self._kind.backends.of(self._bucket).head(remote_name(self._bucket), key)

    # --- large ones ---

    async def _start_large(self, key: ObjectKey) -> None:
        context, options, bucket = self._context, self._options, self._bucket
        if context.children is None or BLOB_DOWNLOAD not in context.children.kinds:
            info = await self._kind.fetch(bucket, key, options.latest)
            context.count(objects=1, size_bytes=info.size_bytes)
            return
        request = BlobRequest(
            bucket.ref,
            bucket.bucket_id,
            key,
            self._run.user.user_id,
            chunk_bytes=options.blob_chunk_bytes,
            workers=options.blob_workers,
            latest=options.latest,
            origin=f"parent:prefetch[{context.job_id}]",
        )
        await self._room.acquire()
        try:
            job_id = await context.children.start(BLOB_DOWNLOAD, request.arguments())
        except BaseException:
            self._room.release()
            raise
        task = self._large.create_task(self._ended(context.children, job_id, key))
        task.add_done_callback(lambda _: self._room.release())

    async def _join_earlier(self) -> None:
        """Those that this job began before its worker died are still at work."""
        children = self._context.children
        for record in () if children is None else await children.known():
            assert children is not None
            key = BlobRequest.of_arguments(record.arguments).key
            self._large.create_task(self._ended(children, record.job_id, key))

    async def _ended(self, children: Children, job_id: str, key: ObjectKey) -> None:
        record = await children.ended(job_id, self._context.check)
        counters = record.progress.counters
        self._context.count(size_bytes=counters.get(BYTES, 0))
        if record.state is JobState.FINISHED:
            self._context.count(objects=1)
        else:
            reason = record.error or record.state.value
            self._run.failed(key, BlobDownloadFailed(job_id=job_id, reason=reason))


def _is_current(copy: ObjectInfo, there: ObjectInfo) -> bool:
    if copy.remote is None or there.remote is None:
        return True
    ours, theirs = copy.remote, there.remote
    if ours.version_id and theirs.version_id:
        return ours.version_id == theirs.version_id
    return ours.etag == theirs.etag and copy.size_bytes == there.size_bytes
