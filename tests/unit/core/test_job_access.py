"""What a job may do to the objects it meets, for the user who started it."""

from __future__ import annotations

import json

import pytest

from core.configs.access import ObjectOwnership
from core.errors import Denied
from core.job_access import JobAccess, check_conditions
from core.names import BucketName, BucketRef, ObjectKey, UserId
from core.types import Bucket, BucketProps, Identity, ObjectAttributes, ObjectInfo, User

OWNER = User(UserId("o" * 64), "owner", "owner")
OTHER = User(UserId("p" * 64), "other", "other")
ROOT = User(UserId("r" * 64), "root", "root", is_root=True)


def bucket_with(statement: dict[str, object] | None = None) -> Bucket:
    document = {"Version": "2012-10-17", "Statement": [statement]}
    policy = "" if statement is None else json.dumps(document)
    props = BucketProps(policy=policy, ownership=ObjectOwnership.OBJECT_WRITER)
    return Bucket(BucketRef(BucketName("b")), 7, OWNER, 0, "us-east-1", props)


def info_of(owner: User) -> ObjectInfo:
    attributes = ObjectAttributes(owner_id=owner.user_id)
    return ObjectInfo(ObjectKey("k"), 1, "e", 0, attributes)


DENY_SECRET: dict[str, object] = {
    "Effect": "Deny",
    "Principal": "*",
    "Action": "s3:*",
    "Resource": "arn:aws:s3:::b/secret/*",
}


def test_the_owner_may_touch_what_is_his() -> None:
    access = JobAccess(OWNER, bucket_with())
    assert access.allows("s3:GetObject", ObjectKey("k"), info_of(OWNER))
    assert access.allows("s3:PutObject", ObjectKey("k"))
    assert not access.allows("s3:GetObject", ObjectKey("k"), info_of(OTHER))
    with pytest.raises(Denied):
        access.require("s3:GetObject", ObjectKey("k"), info_of(OTHER))


def test_others_may_not_and_root_may() -> None:
    assert not JobAccess(OTHER, bucket_with()).allows("s3:PutObject", ObjectKey("k"))
    assert not JobAccess(OTHER, bucket_with()).allows(
        "s3:GetObject", ObjectKey("k"), info_of(OWNER)
    )
    assert JobAccess(ROOT, bucket_with()).allows("s3:GetObject", ObjectKey("k"), info_of(OTHER))


def test_a_policy_tells_keys_apart() -> None:
    access = JobAccess(OWNER, bucket_with(DENY_SECRET))
    assert access.allows("s3:GetObject", ObjectKey("k"), info_of(OWNER))
    assert not access.allows("s3:PutObject", ObjectKey("secret/k"))
    check_conditions(Identity(OWNER), bucket_with(DENY_SECRET))


def test_conditions_on_requests_cannot_be_kept() -> None:
    guarded = bucket_with(
        {**DENY_SECRET, "Condition": {"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}
    )
    with pytest.raises(Denied):
        check_conditions(Identity(OWNER), guarded)
    check_conditions(Identity(OWNER), bucket_with())
