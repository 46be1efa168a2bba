"""Owns policies as values: parsed from their JSON once for each change, refused where AWS refuses them.

A policy is hostile text. Its size is bounded, its names must be unique in their object, and what is not understood is
an error, so that no statement ever means less than its author thinks (AWS: Grammar of the IAM JSON policy language).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any

from core.errors import MalformedPolicy
from core.policy.actions import is_known
from core.policy.conditions import Condition, parse_conditions
from core.policy.globs import Pattern, Variable, glob_matches, parse_pattern
from core.policy.principals import Principals, parse_principals

MAX_BUCKET_POLICY_BYTES = 20 * 1024
"""AWS: Policies and permissions in Amazon S3."""

MAX_USER_POLICY_BYTES = 6 * 1024
"""AWS: IAM and AWS STS quotas, the size of a managed policy."""

_VERSIONS = ("2012-10-17", "2008-10-17")
_FIELDS = frozenset({"Version", "Id", "Statement"})
_STATEMENT_FIELDS = frozenset(
    {"Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource"}
    | {"Condition"}
)
_RESOURCE = re.compile(r"arn:(?:aws|aws-cn|aws-us-gov):s3:::(?P<name>.+)\Z", re.DOTALL)
_ARN_PREFIX = "arn:aws:s3:::"


class Effect(Enum):
    """What a statement, or a whole policy, says of a request."""

    ALLOW = "Allow"
    DENY = "Deny"


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement. `principals` is None in a user's policy. The `not_` flags turn their element around."""

    effect: Effect
    principals: Principals | None
    not_principals: bool
    actions: tuple[str, ...]
    not_actions: bool
    resources: tuple[Pattern, ...]
    not_resources: bool
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy, understood. `keys` are the condition keys that it asks for, variables included."""

    statements: tuple[Statement, ...]
    keys: frozenset[str]


def bucket_policy(text: str, bucket: str) -> Policy:
    """The policy that is to be put on a bucket. Raises MalformedPolicy."""
    if len(text.encode()) > MAX_BUCKET_POLICY_BYTES:
        raise MalformedPolicy(reason="Policies must be 20480 bytes or less in size")
    policy = parsed(text)
    for statement in policy.statements:
        if statement.principals is None:
            raise MalformedPolicy(reason="Missing required field Principal")
        if not all(_concerns(resource, bucket) for resource in statement.resources):
            raise MalformedPolicy(reason="Policy has invalid resource")
    return policy


def user_policy(text: str) -> Policy:
    """The policy that is to be attached to a user. Raises MalformedPolicy."""
    if len(text.encode()) > MAX_USER_POLICY_BYTES:
        raise MalformedPolicy(reason="Policies of users must be 6144 bytes or less in size")
    policy = parsed(text)
    if any(statement.principals is not None for statement in policy.statements):
        raise MalformedPolicy(reason="Policy document should not specify a principal.")
    return policy


@lru_cache(maxsize=1024)
def parsed(text: str) -> Policy:
    """A policy of a bucket or a user, from its text. Raises MalformedPolicy."""
    document = _load(text)
    _require_fields(document, _FIELDS, ("Statement",))
    version = document.get("Version", _VERSIONS[1])
    if version not in _VERSIONS:
        raise MalformedPolicy(reason="The policy must contain a valid version string")
    if not isinstance(document.get("Id", ""), str):
        raise _syntax()
    statements = document["Statement"]
    if not isinstance(statements, list):
        statements = [statements]
    if not statements:
        raise MalformedPolicy(reason="Could not parse the policy: Statement is empty!")
    found = tuple(_statement(each, version == _VERSIONS[0]) for each in statements)
    return Policy(found, frozenset().union(*map(_keys, found)))


def _load(text: str) -> Mapping[str, Any]:
    """The JSON object. Numbers stay text: no condition needs them otherwise, and their size is not bounded."""
    if not text.startswith("{"):
        raise MalformedPolicy(reason="Policies must be valid JSON and the first byte must be '{'")
    try:
        loaded = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_int=str,
            parse_float=str,
            parse_constant=_no_number,
        )
    except (ValueError, RecursionError):
        raise MalformedPolicy(reason="This policy contains invalid Json") from None
    assert isinstance(loaded, dict)
    return loaded


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name comes twice")
    return found


def _no_number(name: str) -> str:
    raise ValueError(name)


def _syntax() -> MalformedPolicy:
    return MalformedPolicy(reason="Invalid policy syntax.")


def _require_fields(value: Any, known: frozenset[str], required: Sequence[str]) -> None:
    if not isinstance(value, dict):
        raise _syntax()
    for name in value:
        if name not in known:
            raise MalformedPolicy(reason=f"Unknown field {name[:100]}")
    for name in required:
        if name not in value:
            raise MalformedPolicy(reason=f"Missing required field {name}")


def _statement(value: Any, has_variables: bool) -> Statement:
    _require_fields(value, _STATEMENT_FIELDS, ("Effect",))
    try:
        effect = Effect(value["Effect"])
    except ValueError:
        raise MalformedPolicy(reason=f"Invalid effect: {str(value['Effect'])[:100]}") from None
    if not isinstance(value.get("Sid", ""), str):
        raise _syntax()
    principals, not_principals = _either(value, "Principal")
    if not_principals and effect is Effect.ALLOW:
        raise MalformedPolicy(reason="Allow with NotPrincipal is not allowed.")
    actions, not_actions = _either(value, "Action")
    resources, not_resources = _either(value, "Resource")
    if actions is None or resources is None:
        name = "Action" if actions is None else "Resource"
        raise MalformedPolicy(reason=f"Missing required field {name}")
    return Statement(
        effect,
        None if principals is None else parse_principals(principals),
        not_principals,
        tuple(_action(text) for text in _texts(actions, "Policy has invalid action")),
        not_actions,
        tuple(
            _resource(text, has_variables)
            for text in _texts(resources, "Policy has invalid resource")
        ),
        not_resources,
        parse_conditions(value.get("Condition", {}), has_variables),
    )


def _either(value: Mapping[str, Any], name: str) -> tuple[Any, bool]:
    """The element or its negation, and whether it is that."""
    if name in value and f"Not{name}" in value:
        raise _syntax()
    if f"Not{name}" in value:
        return value[f"Not{name}"], True
    return value.get(name), False


def _texts(value: Any, complaint: str) -> Sequence[str]:
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(each, str) for each in values):
        raise MalformedPolicy(reason=complaint)
    return values


def _action(text: str) -> str:
    lowered = text.lower()
    if lowered != "*" and not (lowered.startswith("s3:") and is_known(lowered)):
        raise MalformedPolicy(reason="Policy has invalid action")
    return lowered


def _resource(text: str, has_variables: bool) -> Pattern:
    found = _RESOURCE.match(text)
    if text != "*" and found is None:
        raise MalformedPolicy(reason="Policy has invalid resource")
    # One partition is as good as another here.
    written = text if found is None else _ARN_PREFIX + found["name"]
    return parse_pattern(written, variables=has_variables)


def _concerns(resource: Pattern, bucket: str) -> bool:
    """Whether a resource of a bucket's policy lies in that bucket, or may."""
    written = "".join(
        "*" if isinstance(token, Variable) else token if isinstance(token, str) else token.value
        for token in resource.tokens
    )
    return written != "*" and glob_matches(written.partition("/")[0], _ARN_PREFIX + bucket)


def _keys(statement: Statement) -> frozenset[str]:
    patterns = list(statement.resources)
    keys = set[str]()
    for condition in statement.conditions:
        keys.add(condition.key)
        patterns += [each for each in condition.operands if isinstance(each, Pattern)]
    for pattern in patterns:
        keys.update(token.key for token in pattern.tokens if isinstance(token, Variable))
    return frozenset(keys)
