"""Owns the operations on many objects of a bucket, by list or template: each begins a job and answers with its id."""

from __future__ import annotations

from core.claims import Permission
from core.errors import InvalidArgument
from core.types import NOBODY
from gateway.native.call import NativeCall, NativeResponse, Row, parse_native_key
from gateway.native.errors import cname
from gateway.native.fields import Fields, fields_of, flag_of, text_of
from gateway.native.object_groups import (
    admitted,
    admitted_to,
    bucket_of,
    extensions_of,
    reads_only_owners,
    selection_of,
    target_bucket,
    workers_of,
)
from gateway.native.operations.jobs import ask_for
from gateway.native.operations.prefetching import refresh
from jobs.copying import NameMap
from jobs.group_archive import ARCHIVE
from jobs.group_copy import COPY_OBJECTS
from jobs.group_delete import DELETE_OBJECTS
from jobs.object_group import GroupRequest
from storage.shards.formats import format_to_write

_GET = ("s3:GetObject", Permission.GET)
_PUT = ("s3:PutObject", Permission.PUT)
_DELETE = ("s3:DeleteObject", Permission.DELETE_OBJECT)


async def delete_objects(call: NativeCall) -> NativeResponse:
    """Named objects that are absent fail the job, unless it is to go on; those of a range do not count."""
    fields = await _fields(call)
    selection = selection_of(fields)
    bucket = call.bucket()
    selection = await admitted(call, selection, bucket, (_DELETE,))
    request = GroupRequest(
        source=bucket.ref,
        source_id=bucket.bucket_id,
        user_id=call.identity.user_id or NOBODY,
        selection=selection,
        goes_on=flag_of(fields, "coer"),
        workers=workers_of(fields),
    )
    return await ask_for(call, DELETE_OBJECTS, request.arguments())


async def copy_objects(call: NativeCall) -> NativeResponse:
    """To another bucket, which is made if need be, or under other names."""
    fields = await _fields(call)
    selection = selection_of(fields, text_of(fields, "prefix"))
    names = NameMap(text_of(fields, "prepend"), extensions_of(fields))
    source, ref = call.bucket(), bucket_of(call, fields, "tobck")
    is_dry_run, synchronizes = flag_of(fields, "dry_run"), flag_of(fields, "synchronize")
    if synchronizes and not names.keeps_names:
        reason = "copies under other names cannot be kept synchronous"
        raise InvalidArgument(name="synchronize", value="true", reason=reason)
    latest = flag_of(fields, "latest-ver")
    is_onto_itself = ref == source.ref and names.keeps_names and not is_dry_run
    if is_onto_itself and source.props.backend is not None and (latest or synchronizes):
        selection = await admitted(call, selection, source, (_GET,))
        goes_on = flag_of(fields, "coer")
        return await refresh(call, source, selection, synchronizes=synchronizes, goes_on=goes_on)
    if is_onto_itself:
        reason = f"cannot copy {cname(ref)} onto itself"
        raise InvalidArgument(name="tobck", value=ref.name, reason=reason)
    selection = await admitted(call, selection, source, (_GET,))
    target = await target_bucket(call, ref, may_create=not is_dry_run) or source
    writes = () if is_dry_run else (_PUT, _DELETE) if synchronizes else (_PUT,)
    if writes:
        selection = await admitted_to(call, selection, source, target, names, writes)
    request = GroupRequest(
        source=source.ref,
        source_id=source.bucket_id,
        user_id=call.identity.user_id or NOBODY,
        selection=selection,
        target=target.ref,
        target_id=target.bucket_id,
        goes_on=flag_of(fields, "coer"),
        only_owners=reads_only_owners(call, source),
        workers=workers_of(fields),
        options={
            "prepend": names.prepend,
            "extensions": dict(names.extensions),
            "is_dry_run": is_dry_run,
            "synchronizes": synchronizes,
            "latest": latest,
            "only_newer": flag_of(fields, "only-newer"),
        },
    )
    return await ask_for(call, COPY_OBJECTS, request.arguments())


async def archive_objects(call: NativeCall) -> NativeResponse:
    """A shard of the objects, or an addition to one."""
    fields = await _fields(call)
    selection = selection_of(fields)
    key = parse_native_key(text_of(fields, "archname").encode())
    shard_format = format_to_write(text_of(fields, "mime"), key)
    source, ref = call.bucket(), bucket_of(call, fields, "tobck")
    appends = flag_of(fields, "aate")
    selection = await admitted(call, selection, source, (_GET,))
    target = await target_bucket(call, ref, may_create=True)
    assert target is not None
    await call.require(*_PUT, target, key)
    if appends:
        await call.require("s3:PutObject", Permission.APPEND, target, key)
    request = GroupRequest(
        source=source.ref,
        source_id=source.bucket_id,
        user_id=call.identity.user_id or NOBODY,
        selection=selection,
        target=target.ref,
        target_id=target.bucket_id,
        goes_on=flag_of(fields, "coer"),
        only_owners=reads_only_owners(call, source),
        options={
            "key": key,
            "format": shard_format.value,
            "with_bucket": flag_of(fields, "isbn"),
            "base_names": flag_of(fields, "bnonly"),
            "appends": appends,
        },
    )
    return await ask_for(call, ARCHIVE, request.arguments())


async def _fields(call: NativeCall) -> Fields:
    return fields_of((await call.request.message()).value)


ROWS = (
    Row("DELETE", "buckets", 1, delete_objects, "delete-listrange"),
    Row("POST", "buckets", 1, copy_objects, "copy-listrange"),
    Row("PUT", "buckets", 1, archive_objects, "archive"),
)
