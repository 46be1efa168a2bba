"""Owns which rule of a CORS configuration a browser's request meets. Pure.

Source: AWS, Using cross-origin resource sharing (how does Amazon S3 evaluate the CORS configuration): the first rule
that allows the origin, the method and, for a preflight, every header, decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from core.configs.cors import CorsRule


def find_rule(
    rules: Iterable[CorsRule], origin: str, method: str, headers: Sequence[str] = ()
) -> CorsRule | None:
    """The rule that lets pages of `origin` use `method` with `headers` (any case), or None."""
    for rule in rules:
        if method in rule.methods and allows_origin(rule, origin) and _allows(rule, headers):
            return rule
    return None


def allows_origin(rule: CorsRule, origin: str) -> bool:
    """Whether a rule is for pages of an origin."""
    return any(_matches(pattern, origin) for pattern in rule.origins)


def allows_any_origin(rule: CorsRule) -> bool:
    """Whether the rule is for whatever page; then its answers need not name the origin."""
    return "*" in rule.origins


def _allows(rule: CorsRule, headers: Sequence[str]) -> bool:
    patterns = [pattern.lower() for pattern in rule.headers] if headers else []
    return all(any(_matches(pattern, name.lower()) for pattern in patterns) for name in headers)


def _matches(pattern: str, text: str) -> bool:
    before, star, after = pattern.partition("*")
    if not star:
        return pattern == text
    return (
        len(text) >= len(before) + len(after) and text.startswith(before) and text.endswith(after)
    )
