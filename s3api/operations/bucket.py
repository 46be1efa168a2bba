"""Owns the operations on a bucket as a whole: create, head, delete, and what it answers about itself."""

from __future__ import annotations

import re
from dataclasses import replace

from core.configs.versioning import ObjectLock, Versioning
from core.errors import (
    AmbiguousBucketName,
    BucketExists,
    BucketNotEmpty,
    BucketOwnedByYou,
    NoSuchBucket,
)
from core.names import BucketRef, parse_bucket_name
from core.types import BucketProps
from s3api.acls import read_acl
from s3api.call import Call, Response
from s3api.encryption import default_for_new_buckets
from s3api.headers import refuse_unserved
from s3api.operations.ownership import check_ownership, read_ownership
from s3api.protocol_errors import IllegalLocationConstraint, InvalidLocationConstraint
from s3api.xml import XML_TYPE, document, escape, parse, texts

_US_EAST_1 = "us-east-1"
_LOCK_ENABLED = "x-amz-bucket-object-lock-enabled"
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d\Z|EU\Z")


async def create_bucket(call: Call) -> Response:
    """In us-east-1, S3 lets an owner create a bucket again; elsewhere it is a conflict.

    AWS documents that doing so resets the ACL. A script that makes sure that a bucket exists would so take away
    what an administrator granted, so another ACL than the present one is a conflict (as ceph/s3-tests asks).
    """
    headers = call.request.headers
    ref = BucketRef(parse_bucket_name(call.request.bucket or ""))
    refuse_unserved(headers)
    props = BucketProps(
        acl=read_acl(call.store, headers),
        ownership=read_ownership(call),
        encryption=default_for_new_buckets(call.settings),
    )
    if headers.get(_LOCK_ENABLED, "").strip().lower() == "true":
        props = replace(props, versioning=Versioning.ENABLED, object_lock=ObjectLock())
    region = await _requested_region(call)
    _check_name_is_free(call, ref)
    owner = call.identity.user
    assert owner is not None, "the edge lets no anonymous caller create buckets"
    check_ownership(props, owner.user_id)
    try:
        await call.store.create_bucket(ref, owner=owner, region=region, props=props)
    except BucketOwnedByYou:
        if region != _US_EAST_1:
            raise
        if call.store.get_bucket(ref).props.acl != props.acl:
            raise BucketExists(bucket=ref.name) from None
    return Response(200, [(b"location", b"/" + ref.name.encode())])


def _check_name_is_free(call: Call, ref: BucketRef) -> None:
    """A bare name that means a bucket at a provider is not taken from it. Raises BucketExists, BucketOwnedByYou."""
    try:
        other = call.store.find_bucket(ref.name)
    except NoSuchBucket:
        return
    except AmbiguousBucketName:
        raise BucketExists(bucket=ref.name) from None
    if not other.ref.is_plain:
        is_own = other.owner.user_id == call.identity.user_id
        raise (BucketOwnedByYou if is_own else BucketExists)(bucket=ref.name)


async def _requested_region(call: Call) -> str:
    """The LocationConstraint, which must be this endpoint's region; none asks for that region.

    Raises MalformedXML, IllegalLocationConstraint, InvalidLocationConstraint.
    """
    own_region = call.settings.region
    if not call.document.strip():
        return own_region
    configuration = await parse(call.document, "CreateBucketConfiguration", texts)
    region = configuration.get("LocationConstraint")
    if not region or region == own_region:
        return own_region
    if _REGION.match(region):
        reason = (
            f"The {region} location constraint is incompatible for the region specific endpoint "
            "this request was sent to."
        )
        raise IllegalLocationConstraint(region=region, reason=reason)
    raise InvalidLocationConstraint(region=region)


async def head_bucket(call: Call) -> Response:
    region = call.target_bucket.region or call.settings.region
    return Response(
        200,
        [
            (b"x-amz-bucket-region", region.encode()),
            (b"x-amz-access-point-alias", b"false"),
            XML_TYPE,
        ],
    )


async def delete_bucket(call: Call) -> Response:
    bucket = call.target_bucket
    if bucket.props.backend is None:
        await call.store.delete_bucket(bucket)
    elif await call.store.is_empty(bucket):
        # What it was bound to stays, as the bucket there.
        await call.store.destroy_bucket(bucket)
    else:
        raise BucketNotEmpty(bucket=bucket.name)
    return Response(204)


async def get_bucket_location(call: Call) -> Response:
    """us-east-1 is shown as no location at all, as S3 has it since its beginnings."""
    region = call.target_bucket.region
    return Response(
        200,
        [XML_TYPE],
        document("LocationConstraint", "" if region == _US_EAST_1 else escape(region)),
    )
