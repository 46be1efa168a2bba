"""Owns the giving up of copies: the jobs that evict objects of a bucket that lives elsewhere, or all of them.

No backend is asked or told, and only what a backend has goes: an object without `remote` is nowhere else.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from core.backends import copies_of
from core.deletion import DeleteItem
from core.errors import (
    InvalidArgument,
    NoSuchBucket,
    NotFound,
    ObjectLocked,
    PreconditionFailed,
)
from core.job_table import BUCKET, parse_ref
from core.names import ObjectKey
from core.protocols import ObjectService, ObjectStore
from core.types import Bucket, Conditions, ObjectInfo
from jobs.lookup import find_bucket
from jobs.object_group import Control, GroupRun
from jobs.parallel import work_through
from jobs.queue import JobContext, OnDemand
from jobs.selection import Piece, Selection, pieces

EVICT_OBJECTS = "evict-listrange"
EVICT_BUCKET = "evict-remote-bck"
BUCKET_ID = "bucket_id"
KEEPS_BUCKET = "keeps_bucket"
"""Arguments of the eviction of a bucket; "yes": its registration stays."""


@dataclass(frozen=True, slots=True)
class Evicted:
    """What was given up, and how much stayed, being locked or nowhere else."""

    objects: int = 0
    size_bytes: int = 0
    kept: int = 0


async def evict(
    present: ObjectStore,
    bucket: Bucket,
    keys: Sequence[ObjectKey],
    found: Mapping[ObjectKey, ObjectInfo] | None = None,
) -> Evicted:
    """Give up the copies of up to 1,000 objects; what is absent, or replaced meanwhile, is passed over. Who reads one
    keeps it to the end. `found`: what was listed of them. Raises what deleting raises, but for locks."""
    bucket = copies_of(bucket)
    infos: list[ObjectInfo] = []
    for key in keys:
        try:
            infos.append(await present.head(bucket, key) if found is None else found[key])
        except NotFound:
            continue
    copies = [info for info in infos if info.remote is not None]
    items = [DeleteItem(info.key, conditions=Conditions(if_match=(info.etag,))) for info in copies]
    outcomes = await present.delete_many(bucket, items) if items else ()
    objects, size_bytes, kept = 0, 0, len(infos) - len(copies)
    for info, outcome in zip(copies, outcomes, strict=True):
        if isinstance(outcome, ObjectLocked):
            kept += 1
        elif isinstance(outcome, Exception) and not isinstance(
            outcome, NotFound | PreconditionFailed
        ):
            raise outcome
        elif not isinstance(outcome, Exception):
            objects += 1
            size_bytes += info.size_bytes
    return Evicted(objects, size_bytes, kept)


@dataclass(frozen=True, slots=True)
class EvictObjectsJob(OnDemand):
    """A JobKind: by list, template or prefix. `present` is what is here."""

    present: ObjectStore
    control: Control

    name = EVICT_OBJECTS

    async def run(self, context: JobContext) -> None:
        run = GroupRun(self.present, self.control, context)
        _check_bound(run.source)
        context.say(f"bucket {run.source.name}: {run.request.selection}")
        request = run.request

        def now() -> Bucket:
            return find_bucket(self.control, request.source, str(request.source_id))

        await _evict_selected(context, self.present, run.source, request.selection, now)


@dataclass(frozen=True, slots=True)
class EvictBucketJob(OnDemand):
    """A JobKind: all copies of a bucket, and with them its registration unless that is to stay."""

    service: ObjectService

    name = EVICT_BUCKET

    async def run(self, context: JobContext) -> None:
        arguments = context.arguments
        keeps = arguments[KEEPS_BUCKET] == "yes"
        ref = parse_ref(arguments[BUCKET])
        context.say(f"bucket {ref.name}{', its registration stays' if keeps else ''}")
        try:
            bucket = self.service.get_bucket(ref)
            if arguments[BUCKET_ID] != str(bucket.bucket_id):
                raise NoSuchBucket(bucket=ref.name)
        except NoSuchBucket:
            if keeps or not context.was_begun:
                raise
            return  # a worker died between the last step and telling of it
        _check_bound(bucket)
        if not keeps and ref.provider != "ais":
            await self.service.destroy_bucket(bucket)
            return
        present, now = self.service.present, partial(self.service.get_bucket, ref)
        await _evict_selected(context, present, bucket, Selection(), now)
        if not keeps:
            # What is nowhere else keeps it: BucketNotEmpty.
            await self.service.delete_bucket(bucket)


def _check_bound(bucket: Bucket) -> None:
    if bucket.props.backend is None:
        reason = "it has no backend: this is the only place of its objects"
        raise InvalidArgument(name="bucket", value=bucket.name, reason=reason)


async def _evict_selected(
    context: JobContext,
    present: ObjectStore,
    bucket: Bucket,
    selection: Selection,
    now: Callable[[], Bucket],
) -> None:
    """`now`: the bucket as it is by now. One that was let go of meanwhile owns what were copies."""
    bucket = copies_of(bucket)

    async def some() -> AsyncIterator[tuple[str, Piece]]:
        async for piece in pieces(present, bucket, selection, context.cursor):
            yield piece.cursor, piece

    async def evict_some(piece: Piece) -> None:
        _check_bound(now())
        done = await evict(present, bucket, piece.keys, piece.found)
        context.count(objects=done.objects, size_bytes=done.size_bytes)
        if done.kept:
            context.count(kept_objects=done.kept)

    await work_through(context, some(), evict_some, workers=1)
