"""Owns the operations on the server access logging of a bucket."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from core import access, acl
from core.configs.logging import Logging, LogGrant
from core.errors import Denied, InvalidArgument, NoSuchBucket
from core.server_logs import may_deliver, source_of, target_ref
from core.types import Bucket, BucketProps, Permission
from s3api.access_errors import AclsNotSupported
from s3api.acls import check_public, grant_to
from s3api.call import Call, Response
from s3api.logging_document import read_logging, write_logging
from s3api.protocol_errors import NoSuchLoggingTarget
from s3api.xml import XML_TYPE, parse


async def put_bucket_logging(call: Call) -> Response:
    """For the owner alone, whatever a policy says (AWS: PutBucketLogging)."""
    bucket = call.target_bucket
    if not access.rules_bucket(call.identity, bucket):
        raise Denied(reason="logging is configured by the bucket's owner")
    asked = await parse(call.document, "BucketLoggingStatus", read_logging)
    logging = None
    if asked is not None:
        wanted, grants = asked
        target = _target(call, wanted)
        _check_target(bucket, target, wanted)
        logging = replace(wanted, grants=_grants(call, target, grants))

    def change(props: BucketProps) -> BucketProps:
        return replace(props, logging=logging)

    await call.store.update_bucket_props(bucket, change)
    return Response(200)


async def get_bucket_logging(call: Call) -> Response:
    """An empty status where nothing is logged."""
    return Response(200, [XML_TYPE], write_logging(call.target_bucket.props.logging))


def _target(call: Call, wanted: Logging) -> Bucket:
    try:
        return call.store.get_bucket(target_ref(wanted))
    except NoSuchBucket:
        raise NoSuchLoggingTarget(bucket=wanted.target_bucket) from None


def _check_target(source: Bucket, target: Bucket, wanted: Logging) -> None:
    """Raises Denied where the target bucket does not let logs in, and InvalidArgument where they could not stay as they
    are: in a bucket that is logged itself, that encrypts what comes in, or that others pay to read."""
    if not may_deliver(source_of(source), target, wanted.prefix):
        raise Denied(reason=f"{target.name} does not allow the delivery of logs")
    reason = ""
    if target.bucket_id == source.bucket_id:
        reason = "The source and the target bucket for logging must differ"
    elif target.props.logging is not None:
        reason = "The target bucket for logging must not have logging enabled"
    elif target.props.encryption is not None and target.props.encryption.mode is not None:
        reason = "The target bucket for logging must not have default encryption set"
    elif target.props.backend is not None:
        reason = "The target bucket for logging must not live elsewhere"
    elif target.props.is_requester_pays:
        reason = "The target bucket for logging must not have Requester Pays enabled"
    if reason:
        raise InvalidArgument(name="TargetBucket", value=wanted.target_bucket, reason=reason)


def _grants(
    call: Call, target: Bucket, asked: Sequence[tuple[str, str, str]]
) -> tuple[LogGrant, ...]:
    """Beside what the target's owner may do anyway. Raises AclsNotSupported, InvalidArgument, UnresolvableEmail,
    Denied for what the target's public access block refuses."""
    if asked and not acl.acls_count(target.props):
        raise AclsNotSupported
    found = []
    for permission, kind, name in asked:
        grant = grant_to(call.store, Permission(permission), kind, name)
        check_public((grant,), target.props)
        if grant.user_id != target.owner.user_id:
            group = "" if grant.group is None else grant.group.value
            found.append(LogGrant(permission, grant.user_id, group))
    return tuple(dict.fromkeys(found))
