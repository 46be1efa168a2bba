"""Owns what a policy answers to one request: denied, allowed, or nothing (AWS: Policy evaluation logic)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from core.policy.document import Effect, Policy, Statement
from core.policy.globs import Values, glob_matches
from core.policy.principals import Caller


@dataclass(frozen=True, slots=True)
class Ask:
    """What a policy is asked: may `caller` do `action` with `resource` (an ARN), given the request's `values`?"""

    caller: Caller
    action: str
    resource: str
    values: Values


def evaluate(policy: Policy, ask: Ask) -> Effect | None:
    """A Deny that applies wins over every Allow; None if no statement applies."""
    found: Effect | None = None
    for statement in policy.statements:
        if statement.effect is Effect.ALLOW and found is Effect.ALLOW:
            continue
        if _applies(statement, ask):
            if statement.effect is Effect.DENY:
                return Effect.DENY
            found = Effect.ALLOW
    return found


def _applies(statement: Statement, ask: Ask) -> bool:
    """Conditions come last: only they may need the object to be looked up."""
    return (
        _names_caller(statement, ask.caller)
        and _names_action(statement.actions, ask.action) != statement.not_actions
        and _names_resource(statement, ask) != statement.not_resources
        and all(condition.holds(ask.values) for condition in statement.conditions)
    )


def _names_caller(statement: Statement, caller: Caller) -> bool:
    principals = statement.principals
    return principals is None or principals.match(caller) != statement.not_principals


@lru_cache(maxsize=8192)
def _names_action(patterns: tuple[str, ...], action: str) -> bool:
    lowered = action.lower()
    return any(glob_matches(pattern, lowered) for pattern in patterns)


def _names_resource(statement: Statement, ask: Ask) -> bool:
    return any(pattern.matches(ask.resource, ask.values) for pattern in statement.resources)
