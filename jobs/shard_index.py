"""Owns the jobs about the indexes of shards: making them for a bucket, and telling how many there are and how good."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass, fields

from core.errors import Corrupt, InvalidArgument, NotFound
from core.job_table import BUCKET, parse_ref, ref_text
from core.names import BucketRef
from core.shard_indexes import is_tar_key
from core.shards import IndexState, Shards
from core.types import Bucket, ObjectInfo
from jobs.lookup import Buckets, Listed, find_bucket, objects_of
from jobs.parallel import MAX_WORKERS, work_through
from jobs.queue import JobContext, OnDemand

INDEX_SHARD = "index-shard"
SUMMARY_SHARD = "summary-shard"
PREFIX, WORKERS, SKIP_VERIFY, BUCKET_ID = "prefix", "num-workers", "skip-verify", "bucket_id"

_DEFAULT_WORKERS = 4


def index_arguments(
    ref: BucketRef, *, prefix: str = "", workers: int = 0, skips_verify: bool = False
) -> dict[str, str]:
    """What a job that makes indexes is started with; all but the bucket may be left out."""
    found = {BUCKET: ref_text(ref)}
    if prefix:
        found[PREFIX] = prefix
    if workers > 0:
        found[WORKERS] = str(workers)
    if skips_verify:
        found[SKIP_VERIFY] = "true"
    return found


class IndexShardJob(OnDemand):
    """A JobKind: makes an index for each TAR shard of a bucket that has no valid one. Bad shards are counted and passed
    over. Goes on after the last key before which all are done."""

    name = INDEX_SHARD

    def __init__(self, store: Listed, shards: Shards, buckets: Buckets) -> None:
        self._store = store
        self._shards = shards
        self._buckets = buckets

    async def run(self, context: JobContext) -> None:
        bucket = _bucket_of(context.arguments, self._buckets)
        await _IndexRun(self._store, self._shards, bucket, context).run()


class _IndexRun:
    """One run of the job."""

    def __init__(self, store: Listed, shards: Shards, bucket: Bucket, context: JobContext) -> None:
        self._store = store
        self._shards = shards
        self._bucket = bucket
        self._context = context
        self._prefix = context.arguments.get(PREFIX, "")
        self._verifies = context.arguments.get(SKIP_VERIFY, "") != "true"
        self._last_bad = ""

    async def run(self) -> None:
        self._say("indexing")
        await work_through(
            self._context,
            self._pieces(),
            self._index,
            workers=_workers_of(self._context.arguments),
        )
        self._say("done")

    async def _pieces(self) -> AsyncIterator[tuple[str, ObjectInfo]]:
        after = self._context.cursor
        async for info in objects_of(self._store, self._bucket, self._prefix, after):
            if _is_shard(info):
                yield info.key, info

    async def _index(self, info: ObjectInfo) -> None:
        try:
            outcome = await self._shards.index(
                self._bucket, info.key, verifies_present=self._verifies
            )
        except NotFound:
            return  # deleted since it was listed
        except Corrupt as error:
            self._refused(info, str(error))
            return
        if outcome.reason:
            self._refused(info, outcome.reason)
            return
        self._context.count(objects=1, size_bytes=info.size_bytes, members=outcome.members)

    def _refused(self, info: ObjectInfo, reason: str) -> None:
        self._context.count(bad_shards=1)
        self._last_bad = f"; bad shards, the last {info.key}: {reason}"
        self._say("indexing")

    def _say(self, stage: str) -> None:
        self._context.say(
            f"bucket {self._bucket.name}, prefix {self._prefix!r}, {stage}{self._last_bad}"
        )


def _workers_of(arguments: Mapping[str, str]) -> int:
    text = arguments.get(WORKERS, "") or str(_DEFAULT_WORKERS)
    if not text.isdigit() or not 1 <= int(text) <= MAX_WORKERS:
        raise InvalidArgument(name=WORKERS, value=text, reason=f"1 to {MAX_WORKERS}")
    return int(text)


def _bucket_of(arguments: Mapping[str, str], buckets: Buckets) -> Bucket:
    """As find_bucket."""
    ref = parse_ref(arguments.get(BUCKET, ""))
    return find_bucket(buckets, ref, arguments.get(BUCKET_ID, ""))


def _is_shard(info: ObjectInfo) -> bool:
    """Whether the object is named as TAR shards are."""
    return is_tar_key(info.key) and info.size_bytes > 0


# --- summaries ---------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class ShardCount:
    """What was counted of a bucket's shards, of the keys up to `after`: TAR objects, those of them with a valid index,
    the members that these have, and indexes that are of no use."""

    after: str = ""
    tars: int = 0
    tar_bytes: int = 0
    indexed: int = 0
    indexed_bytes: int = 0
    members: int = 0
    stale: int = 0
    invalid: int = 0

    def add(self, info: ObjectInfo, state: IndexState, members: int) -> None:
        self.after = info.key
        self.tars += 1
        self.tar_bytes += info.size_bytes
        if state is IndexState.VALID:
            self.indexed += 1
            self.indexed_bytes += info.size_bytes
            self.members += members
        self.stale += state is IndexState.STALE
        self.invalid += state is IndexState.INVALID

    @classmethod
    def read(cls, cursor: str) -> ShardCount:
        """From a job's cursor."""
        known = {each.name for each in fields(cls)}
        said = json.loads(cursor) if cursor else {}
        return cls(**{name: value for name, value in said.items() if name in known})


def summary_arguments(bucket: Bucket, prefix: str) -> dict[str, str]:
    """What a summary of shards is started with."""
    return {
        BUCKET: ref_text(bucket.ref),
        BUCKET_ID: str(bucket.bucket_id),
        PREFIX: prefix,
    }


class ShardSummaryJob(OnDemand):
    """A JobKind. Its cursor is the count so far, so no shard counts twice whoever goes on with it."""

    name = SUMMARY_SHARD

    def __init__(self, store: Listed, shards: Shards, buckets: Buckets) -> None:
        self._store = store
        self._shards = shards
        self._buckets = buckets

    async def run(self, context: JobContext) -> None:
        bucket = _bucket_of(context.arguments, self._buckets)
        prefix = context.arguments.get(PREFIX, "")
        context.say(f"bucket {bucket.name}, prefix {prefix!r}")
        count = ShardCount.read(context.cursor)
        async for info in objects_of(self._store, bucket, prefix, count.after):
            if not _is_shard(info):
                continue
            await context.throttle()
            state, members = await self._shards.examine_index(bucket, info)
            count.add(info, state, members)
            context.cursor = json.dumps(asdict(count))
            context.count(objects=1, size_bytes=info.size_bytes)
