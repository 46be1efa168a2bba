"""Owns copies of objects of any size on a native client's behalf."""

from __future__ import annotations

from core.acl import owner_of_new
from core.names import ObjectKey
from core.types import (
    MAX_PUT_BYTES,
    NO_CONDITIONS,
    NOBODY,
    Bucket,
    CannedAcl,
    Conditions,
    ObjectInfo,
)
from gateway.native.call import NativeCall
from gateway.native.sessions import Session, parts_of_object
from gateway.native.writing import default_encryption

Place = tuple[Bucket, ObjectKey]


async def copy_object(
    call: NativeCall, source: Place, target: Place, conditions: Conditions = NO_CONDITIONS
) -> ObjectInfo:
    """Copy an object with its metadata and tags; `conditions` are those of the source. What is too large for one copy
    is put together of several, which becomes visible at the end. Raises as ObjectStore.copy."""
    bucket, key = target
    writer = owner_of_new(bucket, call.identity.user_id or NOBODY, CannedAcl.PRIVATE)
    info = await call.store.head(*source)
    if info.size_bytes <= MAX_PUT_BYTES:
        return await call.store.copy(
            *source,
            bucket,
            key,
            source_conditions=conditions,
            owner_id=writer,
            encryption=default_encryption(bucket),
        )
    session = await Session.begin(call, target, info.attributes)
    try:
        await parts_of_object(session, source, info)
        return await session.publish()
    except BaseException:
        await session.give_up()
        raise
