"""Owns ACLs on the wire: what x-amz-acl, x-amz-grant-* and AccessControlPolicy documents ask for, and how an ACL is
shown; and which ACLs a bucket's settings refuse.

What an ACL means is core.acl's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from xml.etree.ElementTree import Element

from core import acl
from core.configs.access import ObjectOwnership
from core.errors import Denied, InvalidArgument
from core.names import UserId
from core.protocols import ObjectService
from core.types import NOBODY, Acl, Bucket, BucketProps, CannedAcl, Grant, Group, Permission
from s3api.access_errors import (
    AclsNotSupported,
    AmbiguousEmail,
    MalformedACL,
    UnresolvableEmail,
)
from s3api.call import Call
from s3api.operations.page import ANONYMOUS_ID
from s3api.protocol_errors import InvalidRequest, MalformedXML
from s3api.xml import document, element, first_child, local_name, optional, parse, texts

Fields = Mapping[str, str]

_CANNED = "x-amz-acl"
_GRANTS: Mapping[str, Permission] = {
    "x-amz-grant-read": Permission.READ,
    "x-amz-grant-write": Permission.WRITE,
    "x-amz-grant-read-acp": Permission.READ_ACP,
    "x-amz-grant-write-acp": Permission.WRITE_ACP,
    "x-amz-grant-full-control": Permission.FULL_CONTROL,
}
HEADERS = frozenset({_CANNED, *_GRANTS})
"""The headers (and form fields) that ask for an ACL."""

# One grantee: id="...", uri=... or emailAddress=..., quoted or not.
_GRANTEE = re.compile(r'\s*(id|uri|emailAddress)\s*=\s*(?:"([^",]*)"|([^",\s]*))\s*', re.IGNORECASE)
XSI = "http://www.w3.org/2001/XMLSchema-instance"
XSI_TYPE = f"{{{XSI}}}type"
GRANTEE_TYPES: Mapping[str, tuple[str, str]] = {
    "CanonicalUser": ("id", "ID"),
    "Group": ("uri", "URI"),
    "AmazonCustomerByEmail": ("emailaddress", "EmailAddress"),
}
_Named = tuple[Permission, str, str]
"""A grant to whom a kind of name and the name say."""


# --- what a writer asks for --------------------------------------------------------------------------------------


def owner_and_acl(call: Call, fields: Fields) -> tuple[UserId, Acl]:
    """Who will own what the caller writes into the bucket of the call, and the ACL it will have.

    Raises as `read_acl`, AclsNotSupported and Denied where the bucket refuses the ACL.
    """
    writer = call.identity.user_id or NOBODY
    props = call.target_bucket.props
    if HEADERS.isdisjoint(fields):
        if props.ownership is ObjectOwnership.BUCKET_OWNER_ENFORCED:
            return call.target_bucket.owner.user_id, CannedAcl.PRIVATE
        return writer, CannedAcl.PRIVATE
    asked = read_acl(call.store, fields)
    owner_id = acl.owner_of_new(call.target_bucket, writer, asked)
    if acl.acls_count(props):
        check_public(asked, props)
        return owner_id, asked
    if not _leaves_all_to_bucket_owner(asked, call.target_bucket) and asks_for_acl(fields):
        raise AclsNotSupported
    return owner_id, CannedAcl.PRIVATE


def asks_for_acl(fields: Fields) -> bool:
    """Whether headers ask for an ACL at all; an empty one asks for nothing."""
    return any(fields.get(name) for name in HEADERS)


def read_acl(users: ObjectService, fields: Fields) -> Acl:
    """The ACL that headers ask for; without any, private. Raises InvalidArgument, InvalidRequest, UnresolvableEmail."""
    canned = fields.get(_CANNED)
    granting = [name for name in _GRANTS if fields.get(name)]
    if not granting:
        return _canned(canned) if canned else CannedAcl.PRIVATE
    if canned:
        reason = "Specifying both Canned ACLs and Header Grants is not allowed"
        raise InvalidRequest(reason=reason)
    return _checked(
        grant for name in granting for grant in _header_grants(users, name, fields[name])
    )


def _canned(value: str) -> CannedAcl:
    try:
        return CannedAcl(value)
    except ValueError:
        raise InvalidArgument(name=_CANNED, value=value, reason="Invalid canned ACL") from None


def _header_grants(users: ObjectService, name: str, value: str) -> Iterable[Grant]:
    for part in value.split(","):
        match = _GRANTEE.fullmatch(part)
        if match is None:
            reason = "Argument format not recognized"
            raise InvalidArgument(name=name, value=value, reason=reason)
        kind, quoted, bare = match.groups()
        yield grant_to(users, _GRANTS[name], kind.lower(), quoted if bare is None else bare)


def grant_to(users: ObjectService, permission: Permission, kind: str, value: str) -> Grant:
    """A grant to whom a name of some kind ("id", "uri", "emailaddress") names."""
    if kind == "uri":
        return Grant(permission, group=_group(value))
    if kind == "emailaddress":
        return Grant(permission, _user_with_email(users, value))
    if users.user(UserId(value)) is None:
        raise InvalidArgument(name="CanonicalUser/ID", value=value, reason="Invalid id")
    return Grant(permission, UserId(value))


def _group(uri: str) -> Group:
    try:
        return Group(uri)
    except ValueError:
        reason = "Invalid group uri"
        raise InvalidArgument(name="Group/URI", value=uri, reason=reason) from None


def _user_with_email(users: ObjectService, email: str) -> UserId:
    found = users.users_with_email(email)
    if not found:
        raise UnresolvableEmail(email=email)
    if len(found) > 1:
        raise AmbiguousEmail(email=email)
    return found[0].user_id


def _checked(grants: Iterable[Grant]) -> tuple[Grant, ...]:
    """Each grant once, and not too many of them."""
    found = tuple(dict.fromkeys(grants))
    if len(found) > acl.MAX_GRANTS:
        raise MalformedACL(reason=f"{len(found)} grants")
    return found


# --- what a bucket refuses ---------------------------------------------------------------------------------------


def check_public(asked: Acl, props: BucketProps) -> None:
    """Raises Denied for a public ACL where the bucket blocks those (AWS: BlockPublicAcls)."""
    block = props.public_access_block
    if block is not None and block.block_public_acls and acl.is_public(asked):
        raise Denied(reason="public ACLs are blocked")


def _leaves_all_to_bucket_owner(asked: Acl, bucket: Bucket) -> bool:
    """bucket-owner-full-control, canned or spelt out: clients that made sure of the bucket owner's access before ACLs
    were turned off go on doing so."""
    owners_own = (Grant(Permission.FULL_CONTROL, bucket.owner.user_id),)
    return asked in (CannedAcl.BUCKET_OWNER_FULL_CONTROL, owners_own)


# --- documents ---------------------------------------------------------------------------------------------------


async def parse_acl(users: ObjectService, source: bytes, owner_id: UserId) -> Acl:
    """The ACL of an AccessControlPolicy document, whose owner must be the one there is.

    Raises MalformedACL, InvalidArgument, UnresolvableEmail, AmbiguousEmail, Denied.
    """
    try:
        owner, grants = await parse(source, "AccessControlPolicy", _owner_and_grants)
    except MalformedXML as error:
        raise MalformedACL(reason=error.fields.get("reason", "")) from error
    if owner != (owner_id or ANONYMOUS_ID):
        raise Denied(reason="an ACL cannot change the owner")
    return _checked(
        # A client that changes an ACL sends back what it was shown, also of the anonymous.
        Grant(permission, NOBODY)
        if (kind, value) == ("id", ANONYMOUS_ID)
        else grant_to(users, permission, kind, value)
        for permission, kind, value in grants
    )


def _owner_and_grants(root: Element) -> tuple[str, list[_Named]]:
    """What a document says. May run in a thread, so it asks nobody who the grantees are."""
    owner = first_child(root, "Owner")
    grants = first_child(root, "AccessControlList")
    if owner is None or grants is None:
        raise MalformedACL(reason="no owner or no grants")
    return texts(owner).get("ID", "").strip(), [_named(node) for node in grants]


def _named(node: Element) -> _Named:
    grantee = first_child(node, "Grantee")
    if grantee is None or local_name(node) != "Grant":
        raise MalformedACL(reason="a grant without grantee")
    try:
        permission = Permission(texts(node).get("Permission", "").strip())
    except ValueError:
        raise MalformedACL(reason="a grant of no permission there is") from None
    kind, name = GRANTEE_TYPES.get(grantee.get(XSI_TYPE, ""), ("", ""))
    value = texts(grantee).get(name)
    if value is None:
        raise MalformedACL(reason="a grantee of no type there is, or without name")
    return permission, kind, value.strip()


def acl_document(users: ObjectService, owner_id: UserId, grants: Iterable[Grant]) -> bytes:
    """An ACL as it is shown."""
    return document(
        "AccessControlPolicy",
        f"<Owner>{_user(users, owner_id)}</Owner>",
        "<AccessControlList>",
        *(_shown_grant(users, grant) for grant in grants),
        "</AccessControlList>",
    )


def _shown_grant(users: ObjectService, grant: Grant) -> str:
    if grant.group is None:
        kind, grantee = "CanonicalUser", _user(users, grant.user_id)
    else:
        kind, grantee = "Group", element("URI", grant.group.value)
    return (
        f'<Grant><Grantee xmlns:xsi="{XSI}" xsi:type="{kind}">{grantee}</Grantee>'
        f"{element('Permission', grant.permission.value)}</Grant>"
    )


def _user(users: ObjectService, user_id: UserId) -> str:
    """A user by id and, as long as there is such a user, by name."""
    user = users.user(user_id) if user_id else None
    shown_id = user_id or ANONYMOUS_ID
    return element("ID", shown_id) + optional("DisplayName", user.display_name if user else None)
