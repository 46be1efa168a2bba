"""Which CORS rule a request meets."""

from __future__ import annotations

import pytest

from core.configs.cors import CorsRule
from core.cors import find_rule


@pytest.mark.parametrize(
    ("pattern", "origin", "allowed"),
    [
        ("*", "http://a.test", True),
        ("http://a.test", "http://a.test", True),
        ("http://a.test", "http://A.test", False),
        ("http://a.test", "http://a.test:80", False),
        ("*suffix", "foo.suffix", True),
        ("*suffix", "foo.suffix.get", False),
        ("start*end", "startend", True),
        ("start*end", "start12end", True),
        ("start*end", "0startend", False),
        ("starten*end", "startend", False),
        ("prefix*", "prefix", True),
        ("prefix*", "a.prefix", False),
    ],
)
def test_origin(pattern: str, origin: str, allowed: bool) -> None:
    found = find_rule([CorsRule((pattern,), ("GET",))], origin, "GET")
    assert (found is not None) is allowed


@pytest.mark.parametrize(
    ("patterns", "headers", "allowed"),
    [
        ((), [], True),
        ((), ["x-a"], False),
        (("*",), ["x-a", "content-type"], True),
        (("x-amz-*",), ["X-Amz-Date"], True),
        (("X-Amz-*",), ["x-amz-date", "content-type"], False),
        (("Content-Type", "x-amz-*"), ["x-amz-date", "content-type"], True),
    ],
)
def test_headers(patterns: tuple[str, ...], headers: list[str], allowed: bool) -> None:
    found = find_rule([CorsRule(("*",), ("GET",), patterns)], "a", "GET", headers)
    assert (found is not None) is allowed


def test_first_rule_that_allows_all_decides() -> None:
    put = CorsRule(("*",), ("PUT",))
    named = CorsRule(("a",), ("GET",), rule_id="named")
    anyone = CorsRule(("*",), ("GET", "PUT"), ("*",), rule_id="anyone")
    rules = [put, named, anyone]
    assert find_rule(rules, "a", "GET") is named
    assert find_rule(rules, "a", "GET", ["x-a"]) is anyone
    assert find_rule(rules, "b", "GET") is anyone
    assert find_rule(rules, "b", "PUT") is put
    assert find_rule(rules, "b", "DELETE") is None
