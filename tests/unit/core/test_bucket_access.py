"""What a bucket's `access` permits: to nobody more, whoever asks, and never so that it cannot be changed back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core import access
from core.access import NO_FACTS, Decision, Resource, authorize
from core.claims import ALL_ACCESS, Claims, Permission
from core.configs.native import NativeProps
from core.names import BucketName, BucketRef, UserId
from core.types import Bucket, BucketProps, Identity, User

OWNER = User(UserId("owner-id"), "owner", "Owner")
ROOT = User(UserId("root-id"), "root", "Root", is_root=True)
BUCKET = Bucket(BucketRef(BucketName("bucket")), 1, OWNER, 1)
READ_ONLY = replace(
    BUCKET, props=BucketProps(native=NativeProps(access=Permission.GET | Permission.HEAD_OBJECT))
)


@pytest.mark.parametrize("caller", [Identity(OWNER), Identity(ROOT)])
@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ("s3:GetObject", Decision.ALLOWED),
        ("s3:PutObject", Decision.DENIED),
        ("s3:DeleteObject", Decision.DENIED),
        ("s3:ListBucket", Decision.DENIED),
        ("s3:DeleteBucket", Decision.DENIED),
    ],
)
def test_mask_holds_for_everybody(caller: Identity, action: str, expected: Decision) -> None:
    resource = Resource(READ_ONLY, "k" if "Object" in action else None, is_absent=True)
    assert authorize(caller, action, resource, NO_FACTS) is expected


@pytest.mark.parametrize("permission", [Permission.PATCH, Permission.SET_BUCKET_ACL])
def test_mask_can_always_be_changed(permission: Permission) -> None:
    closed = replace(BUCKET, props=BucketProps(native=NativeProps(access=0)))
    decision = authorize(
        Identity(OWNER), "weir:PutBucketProperties", Resource(closed), NO_FACTS, permission
    )
    assert decision is Decision.ALLOWED


def test_admin_tokens_obey_it() -> None:
    caller = Identity(ROOT, claims=Claims("ci", is_admin=True))
    assert authorize(caller, "s3:PutObject", Resource(READ_ONLY, "k"), NO_FACTS) is Decision.DENIED


def test_only_a_full_mask_is_plain() -> None:
    assert access.is_plain(Identity(OWNER), BUCKET)
    for mask in (0, ALL_ACCESS >> 1, ALL_ACCESS ^ Permission.GET):
        masked = replace(BUCKET, props=BucketProps(native=NativeProps(access=mask)))
        assert not access.is_plain(Identity(OWNER), masked)
