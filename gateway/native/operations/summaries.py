"""Owns the summaries of buckets, asked for in two steps: a job counts, and clients come back for what it found.

All that a second request needs is in the job's record, so any worker may answer it.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import unquote_to_bytes

from core.claims import Permission
from core.errors import InvalidBucketState
from core.jobs import JobRecord, JobState, NoSuchJob
from core.types import Bucket
from gateway.native.call import (
    NativeCall,
    NativeResponse,
    Row,
    json_response,
    text_response,
)
from gateway.native.capacity import mountpath_uses_sync, total_bytes
from gateway.native.fields import text_of
from gateway.native.operations.buckets import head_bucket, props_header
from gateway.native.props import bucket_json
from jobs.bucket_summary import SUMMARY_KIND, BucketCount, BucketCounts, summary_arguments

_MAX_ID_LENGTH = 64


async def summarize(call: NativeCall) -> NativeResponse:
    """202 with the job's id, until it has ended; then a list of one summary."""
    bucket = call.bucket()
    await call.require("s3:ListBucket", Permission.LIST_OBJECTS, bucket)
    fields = (await call.request.message()).fields()
    job_id = text_of(fields, "uuid")
    if not job_id:
        prefix = text_of(fields, "prefix")
        with_remote = fields.get("cached") is False
        record = await _start(call, bucket, prefix, with_remote=with_remote)
        return text_response(record.job_id, 202)
    record = await find_summary(call, SUMMARY_KIND, bucket, job_id)
    if record.state is not JobState.FINISHED:
        return text_response(job_id, 202)
    return json_response([await _summary(call, bucket, record)])


async def head(call: NativeCall) -> NativeResponse:
    """The properties; where a client asks for a summary too, that as `summarize` does, in headers."""
    query = call.request.query
    if "bsumm_remote" not in query:
        return await head_bucket(call)
    bucket = call.bucket()
    await call.require("s3:ListBucket", Permission.LIST_OBJECTS, bucket)
    headers = [props_header(bucket)]
    job_id = query.get("uuid", "")
    if job_id:
        record = await find_summary(call, SUMMARY_KIND, bucket, job_id)
    else:
        with_remote = call.request.flag("bsumm_remote")
        record = await _start(call, bucket, _prefix_of_path(call), with_remote=with_remote)
    headers.append((b"ais-xaction-id", record.job_id.encode()))
    if not job_id or record.state is not JobState.FINISHED:
        return NativeResponse(202, headers)
    summary = json.dumps(await _summary(call, bucket, record))
    return NativeResponse(200, [*headers, (b"ais-bucket-summ", summary.encode())])


def _prefix_of_path(call: NativeCall) -> str:
    """What follows the bucket, as it stands: a slash at its end counts."""
    path = call.request.s3.raw_path.removeprefix(b"/v1/buckets/")
    prefix = unquote_to_bytes(path.partition(b"/")[2]).decode("utf-8", "surrogateescape")
    return text_of({"prefix": prefix}, "prefix")


async def _start(call: NativeCall, bucket: Bucket, prefix: str, *, with_remote: bool) -> JobRecord:
    arguments = summary_arguments(bucket, prefix, with_remote=with_remote)
    return await call.add_job(SUMMARY_KIND, arguments)


async def find_summary(call: NativeCall, kind: str, bucket: Bucket, job_id: str) -> JobRecord:
    """The record of a summary of this bucket. Raises NoSuchJob, InvalidBucketState."""
    if len(job_id) > _MAX_ID_LENGTH:
        raise NoSuchJob(job_id=job_id[:_MAX_ID_LENGTH])
    record = await asyncio.to_thread(call.services.jobs.get_sync, job_id)
    if record.kind != kind or record.arguments.get("bucket_id") != str(bucket.bucket_id):
        raise NoSuchJob(job_id=job_id)
    if record.state in (JobState.STOPPED, JobState.FAILED):
        raise InvalidBucketState(reason=f"summary {job_id} {record.state.value}: {record.error}")
    return record


async def _summary(call: NativeCall, bucket: Bucket, record: JobRecord) -> dict[str, Any]:
    """Sizes on disk are those of the objects: what lies beside their bytes is not told apart by bucket."""
    counts = BucketCounts.read(record.progress.cursor)
    count, there = counts.here, counts.there or BucketCount()
    uses = await asyncio.to_thread(mountpath_uses_sync, call.services.node.data_dirs)
    total = total_bytes(uses)
    return {
        **bucket_json(bucket.ref),
        "ObjCount": {
            "obj_count_present": str(count.objects),
            "obj_count_remote": str(there.objects),
        },
        "ObjSize": {
            "obj_min_size": count.min_bytes,
            "obj_avg_size": count.size_bytes // count.objects if count.objects else 0,
            "obj_max_size": count.max_bytes,
        },
        "TotalSize": {
            "size_on_disk": str(count.size_bytes),
            "size_all_present_objs": str(count.size_bytes),
            "size_all_remote_objs": str(there.size_bytes),
            "total_disks_size": str(total),
        },
        "used_pct": 100 * count.size_bytes // total if total else 0,
        "is_present": True,
    }


ROWS = (
    Row("GET", "buckets", 1, summarize, "summary-bck"),
    Row("HEAD", "buckets", 1, head),
    Row("HEAD", "buckets", -1, head),
)
