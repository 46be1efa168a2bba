"""Owns what native clients ask about the layout of a bucket's objects: that they be cut anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core import chunks
from core.claims import Permission
from core.configs.sections import parse_size
from core.errors import InvalidArgument
from core.names import ObjectKey
from gateway.native.call import NativeCall, NativeResponse, Row
from gateway.native.fields import flag_of, text_of
from gateway.native.operations.jobs import ask_for
from jobs.rechunk import RECHUNK, RechunkOptions, rechunk_arguments


async def rechunk(call: NativeCall) -> NativeResponse:
    """Rewrite a bucket's objects to its settings of chunks, or to others; answers the job's id."""
    bucket = call.bucket()
    await call.require("weir:Rechunk", Permission.UPDATE_OBJECT, bucket)
    fields = (await call.request.message()).fields()
    options = RechunkOptions(
        text_of(fields, "prefix"),
        _size(fields, "objsize-limit", 0, chunks.MAX_MONOLITHIC_BYTES),
        _size(fields, "chunk-size", chunks.MIN_CHUNK_BYTES, chunks.MAX_CHUNK_BYTES, or_zero=True),
        flag_of(fields, "sync-remote"),
    )
    if options.syncs_remote:
        if bucket.props.backend is None:
            reason = "the bucket has no backend to upload to"
            raise InvalidArgument(name="sync-remote", value="true", reason=reason)
        some_key = ObjectKey(f"{options.prefix}any")
        await call.require("s3:PutObject", Permission.PUT, bucket, some_key)
    return await ask_for(call, RECHUNK, rechunk_arguments(bucket, options))


def _size(
    fields: Mapping[str, Any], name: str, minimum: int, maximum: int, *, or_zero: bool = False
) -> int | None:
    """Bytes, as a number or a text with a unit."""
    value = fields.get(name)
    if value is None:
        return None
    size_bytes = -1
    if isinstance(value, int | str) and not isinstance(value, bool) and len(str(value)) <= 32:
        size_bytes = parse_size(str(value), -1)
    if not minimum <= size_bytes <= maximum and not (or_zero and size_bytes == 0):
        reason = f"{name} is no size from {minimum} to {maximum} bytes"
        raise InvalidArgument(name=name, value=str(value)[:64], reason=reason)
    return size_bytes


ROWS = (Row("POST", "buckets", 1, rechunk, "rechunk"),)
