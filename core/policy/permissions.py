"""Owns which permissions of a token an S3 action needs (core.claims): the one table between the two vocabularies.

Actions that are not here need ADMIN: what is added to S3 later, or forgotten, is closed to tokens until it is listed.
"""

from __future__ import annotations

from core.claims import Permission

_GET = Permission.GET
_HEAD = Permission.HEAD_OBJECT
_PUT = Permission.PUT
_DELETE = Permission.DELETE_OBJECT
_UPDATE = Permission.UPDATE_OBJECT
_SEE_BUCKET = Permission.HEAD_BUCKET
_LIST = Permission.LIST_OBJECTS
_CONFIGURE = Permission.PATCH
_OPEN = Permission.SET_BUCKET_ACL
"""Who may reach a bucket or object: ACLs, policies, ownership, public access."""

_BY_NAME: dict[Permission, str] = {
    _GET: "GetObject GetObjectVersion GetObjectTorrent GetObjectVersionTorrent",
    _HEAD: """GetObjectAttributes GetObjectVersionAttributes GetObjectTagging GetObjectVersionTagging GetObjectAcl
        GetObjectVersionAcl GetObjectRetention GetObjectLegalHold""",
    _PUT: "PutObject AbortMultipartUpload ListMultipartUploadParts",
    _DELETE: "DeleteObject DeleteObjectVersion",
    _UPDATE: """PutObjectTagging PutObjectVersionTagging DeleteObjectTagging DeleteObjectVersionTagging
        PutObjectRetention PutObjectLegalHold RestoreObject""",
    _SEE_BUCKET: """GetAccelerateConfiguration GetAnalyticsConfiguration GetBucketAcl GetBucketCORS GetBucketLocation
        GetBucketLogging GetBucketNotification GetBucketObjectLockConfiguration GetBucketOwnershipControls
        GetBucketPolicy GetBucketPolicyStatus GetBucketPublicAccessBlock GetBucketRequestPayment GetBucketTagging
        GetBucketVersioning GetBucketWebsite GetEncryptionConfiguration GetIntelligentTieringConfiguration
        GetInventoryConfiguration GetLifecycleConfiguration GetMetricsConfiguration GetReplicationConfiguration""",
    _LIST: "ListBucket ListBucketVersions ListBucketMultipartUploads",
    _CONFIGURE: """PutAnalyticsConfiguration PutBucketCORS PutBucketLogging PutBucketNotification
        PutBucketObjectLockConfiguration PutBucketRequestPayment PutBucketTagging PutBucketVersioning PutBucketWebsite
        DeleteBucketWebsite PutEncryptionConfiguration PutIntelligentTieringConfiguration PutInventoryConfiguration
        PutMetricsConfiguration PutReplicationConfiguration""",
    # A rule can remove every object.
    _CONFIGURE | _DELETE: "PutLifecycleConfiguration",
    _OPEN: """PutBucketAcl PutBucketOwnershipControls PutBucketPolicy DeleteBucketPolicy PutBucketPublicAccessBlock
        PutObjectAcl PutObjectVersionAcl""",
    Permission.LIST_BUCKETS: "ListAllMyBuckets",
    Permission.CREATE_BUCKET: "CreateBucket",
    Permission.DESTROY_BUCKET: "DeleteBucket",
    Permission.ADMIN: "BypassGovernanceRetention",
}

PERMISSIONS = {
    f"s3:{name}": permission for permission, names in _BY_NAME.items() for name in names.split()
}
"""S3 action → all the permissions that it needs."""


def permission_of(action: str) -> Permission:
    """What a token must permit for an S3 action."""
    return PERMISSIONS.get(action, Permission.ADMIN)
