"""Owns the operations on ACLs: get and put, of a bucket and of an object version."""

from __future__ import annotations

from dataclasses import replace

from core import acl
from core.errors import PreconditionFailed, WriteConflict
from core.names import UserId
from core.types import Acl, BucketProps, CannedAcl, Conditions, ObjectChanges
from s3api.access_errors import AclsNotSupported, MissingSecurityHeader, UnexpectedContent
from s3api.acls import acl_document, asks_for_acl, check_public, parse_acl, read_acl
from s3api.call import Call, Response
from s3api.parameters import version_id
from s3api.response_headers import version_headers
from s3api.xml import XML_TYPE

_ATTEMPTS = 4


async def get_bucket_acl(call: Call) -> Response:
    bucket = call.target_bucket
    owner_id = bucket.owner.user_id
    shown = acl.grants_of(_in_force(bucket.props, bucket.props.acl), owner_id, owner_id)
    return Response(200, [XML_TYPE], acl_document(call.store, owner_id, shown))


async def put_bucket_acl(call: Call) -> Response:
    """The bucket's settings are looked at again in the change itself: they may have become stricter meanwhile."""
    asked = await _asked_acl(call, call.target_bucket.owner.user_id)

    def change(props: BucketProps) -> BucketProps:
        _check(asked, props)
        return replace(props, acl=asked)

    await call.store.update_bucket_props(call.target_bucket, change)
    return Response(200)


async def get_object_acl(call: Call) -> Response:
    bucket = call.target_bucket
    wanted = version_id(call.request.query)
    info = await call.store.head(bucket, call.target_key, version_id=wanted)
    call.check_object(info)
    owner_id = acl.object_owner(bucket, info.attributes)
    shown = acl.grants_of(
        _in_force(bucket.props, info.attributes.acl), owner_id, bucket.owner.user_id
    )
    body = acl_document(call.store, owner_id, shown)
    return Response(200, [XML_TYPE, *version_headers(call.target_bucket, info)], body)


async def put_object_acl(call: Call) -> Response:
    """Neither the version's time nor its place among the versions changes, nor who owns it.

    The change is made to the very bytes whose owner and ACL let the caller in: if others have taken their place
    meanwhile, all is looked at again.
    """
    bucket, wanted = call.target_bucket, version_id(call.request.query)
    for _ in range(_ATTEMPTS):
        info = await call.store.head(bucket, call.target_key, version_id=wanted)
        call.check_object(info)
        asked = await _asked_acl(call, acl.object_owner(bucket, info.attributes))
        _check(asked, bucket.props)
        try:
            info = await call.store.update_object(
                bucket,
                call.target_key,
                ObjectChanges(acl=asked),
                version_id=wanted,
                conditions=Conditions(if_match=(info.etag,)),
            )
        except PreconditionFailed:
            continue
        return Response(200, version_headers(call.target_bucket, info))
    raise WriteConflict(key=call.target_key)


async def _asked_acl(call: Call, owner_id: UserId) -> Acl:
    """The ACL that headers or the document ask for. Raises UnexpectedContent for both, MissingSecurityHeader for
    neither."""
    headers = call.request.headers
    has_document = bool(call.document.strip())
    if asks_for_acl(headers):
        if has_document:
            raise UnexpectedContent
        return read_acl(call.store, headers)
    if not has_document:
        raise MissingSecurityHeader(name="x-amz-acl")
    return await parse_acl(call.store, call.document, owner_id)


def _check(asked: Acl, props: BucketProps) -> None:
    if not acl.acls_count(props):
        raise AclsNotSupported
    check_public(asked, props)


def _in_force(props: BucketProps, kept: Acl) -> Acl:
    """Where ACLs are off, all is the bucket owner's alone; what was set before stays, and counts once they are on."""
    return kept if acl.acls_count(props) else CannedAcl.PRIVATE
