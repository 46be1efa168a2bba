"""The one decision: its order as a table, and that no Deny ever widens access and no Allow narrows it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import access
from core.access import NO_FACTS, Decision, Resource, authorize
from core.configs.access import ObjectOwnership, PublicAccessBlock
from core.names import BucketName, BucketRef, ObjectKey, UserId
from core.types import (
    ANONYMOUS,
    NOBODY,
    Acl,
    Bucket,
    BucketProps,
    CannedAcl,
    Identity,
    ObjectAttributes,
    ObjectInfo,
    User,
)

OWNER = User(UserId("owner-id"), "owner", "Owner")
OTHER = User(UserId("other-id"), "other", "Other")
ROOT = User(UserId("root-id"), "root", "Root", is_root=True)
CALLERS = {
    "owner": Identity(OWNER),
    "other": Identity(OTHER),
    "root": Identity(ROOT),
    "anonymous": ANONYMOUS,
}
ENFORCED = ObjectOwnership.BUCKET_OWNER_ENFORCED
PAYS = {"x-amz-request-payer": ["requester"]}


class Said:
    """Facts from a dictionary."""

    def __init__(self, values: Mapping[str, Sequence[str]]) -> None:
        self._values = values

    def values(self, key: str) -> Sequence[str] | None:
        return self._values.get(key)


def statement(effect: str, action: str = "s3:*", who: Any = "*", **more: Any) -> dict[str, Any]:
    found = {"Effect": effect, "Principal": who, "Action": action}
    return {**found, "Resource": ["arn:aws:s3:::bucket", "arn:aws:s3:::bucket/*"], **more}


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def attached(*statements: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """A user's policy of these statements, without their principals."""
    own = [{k: v for k, v in each.items() if k != "Principal"} for each in statements]
    return (("p", policy(*own)),)


def bucket_of(props: BucketProps) -> Bucket:
    return Bucket(BucketRef(BucketName("bucket")), 1, OWNER, 0, "", props)


def info_of(
    owner_id: UserId, acl: Acl = CannedAcl.PRIVATE, tags: Mapping[str, str] | None = None
) -> ObjectInfo:
    attributes = ObjectAttributes(owner_id=owner_id, acl=acl, tags=tags or {})
    return ObjectInfo(ObjectKey("key"), 1, "etag", 0, attributes)


def decide(
    caller: Identity,
    action: str,
    props: BucketProps,
    info: ObjectInfo | None = None,
    said: Mapping[str, Sequence[str]] | None = None,
) -> Decision:
    key = None if "Bucket" in action else "key"
    return authorize(caller, action, Resource(bucket_of(props), key, info), Said(said or {}))


ALLOW, DENY = statement("Allow"), statement("Deny")
ALLOW_OTHER = statement("Allow", who={"AWS": "other-id"})
PUBLIC_ACL = BucketProps(acl=CannedAcl.PUBLIC_READ_WRITE)
BLOCKED = PublicAccessBlock(ignore_public_acls=True)
RESTRICTED = PublicAccessBlock(restrict_public_buckets=True)


def with_policy(*statements: dict[str, Any], **more: Any) -> BucketProps:
    return BucketProps(policy=policy(*statements), **more)


@pytest.mark.parametrize(
    ("props", "action", "allowed"),
    [
        # Nothing but ownership.
        (BucketProps(), "s3:ListBucket", "owner root"),
        (BucketProps(), "s3:PutObject", "owner root"),
        # ACLs, and what turns them off.
        (PUBLIC_ACL, "s3:ListBucket", "owner root other anonymous"),
        (PUBLIC_ACL, "s3:PutObject", "owner root other anonymous"),
        (PUBLIC_ACL, "s3:PutBucketPolicy", "owner root"),
        (replace(PUBLIC_ACL, ownership=ENFORCED), "s3:ListBucket", "owner root"),
        (replace(PUBLIC_ACL, public_access_block=BLOCKED), "s3:ListBucket", "owner root"),
        # A policy opens what the ACL does not.
        (with_policy(ALLOW), "s3:ListBucket", "owner root other anonymous"),
        (with_policy(ALLOW_OTHER), "s3:ListBucket", "owner root other"),
        (with_policy(ALLOW, ownership=ENFORCED), "s3:ListBucket", "owner root other anonymous"),
        (with_policy(ALLOW, public_access_block=BLOCKED), "s3:ListBucket", "owner root other anonymous"),
        # A public policy counts for nobody else, as a whole; others do.
        (with_policy(ALLOW, public_access_block=RESTRICTED), "s3:ListBucket", "owner root"),
        (with_policy(ALLOW, ALLOW_OTHER, public_access_block=RESTRICTED), "s3:ListBucket", "owner root"),
        (with_policy(ALLOW_OTHER, public_access_block=RESTRICTED), "s3:ListBucket", "owner root other"),
        # A denial comes before everything, also before the owner and root.
        (with_policy(DENY), "s3:ListBucket", ""),
        (with_policy(ALLOW, DENY, acl=CannedAcl.PUBLIC_READ), "s3:ListBucket", ""),
        (with_policy(statement("Deny", who={"AWS": "owner-id"})), "s3:ListBucket", "root"),
        # But nobody loses his bucket by it, unless he said so.
        (with_policy(DENY), "s3:PutBucketPolicy", "owner root"),
        (with_policy(DENY), "s3:DeleteBucketPolicy", "owner root"),
        (with_policy(DENY), "s3:GetBucketPolicyStatus", ""),
        (with_policy(DENY, policy_binds_owner=True), "s3:PutBucketPolicy", "root"),
    ],
)  # fmt: skip
def test_order_of_evaluation(props: BucketProps, action: str, allowed: str) -> None:
    found = {
        name for name, who in CALLERS.items() if decide(who, action, props) is Decision.ALLOWED
    }
    assert found == set(allowed.split())


@pytest.mark.parametrize(
    ("props", "owner_id", "acl", "action", "allowed"),
    [
        # The bucket owner's object.
        (BucketProps(), "owner-id", "private", "s3:GetObject", "owner root"),
        (BucketProps(), "owner-id", "public-read", "s3:GetObject", "owner root other anonymous"),
        (BucketProps(), "owner-id", "authenticated-read", "s3:GetObject", "owner root other"),
        (BucketProps(), "owner-id", "public-read", "s3:GetObjectAcl", "owner root"),
        (BucketProps(acl=CannedAcl.PUBLIC_READ), "owner-id", "private", "s3:GetObject", "owner root"),
        (with_policy(ALLOW), "owner-id", "private", "s3:GetObject", "owner root other anonymous"),
        (with_policy(DENY), "owner-id", "public-read", "s3:GetObject", ""),
        # Somebody else's: neither the bucket's owner nor its policy opens it, but both can shut it.
        (BucketProps(), "other-id", "private", "s3:GetObject", "root other"),
        (BucketProps(), "other-id", "bucket-owner-read", "s3:GetObject", "owner root other"),
        (BucketProps(), "other-id", "bucket-owner-read", "s3:PutObjectAcl", "root other"),
        (BucketProps(ownership=ENFORCED), "other-id", "private", "s3:GetObject", "owner root"),
        (with_policy(ALLOW), "other-id", "private", "s3:GetObject", "root other"),
        (with_policy(ALLOW, ownership=ENFORCED), "other-id", "private", "s3:GetObject", "owner root other anonymous"),
        (with_policy(DENY), "other-id", "private", "s3:GetObject", ""),
        # Its removal, tags and locks are the bucket owner's matter.
        (BucketProps(), "other-id", "private", "s3:DeleteObject", "owner root"),
        (BucketProps(), "other-id", "private", "s3:PutObjectTagging", "owner root"),
        (with_policy(ALLOW_OTHER), "other-id", "private", "s3:DeleteObject", "owner root other"),
        # Nobody's.
        (BucketProps(), NOBODY, "private", "s3:GetObject", "owner root"),
    ],
)  # fmt: skip
def test_order_for_objects(
    props: BucketProps, owner_id: str, acl: str, action: str, allowed: str
) -> None:
    info = info_of(UserId(owner_id), CannedAcl(acl))
    found = {
        name
        for name, who in CALLERS.items()
        if decide(who, action, props, info) is Decision.ALLOWED
    }
    assert found == set(allowed.split())


def test_requester_pays() -> None:
    props = with_policy(ALLOW, is_requester_pays=True)
    for name, free, paid in (
        ("owner", True, True),
        ("root", True, True),
        ("other", False, True),
        ("anonymous", False, False),
    ):
        caller = CALLERS[name]
        assert (decide(caller, "s3:ListBucket", props) is Decision.ALLOWED) is free
        assert (decide(caller, "s3:ListBucket", props, said=PAYS) is Decision.ALLOWED) is paid


READ = statement("Allow", "s3:Get*", Resource="*")
LIST = statement("Allow", "s3:List*", Resource="*")


@pytest.mark.parametrize(
    ("user", "policies", "props", "allowed"),
    [
        # With policies, a user may only what they allow; of its own buckets, or of others' that let it in.
        (OWNER, attached(LIST), BucketProps(), True),
        (OWNER, attached(READ), BucketProps(), False),
        (OWNER, attached(LIST, statement("Deny", Resource="*")), BucketProps(), False),
        (OWNER, attached(READ), with_policy(statement("Allow", who={"AWS": "owner-id"})), True),
        (OTHER, attached(LIST), BucketProps(), False),
        (OTHER, attached(LIST), with_policy(ALLOW_OTHER), True),
        (OTHER, attached(READ), with_policy(ALLOW_OTHER), False),
        (OTHER, attached(READ), BucketProps(acl=CannedAcl.PUBLIC_READ), False),
        (OTHER, attached(LIST), BucketProps(acl=CannedAcl.PUBLIC_READ), True),
        (OTHER, attached(LIST) + attached(DENY), with_policy(ALLOW_OTHER), False),
        (OWNER, attached(LIST), with_policy(DENY), False),
    ],
)
def test_policies_of_users(
    user: User, policies: tuple[tuple[str, str], ...], props: BucketProps, allowed: bool
) -> None:
    caller = Identity(replace(user, policies=policies))
    assert (decide(caller, "s3:ListBucket", props) is Decision.ALLOWED) is allowed
    assert not access.is_plain(caller, bucket_of(props))


def test_a_users_own_denial_holds_for_the_policy_too() -> None:
    caller = Identity(replace(OWNER, policies=attached(statement("Deny", Resource="*"))))
    assert decide(caller, "s3:PutBucketPolicy", BucketProps()) is Decision.DENIED


@pytest.mark.parametrize(
    ("caller", "action", "allowed"),
    [
        (ANONYMOUS, "s3:ListAllMyBuckets", False),
        (Identity(OTHER), "s3:CreateBucket", True),
        (Identity(replace(OTHER, policies=attached(LIST))), "s3:ListAllMyBuckets", True),
        (Identity(replace(OTHER, policies=attached(LIST))), "s3:CreateBucket", False),
        (Identity(replace(OTHER, policies=attached(ALLOW))), "s3:CreateBucket", True),
    ],
)
def test_account(caller: Identity, action: str, allowed: bool) -> None:
    assert access.authorize_account(caller, action, "bucket", NO_FACTS) is allowed


def test_create_only_the_buckets_that_are_named() -> None:
    caller = Identity(replace(OTHER, policies=attached(ALLOW)))
    assert not access.authorize_account(caller, "s3:CreateBucket", "another", NO_FACTS)


def test_services_need_a_statement() -> None:
    logs = {"Service": "logging.s3.amazonaws.com"}
    condition = {"ArnLike": {"aws:SourceArn": "arn:aws:s3:::source"}}
    allow = statement("Allow", "s3:PutObject", logs, Condition=condition)
    resource = Resource(bucket_of(with_policy(allow)), "log")
    for source, expected in (("arn:aws:s3:::source", True), ("arn:aws:s3:::x", False)):
        facts = Said({"aws:sourcearn": [source]})
        for service in ("logging.s3.amazonaws.com", "x.amazonaws.com"):
            found = access.authorize_service(service, "s3:PutObject", resource, facts)
            assert found is (expected and service == logs["Service"])
    for props in (BucketProps(), with_policy(ALLOW), with_policy(allow, DENY)):
        assert not access.authorize_service(
            logs["Service"], "s3:PutObject", Resource(bucket_of(props), "log"), NO_FACTS
        )


def test_the_object_is_looked_up_only_if_it_decides() -> None:
    tagged = {"StringEquals": {"s3:ExistingObjectTag/a": "b"}}
    props = with_policy(statement("Deny", "s3:DeleteObject", Condition=tagged))
    owner = CALLERS["owner"]
    assert decide(owner, "s3:DeleteObject", props) is Decision.UNDECIDED
    assert decide(owner, "s3:PutObject", props) is Decision.ALLOWED
    assert (
        decide(owner, "s3:DeleteObject", props, info_of(OWNER.user_id, tags={"a": "b"}))
        is Decision.DENIED
    )
    assert decide(owner, "s3:DeleteObject", props, info_of(OWNER.user_id)) is Decision.ALLOWED
    absent = Resource(bucket_of(props), "key", is_absent=True)
    assert authorize(owner, "s3:DeleteObject", absent, NO_FACTS) is Decision.ALLOWED


def test_who_asks_is_a_condition() -> None:
    for key, value in (
        ("aws:username", "other"),
        ("aws:userid", "other-id"),
        ("aws:PrincipalAccount", "other-id"),
        ("aws:PrincipalArn", "arn:aws:iam::other-id:user/other"),
        ("aws:PrincipalType", "User"),
        ("s3:ResourceAccount", "owner-id"),
    ):
        condition = {"StringEquals": {key: value}, "Bool": {"aws:ViaAWSService": "false"}}
        props = with_policy(statement("Allow", Condition=condition))
        assert decide(CALLERS["other"], "s3:ListBucket", props) is Decision.ALLOWED
        expected = key == "s3:ResourceAccount"
        assert (decide(ANONYMOUS, "s3:ListBucket", props) is Decision.ALLOWED) is expected


# --- no Deny widens, no Allow narrows ----------------------------------------------------------------------------

_WHO = st.sampled_from(
    ["*", {"AWS": "other-id"}, {"AWS": ["owner-id", "arn:aws:iam:::user/other"]}]
)
_ACTION = st.sampled_from(["s3:*", "s3:Get*", "s3:GetObject", "s3:PutObject", "s3:ListBucket"])
_RESOURCE = st.sampled_from(["arn:aws:s3:::bucket", "arn:aws:s3:::bucket/*", "arn:aws:s3:::*"])
_CONDITION = st.sampled_from(
    [
        {},
        {"StringEquals": {"s3:prefix": "a"}},
        {"StringNotEquals": {"s3:prefix": "a"}},
        {"Null": {"s3:prefix": "true"}},
        {"StringLike": {"s3:ExistingObjectTag/t": "*"}},
        {"StringEqualsIfExists": {"aws:username": "other"}},
    ]
)


def _statements(effect: st.SearchStrategy[str], has_principal: bool) -> Any:
    @st.composite
    def build(draw: st.DrawFn) -> dict[str, Any]:
        kind = draw(effect)
        found = {"Effect": kind, "Condition": draw(_CONDITION)}
        found["Action" if draw(st.booleans()) else "NotAction"] = draw(_ACTION)
        found["Resource" if draw(st.booleans()) else "NotResource"] = draw(_RESOURCE)
        if has_principal:
            negated = kind == "Deny" and draw(st.booleans())
            found["NotPrincipal" if negated else "Principal"] = draw(_WHO)
        return found

    return build()


_EFFECTS = st.sampled_from(["Allow", "Deny"])
_REQUESTS = st.tuples(
    st.sampled_from(sorted(CALLERS)),
    st.sampled_from(["s3:GetObject", "s3:PutObject", "s3:ListBucket", "s3:GetObjectAcl"]),
    st.sampled_from([{}, {"s3:prefix": ["a"]}, PAYS]),
    st.sampled_from(["owner-id", "other-id"]),
    st.booleans(),
)
_PROPS = st.builds(
    BucketProps,
    acl=st.sampled_from([CannedAcl.PRIVATE, CannedAcl.PUBLIC_READ_WRITE]),
    ownership=st.sampled_from([None, ENFORCED]),
    is_requester_pays=st.booleans(),
    policy_binds_owner=st.booleans(),
    public_access_block=st.sampled_from([None, BLOCKED]),
)


def _is_allowed(props: BucketProps, request: Any, policies: tuple[tuple[str, str], ...]) -> bool:
    name, action, said, owner_id, is_tagged = request
    user = CALLERS[name].user
    caller = ANONYMOUS if user is None else Identity(replace(user, policies=policies))
    info = info_of(UserId(owner_id), tags={"t": "x"} if is_tagged else None)
    decision = decide(caller, action, props, info, said)
    assert decision is not Decision.UNDECIDED
    return decision is Decision.ALLOWED


@settings(max_examples=300, deadline=None)
@given(_PROPS, st.data(), _REQUESTS, st.booleans())
def test_a_denial_never_widens_nor_an_allowance_narrows(
    props: BucketProps, data: st.DataObject, request: Any, is_of_bucket: bool
) -> None:
    bucket_statements = data.draw(st.lists(_statements(_EFFECTS, True), min_size=1, max_size=3))
    user_statements = data.draw(st.lists(_statements(_EFFECTS, False), max_size=2))
    more = {
        effect: data.draw(_statements(st.just(effect), is_of_bucket))
        for effect in ("Deny", "Allow")
    }

    def allowed(effect: str = "") -> bool:
        added = [more[effect]] if effect else []
        of_bucket = bucket_statements + (added if is_of_bucket else [])
        # The first policy of a user is what holds it to its policies, so one is there before.
        of_user = user_statements + ([] if is_of_bucket else added)
        policies = (("p", policy(*of_user)),) if user_statements else ()
        return _is_allowed(replace(props, policy=policy(*of_bucket)), request, policies)

    before = allowed()
    assert before or not allowed("Deny")
    assert not before or allowed("Allow")
