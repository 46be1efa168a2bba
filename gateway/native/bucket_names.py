"""Owns how native clients write the names of buckets: checks of new ones, who may make them, and AIStore's unames."""

from __future__ import annotations

import re
from dataclasses import replace

from core.claims import Permission
from core.errors import BucketExists, Denied, InvalidArgument, InvalidBucketName
from core.names import SYSTEM_BUCKETS, BucketRef, parse_native_bucket_name
from gateway.native.call import NativeCall
from gateway.native.request import bucket_ref

_NAMESPACE = re.compile(r"[A-Za-z0-9_-]{1,32}\Z")


def check_new_bucket(ref: BucketRef) -> None:
    """Whether a bucket may be made, or added, under that identity. Raises InvalidBucketName, InvalidArgument."""
    if ref.provider != "ais" and ref.cluster:
        reason = "only ais buckets are in other clusters"
        raise InvalidArgument(name="namespace", value=ref.namespace, reason=reason)
    if any(part and not _NAMESPACE.match(part) for part in (ref.cluster, ref.space)):
        reason = "a namespace has 1 to 32 letters, digits, - and _"
        raise InvalidArgument(name="namespace", value=ref.namespace, reason=reason)
    if ref.is_remote and ref.name.startswith("."):
        raise InvalidBucketName(bucket=ref.name)
    parse_native_bucket_name(ref.name)


async def admit_new_bucket(call: NativeCall, ref: BucketRef) -> None:
    """Whether the caller may make that bucket, or give one that name, whichever bucket the path names. Raises Denied,
    and as `check_new_bucket`."""
    check_new_bucket(ref)
    if ref.is_remote:
        await admit_to_backends(call)
    else:
        _check_bare_name(call, ref)
    if ref.name in SYSTEM_BUCKETS:
        # What the store makes of everybody's objects goes there.
        await call.require("weir:CreateSystemBucket", Permission.ADMIN)
    # Policies of users say which buckets they may make, by name.
    of_new = replace(call, request=replace(call.request, names=(ref.name.encode(),)))
    await of_new.require("s3:CreateBucket", Permission.CREATE_BUCKET)


def _check_bare_name(call: NativeCall, ref: BucketRef) -> None:
    """S3 clients say bare names alone. What such a name means to others, nobody but root changes: a bucket of one's own
    would have what they write to theirs, and one in a namespace would leave theirs without a name. Raises
    BucketExists."""
    user = call.identity.user
    if user is not None and user.is_root:
        return
    same = [each for each in call.store.all_buckets() if each.name == ref.name]
    if any(each.ref.is_plain for each in same):
        return
    for each in same:
        is_others = user is None or each.owner.user_id != user.user_id
        if is_others and (ref.is_plain or each.props.backend is not None):
            raise BucketExists(bucket=ref.name, ref=ref)


async def admit_to_backends(call: NativeCall) -> None:
    """Whether the caller may have the cluster's own credentials used for a bucket of its choice: to add one that lives
    elsewhere, or to say where one lives. They open whatever they open at the provider, so this is root's, and that of
    tokens which act for root and permit to make buckets. Raises Denied."""
    await call.require("weir:UseBackend", Permission.CREATE_BUCKET)
    user = call.identity.user
    if user is None or not user.is_root:
        raise Denied(reason="weir:UseBackend in the cluster")


def ref_of_uname(uname: str) -> BucketRef:
    """The bucket that PROVIDER/@UUID#NAMESPACE/BUCKET/ names, or a bare name. Raises InvalidArgument."""
    parts = uname.removesuffix("/").split("/")
    if len(parts) == 1 and parts[0]:
        return bucket_ref(parts[0])
    if len(parts) != 3 or not all(parts) or not parts[1].startswith("@"):
        reason = "not of the form provider/@uuid#namespace/bucket/"
        raise InvalidArgument(name="bck_to", value=uname, reason=reason)
    provider, namespace, name = parts
    return bucket_ref(name, provider, namespace)
