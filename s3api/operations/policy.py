"""Owns the operations on a bucket's policy, on whether that makes it public, and on who pays for its requests."""

from __future__ import annotations

from dataclasses import replace
from xml.etree.ElementTree import Element

from core import access, acl
from core.errors import Denied, MalformedPolicy, NoSuchPolicy
from core.policy.document import bucket_policy
from core.policy.public import is_public
from core.types import BucketProps
from s3api.call import Call, Response
from s3api.protocol_errors import MalformedXML, MethodNotAllowed
from s3api.xml import XML_TYPE, document, element, flag, parse, texts

_JSON_TYPE = (b"content-type", b"application/json")
_CONFIRM = "x-amz-confirm-remove-self-bucket-access"
_REQUESTER = "Requester"
_PAYERS = frozenset({_REQUESTER, "BucketOwner"})


async def put_bucket_policy(call: Call) -> Response:
    """The public access block is looked at in the change itself: it may have become stricter meanwhile."""
    _check_account(call)
    try:
        text = call.document.decode()
    except UnicodeDecodeError:
        raise MalformedPolicy(reason="This policy contains invalid Json") from None
    opens = is_public(bucket_policy(text, call.target_bucket.name))
    binds_owner = call.request.headers.get(_CONFIRM, "").strip().lower() == "true"

    def change(props: BucketProps) -> BucketProps:
        block = props.public_access_block
        if opens and block is not None and block.block_public_policy:
            raise Denied(reason="public policies are blocked")
        return replace(props, policy=text, policy_binds_owner=binds_owner)

    await call.store.update_bucket_props(call.target_bucket, change)
    return Response(204)


async def get_bucket_policy(call: Call) -> Response:
    _check_account(call)
    bucket = call.target_bucket
    if not bucket.props.policy:
        raise NoSuchPolicy(bucket=bucket.name)
    return Response(200, [_JSON_TYPE], bucket.props.policy.encode())


async def delete_bucket_policy(call: Call) -> Response:
    _check_account(call)
    await call.store.update_bucket_props(
        call.target_bucket, lambda props: replace(props, policy="", policy_binds_owner=False)
    )
    return Response(204)


async def get_bucket_policy_status(call: Call) -> Response:
    """Whether the policy or the ACL makes the bucket public. Without a policy AWS answers NoSuchBucketPolicy, but then
    an open ACL would be passed over; so ceph/s3-tests asks for this."""
    bucket = call.target_bucket
    block = bucket.props.public_access_block
    acl_counts = acl.acls_count(bucket.props) and not (block and block.ignore_public_acls)
    opens = access.has_public_policy(bucket) or (acl_counts and acl.is_public(bucket.props.acl))
    return Response(200, [XML_TYPE], document("PolicyStatus", flag("IsPublic", opens)))


async def get_bucket_request_payment(call: Call) -> Response:
    payer = _REQUESTER if call.target_bucket.props.is_requester_pays else "BucketOwner"
    body = document("RequestPaymentConfiguration", element("Payer", payer))
    return Response(200, [XML_TYPE], body)


async def put_bucket_request_payment(call: Call) -> Response:
    payer = await parse(call.document, "RequestPaymentConfiguration", _payer)
    await call.store.update_bucket_props(
        call.target_bucket, lambda props: replace(props, is_requester_pays=payer == _REQUESTER)
    )
    return Response(200)


def _check_account(call: Call) -> None:
    """A policy can let others ask for it, and yet they get no further (AWS: PutBucketPolicy). Raises
    MethodNotAllowed."""
    if not access.rules_bucket(call.identity, call.target_bucket):
        raise MethodNotAllowed(method=call.request.method, resource="BUCKETPOLICY", allowed=[])


def _payer(root: Element) -> str:
    payer = texts(root).get("Payer", "").strip()
    if payer not in _PAYERS:
        raise MalformedXML(reason=f"no such payer: {payer}")
    return payer
