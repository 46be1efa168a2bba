"""Owns the writes of whole objects: what a PUT asks for, plain puts, copies, renaming."""

from __future__ import annotations

from collections.abc import AsyncIterator

from core.claims import Permission
from core.errors import (
    InvalidArgument,
    NoSuchBucket,
    NoSuchKey,
    NotFound,
    PreconditionFailed,
)
from core.names import BucketName, BucketRef, ObjectKey
from core.shards import NewMember
from core.types import NO_CONDITIONS, Bucket, Conditions
from gateway.native.call import NativeCall, NativeResponse, Row, parse_native_key
from gateway.native.copying import copy_object
from gateway.native.faults import SourceChanged
from gateway.native.object_headers import written_headers
from gateway.native.operations import appends, uploads
from gateway.native.operations.objects import delete_object, refuse_transforms
from gateway.native.request import bucket_ref
from gateway.native.writing import (
    body_of,
    check_owner,
    default_encryption,
    new_attributes,
    redirect_for_body,
    written_bucket,
)
from jobs.copying import LATEST
from jobs.eviction import evict
from s3api.headers import write_conditions

_CREATES = 2  # Ais-Pine: 1 appends to a shard that is there, 2 makes it if it is not


async def put_object(call: NativeCall) -> NativeResponse:
    """What a PUT of an object's path asks for. The order counts: a writer of parts says that it appends as well."""
    query = call.request.query
    if query.get("object_to"):
        return await copy(call)
    if (redirect := redirect_for_body(call)) is not None:
        return redirect
    if query.get("uploadId"):
        return await uploads.put_part(call)
    if query.get("archpath"):
        return await append_member(call)
    if query.get("append_type"):
        return await appends.append(call)
    return await put_content(call)


async def put_content(call: NativeCall) -> NativeResponse:
    bucket, key = written_bucket(call), call.key()
    await call.require("s3:PutObject", Permission.PUT, bucket, key)
    info = await call.store.put(
        bucket,
        key,
        body_of(call),
        attributes=new_attributes(call, bucket),
        conditions=write_conditions(call.request.headers),
        encryption=default_encryption(bucket),
    )
    return NativeResponse(200, written_headers(info))


async def delete(call: NativeCall) -> NativeResponse:
    """An object, or an upload of one."""
    if call.request.query.get("uploadId"):
        return await uploads.abort(call)
    return await delete_object(call)


# --- into a shard --------------------------------------------------------------------------------------------------


async def append_member(call: NativeCall) -> NativeResponse:
    """Add the body to a shard as a member."""
    request = call.request
    bucket, key = written_bucket(call), call.key()
    await call.require("s3:PutObject", Permission.APPEND, bucket, key)
    body = body_of(call)
    if body.size_bytes is None:
        reason = "a member of a shard needs a Content-Length"
        raise InvalidArgument(name="Content-Length", value="", reason=reason)
    path = request.query["archpath"]
    now_ns = call.services.clock.now_ns()
    member = NewMember(path, data=body, size_bytes=body.size_bytes, modified_ns=now_ns)
    creates = _pine(request.headers.get("ais-pine", "")) == _CREATES

    async def members() -> AsyncIterator[NewMember]:
        yield member

    info = await call.services.shards.append(
        bucket,
        key,
        members(),
        mime=request.query.get("archmime", ""),
        creates=new_attributes(call, bucket) if creates else None,
    )
    return NativeResponse(200, written_headers(info))


def _pine(text: str) -> int:
    if text not in ("", "0", "1", "2"):
        raise InvalidArgument(name="Ais-Pine", value=text[:16], reason="the flags are 1 or 2")
    return int(text or 0)


# --- copies --------------------------------------------------------------------------------------------------------


async def copy(call: NativeCall) -> NativeResponse:
    """Copy the object to the one that `object_to` names. `latest-ver` and `synchronize`: as its backend has it now,
    if it has one; what is gone there is then given up here too."""
    refuse_transforms(call)
    source, key = call.bucket(), call.key()
    ref, target_key = parse_uname(call.request.query["object_to"])
    await call.require("s3:GetObject", Permission.GET, source, key)
    try:
        target = written_bucket(call, ref)
    except NoSuchBucket:
        raise NoSuchBucket(bucket=ref.name, ref=ref) from None
    await call.require("s3:PutObject", Permission.PUT, target, target_key)
    synchronizes = call.request.flag("synchronize")
    latest = LATEST if synchronizes or call.request.flag("latest-ver") else NO_CONDITIONS
    try:
        check_owner(call, source, await call.store.head(source, key, conditions=latest))
    except NotFound:
        if synchronizes and source.props.backend is not None:
            await evict(call.store.present, source, [key])
        raise
    if (source.bucket_id, key) == (target.bucket_id, target_key):
        return NativeResponse()
    info = await copy_object(call, (source, key), (target, target_key), latest)
    return NativeResponse(200, written_headers(info))


def parse_uname(text: str) -> tuple[BucketRef, ObjectKey]:
    """The bucket and object of a name like ais/@#/bucket/object. Raises InvalidArgument, InvalidKey."""
    provider, _, rest = text.partition("/")
    namespace, _, rest = rest.partition("/")
    bucket, _, name = rest.partition("/")
    if not namespace.startswith("@") or not bucket or not name:
        reason = "the name of an object is PROVIDER/@UUID#NAMESPACE/BUCKET/OBJECT"
        raise InvalidArgument(name="object_to", value=text[:256], reason=reason)
    key = parse_native_key(name.encode("utf-8", "surrogatepass"))
    return bucket_ref(BucketName(bucket), provider, namespace), key


async def rename_object(call: NativeCall) -> NativeResponse:
    """Copy, then delete: a crash in between leaves both names, never none."""
    bucket, key = written_bucket(call), call.key()
    name = (await call.request.message()).name
    target_key = parse_native_key(name.encode("utf-8", "surrogatepass"))
    await call.require("s3:GetObject", Permission.MOVE_OBJECT, bucket, key)
    await call.require("s3:DeleteObject", Permission.MOVE_OBJECT, bucket, key)
    await call.require("s3:PutObject", Permission.MOVE_OBJECT, bucket, target_key)
    if target_key == key:
        reason = "an object cannot be renamed to its own name"
        raise InvalidArgument(name="name", value=name[:256], reason=reason)
    await _rename(call, bucket, key, target_key)
    return NativeResponse()


async def _rename(call: NativeCall, bucket: Bucket, key: ObjectKey, target_key: ObjectKey) -> None:
    info = await call.store.head(bucket, key)
    check_owner(call, bucket, info)
    unchanged = Conditions(if_match=(info.etag,))
    try:
        await copy_object(call, (bucket, key), (bucket, target_key), unchanged)
        await call.store.delete(bucket, key, conditions=unchanged)
    except (PreconditionFailed, NoSuchKey) as error:
        raise SourceChanged(key=key) from error


ROWS = (
    Row("PUT", "objects", 2, put_object),
    Row("DELETE", "objects", 2, delete),
    Row("POST", "objects", 2, rename_object, "rename-obj"),
    Row("POST", "objects", 2, uploads.create, "mpt-upload"),
    Row("POST", "objects", 2, uploads.complete, "mpt-complete"),
)
