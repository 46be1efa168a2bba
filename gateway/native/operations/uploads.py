"""Owns native multipart uploads: they are S3's, with parts of any size, and with rules of their own for the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from core.claims import Permission
from core.errors import InvalidArgument, InvalidPart
from core.types import MAX_PARTS
from core.uploads import UploadedPart
from gateway.native.call import NativeCall, NativeResponse, text_response
from gateway.native.object_headers import written_headers
from gateway.native.sessions import Session
from gateway.native.writing import body_of, new_attributes, written_bucket

_PUT = "s3:PutObject"


async def create(call: NativeCall) -> NativeResponse:
    bucket, key = written_bucket(call), call.key()
    await call.require(_PUT, Permission.PUT, bucket, key)
    session = await Session.begin(call, (bucket, key), new_attributes(call, bucket))
    return text_response(session.upload_id)


async def put_part(call: NativeCall) -> NativeResponse:
    bucket, key = call.bucket(), call.key()
    await call.require(_PUT, Permission.PUT, bucket, key)
    query = call.request.query
    number = part_number(query.get("partNumber", ""))
    session = await Session.of(call, (bucket, key), query["uploadId"])
    part = await session.put(number, body_of(call, refuses_empty=True))
    headers = [(b"etag", b'"%s"' % part.etag.encode())]
    if part.checksum is not None:
        headers += (
            (b"ais-checksum-type", part.checksum.algorithm.value.lower().encode()),
            (b"ais-checksum-value", part.checksum.digest.hex().encode()),
        )
    return NativeResponse(200, headers)


def part_number(value: object) -> int:
    """Raises InvalidArgument."""
    text = str(value)
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= MAX_PARTS):
        reason = f"a part number is from 1 to {MAX_PARTS}"
        raise InvalidArgument(name="partNumber", value=text[:16], reason=reason)
    return int(text)


async def complete(call: NativeCall) -> NativeResponse:
    bucket, key = written_bucket(call), call.key()
    await call.require(_PUT, Permission.PUT, bucket, key)
    wanted = _wanted((await call.request.message()).value)
    session = await Session.of(call, (bucket, key), call.request.query.get("uploadId", ""))
    parts = await session.parts()
    _check_complete(session, wanted, parts)
    info = await session.publish(parts)
    return NativeResponse(200, written_headers(info))


def _wanted(value: Any) -> Sequence[tuple[int, str]]:
    """The part numbers and ETags that a completion names. Raises InvalidArgument."""
    if not isinstance(value, list) or not all(isinstance(each, Mapping) for each in value):
        reason = "a completion is a list of parts"
        raise InvalidArgument(name="value", value="", reason=reason)
    return [
        (part_number(each.get("part-number", "")), str(each.get("etag") or "").strip('"'))
        for each in value
    ]


def _check_complete(
    session: Session, wanted: Sequence[tuple[int, str]], parts: Sequence[UploadedPart]
) -> None:
    """A completion names every part that there is, once. Raises InvalidArgument, InvalidPart."""
    if not parts:
        reason = f"upload {session.upload_id} has no chunks"
        raise InvalidArgument(name="value", value="", reason=reason)
    if Counter(number for number, _ in wanted) != Counter(part.part_number for part in parts):
        reason = (
            f"partial completion is not supported: {len(wanted)} parts are named, and "
            f"{len(parts)} were uploaded, each of which must be named once"
        )
        raise InvalidArgument(name="value", value="", reason=reason)
    etags = {part.part_number: part.etag for part in parts}
    for number, etag in wanted:
        if etag and etag != etags[number]:
            raise InvalidPart(part_number=number, upload_id=session.upload_id, etag=etag)


async def abort(call: NativeCall) -> NativeResponse:
    bucket, key = call.bucket(), call.key()
    await call.require("s3:AbortMultipartUpload", Permission.PUT, bucket, key)
    session = await Session.of(call, (bucket, key), call.request.query["uploadId"])
    await call.store.abort_upload(bucket, key, session.upload_id)
    return NativeResponse()
