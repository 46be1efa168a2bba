"""Owns the operations of native clients on buckets as a whole: making, destroying, listing, properties."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace

from core.claims import Permission
from core.errors import InvalidBucketName, InvalidBucketState
from core.listing import VersionListQuery
from core.names import BucketRef
from core.types import Bucket, BucketProps, Identity
from gateway.native import props
from gateway.native.bucket_making import IN_CLUSTER, buckets_outside, look_up, make_bucket
from gateway.native.bucket_names import admit_new_bucket, admit_to_backends
from gateway.native.call import NativeCall, NativeResponse, Row, json_response
from gateway.native.request import bucket_ref

_MAX_PAGES = 100
"""Of 1,000 versions each, of which policies are asked before a bucket is destroyed."""
_FEW_BUCKETS = 200
"""As many may be listed in the event loop, in about a millisecond."""
_EXISTS_OUTSIDE = "5"
"""The presence of what other providers have and this cluster has not (AIStore: FltExistsOutside)."""


async def create_bucket(call: NativeCall) -> NativeResponse:
    """A name that is taken is a conflict, whoever owns the bucket. One that lives elsewhere is added, if it is there
    (see `dont_head_remote_bck`)."""
    ref = call.request.ref()
    await admit_new_bucket(call, ref)
    message = await call.request.message()
    await make_bucket(call, ref, message.value)
    return NativeResponse()


async def destroy_bucket(call: NativeCall) -> NativeResponse:
    """With all that is in it; the S3 front is strict about that. One that lives elsewhere is forgotten here, with the
    copies of what is in it; there it stays."""
    bucket = call.bucket()
    await call.require("s3:DeleteBucket", Permission.DESTROY_BUCKET, bucket)
    if bucket.props.backend is None:
        await admit_emptying(call, bucket, Permission.DESTROY_BUCKET)
    await call.store.destroy_bucket(bucket)
    return NativeResponse()


async def admit_emptying(call: NativeCall, bucket: Bucket, needed: Permission) -> None:
    """Policies that permit to delete a bucket mean S3's, which must be empty: where there are any, each version in it
    is asked for. Raises Denied, InvalidBucketState where they are too many."""
    user = call.identity.user
    if not bucket.props.policy and (user is None or not user.policies):
        return
    query = VersionListQuery()
    for _ in range(_MAX_PAGES):
        page = await call.store.list_versions(bucket, query)
        for key in dict.fromkeys(each.info.key for each in page.versions):
            await call.require("s3:DeleteObject", needed, bucket, key)
            await call.require("s3:DeleteObjectVersion", needed, bucket, key)
        if not page.is_truncated:
            return
        query = VersionListQuery(
            key_marker=page.next_key_marker, version_id_marker=page.next_version_id_marker
        )
        await asyncio.sleep(0)
    reason = "policies hold for it and it has too many objects to ask them for each; delete these"
    raise InvalidBucketState(reason=reason)


async def no_bucket_named(call: NativeCall) -> NativeResponse:
    """What a client sends that was given an empty name, or one that its URL library took for a path or a fragment."""
    raise InvalidBucketName(bucket=call.request.bucket_name, reason="no bucket is named")


async def list_buckets(call: NativeCall) -> NativeResponse:
    """Those that the caller may know of, in order of provider and name. System buckets only with `sys`. Where a
    provider is named that is elsewhere, those too that its account has and nobody has used here yet; `presence` says
    which of both are wanted."""
    await call.require("s3:ListAllMyBuckets", Permission.LIST_BUCKETS)
    query = call.request.query
    provider, presence = query.get("provider", ""), query.get("presence", "")
    wanted = bucket_ref("", provider, query.get("namespace", ""))
    with_system = call.request.flag("sys")
    outside: Sequence[BucketRef] = ()
    if wanted.is_remote and presence not in IN_CLUSTER:
        outside = await buckets_outside(call, wanted, must_tell=bool(presence))

    def listed() -> NativeResponse:
        known = [
            bucket.ref
            for bucket in known_to(call.identity, buckets)
            if (not provider or bucket.ref.provider == wanted.provider)
            and (not query.get("namespace") or bucket.ref.namespace == wanted.namespace)
            and (with_system or not bucket.name.startswith("."))
        ]
        found = set(outside) - {bucket.ref for bucket in buckets}
        if presence != _EXISTS_OUTSIDE:
            found.update(known)
        in_order = sorted(found, key=lambda ref: (ref.provider, ref.name, ref.namespace))
        return json_response([props.bucket_json(ref) for ref in in_order])

    buckets = call.store.all_buckets()
    is_short = len(buckets) + len(outside) <= _FEW_BUCKETS
    return listed() if is_short else await asyncio.to_thread(listed)


def known_to(identity: Identity, buckets: Sequence[Bucket]) -> Sequence[Bucket]:
    """Those of the account, and of them those that a token lets its holder see."""
    user, claims = identity.user, identity.claims
    if user is None or not user.is_root:
        buckets = [bucket for bucket in buckets if bucket.owner.user_id == identity.user_id]
    if claims is None:
        return buckets
    return [
        bucket
        for bucket in buckets
        if claims.permits(Permission.HEAD_BUCKET, bucket.ref)
        or claims.permits(Permission.LIST_OBJECTS, bucket.ref)
    ]


async def head_bucket(call: NativeCall) -> NativeResponse:
    """The properties, in a header."""
    bucket = call.bucket()
    await call.require("s3:ListBucket", Permission.HEAD_BUCKET, bucket)
    return NativeResponse(200, [props_header(bucket)])


def props_header(bucket: Bucket) -> tuple[bytes, bytes]:
    """The header that has a bucket's properties."""
    return b"ais-bucket-props", json.dumps(props.props_json(bucket)).encode()


async def set_props(call: NativeCall) -> NativeResponse:
    bucket = call.bucket()
    message = await call.request.message()
    await call.require("weir:PutBucketProperties", Permission.PATCH, bucket)
    if isinstance(message.value, dict) and "access" in message.value:
        await call.require("weir:PutBucketAccess", Permission.SET_BUCKET_ACL, bucket)

    def change(old: BucketProps) -> BucketProps:
        return props.changed(old, message.value, bucket.ref)

    wanted = change(bucket.props)
    if props.uses_backends(message.value):
        await admit_to_backends(call)
        is_forced = message.fields().get("force") is True
        if wanted.backend is not None and wanted != bucket.props and not is_forced:
            await look_up(call, replace(bucket, props=wanted))
    is_same = wanted.backend == bucket.props.backend and not props.is_moved(bucket.props, wanted)
    if wanted.backend is None or is_same:
        await call.store.update_bucket_props(bucket, change)
    else:
        await call.store.bind_bucket(bucket, change)
    return NativeResponse()


async def reset_props(call: NativeCall) -> NativeResponse:
    bucket = call.bucket()
    await call.require("weir:PutBucketProperties", Permission.PATCH, bucket)
    await call.require("weir:PutBucketAccess", Permission.SET_BUCKET_ACL, bucket)
    await call.store.update_bucket_props(bucket, props.reset)
    return NativeResponse()


ROWS = (
    Row("GET", "buckets", 0, list_buckets, "list"),
    Row("GET", "buckets", 0, list_buckets, ""),
    Row("POST", "buckets", 0, no_bucket_named),
    Row("DELETE", "buckets", 0, no_bucket_named),
    Row("PATCH", "buckets", 0, no_bucket_named),
    Row("POST", "buckets", 1, create_bucket, "create-bck"),
    Row("DELETE", "buckets", 1, destroy_bucket, "destroy-bck"),
    Row("PATCH", "buckets", 1, set_props, "set-bprops"),
    Row("PATCH", "buckets", 1, reset_props, "reset-bprops"),
)
