"""Owns appends: an object grows piece by piece under a handle, and nobody sees it until it is flushed.

The handle names a session of the store and the number of its next part, so that any worker can go on, and a piece that
is sent again, after its answer was lost, takes the place of itself. The first piece comes after what the object has.
"""

from __future__ import annotations

from core.claims import Permission
from core.errors import InvalidArgument, NoSuchKey
from core.types import MAX_PARTS
from gateway.native.call import NativeCall, NativeResponse
from gateway.native.object_headers import written_headers
from gateway.native.sessions import EmptyBody, Session
from gateway.native.writing import body_of, check_owner, new_attributes, written_bucket
from jobs.copying import Place, copy_parts


async def append(call: NativeCall) -> NativeResponse:
    """Append the body to what a handle names, or flush it."""
    query = call.request.query
    kind, handle = query["append_type"], query.get("append_handle", "")
    if kind not in ("append", "flush"):
        reason = "append_type is append or flush"
        raise InvalidArgument(name="append_type", value=kind[:16], reason=reason)
    bucket, key = written_bucket(call), call.key()
    await call.require("s3:PutObject", Permission.APPEND, bucket, key)
    if kind == "flush":
        return await _flush(call, (bucket, key), handle)
    is_new = not handle
    if is_new:
        session, number = await _begin(call, (bucket, key))
    else:
        session, number = await _open(call, (bucket, key), handle)
    try:
        number = await _add(call, session, number)
    except BaseException:
        if is_new:
            await session.give_up()
        raise
    made = f"{session.upload_id}.{number}"
    return NativeResponse(200, [(b"ais-append-handle", made.encode())])


async def _begin(call: NativeCall, place: Place) -> tuple[Session, int]:
    """A session that has what the object has now, and the number of its next part."""
    bucket, key = place
    try:
        info = await call.store.head(bucket, key)
    except NoSuchKey:
        return await Session.begin(call, place, new_attributes(call, bucket)), 1
    check_owner(call, bucket, info)
    session = await Session.begin(call, place, info.attributes)
    try:
        copied = await copy_parts(call.store, place, info, place, session.upload_id)
        return session, 1 + len(copied)
    except BaseException:
        await session.give_up()
        raise


async def _open(call: NativeCall, place: Place, handle: str) -> tuple[Session, int]:
    upload_id, _, number = handle.rpartition(".")
    if not upload_id or not (number.isascii() and number.isdigit() and len(number) < 6):
        reason = "the append handle is none that was given out here"
        raise InvalidArgument(name="append_handle", value=handle[:64], reason=reason)
    return await Session.of(call, place, upload_id), int(number)


async def _add(call: NativeCall, session: Session, number: int) -> int:
    """Keep the body as a part; gives the number of the next one."""
    body = body_of(call)
    if body.size_bytes == 0:
        return number
    if not 1 <= number <= MAX_PARTS:
        reason = f"no more than {MAX_PARTS} pieces can be appended before a flush"
        raise InvalidArgument(name="append_handle", value=str(number), reason=reason)
    await session.put(number, body)
    return number + 1


async def _flush(call: NativeCall, place: Place, handle: str) -> NativeResponse:
    """Publish what was appended. What a client sends with it comes last."""
    session, number = await _open(call, place, handle)
    await _add(call, session, number)
    parts = await session.parts()
    if not parts:
        # Only nothing was ever appended, to nothing.
        await session.put(1, EmptyBody())
        parts = await session.parts()
    return NativeResponse(200, written_headers(await session.publish(parts)))
