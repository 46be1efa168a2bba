"""What tokens permit: claims × actions as a table, and that a token never gives what its account has not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import access
from core.access import NO_FACTS, Decision, Resource, authorize, authorize_account
from core.claims import ALL_ACCESS, Claims, Permission
from core.names import BucketName, BucketRef, UserId
from core.policy.actions import ACTIONS
from core.policy.permissions import PERMISSIONS, permission_of
from core.types import Bucket, BucketProps, Identity, User

ROOT = User(UserId("root-id"), "root", "Root", is_root=True)
OWNER = User(UserId("owner-id"), "owner", "Owner")
OTHER = User(UserId("other-id"), "other", "Other")
MINE = Bucket(BucketRef(BucketName("mine")), 1, OWNER, 0, "", BucketProps())
ELSE = Bucket(BucketRef(BucketName("else")), 2, OWNER, 0, "", BucketProps())
RO = Permission.GET | Permission.HEAD_OBJECT | Permission.HEAD_BUCKET | Permission.LIST_OBJECTS
RW = RO | Permission.PUT | Permission.APPEND | Permission.DELETE_OBJECT | Permission.MOVE_OBJECT
BUCKET_ADMIN = Permission.PATCH | Permission.SET_BUCKET_ACL | Permission.UPDATE_OBJECT
CLUSTER = Permission(126976)
P = Permission


def token(user: User = ROOT, **claims: Any) -> Identity:
    return Identity(user, claims=Claims("somebody", **claims))


def allows(identity: Identity, action: str, bucket: Bucket = MINE) -> bool:
    resource = Resource(bucket, "key" if "Object" in action else None)
    return authorize(identity, action, resource, NO_FACTS) is Decision.ALLOWED


READS = ["s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectTagging", "s3:ListBucket"]
WRITES = ["s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion", "s3:AbortMultipartUpload"]
CHANGES = ["s3:PutObjectTagging", "s3:PutBucketVersioning", "s3:PutBucketPolicy", "s3:PutBucketAcl"]
RARE = ["s3:BypassGovernanceRetention", "s3:SomethingNew", "weir:Something"]
TABLE = [
    ({"is_admin": True}, [*READS, *WRITES, *CHANGES, *RARE], []),
    ({"cluster": ALL_ACCESS}, [*READS, *WRITES, *CHANGES, *RARE], []),
    ({}, [], [*READS, *WRITES, *CHANGES, *RARE]),
    ({"cluster": int(RO)}, READS, [*WRITES, *CHANGES, *RARE]),
    ({"cluster": int(RW)}, [*READS, *WRITES], [*CHANGES, *RARE]),
    ({"cluster": int(RW | BUCKET_ADMIN)}, [*READS, *WRITES, *CHANGES], RARE),
    ({"buckets": {MINE.ref: int(RO)}}, READS, [*WRITES, *CHANGES, *RARE]),
    # The bucket's own entry decides, also where it takes away.
    ({"buckets": {MINE.ref: int(RO)}, "cluster": int(RW)}, READS, [*WRITES, *RARE]),
    ({"buckets": {MINE.ref: 0}, "cluster": ALL_ACCESS}, [], [*READS, *WRITES, *RARE]),
    ({"buckets": {ELSE.ref: int(RW)}}, [], [*READS, *WRITES]),
    ({"cluster": int(P.PATCH)}, ["s3:PutBucketVersioning"], ["s3:PutLifecycleConfiguration"]),
    ({"cluster": int(P.PATCH | P.DELETE_OBJECT)}, ["s3:PutLifecycleConfiguration"], []),
    ({"cluster": int(P.GET)}, ["s3:GetObject"], ["s3:ListBucket", "s3:GetObjectAttributes"]),
]


@pytest.mark.parametrize(("claims", "allowed", "denied"), TABLE)
def test_claims_restrict_actions(
    claims: dict[str, Any], allowed: list[str], denied: list[str]
) -> None:
    identity = token(**claims)
    assert [action for action in allowed if not allows(identity, action)] == []
    assert [action for action in denied if allows(identity, action)] == []


def test_only_admins_need_not_be_asked() -> None:
    assert access.is_plain(token(is_admin=True), MINE)
    assert not access.is_plain(token(cluster=ALL_ACCESS), MINE)
    assert access.is_plain(Identity(ROOT), MINE)


def test_an_explicit_permission_goes_before_that_of_the_action() -> None:
    identity = token(cluster=int(P.HEAD_OBJECT))
    resource = Resource(MINE, "key")
    assert authorize(identity, "s3:GetObject", resource, NO_FACTS) is Decision.DENIED
    decided = authorize(identity, "s3:GetObject", resource, NO_FACTS, P.HEAD_OBJECT)
    assert decided is Decision.ALLOWED


def test_a_denial_of_the_bucket_holds_for_every_token() -> None:
    statement = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    bucket = Bucket(MINE.ref, 1, OWNER, 0, "", BucketProps(policy=document))
    for identity in (token(is_admin=True), token(cluster=ALL_ACCESS)):
        assert not allows(identity, "s3:GetObject", bucket)


@given(st.sampled_from(sorted(ACTIONS)), st.integers(0, 2**18 - 1), st.booleans())
def test_a_token_never_gives_what_its_account_has_not(action: str, mask: int, admin: bool) -> None:
    identity = token(OTHER, cluster=mask, is_admin=admin)
    if allows(identity, action):
        assert allows(Identity(OTHER), action)


ACCOUNT = [
    ("s3:ListAllMyBuckets", None, P.LIST_BUCKETS),
    ("s3:CreateBucket", None, P.CREATE_BUCKET),
    ("weir:ShowCluster", P.SHOW_CLUSTER, P.SHOW_CLUSTER),
    ("weir:RevokeTokens", P.ADMIN, P.ADMIN),
]


@pytest.mark.parametrize(("action", "permission", "needed"), ACCOUNT)
def test_what_concerns_no_bucket(
    action: str, permission: Permission | None, needed: Permission
) -> None:
    def allowed(identity: Identity) -> bool:
        return authorize_account(identity, action, "", NO_FACTS, permission)

    assert allowed(Identity(ROOT))
    assert allowed(Identity(OTHER)) == (needed is not P.ADMIN)
    assert not allowed(Identity(None))
    assert allowed(token(is_admin=True))
    assert allowed(token(cluster=int(needed)))
    assert not allowed(token(cluster=ALL_ACCESS & ~int(needed)))
    assert not allowed(token(buckets={MINE.ref: ALL_ACCESS}))
    assert allowed(token(OTHER, cluster=int(needed))) == (needed is not P.ADMIN)


def test_policies_of_users_hold_for_what_concerns_no_bucket() -> None:
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    held = User(UserId("held-id"), "held", "Held", policies=(("p", document),))
    for identity in (Identity(held), token(held, cluster=ALL_ACCESS)):
        assert not authorize_account(
            identity, "s3:CreateBucket", "new", NO_FACTS, Permission.CREATE_BUCKET
        )


def test_the_table_names_actions_that_exist() -> None:
    assert set(PERMISSIONS) <= ACTIONS
    assert permission_of("s3:NoSuchAction") is Permission.ADMIN


def test_writing_actions_need_no_reading_permission_alone() -> None:
    for action in PERMISSIONS:
        verb = action.removeprefix("s3:")
        if verb.startswith(("Put", "Delete", "Create", "Restore", "Abort", "Bypass")):
            assert not permission_of(action) & RO, action
