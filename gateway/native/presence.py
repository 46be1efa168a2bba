"""Owns where a native request wants an object to be looked for: in the cluster, outside of it, or as its backend has it
now (`presence`, `latest-ver`).
"""

from __future__ import annotations

from dataclasses import replace

from core.errors import NoSuchKey
from core.names import ObjectKey
from core.types import Bucket, Conditions, ObjectInfo
from gateway.native.call import NativeCall
from gateway.native.faults import CopyOutdated, GoneFromBackend
from s3api.headers import read_conditions

_IN_CLUSTER = frozenset({"2", "3", "4"})
_OUTSIDE = "5"
_WITHOUT_PROPS = frozenset({"1", "3"})


def conditions_of(call: NativeCall) -> Conditions:
    """The conditions of a read."""
    conditions = read_conditions(call.request.headers)
    if call.request.flag("latest-ver"):
        conditions = replace(conditions, latest=True)
    return conditions


def wants_props(call: NativeCall) -> bool:
    """Whether more is wanted than that the object exists."""
    return call.request.query.get("presence", "") not in _WITHOUT_PROPS


async def find_object(call: NativeCall, bucket: Bucket, key: ObjectKey) -> ObjectInfo:
    """HEAD where the request wants to look. No backend is asked for what is to be in the cluster.

    Raises as ObjectStore.head, and CopyOutdated and GoneFromBackend of a copy where the latest was asked for."""
    presence = call.request.query.get("presence", "")
    conditions = conditions_of(call)
    store = call.store
    if presence in _IN_CLUSTER:
        return await store.present.head(bucket, key, conditions=conditions)
    if presence == _OUTSIDE:
        if bucket.props.backend is None or await _is_here(call, bucket, key):
            raise NoSuchKey(key=key)
        return await store.head(bucket, key, conditions=conditions)
    if not conditions.latest or bucket.props.backend is None:
        return await store.head(bucket, key, conditions=conditions)
    was_here = await _is_here(call, bucket, key)
    try:
        info = await store.head(bucket, key, conditions=conditions)
    except NoSuchKey:
        if was_here:
            raise GoneFromBackend(key=key) from None
        raise
    if was_here and not info.is_cached:
        raise CopyOutdated(key=key)
    return info


async def _is_here(call: NativeCall, bucket: Bucket, key: ObjectKey) -> bool:
    try:
        await call.store.present.head(bucket, key)
    except NoSuchKey:
        return False
    return True
