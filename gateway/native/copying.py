"""Owns copies of objects on a native client's behalf."""

from __future__ import annotations

from core.types import NO_CONDITIONS, NOBODY, Conditions, ObjectInfo
from gateway.native.call import NativeCall
from gateway.native.sessions import ANONYMOUS
from jobs import copying
from jobs.copying import Place, Writer


async def copy_object(
    call: NativeCall, source: Place, target: Place, conditions: Conditions = NO_CONDITIONS
) -> ObjectInfo:
    """As jobs.copying.copy_object; the copy is the caller's."""
    writer = Writer(call.identity.user or ANONYMOUS, call.identity.user_id or NOBODY)
    return await copying.copy_object(call.store, source, target, writer, conditions=conditions)
