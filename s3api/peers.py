"""Owns what other open S3 servers serve of Amazon S3, for the support page: facts from their public sources, dated.

An operation in none of a peer's groups is one that it does not serve. To bring a peer up to date, read the sources
named and change `version`, `seen` and the groups together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

_PLAIN = """
    AbortMultipartUpload CompleteMultipartUpload CopyObject CreateBucket CreateMultipartUpload DeleteBucket DeleteObject
    DeleteObjects GetObject HeadBucket HeadObject ListBuckets ListMultipartUploads ListObjects ListObjectsV2 ListParts
    PutObject UploadPart
"""
_VERSIONED = """
    DeleteBucketEncryption DeleteBucketLifecycle DeleteBucketPolicy DeleteBucketReplication DeleteBucketTagging
    DeleteObjectTagging GetBucketEncryption GetBucketLifecycleConfiguration GetBucketLocation
    GetBucketNotificationConfiguration GetBucketPolicy GetBucketPolicyStatus GetBucketReplication GetBucketTagging
    GetBucketVersioning GetObjectAttributes GetObjectLegalHold GetObjectLockConfiguration GetObjectRetention
    GetObjectTagging ListObjectVersions PostObject PutBucketEncryption PutBucketLifecycleConfiguration
    PutBucketNotificationConfiguration PutBucketPolicy PutBucketReplication PutBucketTagging PutBucketVersioning
    PutObjectLegalHold PutObjectLockConfiguration PutObjectRetention PutObjectTagging RestoreObject SelectObjectContent
    UploadPartCopy
"""
_ACCESS = """
    DeleteBucketCors DeleteBucketWebsite DeletePublicAccessBlock GetBucketAcl GetBucketCors GetBucketLogging
    GetBucketRequestPayment GetBucketWebsite GetObjectAcl GetPublicAccessBlock PutBucketAcl PutBucketCors
    PutBucketLogging PutBucketRequestPayment PutBucketWebsite PutObjectAcl PutPublicAccessBlock
"""


@dataclass(frozen=True, slots=True)
class Peer:
    """One server. `limits` says of operations that are served in part what is missing."""

    name: str
    version: str
    seen: str
    served: frozenset[str]
    limits: Mapping[str, str] = field(default_factory=dict)

    def says(self, operation: str) -> str:
        """What the page shows of an operation."""
        limit = self.limits.get(operation)
        if limit is not None:
            return f"partly: {limit}" if operation in self.served else limit
        return "yes" if operation in self.served else "no"


_UNSET = "as unset"
"""Answers as for a bucket on which nothing was ever set."""

PEERS = (
    Peer(
        name="MinIO",
        version="RELEASE.2025-10-15T17-29-55Z, the last community release",
        seen=(
            "the router and handlers of its repository (cmd/api-router.go, cmd/acl-handlers.go, "
            "cmd/dummy-handlers.go at 7aac2a2c5 of 2026-02-12, where its maintenance ended) and its "
            "page on S3 compatibility"
        ),
        served=frozenset((_PLAIN + _VERSIONED).split()),
        limits={
            "DeleteBucketWebsite": _UNSET,
            "GetBucketAccelerateConfiguration": _UNSET,
            "GetBucketAcl": "always private",
            "GetBucketCors": _UNSET,
            "GetBucketLogging": _UNSET,
            "GetBucketRequestPayment": _UNSET,
            "GetBucketWebsite": _UNSET,
            "GetObjectAcl": "always private",
            "ListMultipartUploads": "the prefix must be a whole key",
            "PutBucketAcl": "`private` alone",
            "PutBucketLifecycleConfiguration": "no `AbortIncompleteMultipartUpload`",
            "PutObjectAcl": "`private` alone",
            "RestoreObject": "from its tiers",
        },
    ),
    Peer(
        name="Ceph RGW",
        version="Tentacle (20.2)",
        seen=(
            "its documentation of that release (radosgw: S3 API, bucket logging, encryption, cloud "
            "restore, notifications) and the release's notes, read in November 2026, and the router in "
            "src/rgw/rgw_rest_s3.cc at 6f7634b27, an earlier state"
        ),
        served=frozenset((_PLAIN + _VERSIONED + _ACCESS).split()),
        limits={
            "DeleteBucketOwnershipControls": "after 20.2",
            "GetBucketOwnershipControls": "after 20.2",
            "PutBucketOwnershipControls": "after 20.2",
            "PutBucketReplication": "between its own zones",
            "PutBucketWebsite": "where enabled for the gateway",
            "RestoreObject": "from cloud tiers",
        },
    ),
    Peer(
        name="AIStore",
        version="1.5.0",
        seen=(
            "docs/s3compat.md, ais/prxs3.go and ais/tgts3.go of its repository at 583e7729e of "
            "2026-08-21"
        ),
        served=frozenset([*_PLAIN.split(), "GetBucketVersioning", "PutBucketVersioning"]),
        limits={
            "DeleteObject": "404 for an absent key, unless the bucket is S3's",
            "GetBucketVersioning": "whether objects are numbered; older versions are not kept",
            "ListObjects": "no `marker`",
            "PutBucketVersioning": "as GetBucketVersioning",
        },
    ),
)
