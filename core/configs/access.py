"""Owns what a bucket says of access beside its ACL and policy: who owns what is written, and what may be public."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ObjectOwnership(StrEnum):
    """Who owns what others write into a bucket (AWS: Controlling ownership of objects)."""

    BUCKET_OWNER_ENFORCED = "BucketOwnerEnforced"
    BUCKET_OWNER_PREFERRED = "BucketOwnerPreferred"
    OBJECT_WRITER = "ObjectWriter"


@dataclass(frozen=True, slots=True)
class PublicAccessBlock:
    """AWS: Blocking public access to your Amazon S3 storage, block public access settings."""

    block_public_acls: bool = False
    ignore_public_acls: bool = False
    block_public_policy: bool = False
    restrict_public_buckets: bool = False
