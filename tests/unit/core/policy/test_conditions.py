"""Conditions: each operator with a value that meets it, one that does not, and none at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from core.errors import MalformedPolicy
from core.policy.conditions import OPERATORS, parse_conditions

KEY = "aws:Referer"


def holds(
    condition: Mapping[str, Any], present: Sequence[str] | None, key: str = KEY, **others: str
) -> bool:
    """Whether {operator: wanted} holds for the values that the request has."""
    found = {"aws:referer": present, **{f"aws:{name}": [text] for name, text in others.items()}}
    parsed = parse_conditions({name: {key: wanted} for name, wanted in condition.items()}, True)
    return all(each.holds(found.get) for each in parsed)


CASES = [
    ("StringEquals", "a", "a", "A"),
    ("StringEquals", ["a", "b*"], "b*", "bc"),
    ("StringNotEquals", ["a", "b"], "c", "b"),
    ("StringEqualsIgnoreCase", "Ab", "aB", "b"),
    ("StringNotEqualsIgnoreCase", "Ab", "b", "aB"),
    ("StringLike", ["x", "a*c?"], "abccd", "abc"),
    ("StringNotLike", "a*", "b", "ab"),
    ("NumericEquals", "10", "10.0", "11"),
    ("NumericNotEquals", "10", "11", "10"),
    ("NumericLessThan", "10", "9.5", "10"),
    ("NumericLessThanEquals", "10", "10", "10.5"),
    ("NumericGreaterThan", "-1", "0", "-1"),
    ("NumericGreaterThanEquals", "1e3", "1000", "999"),
    ("DateEquals", "2024-01-01T00:00:00Z", "1704067200", "1704067201"),
    ("DateNotEquals", "2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z", "2024-01-01T00:00:00Z"),
    ("DateLessThan", "2024-01-01T00:00:00Z", "2023-12-31T23:59:59Z", "2024-01-01T00:00:00Z"),
    ("DateLessThanEquals", "1704067200", "2024-01-01T00:00:00Z", "2024-01-01T00:00:01Z"),
    ("DateGreaterThan", "2024-01-01", "2024-01-01T00:00:01Z", "2024-01-01T00:00:00Z"),
    ("DateGreaterThanEquals", "2024-01-01T01:00:00+01:00", "2024-01-01T00:00:00Z", "1704067199"),
    ("Bool", "true", "true", "false"),
    ("Bool", False, "FALSE", "true"),
    ("BinaryEquals", "YQ==", "YQ==", "Yg=="),
    ("IpAddress", ["10.0.0.0/8", "2001:db8::/32"], "10.1.2.3", "11.0.0.1"),
    ("IpAddress", "2001:db8::/32", "2001:db8::1", "10.0.0.1"),
    ("IpAddress", "10.0.0.7", "::ffff:10.0.0.7", "nonsense"),
    ("NotIpAddress", "10.0.0.0/8", "11.0.0.1", "10.0.0.1"),
    ("ArnEquals", "arn:aws:iam::*:user/*", "arn:aws:iam::1:user/a/b", "arn:aws:iam:x:1:user/a"),
    ("ArnLike", "arn:aws:s3:::b?", "arn:aws:s3:::b1", "arn:aws:s3:::b"),
    ("ArnLike", "arn:*:s3:::b", "arn:aws:s3:::b", "arn:aws:x:s3:::b"),
    ("ArnNotEquals", "arn:aws:s3:::b", "arn:aws:s3:::c", "arn:aws:s3:::b"),
    ("ArnNotLike", "arn:aws:s3:::b*", "arn:aws:s3:::c", "arn:aws:s3:::bb"),
]


def test_every_operator_has_a_case() -> None:
    assert {name for name, *_ in CASES} | {"Null"} == OPERATORS


@pytest.mark.parametrize(("operator", "wanted", "good", "bad"), CASES)
def test_operators(operator: str, wanted: Any, good: str, bad: str) -> None:
    assert holds({operator: wanted}, [good])
    assert not holds({operator: wanted}, [bad])
    is_negated = "Not" in operator
    nothing: Sequence[str] | None
    for nothing in (None, []):
        assert holds({operator: wanted}, nothing) is is_negated
        assert holds({f"{operator}IfExists": wanted}, nothing)
        assert holds({f"ForAllValues:{operator}": wanted}, nothing)
        assert not holds({f"ForAnyValue:{operator}": wanted}, nothing)
    assert not holds({f"{operator}IfExists": wanted}, [bad])
    assert not holds({f"ForAllValues:{operator}": wanted}, [good, bad])
    assert holds({f"ForAllValues:{operator}": wanted}, [good, good])
    assert holds({f"ForAnyValue:{operator}": wanted}, [bad, good])
    assert not holds({f"ForAnyValue:{operator}": wanted}, [bad])


@pytest.mark.parametrize(
    ("wanted", "expected"), [("true", True), (False, False), (["true", "false"], True)]
)
def test_null(wanted: Any, expected: bool) -> None:
    assert holds({"Null": wanted}, None) is expected


def test_null_of_a_present_key() -> None:
    assert holds({"Null": "false"}, [""])
    assert not holds({"Null": "true"}, ["x"])


def test_all_operators_must_hold() -> None:
    both = {"StringLike": "a*", "StringNotLike": "ab*"}
    assert holds(both, ["ac"])
    assert not holds(both, ["ab"])


def test_variables_in_values() -> None:
    assert holds({"StringEquals": "home/${aws:username}"}, ["home/bob"], username="bob")
    assert not holds({"StringEquals": "home/${aws:username}"}, ["home/"])
    assert holds({"StringEqualsIgnoreCase": "${aws:username}"}, ["BOB"], username="bob")
    # A wildcard in a value is none.
    assert not holds({"StringLike": "${aws:username}"}, ["bob"], username="*")


@pytest.mark.parametrize(
    "condition",
    [
        [],
        "x",
        {"StringEquals": "x"},
        {"StringEquals": {}},
        {"StringEquals": {KEY: []}},
        {"StringEquals": {KEY: {}}},
        {"StringEquals": {KEY: [["x"]]}},
        {"StringEquals": {KEY: None}},
        {"stringequals": {KEY: "x"}},
        {"StringEqualsIfExistsIfExists": {KEY: "x"}},
        {"ForSomeValues:StringEquals": {KEY: "x"}},
        {"NullIfExists": {KEY: "true"}},
        {"ForAnyValue:Null": {KEY: "true"}},
        {"Null": {KEY: "maybe"}},
        {"Bool": {KEY: "maybe"}},
        {"NumericEquals": {KEY: "ten"}},
        {"NumericEquals": {KEY: "NaN"}},
        {"NumericEquals": {KEY: "9" * 100}},
        {"DateEquals": {KEY: "yesterday"}},
        {"IpAddress": {KEY: "10.0.0.0/40"}},
        {"BinaryEquals": {KEY: "*"}},
        {"ArnEquals": {KEY: "bucket"}},
        {"StringEquals": {"s3:nosuchkey": "x"}},
        {"StringEquals": {"s3:ExistingObjectTag": "x"}},
        {"StringEquals": {"s3:ExistingObjectTag/": "x"}},
        {"StringEquals": {"referer": "x"}},
    ],
)
def test_malformed(condition: Any) -> None:
    with pytest.raises(MalformedPolicy):
        parse_conditions(condition, True)
