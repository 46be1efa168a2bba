"""Policies: their grammar, what is refused, whom and what a statement names, and what is public."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import MalformedPolicy
from core.policy.actions import ACTIONS, of_version
from core.policy.document import Effect, bucket_policy, parsed, user_policy
from core.policy.evaluation import Ask, evaluate
from core.policy.principals import Caller
from core.policy.public import is_public
from s3api.router import TABLE

BOB = Caller("bob-id", "bob")
ALICE = Caller("alice-id", "alice")
NOBODY = Caller()
LOGGING = Caller(service="logging.s3.amazonaws.com")
GOOD: dict[str, Any] = {
    "Effect": "Allow",
    "Principal": "*",
    "Action": "s3:GetObject",
    "Resource": "arn:aws:s3:::bucket/*",
}


def policy(*statements: dict[str, Any], **fields: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements), **fields})


def good(**changes: Any) -> dict[str, Any]:
    """The good statement with changes; None takes an element away."""
    found = {**GOOD, **changes}
    return {name: value for name, value in found.items() if value is not None}


def answer(
    text: str,
    caller: Caller = BOB,
    action: str = "s3:GetObject",
    resource: str = "arn:aws:s3:::bucket/key",
) -> Effect | None:
    values = {"aws:username": [caller.name]} if caller.name else {}
    return evaluate(bucket_policy(text, "bucket"), Ask(caller, action, resource, values.get))


# --- grammar -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        policy(GOOD),
        json.dumps({"Statement": GOOD}),
        policy(GOOD, GOOD, Id="x", Version="2008-10-17"),
        policy(good(Sid="x y", Condition={})),
        policy(good(Action=["s3:Get*", "S3:PUTOBJECT", "*", "s3:*"])),
        policy(good(Action=None, NotAction="s3:DeleteObject")),
        policy(good(Resource=None, NotResource=["arn:aws:s3:::bucket"])),
        policy(good(Principal=None, NotPrincipal={"AWS": "bob-id"}, Effect="Deny")),
        policy(good(Resource=["arn:aws:s3:::*", "arn:aws-cn:s3:::bucket", "arn:aws:s3:::b*t/x"])),
        policy(good(Resource="arn:aws:s3:::bucket/${aws:username}/*")),
        policy(good(Principal={"AWS": ["*", "1", "arn:aws:iam::1:role/x"], "Federated": "x"})),
    ],
)
def test_good_policies(text: str) -> None:
    assert bucket_policy(text, "bucket").statements


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "first byte"),
        ('{"Statement": [}', "invalid Json"),
        ("{" * 20000, "invalid Json"),
        ('{"Statement": ' + "[" * 10000 + "]" * 10000 + "}", "invalid Json"),
        ('{"Statement": 1, "Statement": 2}', "invalid Json"),
        ('{"Statement": NaN}', "invalid Json"),
        ('{"Statement": "x"}', "Invalid policy syntax"),
        (policy(), "Statement is empty"),
        (policy(GOOD, Version="2020-01-01"), "valid version string"),
        (policy(GOOD, Version=1), "valid version string"),
        (policy(GOOD, Id=[]), "Invalid policy syntax"),
        (policy(GOOD, Color="red"), "Unknown field Color"),
        (policy(good(Color="red")), "Unknown field Color"),
        (policy(good(Effect=None)), "Missing required field Effect"),
        (policy(good(Effect="allow")), "Invalid effect: allow"),
        (policy(good(Effect=["Allow"])), "Invalid effect"),
        (policy(good(Sid=1.5, Effect="Deny", Principal=[])), "Invalid principal"),
        (policy(good(Sid=[])), "Invalid policy syntax"),
        (policy(good(Principal=None)), "Missing required field Principal"),
        (policy(good(Principal={})), "Invalid principal"),
        (policy(good(Principal="bob")), "Invalid principal"),
        (policy(good(Principal={"AWS": []})), "Invalid principal"),
        (policy(good(Principal={"AWS": "arn:aws:iam::*:root"})), "Invalid principal"),
        (policy(good(Principal={"AWS": "arn:aws:iam::1:user/*"})), "Invalid principal"),
        (policy(good(Principal={"AWS": "arn:aws:iam::1:group/x"})), "Invalid principal"),
        (policy(good(Principal={"AWS": "arn:aws:iam::1:user"})), "Invalid principal"),
        (policy(good(Principal={"AWS": "arn:aws:iam::1:root/x"})), "Invalid principal"),
        (policy(good(Principal={"AWS": "arn:aws:iam:::root"})), "Invalid principal"),
        (policy(good(Principal={"AWS": "arn:aws:s3:::bucket"})), "Invalid principal"),
        (policy(good(Principal={"Nobody": "x"})), "Invalid principal"),
        (policy(good(Principal={"Service": "logging"})), "Invalid principal"),
        (policy(good(NotPrincipal="*")), "Invalid policy syntax"),
        (policy(good(Principal=None, NotPrincipal={"AWS": "x"})), "Allow with NotPrincipal"),
        (policy(good(Action=None)), "Missing required field Action"),
        (policy(good(Action=[])), "invalid action"),
        (policy(good(Action="s3:NoSuchAction")), "invalid action"),
        (policy(good(Action="ec2:*")), "invalid action"),
        (policy(good(Action="GetObject")), "invalid action"),
        (policy(good(Action=[["s3:*"]])), "invalid action"),
        (policy(good(NotAction="s3:*")), "Invalid policy syntax"),
        (policy(good(Resource=None)), "Missing required field Resource"),
        (policy(good(Resource="bucket/*")), "invalid resource"),
        (policy(good(Resource="*")), "invalid resource"),
        (policy(good(Resource="arn:aws:s3:::")), "invalid resource"),
        (policy(good(Resource="arn:aws:s3:::other/*")), "invalid resource"),
        (policy(good(Resource="arn:aws:s3:::bucketeer")), "invalid resource"),
        (policy(good(Resource="arn:aws:sqs:::bucket")), "invalid resource"),
        (policy(good(Resource="arn:aws:s3:::bucket/${a b}")), "Invalid policy variable"),
        (policy(good(Condition={"StringIs": {"s3:prefix": "x"}})), "Invalid Condition type"),
        (policy(good(Condition={"StringEquals": {"s3:x": "x"}})), "invalid condition key"),
        (policy(good(Sid="x" * 20480)), "20480 bytes"),
    ],
)
def test_bad_policies(text: str, message: str) -> None:
    with pytest.raises(MalformedPolicy) as raised:
        bucket_policy(text, "bucket")
    assert message in raised.value.reason


_WORDS = ["*", "Allow", "Deny", "s3:*", "arn:aws:s3:::bucket/*", "${", "1", "", *GOOD, "Sid", "AWS"]
_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.sampled_from(_WORDS)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from([*_WORDS, "StringLike", "s3:prefix"]), inner, max_size=3),
    ),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.just({}), _VALUES), st.sampled_from([*GOOD, "Condition", "Sid"]), _VALUES)
def test_whatever_is_no_policy_is_malformed(document: Any, element: str, value: Any) -> None:
    for text in (json.dumps(document), policy(good(**{element: value}))):
        try:
            answer(text)
        except MalformedPolicy as error:
            assert error.reason  # noqa: PT017  # a policy may also be good


def test_policies_of_users() -> None:
    assert user_policy(policy(good(Principal=None, Resource="*"))).statements
    for bad in (policy(GOOD), policy(good(Principal=None, Sid="x" * 6144))):
        with pytest.raises(MalformedPolicy):
            user_policy(bad)


def test_every_action_of_the_table_is_known() -> None:
    wanted = {row.operation.action for row in TABLE} - {""}
    assert wanted | {of_version(action) for action in wanted} <= ACTIONS


# --- whom and what a statement names -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("principal", "named"),
    [
        ("*", (ALICE, BOB, NOBODY)),
        ({"AWS": "*"}, (ALICE, BOB, NOBODY)),
        ({"AWS": "bob-id"}, (BOB,)),
        ({"AWS": "arn:aws:iam::bob-id:root"}, (BOB,)),
        ({"AWS": "arn:aws:iam::bob-id:user/bob"}, (BOB,)),
        ({"AWS": "arn:aws:iam::bob-id:user/team/bob"}, (BOB,)),
        ({"AWS": "arn:aws:iam::bob-id:user/alice"}, ()),
        ({"AWS": "arn:aws:iam:::user/bob"}, (BOB,)),
        ({"AWS": "arn:aws:iam:::user/bob-id"}, (BOB,)),
        ({"AWS": "bob"}, ()),
        ({"AWS": ["arn:aws:iam::bob-id:role/x", "alice-id"]}, (ALICE,)),
        ({"CanonicalUser": ["alice-id", "bob-id"]}, (ALICE, BOB)),
        ({"Service": "logging.s3.amazonaws.com"}, (LOGGING,)),
        ({"Service": "other.amazonaws.com", "AWS": "*"}, (ALICE, BOB, NOBODY)),
        ({"Federated": "x"}, ()),
    ],
)
def test_principals(principal: Any, named: tuple[Caller, ...]) -> None:
    callers = (ALICE, BOB, NOBODY, LOGGING)
    found = [c for c in callers if answer(policy(good(Principal=principal)), c) is Effect.ALLOW]
    assert tuple(found) == named
    others = good(Principal=None, NotPrincipal=principal, Effect="Deny")
    found = [c for c in callers if answer(policy(others), c) is Effect.DENY]
    assert found == [c for c in callers if c not in named]


@pytest.mark.parametrize(
    ("element", "action", "expected"),
    [
        ({"Action": "s3:getobject"}, "s3:GetObject", True),
        ({"Action": "s3:Get*"}, "s3:GetObjectTagging", True),
        ({"Action": "s3:Get?bject"}, "s3:GetObject", True),
        ({"Action": "s3:GetObject"}, "s3:GetObjectVersion", False),
        ({"Action": "*"}, "s3:DeleteBucket", True),
        ({"Action": None, "NotAction": "s3:Get*"}, "s3:GetObject", False),
        ({"Action": None, "NotAction": "s3:Get*"}, "s3:PutObject", True),
    ],
)
def test_actions(element: dict[str, Any], action: str, expected: bool) -> None:
    assert (answer(policy(good(**element)), action=action) is Effect.ALLOW) is expected


@pytest.mark.parametrize(
    ("element", "key", "expected"),
    [
        ({"Resource": "arn:aws:s3:::bucket/*"}, "a/b", True),
        ({"Resource": "arn:aws:s3:::bucket/a?"}, "ab", True),
        ({"Resource": "arn:aws:s3:::bucket/A"}, "a", False),
        ({"Resource": "arn:aws:s3:::bucket"}, "a", False),
        ({"Resource": "arn:aws:s3:::bucket/${aws:username}/*"}, "bob/x", True),
        ({"Resource": "arn:aws:s3:::bucket/${aws:username}/*"}, "alice/x", False),
        ({"Resource": None, "NotResource": "arn:aws:s3:::bucket/a*"}, "ab", False),
        ({"Resource": None, "NotResource": "arn:aws:s3:::bucket/a*"}, "b", True),
    ],
)
def test_resources(element: dict[str, Any], key: str, expected: bool) -> None:
    found = answer(policy(good(**element)), resource=f"arn:aws:s3:::bucket/{key}")
    assert (found is Effect.ALLOW) is expected


def test_the_old_version_has_no_variables() -> None:
    text = policy(good(Resource="arn:aws:s3:::bucket/${aws:username}"), Version="2008-10-17")
    assert answer(text, resource="arn:aws:s3:::bucket/bob") is None
    assert answer(text, resource="arn:aws:s3:::bucket/${aws:username}") is Effect.ALLOW


def test_a_denial_wins_wherever_it_stands() -> None:
    deny = good(Effect="Deny", Resource="arn:aws:s3:::bucket/key")
    for statements in ([GOOD, deny, GOOD], [deny, GOOD], [GOOD, deny]):
        assert answer(policy(*statements)) is Effect.DENY
        assert answer(policy(*statements), resource="arn:aws:s3:::bucket/k") is Effect.ALLOW


# --- what is public ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, True),
        ({"Effect": "Deny"}, False),
        ({"Principal": {"AWS": ["1", "*"]}}, True),
        ({"Principal": {"AWS": "1"}}, False),
        ({"Principal": {"Service": "logging.s3.amazonaws.com"}}, False),
        ({"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/24"}}}, False),
        ({"Condition": {"IpAddress": {"aws:SourceIp": ["10.0.0.0/24", "0.0.0.0/0"]}}}, True),
        ({"Condition": {"IpAddress": {"aws:SourceIp": "0.0.0.0/1"}}}, True),
        ({"Condition": {"IpAddress": {"aws:SourceIp": "2000::/3"}}}, True),
        ({"Condition": {"IpAddressIfExists": {"aws:SourceIp": "10.0.0.0/24"}}}, True),
        ({"Condition": {"NotIpAddress": {"aws:SourceIp": "10.0.0.0/24"}}}, True),
        ({"Condition": {"StringEquals": {"aws:SourceVpc": "vpc-1"}}}, False),
        ({"Condition": {"StringLike": {"aws:SourceVpc": "vpc-*"}}}, True),
        ({"Condition": {"StringEquals": {"aws:SourceVpc": "${aws:username}"}}}, True),
        ({"Condition": {"ForAllValues:StringEquals": {"aws:SourceVpc": "vpc-1"}}}, True),
        ({"Condition": {"ForAnyValue:StringEquals": {"aws:SourceVpc": "vpc-1"}}}, False),
        ({"Condition": {"StringEquals": {"aws:Referer": "x"}}}, True),
        ({"Condition": {"Bool": {"aws:SecureTransport": "true"}}}, True),
    ],
)
def test_is_public(change: dict[str, Any], expected: bool) -> None:
    assert is_public(parsed(policy(good(**change)))) is expected
    named = good(Principal={"AWS": "1"})
    assert is_public(parsed(policy(named, good(**change)))) is expected
