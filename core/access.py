"""Owns the decision whether a caller may do a thing: one place for every front.

Pure functions over identities, buckets and objects. Today the answer comes from ownership and canned ACLs; policies,
grants and claims join here, so that no front ever decides by itself.
"""

from __future__ import annotations

from core.errors import Denied
from core.types import Acl, Bucket, CannedAcl, Identity, ObjectInfo, Upload

# What the READ and WRITE grants of a bucket's ACL permit (AWS: ACL overview, "Mapping of ACL permissions").
_BUCKET_READ = frozenset(
    {"s3:ListBucket", "s3:ListBucketVersions", "s3:ListBucketMultipartUploads"}
)
_BUCKET_WRITE = frozenset({"s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"})
_OBJECT_READ = frozenset(
    {
        "s3:GetObject",
        "s3:GetObjectVersion",
        "s3:GetObjectAttributes",
        "s3:GetObjectVersionAttributes",
    }
)
_PUBLIC = frozenset({CannedAcl.PUBLIC_READ, CannedAcl.PUBLIC_READ_WRITE})


def authorize_service(identity: Identity) -> None:
    """Account-level actions (list or create buckets) need a known caller. Raises Denied."""
    if identity.is_anonymous:
        raise Denied(reason="anonymous caller at account level")


def bucket_allows(identity: Identity, action: str, bucket: Bucket) -> bool:
    """Whether the bucket alone, by its owner and ACL, lets the caller act."""
    if rules_bucket(identity, bucket):
        return True
    acl = _canned(bucket.props.acl)
    if action in _BUCKET_READ:
        return _grants_read(acl, identity)
    return action in _BUCKET_WRITE and acl is CannedAcl.PUBLIC_READ_WRITE


def rules_bucket(identity: Identity, bucket: Bucket) -> bool:
    """Whether the caller may do anything in the bucket: it is theirs, or they are root."""
    user = identity.user
    return user is not None and (user.is_root or user.user_id == bucket.owner.user_id)


def began_upload(identity: Identity, upload: Upload) -> bool:
    """Whether the caller is who began the upload. The anonymous are nobody in particular."""
    return identity.user is not None and identity.user.user_id == upload.initiator.user_id


def depends_on_object(action: str) -> bool:
    """Whether an object's own ACL can allow `action` where its bucket does not."""
    return action in _OBJECT_READ


def object_allows(identity: Identity, action: str, info: ObjectInfo) -> bool:
    """Whether the object's own ACL lets the caller act."""
    if action not in _OBJECT_READ:
        return False
    attributes = info.attributes
    if identity.user is not None and identity.user.user_id == attributes.owner_id:
        return True
    return _grants_read(_canned(attributes.acl), identity)


def may_read(identity: Identity, bucket: Bucket, info: ObjectInfo) -> bool:
    """Whether the caller may read this very object, by its bucket or its own ACL."""
    action = "s3:GetObject"
    return bucket_allows(identity, action, bucket) or object_allows(identity, action, info)


def _canned(acl: Acl) -> CannedAcl:
    return acl if isinstance(acl, CannedAcl) else CannedAcl.PRIVATE


def _grants_read(acl: CannedAcl, identity: Identity) -> bool:
    return acl in _PUBLIC or (acl is CannedAcl.AUTHENTICATED_READ and not identity.is_anonymous)
