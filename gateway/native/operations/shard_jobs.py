"""Owns what native clients ask about the indexes of a bucket's shards: that they be made, and how many there are."""

from __future__ import annotations

from typing import Any

from core.claims import Permission
from core.errors import InvalidArgument
from core.jobs import JobState
from gateway.native.call import (
    NativeCall,
    NativeResponse,
    Row,
    json_response,
    text_response,
)
from gateway.native.fields import flag_of, text_of
from gateway.native.operations.summaries import find_summary
from jobs.parallel import MAX_WORKERS
from jobs.shard_index import (
    BUCKET_ID,
    INDEX_SHARD,
    SUMMARY_SHARD,
    ShardCount,
    index_arguments,
    summary_arguments,
)


async def index_shards(call: NativeCall) -> NativeResponse:
    """Have an index made of each TAR shard that has none; answers the job's id."""
    bucket = call.bucket()
    await call.require("weir:IndexShards", Permission.UPDATE_OBJECT, bucket)
    fields = (await call.request.message()).fields()
    arguments = index_arguments(
        bucket.ref,
        prefix=text_of(fields, "prefix"),
        workers=_workers(fields.get("num-workers")),
        skips_verify=flag_of(fields, "skip-verify"),
    )
    arguments[BUCKET_ID] = str(bucket.bucket_id)
    return text_response((await call.add_job(INDEX_SHARD, arguments)).job_id)


async def summarize_shards(call: NativeCall) -> NativeResponse:
    """202 with the job's id, until it has ended; then what it has counted."""
    bucket = call.bucket()
    await call.require("s3:ListBucket", Permission.LIST_OBJECTS, bucket)
    fields = (await call.request.message()).fields()
    job_id = fields.get("uuid") or ""
    if not job_id:
        arguments = summary_arguments(bucket, text_of(fields, "prefix"))
        return text_response((await call.add_job(SUMMARY_SHARD, arguments)).job_id, 202)
    record = await find_summary(call, SUMMARY_SHARD, bucket, str(job_id))
    if record.state is not JobState.FINISHED:
        return text_response(record.job_id, 202)
    count = ShardCount.read(record.progress.cursor)
    return json_response(
        {
            "tar-objs": str(count.tars),
            "tar-size": str(count.tar_bytes),
            "shards": str(count.indexed),
            "shard-size": str(count.indexed_bytes),
            "archived-objs": str(count.members),
            "stale-indexes": str(count.stale),
            "invalid-indexes": str(count.invalid),
        }
    )


def _workers(value: Any) -> int:
    """0 for as many as usual; clients also say -1 for one alone."""
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool) or not -1 <= value <= 2**31:
        reason = "it is no number of workers: -1, 0 or more"
        raise InvalidArgument(name="num-workers", value=str(value)[:64], reason=reason)
    return 1 if value == -1 else min(value, MAX_WORKERS)


ROWS = (
    Row("POST", "buckets", 1, index_shards, "index-shard"),
    Row("GET", "buckets", 1, summarize_shards, "summary-shard"),
)
