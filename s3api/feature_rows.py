"""Owns the rows of the operation table for what few buckets use: configurations and subresources, one line each.

An operation is called as its function is, in S3's spelling, and needs the permission of the same name unless its line
says otherwise (AWS: Service Authorization Reference, Amazon S3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from s3api.call import BodyPolicy, Handler, Level, Operation, Row
from s3api.operations import (
    acl,
    cors,
    encryption,
    lifecycle,
    locking,
    ownership,
    policy,
    tagging,
    versioning,
    website,
)


def bucket_row(method: str, subresource: str, handler: Handler, action: str = "") -> Row:
    """An operation on a subresource of a bucket; a PUT takes a document."""
    return _row(Level.BUCKET, method, subresource, handler, action)


def object_row(method: str, subresource: str, handler: Handler, action: str = "") -> Row:
    """An operation on a subresource of an object; a PUT takes a document."""
    return _row(Level.OBJECT, method, subresource, handler, action)


def late_object_row(method: str, subresource: str, handler: Handler) -> Row:
    """The like, but the operation authorizes by itself, once it knows what its document says."""
    row = object_row(method, subresource, handler)
    return replace(row, operation=replace(row.operation, action=""))


def _row(level: Level, method: str, subresource: str, handler: Handler, action: str) -> Row:
    name = "".join(word.capitalize() for word in handler.__name__.split("_"))
    body = BodyPolicy.XML if method == "PUT" else BodyPolicy.NONE
    return Row(method, Operation(name, level, handler, action or f"s3:{name}", body), subresource)


ROWS: Sequence[Row] = (
    # --- versions
    bucket_row("GET", "versioning", versioning.get_bucket_versioning),
    bucket_row("PUT", "versioning", versioning.put_bucket_versioning),
    # --- policies, and who pays
    bucket_row("GET", "policy", policy.get_bucket_policy),
    bucket_row("PUT", "policy", policy.put_bucket_policy),
    bucket_row("DELETE", "policy", policy.delete_bucket_policy),
    bucket_row("GET", "policyStatus", policy.get_bucket_policy_status),
    bucket_row("GET", "requestPayment", policy.get_bucket_request_payment),
    bucket_row("PUT", "requestPayment", policy.put_bucket_request_payment),
    # --- ACLs and what goes with them
    bucket_row("GET", "acl", acl.get_bucket_acl),
    bucket_row("PUT", "acl", acl.put_bucket_acl),
    object_row("GET", "acl", acl.get_object_acl),
    object_row("PUT", "acl", acl.put_object_acl),
    bucket_row("GET", "ownershipControls", ownership.get_bucket_ownership_controls),
    bucket_row("PUT", "ownershipControls", ownership.put_bucket_ownership_controls),
    bucket_row(
        "DELETE",
        "ownershipControls",
        ownership.delete_bucket_ownership_controls,
        "s3:PutBucketOwnershipControls",
    ),
    bucket_row(
        "GET",
        "publicAccessBlock",
        ownership.get_public_access_block,
        "s3:GetBucketPublicAccessBlock",
    ),
    bucket_row(
        "PUT",
        "publicAccessBlock",
        ownership.put_public_access_block,
        "s3:PutBucketPublicAccessBlock",
    ),
    bucket_row(
        "DELETE",
        "publicAccessBlock",
        ownership.delete_public_access_block,
        "s3:PutBucketPublicAccessBlock",
    ),
    # --- CORS and websites
    bucket_row("GET", "cors", cors.get_bucket_cors, "s3:GetBucketCORS"),
    bucket_row("PUT", "cors", cors.put_bucket_cors, "s3:PutBucketCORS"),
    bucket_row("DELETE", "cors", cors.delete_bucket_cors, "s3:PutBucketCORS"),
    # --- default encryption; S3 has one permission for putting and deleting
    bucket_row(
        "GET", "encryption", encryption.get_bucket_encryption, "s3:GetEncryptionConfiguration"
    ),
    bucket_row(
        "PUT", "encryption", encryption.put_bucket_encryption, "s3:PutEncryptionConfiguration"
    ),
    bucket_row(
        "DELETE", "encryption", encryption.delete_bucket_encryption, "s3:PutEncryptionConfiguration"
    ),
    bucket_row("GET", "website", website.get_bucket_website),
    bucket_row("PUT", "website", website.put_bucket_website),
    bucket_row("DELETE", "website", website.delete_bucket_website),
    # --- lifecycle; S3 has one permission for putting and deleting
    bucket_row(
        "GET",
        "lifecycle",
        lifecycle.get_bucket_lifecycle_configuration,
        "s3:GetLifecycleConfiguration",
    ),
    bucket_row(
        "PUT",
        "lifecycle",
        lifecycle.put_bucket_lifecycle_configuration,
        "s3:PutLifecycleConfiguration",
    ),
    bucket_row(
        "DELETE",
        "lifecycle",
        lifecycle.delete_bucket_lifecycle,
        "s3:PutLifecycleConfiguration",
    ),
    # --- tags; one permission is for setting and removing those of a bucket
    bucket_row("GET", "tagging", tagging.get_bucket_tagging),
    bucket_row("PUT", "tagging", tagging.put_bucket_tagging),
    bucket_row("DELETE", "tagging", tagging.delete_bucket_tagging, "s3:PutBucketTagging"),
    object_row("GET", "tagging", tagging.get_object_tagging),
    late_object_row("PUT", "tagging", tagging.put_object_tagging),
    object_row("DELETE", "tagging", tagging.delete_object_tagging),
    # --- locks
    bucket_row(
        "GET",
        "object-lock",
        locking.get_object_lock_configuration,
        "s3:GetBucketObjectLockConfiguration",
    ),
    bucket_row(
        "PUT",
        "object-lock",
        locking.put_object_lock_configuration,
        "s3:PutBucketObjectLockConfiguration",
    ),
    object_row("GET", "retention", locking.get_object_retention),
    late_object_row("PUT", "retention", locking.put_object_retention),
    object_row("GET", "legal-hold", locking.get_object_legal_hold),
    late_object_row("PUT", "legal-hold", locking.put_object_legal_hold),
)
