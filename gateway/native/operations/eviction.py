"""Owns the operations that give up copies of what remote buckets have: of one object, of many, of a whole bucket."""

from __future__ import annotations

import asyncio
import secrets

from core.claims import Permission
from core.errors import InvalidArgument
from core.job_table import BUCKET, ref_text
from core.jobs import JobRecord
from core.names import ObjectKey
from core.types import NOBODY, Bucket
from gateway.native.call import NativeCall, NativeResponse, Row, text_response
from gateway.native.errors import cname
from gateway.native.fields import fields_of, flag_of
from gateway.native.object_groups import admitted, selection_of
from gateway.native.operations.jobs import ask_for
from jobs.eviction import BUCKET_ID, EVICT_BUCKET, EVICT_OBJECTS, KEEPS_BUCKET, evict
from jobs.object_group import GroupRequest

_DELETE = ("s3:DeleteObject", Permission.DELETE_OBJECT)
_WAITED_S = 10.0
_LOOK_S = 0.05
_ID_BYTES = 6


def check_remote(bucket: Bucket, action: str) -> None:
    """Raises InvalidArgument for a bucket that is the only place of its objects."""
    if bucket.props.backend is None:
        reason = f"cannot {action}: {cname(bucket.ref)} is not a remote bucket"
        raise InvalidArgument(name="bucket", value=bucket.name, reason=reason)


async def evict_objects(call: NativeCall) -> NativeResponse:
    """What is not here is no error: it is as it was wanted."""
    bucket = call.bucket()
    fields = fields_of((await call.request.message()).value)
    selection = selection_of(fields)
    present = call.store.present
    selection = await admitted(call, selection, bucket, (_DELETE,), store=present)
    check_remote(bucket, "evict")
    request = GroupRequest(
        source=bucket.ref,
        source_id=bucket.bucket_id,
        user_id=call.identity.user_id or NOBODY,
        selection=selection,
        goes_on=flag_of(fields, "coer"),
    )
    return await ask_for(call, EVICT_OBJECTS, request.arguments())


async def evict_object(call: NativeCall, bucket: Bucket, key: ObjectKey) -> NativeResponse:
    """One object, at once; its caller has asked whether it may go."""
    check_remote(bucket, "evict")
    await evict(call.store.present, bucket, [key])
    return NativeResponse()


async def evict_bucket(call: NativeCall) -> NativeResponse:
    """All copies, and unless `keep_bck_md` the registration. Answers when it is done, or if that takes long before,
    with the job's id."""
    bucket = call.bucket()
    await call.require("s3:DeleteBucket", Permission.DESTROY_BUCKET, bucket)
    check_remote(bucket, "evict")
    keeps = call.request.flag("keep_bck_md")
    arguments = {
        BUCKET: ref_text(bucket.ref),
        BUCKET_ID: str(bucket.bucket_id),
        KEEPS_BUCKET: "yes" if keeps else "no",
    }
    job_id = f"{'kpmd' if keeps else 'rmmd'}-{secrets.token_hex(_ID_BYTES)}"
    await call.add_job(EVICT_BUCKET, arguments, job_id)
    await _ended(call, job_id)
    return text_response(job_id)


async def _ended(call: NativeCall, job_id: str) -> JobRecord:
    """The job's record once it has ended, or as it is after a while."""
    jobs = call.services.jobs
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + _WAITED_S
    while True:
        record = await asyncio.to_thread(jobs.get_sync, job_id)
        if record.state.has_ended or loop.time() >= deadline_s:
            return record
        await asyncio.sleep(_LOOK_S)


ROWS = (
    Row("DELETE", "buckets", 1, evict_objects, "evict-listrange"),
    Row("DELETE", "buckets", 1, evict_bucket, "evict-remote-bck"),
)
