"""Owns what a bearer token claims for its holder: permissions on clusters and buckets, as AIStore's tokens carry them.

The bits are AIStore's own (its access flags), so that a token of its AuthN server means here what it means there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntFlag

from core.names import BucketRef


class Permission(IntFlag):
    """What a token may permit; the values stand in tokens and in the bucket property `access`."""

    GET = 1 << 0
    HEAD_OBJECT = 1 << 1
    PUT = 1 << 2
    APPEND = 1 << 3
    DELETE_OBJECT = 1 << 4
    MOVE_OBJECT = 1 << 5
    PROMOTE = 1 << 6
    UPDATE_OBJECT = 1 << 7
    HEAD_BUCKET = 1 << 8
    LIST_OBJECTS = 1 << 9
    PATCH = 1 << 10
    SET_BUCKET_ACL = 1 << 11
    LIST_BUCKETS = 1 << 12
    SHOW_CLUSTER = 1 << 13
    CREATE_BUCKET = 1 << 14
    DESTROY_BUCKET = 1 << 15
    MOVE_BUCKET = 1 << 16
    ADMIN = 1 << 17


ALL_ACCESS = 2**64 - 1
"""Every permission there is or will be."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified token says of its holder, for this cluster.

    `buckets` decides for the buckets that it names, `cluster` for all others; `is_admin` overrules both.
    """

    subject: str
    issuer: str = ""
    is_admin: bool = False
    cluster: int = 0
    buckets: Mapping[BucketRef, int] = field(default_factory=dict)

    def permits(self, permission: Permission, ref: BucketRef | None) -> bool:
        """Whether all bits of `permission` are given, on a bucket or, with None, on the cluster."""
        if self.is_admin:
            return True
        mask = self.cluster if ref is None else self.buckets.get(ref, self.cluster)
        return mask & permission == permission
