"""Owns the promotion of files of this machine to objects, as native clients ask for it: a small file is promoted at
once, a directory in a job."""

from __future__ import annotations

import asyncio

from core.claims import Permission
from core.errors import InvalidArgument, PreconditionFailed
from core.names import ObjectKey
from core.types import NOBODY, Bucket
from gateway.native.call import NativeCall, NativeResponse, Row, parse_native_key, text_response
from gateway.native.faults import ObjectExists
from gateway.native.writing import written_bucket
from jobs.local_files import LocalFile, LocalPath, allowed_path, is_directory_sync
from jobs.promote import PROMOTE, Promotion, file_key, promote_file

_AT_ONCE_BYTES = 256 * 1024**2
"""A larger file is promoted in a job too: clients do not wait for long."""


async def promote(call: NativeCall) -> NativeResponse:
    """The id of the job, or nothing where none is needed."""
    bucket = written_bucket(call)
    promotion = await _asked(call, bucket)
    key = ObjectKey(promotion.prefix) if promotion.prefix else None
    await call.require("s3:PutObject", Permission.PROMOTE, bucket, key)
    user = call.identity.user
    if call.identity.claims is None or user is None or not user.is_root:
        # It reads files of the node, which no bucket's owner has a say in, nor a token that speaks for one.
        await call.require("weir:Promote", Permission.PROMOTE)
    source = allowed_path(promotion.source, call.services.promote_from)
    if await asyncio.to_thread(is_directory_sync, source):
        return await _start(call, promotion)
    return await _promote_file(call, bucket, source, promotion)


async def _asked(call: NativeCall, bucket: Bucket) -> Promotion:
    message = await call.request.message()
    said = message.fields()
    source = str(said.get("src") or message.name)
    return Promotion(
        bucket.ref,
        source,
        _prefix(str(said.get("obj") or "")),
        call.identity.user_id or NOBODY,
        is_recursive=said.get("rcr") is True,
        overwrites=said.get("ovw") is True,
        deletes_source=said.get("dls") is True,
    )


def _prefix(text: str) -> str:
    """What the names of objects begin with: by the rules of names, but that it may end in a slash. Raises InvalidKey,
    KeyTooLong."""
    if name := text.removesuffix("/"):
        parse_native_key(name.encode("utf-8", "surrogatepass"))
    elif text:
        raise InvalidArgument(name="obj", value=text, reason="no object's name begins with /")
    return text


async def _promote_file(
    call: NativeCall, bucket: Bucket, source: LocalPath, promotion: Promotion
) -> NativeResponse:
    key = file_key(promotion, source)
    if await asyncio.to_thread(_size_sync, source) > _AT_ONCE_BYTES:
        return await _start(call, promotion)
    try:
        await promote_file(call.store, bucket, key, source, promotion)
    except PreconditionFailed:
        raise ObjectExists(key=key) from None
    return NativeResponse()


def _size_sync(source: LocalPath) -> int:
    file = LocalFile(source)
    try:
        return file.size_bytes
    finally:
        file.close_sync()


async def _start(call: NativeCall, promotion: Promotion) -> NativeResponse:
    return text_response((await call.add_job(PROMOTE, promotion.arguments())).job_id)


ROWS = (Row("POST", "objects", 1, promote, "promote"),)
