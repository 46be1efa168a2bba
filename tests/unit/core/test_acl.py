"""What ACLs mean: canned grants, whom they reach, and what bucket settings make of them."""

from __future__ import annotations

import dataclasses

import pytest

from core import acl
from core.configs.access import ObjectOwnership, PublicAccessBlock
from core.names import BucketName, BucketRef, UserId
from core.types import (
    ANONYMOUS,
    NOBODY,
    Acl,
    Bucket,
    BucketProps,
    CannedAcl,
    Grant,
    Group,
    Identity,
    ObjectAttributes,
    Permission,
    User,
)

OWNER, WRITER, OTHER = UserId("owner"), UserId("writer"), UserId("other")
READ, WRITE = Permission.READ, Permission.WRITE
FULL = Permission.FULL_CONTROL


def bucket(**props: object) -> Bucket:
    made = dataclasses.replace(BucketProps(), **props)  # type: ignore[arg-type]
    return Bucket(BucketRef(BucketName("b")), 1, User(OWNER, "o", "o"), 0, props=made)


def identity(user_id: UserId) -> Identity:
    return Identity(User(user_id, user_id, user_id))


def shown(canned: CannedAcl) -> list[tuple[str, str]]:
    return [
        (grant.group.name if grant.group else grant.user_id, grant.permission.value)
        for grant in acl.grants_of(canned, WRITER, OWNER)
    ]


@pytest.mark.parametrize(
    ("canned", "extra"),
    [
        (CannedAcl.PRIVATE, []),
        (CannedAcl.PUBLIC_READ, [("ALL_USERS", "READ")]),
        (CannedAcl.PUBLIC_READ_WRITE, [("ALL_USERS", "READ"), ("ALL_USERS", "WRITE")]),
        (CannedAcl.AUTHENTICATED_READ, [("AUTHENTICATED_USERS", "READ")]),
        (CannedAcl.AWS_EXEC_READ, []),
        (CannedAcl.BUCKET_OWNER_READ, [("owner", "READ")]),
        (CannedAcl.BUCKET_OWNER_FULL_CONTROL, [("owner", "FULL_CONTROL")]),
        (CannedAcl.LOG_DELIVERY_WRITE, [("LOG_DELIVERY", "WRITE"), ("LOG_DELIVERY", "READ_ACP")]),
    ],
)
def test_canned_acl_stands_for_grants(canned: CannedAcl, extra: list[tuple[str, str]]) -> None:
    assert sorted(shown(canned)) == sorted([("writer", "FULL_CONTROL"), *extra])


def test_bucket_owner_grants_are_not_repeated_to_the_owner() -> None:
    assert acl.grants_of(CannedAcl.BUCKET_OWNER_READ, OWNER, OWNER) == [Grant(FULL, OWNER)]


def test_groups_are_shown_first() -> None:
    everybody = Grant(READ, group=Group.ALL_USERS)
    assert acl.grants_of((Grant(FULL, OWNER), everybody), OWNER, OWNER)[0] == everybody


@pytest.mark.parametrize(
    ("of", "caller", "granted"),
    [
        (CannedAcl.PRIVATE, None, set()),
        (CannedAcl.PRIVATE, OTHER, set()),
        (CannedAcl.PRIVATE, WRITER, set(Permission)),
        (CannedAcl.PUBLIC_READ, None, {READ}),
        (CannedAcl.PUBLIC_READ_WRITE, OTHER, {READ, WRITE}),
        (CannedAcl.AUTHENTICATED_READ, None, set()),
        (CannedAcl.AUTHENTICATED_READ, OTHER, {READ}),
        (CannedAcl.BUCKET_OWNER_READ, OWNER, {READ}),
        (CannedAcl.LOG_DELIVERY_WRITE, OTHER, set()),
        ((), OTHER, set()),
        ((), WRITER, {Permission.READ_ACP, Permission.WRITE_ACP}),
        ((Grant(FULL, OTHER),), OTHER, set(Permission)),
        ((Grant(READ, OTHER),), OTHER, {READ}),
        ((Grant(READ, OTHER),), None, set()),
    ],
)
def test_permissions(of: Acl, caller: UserId | None, granted: set[Permission]) -> None:
    assert acl.permissions(of, caller, WRITER, OWNER) == granted


def test_nobody_owns_what_the_anonymous_wrote() -> None:
    assert acl.permissions(CannedAcl.PRIVATE, None, NOBODY, OWNER) == set()
    assert acl.permissions((Grant(FULL, NOBODY),), None, NOBODY, OWNER) == set()


def test_public_grants_alone_are_ignored() -> None:
    of = (Grant(READ, group=Group.ALL_USERS), Grant(WRITE, OTHER))
    assert acl.permissions(of, OTHER, WRITER, OWNER, ignores_public=True) == {WRITE}


@pytest.mark.parametrize(
    ("action", "allowed"),
    [("s3:ListBucket", True), ("s3:PutObject", False), ("s3:PutBucketPolicy", False)],
)
def test_bucket_acl_allows_by_action(action: str, allowed: bool) -> None:
    assert acl.bucket_acl_allows(ANONYMOUS, action, bucket(acl=CannedAcl.PUBLIC_READ)) is allowed


@pytest.mark.parametrize(
    "setting",
    [
        {"ownership": ObjectOwnership.BUCKET_OWNER_ENFORCED},
        {"public_access_block": PublicAccessBlock(ignore_public_acls=True)},
    ],
)
def test_settings_of_the_bucket_silence_public_acls(setting: dict[str, object]) -> None:
    public = ObjectAttributes(owner_id=WRITER, acl=CannedAcl.PUBLIC_READ)
    silenced = bucket(acl=CannedAcl.PUBLIC_READ, **setting)
    assert not acl.bucket_acl_allows(ANONYMOUS, "s3:ListBucket", silenced)
    assert not acl.object_acl_allows(ANONYMOUS, "s3:GetObject", silenced, public)
    assert acl.object_acl_allows(ANONYMOUS, "s3:GetObject", bucket(), public)


def test_object_acl_does_not_allow_writes() -> None:
    full = ObjectAttributes(owner_id=WRITER, acl=(Grant(FULL, OTHER),))
    other = identity(OTHER)
    assert acl.object_acl_allows(other, "s3:PutObjectAcl", bucket(), full)
    assert not acl.object_acl_allows(other, "s3:PutObject", bucket(), full)
    assert not acl.object_acl_allows(other, "s3:DeleteObject", bucket(), full)


@pytest.mark.parametrize(
    ("ownership", "canned", "owner"),
    [
        (None, CannedAcl.BUCKET_OWNER_FULL_CONTROL, WRITER),
        (ObjectOwnership.OBJECT_WRITER, CannedAcl.BUCKET_OWNER_FULL_CONTROL, WRITER),
        (ObjectOwnership.BUCKET_OWNER_PREFERRED, CannedAcl.PRIVATE, WRITER),
        (ObjectOwnership.BUCKET_OWNER_PREFERRED, CannedAcl.BUCKET_OWNER_FULL_CONTROL, OWNER),
        (ObjectOwnership.BUCKET_OWNER_ENFORCED, CannedAcl.PRIVATE, OWNER),
    ],
)
def test_owner_of_new(ownership: ObjectOwnership | None, canned: CannedAcl, owner: UserId) -> None:
    assert acl.owner_of_new(bucket(ownership=ownership), WRITER, canned) == owner


def test_enforced_ownership_holds_for_what_was_written_before() -> None:
    written = ObjectAttributes(owner_id=WRITER)
    assert acl.object_owner(bucket(), written) == WRITER
    enforced = bucket(ownership=ObjectOwnership.BUCKET_OWNER_ENFORCED)
    assert acl.object_owner(enforced, written) == OWNER


@pytest.mark.parametrize(
    ("of", "public"),
    [
        (CannedAcl.PRIVATE, False),
        (CannedAcl.LOG_DELIVERY_WRITE, False),
        (CannedAcl.BUCKET_OWNER_FULL_CONTROL, False),
        (CannedAcl.PUBLIC_READ, True),
        (CannedAcl.AUTHENTICATED_READ, True),
        ((Grant(READ, OTHER),), False),
        ((Grant(Permission.READ_ACP, group=Group.AUTHENTICATED_USERS),), True),
    ],
)
def test_is_public(of: Acl, public: bool) -> None:
    assert acl.is_public(of) is public


def test_is_owners_alone() -> None:
    assert acl.is_owners_alone(CannedAcl.PRIVATE, OWNER)
    assert acl.is_owners_alone((Grant(READ, OWNER),), OWNER)
    assert not acl.is_owners_alone((Grant(READ, OTHER),), OWNER)
    assert not acl.is_owners_alone(CannedAcl.LOG_DELIVERY_WRITE, OWNER)
