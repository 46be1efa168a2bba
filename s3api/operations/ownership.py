"""Owns the operations on what a bucket says of access beside ACL and policy: object ownership, public access block."""

from __future__ import annotations

from dataclasses import replace
from xml.etree.ElementTree import Element

from core import acl
from core.configs.access import ObjectOwnership, PublicAccessBlock
from core.errors import InvalidArgument
from core.names import UserId
from core.types import BucketProps
from s3api.access_errors import AclsInTheWay, NoOwnershipControls, NoPublicAccessBlock
from s3api.call import Call, Response
from s3api.protocol_errors import MalformedXML
from s3api.xml import XML_TYPE, children, document, element, flag, local_name, parse, texts

_BLOCKS = {
    "BlockPublicAcls": "block_public_acls",
    "IgnorePublicAcls": "ignore_public_acls",
    "BlockPublicPolicy": "block_public_policy",
    "RestrictPublicBuckets": "restrict_public_buckets",
}
_FLAGS = {"true": True, "1": True, "false": False, "0": False}


# --- object ownership --------------------------------------------------------------------------------------------


async def get_bucket_ownership_controls(call: Call) -> Response:
    ownership = call.target_bucket.props.ownership
    if ownership is None:
        raise NoOwnershipControls(bucket=call.target_bucket.name)
    body = document(
        "OwnershipControls", f"<Rule>{element('ObjectOwnership', ownership.value)}</Rule>"
    )
    return Response(200, [XML_TYPE], body)


async def put_bucket_ownership_controls(call: Call) -> Response:
    ownership = await parse(call.document, "OwnershipControls", _ownership)
    owner_id = call.target_bucket.owner.user_id

    def change(props: BucketProps) -> BucketProps:
        changed = replace(props, ownership=ownership)
        check_ownership(changed, owner_id)
        return changed

    await call.store.update_bucket_props(call.target_bucket, change)
    return Response(200)


async def delete_bucket_ownership_controls(call: Call) -> Response:
    await call.store.update_bucket_props(
        call.target_bucket, lambda props: replace(props, ownership=None)
    )
    return Response(204)


def check_ownership(props: BucketProps, owner_id: UserId) -> None:
    """Raises AclsInTheWay where ACLs would be off while the bucket's reaches others."""
    if not acl.acls_count(props) and not acl.is_owners_alone(props.acl, owner_id):
        raise AclsInTheWay


def read_ownership(call: Call) -> ObjectOwnership | None:
    """What a new bucket is asked to have by x-amz-object-ownership. Raises InvalidArgument."""
    name = "x-amz-object-ownership"
    value = call.request.headers.get(name)
    if not value:
        return None
    try:
        return ObjectOwnership(value)
    except ValueError:
        reason = f"Invalid {name} header: {value}"
        raise InvalidArgument(name=name, value=value, reason=reason) from None


def _ownership(root: Element) -> ObjectOwnership:
    rules = list(children(root, "Rule"))
    if len(rules) != 1:
        raise MalformedXML(reason=f"{len(rules)} rules")
    try:
        return ObjectOwnership(texts(rules[0]).get("ObjectOwnership", "").strip())
    except ValueError:
        raise MalformedXML(reason="no such object ownership") from None


# --- public access block -----------------------------------------------------------------------------------------


async def get_public_access_block(call: Call) -> Response:
    block = call.target_bucket.props.public_access_block
    if block is None:
        raise NoPublicAccessBlock(bucket=call.target_bucket.name)
    body = document(
        "PublicAccessBlockConfiguration",
        *(flag(name, getattr(block, field)) for name, field in _BLOCKS.items()),
    )
    return Response(200, [XML_TYPE], body)


async def put_public_access_block(call: Call) -> Response:
    """What is not said is false."""
    block = await parse(call.document, "PublicAccessBlockConfiguration", _public_access_block)
    await call.store.update_bucket_props(
        call.target_bucket, lambda props: replace(props, public_access_block=block)
    )
    return Response(200)


async def delete_public_access_block(call: Call) -> Response:
    await call.store.update_bucket_props(
        call.target_bucket, lambda props: replace(props, public_access_block=None)
    )
    return Response(204)


def _public_access_block(root: Element) -> PublicAccessBlock:
    said: dict[str, bool] = {}
    for node in root:
        field = _BLOCKS.get(local_name(node))
        value = _FLAGS.get((node.text or "").strip().lower())
        if field is None or value is None or field in said:
            raise MalformedXML(reason=f"{local_name(node)} is not understood")
        said[field] = value
    return PublicAccessBlock(**said)
