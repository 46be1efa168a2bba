"""Owns whether a policy makes a bucket public (AWS: Blocking public access, The meaning of "public").

It does unless each Allow names its principals, or demands a fixed value of a key that tells callers apart.
"""

from __future__ import annotations

import ipaddress

from core.policy.conditions import Condition, SetOperator
from core.policy.document import Effect, Policy, Statement
from core.policy.globs import Pattern

_TELLING_KEYS = frozenset(
    {
        "aws:principalaccount",
        "aws:principalarn",
        "aws:principalorgid",
        "aws:principalorgpaths",
        "aws:sourceaccount",
        "aws:sourcearn",
        "aws:sourceip",
        "aws:sourceowner",
        "aws:sourcevpc",
        "aws:sourcevpce",
        "aws:userid",
        "aws:username",
        "s3:dataaccesspointaccount",
        "s3:dataaccesspointarn",
    }
)
_POSITIVE = frozenset(
    {"StringEquals", "StringEqualsIgnoreCase", "StringLike", "ArnEquals", "ArnLike", "IpAddress"}
)
_WIDEST_V4 = 8
_WIDEST_V6 = 32


def is_public(policy: Policy) -> bool:
    """Whether the policy opens the bucket to callers whom it does not tell apart."""
    return any(
        statement.effect is Effect.ALLOW and _is_open(statement) for statement in policy.statements
    )


def _is_open(statement: Statement) -> bool:
    principals = statement.principals
    if principals is None or not (principals.is_everyone or statement.not_principals):
        return False
    return not any(map(_tells_apart, statement.conditions))


def _tells_apart(condition: Condition) -> bool:
    """ForAllValues and IfExists hold where the key is missing, so they tell nobody apart."""
    if (
        condition.key not in _TELLING_KEYS
        or condition.name not in _POSITIVE
        or condition.if_exists
        or condition.set_operator is SetOperator.ALL
    ):
        return False
    return all(map(_is_fixed, condition.operands))


def _is_fixed(operand: object) -> bool:
    match operand:
        case Pattern():
            return not operand.has_wildcards and not operand.has_variables
        case ipaddress.IPv4Network():
            return operand.prefixlen >= _WIDEST_V4
        case ipaddress.IPv6Network():
            return operand.prefixlen >= _WIDEST_V6
        case _:
            return False
