"""Owns the operations on one object that write no content: get, head, delete, change of metadata, state of locks.

What lies in a shard is read by operations.members.
"""

from __future__ import annotations

from core.claims import Permission
from core.errors import InvalidArgument
from core.names import parse_object_key
from core.sealing import check_customer_key
from core.types import ByteRange, Conditions, ObjectChanges
from gateway.native.call import NativeCall, NativeResponse, Row, parse_native_key
from gateway.native.faults import NoSuchTransform
from gateway.native.object_headers import head_headers, read_headers
from gateway.native.operations.blobs import ASKS_FOR_BLOB, asks_for_blob, open_blob
from gateway.native.operations.eviction import evict_object
from gateway.native.operations.members import asks_for_members, get_members, head_member
from gateway.native.presence import conditions_of, find_object, wants_props
from gateway.native.writing import (
    check_metadata_size,
    check_owner,
    checked_metadata,
    written_bucket,
)
from s3api.headers import parse_range
from s3api.response_headers import quoted_etag
from s3api.timestamps import http_date

_EXISTS = Conditions(if_match=("*",))
# All that a GET may be asked for beside the object as it is; the rest of a query names the bucket.
_SPECIAL = frozenset({"archpath", "archregx", "etl_name", "etl_pipeline"})


async def get_object(call: NativeCall) -> NativeResponse:
    request = call.request
    bucket, key = call.bucket(), call.key()
    await call.require("s3:GetObject", Permission.GET, bucket, key)
    if not _SPECIAL.isdisjoint(request.query):
        refuse_transforms(call)
        if asks_for_members(request.query):
            return await get_members(call, bucket, key)
    byte_range: ByteRange | None = None
    if "range" in request.headers:
        byte_range = parse_range(request.headers["range"])
        if byte_range is not None and "if-range" in request.headers:
            info = await call.store.head(bucket, key)
            validators = (quoted_etag(info), http_date(info.modified_ns))
            if request.headers["if-range"].encode("latin-1") not in validators:
                byte_range = None
    if ASKS_FOR_BLOB in request.headers and asks_for_blob(call):
        reader = await open_blob(call, bucket, key)
    else:
        reader = await call.store.get(
            bucket, key, byte_range=byte_range, conditions=conditions_of(call)
        )
    info = reader.info
    try:
        check_owner(call, bucket, info)
        headers = read_headers(info, is_whole=byte_range is None)
    except BaseException:
        await reader.close()
        raise
    if byte_range is None:
        return NativeResponse(200, headers, reader)
    last = reader.first + reader.length - 1
    headers.append((b"content-range", b"bytes %d-%d/%d" % (reader.first, last, info.size_bytes)))
    return NativeResponse(206, headers, reader)


def refuse_transforms(call: NativeCall) -> None:
    """Raises NoSuchTransform: none is ever made here."""
    query = call.request.query
    name = query.get("etl_name") or query.get("etl_pipeline")
    if name:
        raise NoSuchTransform(name=name[:64])


async def head_object(call: NativeCall) -> NativeResponse:
    request = call.request
    query = request.query
    bucket = call.bucket()
    # Clients probe for virtual directories, whose names end in a slash that no native object's has.
    raw = request.object_name
    key = parse_object_key(raw) if raw.endswith(b"/") else parse_native_key(raw)
    await call.require("s3:GetObject", Permission.HEAD_OBJECT, bucket, key)
    if asks_for_members(query):
        return await head_member(call, bucket, key)
    info = await find_object(call, bucket, key)
    check_owner(call, bucket, info)
    if info.encryption is not None:
        # Of what a client's own key encrypts nothing is told without it, as in S3; nobody can send it here.
        check_customer_key(bucket, key, info.encryption, None)
    if not wants_props(call):
        return NativeResponse()
    node_id = call.services.node.node_id
    return NativeResponse(200, head_headers(bucket, info, query.get("props"), node_id))


async def delete_object(call: NativeCall) -> NativeResponse:
    bucket, key = written_bucket(call), call.key()
    await call.require("s3:DeleteObject", Permission.DELETE_OBJECT, bucket, key)
    if call.request.headers.get("content-length", "0") != "0":
        message = await call.request.message()
        if message.action == "evict-listrange":
            return await evict_object(call, bucket, key)
        if message.action:
            reason = f"{message.action} is nothing that is done to one object"
            raise InvalidArgument(name="action", value=message.action, reason=reason)
    await call.store.delete(bucket, key, conditions=_EXISTS)
    return NativeResponse()


async def set_custom_metadata(call: NativeCall) -> NativeResponse:
    bucket, key = written_bucket(call), call.key()
    await call.require("s3:PutObject", Permission.UPDATE_OBJECT, bucket, key)
    message = await call.request.message()
    if not isinstance(message.value, dict):
        reason = "custom metadata is a map of names to texts"
        raise InvalidArgument(name="value", value="", reason=reason)
    metadata = checked_metadata(
        (str(name), _header_text(name, value)) for name, value in message.value.items()
    )
    replaces = call.request.flag("set-new-custom")
    info = await call.store.head(bucket, key)
    if not replaces:
        check_metadata_size({**info.attributes.user_metadata, **metadata})
    changes = ObjectChanges(user_metadata=metadata, keeps_other_metadata=not replaces)
    await call.store.update_object(bucket, key, changes)
    return NativeResponse()


def _header_text(name: object, value: object) -> str:
    """A value as it stands in headers: its bytes, one character each."""
    if not isinstance(value, str):
        raise InvalidArgument(
            name="value", value=str(name)[:64], reason="values of custom metadata are texts"
        )
    return value.encode("utf-8", "surrogatepass").decode("latin-1")


async def check_lock(call: NativeCall) -> NativeResponse:
    """Nobody waits for a lock here: readers see the old object or the new one."""
    bucket, key = call.bucket(), call.key()
    await call.require("s3:GetObject", Permission.HEAD_OBJECT, bucket, key)
    return NativeResponse()


ROWS = (
    Row("GET", "objects", 2, get_object),
    Row("HEAD", "objects", 2, head_object),
    Row("PATCH", "objects", 2, set_custom_metadata),
    Row("POST", "objects", 2, check_lock, "check-lock"),
)
