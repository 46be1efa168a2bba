"""Owns what ACLs mean: the grants that a canned one stands for, whom a grant reaches, and which permission an action
needs. Pure.

Source: AWS, Access control list (ACL) overview (who is a grantee, what permissions can I grant, mapping of ACL
permissions and access policy permissions, canned ACL); Controlling ownership of objects; Blocking public access.
An ACL only ever allows. What a policy says beside it, and what an owner may do without any grant, is core.access's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from core.configs.access import ObjectOwnership
from core.names import UserId
from core.types import (
    Acl,
    Bucket,
    BucketProps,
    CannedAcl,
    Grant,
    Group,
    Identity,
    ObjectAttributes,
    Permission,
)

MAX_GRANTS = 100

BUCKET_PERMISSIONS: Mapping[str, Permission] = {
    "s3:ListBucket": Permission.READ,
    "s3:ListBucketVersions": Permission.READ,
    "s3:ListBucketMultipartUploads": Permission.READ,
    "s3:PutObject": Permission.WRITE,
    "s3:DeleteObject": Permission.WRITE,
    # Of these two, S3 adds that the upload must be the caller's own; the operations see to that.
    "s3:AbortMultipartUpload": Permission.WRITE,
    "s3:ListMultipartUploadParts": Permission.WRITE,
    "s3:GetBucketAcl": Permission.READ_ACP,
    "s3:PutBucketAcl": Permission.WRITE_ACP,
}
"""Action → the permission in the bucket's ACL that allows it. Other actions no bucket ACL allows."""

OBJECT_PERMISSIONS: Mapping[str, Permission] = {
    "s3:GetObject": Permission.READ,
    "s3:GetObjectVersion": Permission.READ,
    "s3:GetObjectAttributes": Permission.READ,
    "s3:GetObjectVersionAttributes": Permission.READ,
    "s3:GetObjectTorrent": Permission.READ,
    "s3:GetObjectVersionTorrent": Permission.READ,
    "s3:GetObjectAcl": Permission.READ_ACP,
    "s3:GetObjectVersionAcl": Permission.READ_ACP,
    "s3:PutObjectAcl": Permission.WRITE_ACP,
    "s3:PutObjectVersionAcl": Permission.WRITE_ACP,
}
"""Action → the permission in the object's ACL that allows it. WRITE on an object allows nothing, as in S3."""

_GROUP_GRANTS: Mapping[CannedAcl, tuple[Grant, ...]] = {
    CannedAcl.PUBLIC_READ: (Grant(Permission.READ, group=Group.ALL_USERS),),
    CannedAcl.PUBLIC_READ_WRITE: (
        Grant(Permission.READ, group=Group.ALL_USERS),
        Grant(Permission.WRITE, group=Group.ALL_USERS),
    ),
    CannedAcl.AUTHENTICATED_READ: (Grant(Permission.READ, group=Group.AUTHENTICATED_USERS),),
    CannedAcl.LOG_DELIVERY_WRITE: (
        Grant(Permission.WRITE, group=Group.LOG_DELIVERY),
        Grant(Permission.READ_ACP, group=Group.LOG_DELIVERY),
    ),
}
_BUCKET_OWNER_GRANTS: Mapping[CannedAcl, Permission] = {
    CannedAcl.BUCKET_OWNER_READ: Permission.READ,
    CannedAcl.BUCKET_OWNER_FULL_CONTROL: Permission.FULL_CONTROL,
}
_PUBLIC_GROUPS = frozenset({Group.ALL_USERS, Group.AUTHENTICATED_USERS})
_OWNERS_ALWAYS = frozenset({Permission.READ_ACP, Permission.WRITE_ACP})
_EVERY_PERMISSION = frozenset(Permission)


def grants_of(acl: Acl, owner_id: UserId, bucket_owner_id: UserId) -> Sequence[Grant]:
    """An ACL grant by grant, those to groups first. For a bucket, both owners are the same.

    aws-exec-read reaches an account of Amazon EC2, which is not here, so it comes to private.
    """
    if not isinstance(acl, CannedAcl):
        return sorted(acl, key=lambda grant: grant.group is None)
    grants = [*_GROUP_GRANTS.get(acl, ()), Grant(Permission.FULL_CONTROL, owner_id)]
    permission = _BUCKET_OWNER_GRANTS.get(acl)
    if permission is not None and bucket_owner_id != owner_id:
        grants.append(Grant(permission, bucket_owner_id))
    return grants


def permissions(
    acl: Acl,
    caller: UserId | None,
    owner_id: UserId,
    bucket_owner_id: UserId,
    *,
    ignores_public: bool = False,
) -> frozenset[Permission]:
    """All that an ACL grants a caller (None: anonymous). An owner can always read and change the ACL itself.

    `ignores_public` leaves out what everybody, or everybody with an account, is granted.
    """
    found: set[Permission] = set()
    for grant in grants_of(acl, owner_id, bucket_owner_id):
        if _reaches(grant, caller) and not (ignores_public and grant.group in _PUBLIC_GROUPS):
            found.add(grant.permission)
    if Permission.FULL_CONTROL in found:
        return _EVERY_PERMISSION
    return frozenset(found | _OWNERS_ALWAYS if caller and caller == owner_id else found)


def _reaches(grant: Grant, caller: UserId | None) -> bool:
    """Whether a grant is for a caller. Of the log delivery group no caller is a member."""
    if grant.group is None:
        return bool(caller) and grant.user_id == caller
    return grant.group is Group.ALL_USERS or (
        grant.group is Group.AUTHENTICATED_USERS and caller is not None
    )


def bucket_acl_allows(identity: Identity, action: str, bucket: Bucket) -> bool:
    """Whether the bucket's ACL lets the caller act, as far as its ownership and public access settings let it count."""
    wanted = BUCKET_PERMISSIONS.get(action)
    props = bucket.props
    if wanted is None or not acls_count(props):
        return False
    owner_id = bucket.owner.user_id
    return wanted in permissions(
        props.acl, identity.user_id, owner_id, owner_id, ignores_public=_ignores_public(props)
    )


def object_acl_allows(
    identity: Identity, action: str, bucket: Bucket, attributes: ObjectAttributes
) -> bool:
    """Whether an object's own ACL lets the caller act, as far as its bucket lets it count."""
    wanted = OBJECT_PERMISSIONS.get(action)
    props = bucket.props
    if wanted is None or not acls_count(props):
        return False
    return wanted in permissions(
        attributes.acl,
        identity.user_id,
        attributes.owner_id,
        bucket.owner.user_id,
        ignores_public=_ignores_public(props),
    )


def acls_count(props: BucketProps) -> bool:
    """Whether ACLs decide anything in a bucket; BucketOwnerEnforced turns them off."""
    return props.ownership is not ObjectOwnership.BUCKET_OWNER_ENFORCED


def _ignores_public(props: BucketProps) -> bool:
    block = props.public_access_block
    return block is not None and block.ignore_public_acls


def object_owner(bucket: Bucket, attributes: ObjectAttributes) -> UserId:
    """Who owns an object: its bucket's owner where ACLs are off, whoever wrote it."""
    return attributes.owner_id if acls_count(bucket.props) else bucket.owner.user_id


def owner_of_new(bucket: Bucket, writer: UserId, acl: Acl) -> UserId:
    """Who will own what `writer` puts into a bucket (AWS: Controlling ownership of objects)."""
    ownership = bucket.props.ownership
    if ownership is ObjectOwnership.BUCKET_OWNER_ENFORCED:
        return bucket.owner.user_id
    if (
        ownership is ObjectOwnership.BUCKET_OWNER_PREFERRED
        and acl is CannedAcl.BUCKET_OWNER_FULL_CONTROL
    ):
        return bucket.owner.user_id
    return writer


def is_public(acl: Acl) -> bool:
    """Whether an ACL grants anything to everybody, or to everybody with an account (AWS: The meaning of "public")."""
    grants = _GROUP_GRANTS.get(acl, ()) if isinstance(acl, CannedAcl) else acl
    return any(grant.group in _PUBLIC_GROUPS for grant in grants)


def is_owners_alone(acl: Acl, owner_id: UserId) -> bool:
    """Whether an ACL grants nobody but the owner anything; only such an ACL may be on a bucket when ACLs go off."""
    return all(
        grant.group is None and grant.user_id == owner_id
        for grant in grants_of(acl, owner_id, owner_id)
    )
