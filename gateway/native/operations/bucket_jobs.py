"""Owns the operations of native clients that copy and rename whole buckets, by jobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.claims import Permission
from core.errors import BadToken, BucketExists, InvalidArgument, NoSuchBucket
from core.job_access import check_conditions
from core.job_table import BUCKET, TO_BUCKET, ref_text
from core.names import BucketRef, ObjectKey
from core.types import Bucket
from gateway.native.bucket_making import make_bucket
from gateway.native.bucket_names import admit_new_bucket, ref_of_uname
from gateway.native.call import NativeCall, NativeResponse, Row
from gateway.native.fields import flag_of, text_of
from gateway.native.operations.buckets import admit_emptying
from gateway.native.operations.jobs import ask_for
from gateway.native.operations.prefetching import refresh
from jobs.buckets import BUCKET_ID, OPTIONS, USER, CopyOptions
from jobs.parallel import MAX_WORKERS
from jobs.selection import Selection

_MAX_EXTENSIONS = 100


async def copy_bucket(call: NativeCall) -> NativeResponse:
    """Copy what is in a bucket into another, which is made if there is none; answers the job's id."""
    source, to = call.bucket(), _target_ref(call)
    message = await call.request.message()
    options = _copy_options(message.fields())
    user = call.identity.user
    if user is None:
        raise BadToken(reason="token required")  # a job works for somebody
    # Whether an object may be read is decided when the job comes to it.
    await call.require("s3:ListBucket", Permission.LIST_OBJECTS | Permission.GET, source)
    if source.ref == to and source.props.backend is not None and options.is_refresh:
        check_conditions(call.identity, source)
        return await refresh(
            call,
            source,
            Selection(prefix=options.prefix, is_flat=options.is_flat),
            synchronizes=options.removes_extra,
            goes_on=options.continues,
        )
    if source.ref == to and not options.is_dry_run:
        raise InvalidArgument(name="bck_to", value=to.name, reason="a bucket is copied onto itself")
    target = await _target(call, to, options)
    for bucket in (source, target):
        check_conditions(call.identity, bucket)
    arguments = {
        BUCKET: ref_text(source.ref),
        TO_BUCKET: ref_text(to),
        USER: user.user_id,
        OPTIONS: options.text(),
    }
    return await ask_for(call, "copy-bck", arguments)


async def _target(call: NativeCall, to: BucketRef, options: CopyOptions) -> Bucket:
    """The bucket that is written to, made if there is none; in a dry run, which writes nothing, not."""
    # Policies name objects, not their bucket; the job asks for each.
    some_key = ObjectKey(f"{options.prepend}{options.prefix}any")
    try:
        target = call.bucket(to)
    except NoSuchBucket:
        await admit_new_bucket(call, to)
        if options.is_dry_run:
            return call.bucket()
        made = await make_bucket(call, to)
        # A token may permit to make buckets, and yet not to fill them.
        await call.require("s3:PutObject", Permission.PUT, made, some_key)
        return made
    await call.require("s3:PutObject", Permission.PUT, target, some_key)
    if options.removes_extra:
        await call.require("s3:DeleteObject", Permission.DELETE_OBJECT, target, some_key)
    return target


async def move_bucket(call: NativeCall) -> NativeResponse:
    """Give a bucket another name; answers the job's id."""
    bucket, to = call.bucket(), _target_ref(call)
    await call.require("weir:RenameBucket", Permission.MOVE_BUCKET, bucket)
    # Under the old name all is gone, and out of the reach of users' policies that say it.
    await call.require("s3:DeleteBucket", Permission.MOVE_BUCKET, bucket)
    if not bucket.props.policy:
        # With one, the job refuses.
        await admit_emptying(call, bucket, Permission.MOVE_BUCKET)
    if bucket.props.backend is not None or to.is_remote:
        reason = "only buckets whose objects live here alone can be renamed"
        raise InvalidArgument(name="bck_to", value=to.name, reason=reason)
    if to == bucket.ref:
        raise InvalidArgument(name="bck_to", value=to.name, reason="that is its name already")
    await admit_new_bucket(call, to)
    try:
        call.bucket(to)
    except NoSuchBucket:
        pass
    else:
        raise BucketExists(bucket=to.name, ref=to)
    arguments = {
        BUCKET: ref_text(bucket.ref),
        TO_BUCKET: ref_text(to),
        BUCKET_ID: str(bucket.bucket_id),
    }
    return await ask_for(call, "move-bck", arguments)


def _target_ref(call: NativeCall) -> BucketRef:
    uname = call.request.query.get("bck_to", "")
    if not uname:
        raise InvalidArgument(name="bck_to", value="", reason="no bucket to write to is named")
    return ref_of_uname(uname)


def _copy_options(fields: Mapping[str, Any]) -> CopyOptions:
    extensions = fields.get("ext") or {}
    if (
        not isinstance(extensions, dict)
        or len(extensions) > _MAX_EXTENSIONS
        or not all(isinstance(new, str) for new in extensions.values())
    ):
        reason = f"it does not map up to {_MAX_EXTENSIONS} extensions to others"
        raise InvalidArgument(name="ext", value="", reason=reason)
    options = CopyOptions(
        prefix=text_of(fields, "prefix"),
        prepend=text_of(fields, "prepend"),
        extensions={old.lstrip("."): new.lstrip(".") for old, new in extensions.items()},
        is_dry_run=flag_of(fields, "dry_run"),
        removes_extra=flag_of(fields, "synchronize"),
        continues=flag_of(fields, "coer"),
        is_flat=flag_of(fields, "non-recurs"),
        workers=_workers(fields.get("num-workers")),
        latest=flag_of(fields, "latest-ver"),
        only_newer=flag_of(fields, "only-newer"),
    )
    if options.removes_extra and (options.prepend or options.extensions):
        reason = "names are changed, so that the source of an object cannot be told"
        raise InvalidArgument(name="synchronize", value="true", reason=reason)
    return options


def _workers(value: Any) -> int:
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool) or value < -1:
        reason = "it is no number of workers: -1, 0 or more"
        raise InvalidArgument(name="num-workers", value=str(value)[:64], reason=reason)
    return min(value, MAX_WORKERS)


ROWS = (
    Row("POST", "buckets", 1, copy_bucket, "copy-bck"),
    Row("POST", "buckets", 1, move_bucket, "move-bck"),
)
