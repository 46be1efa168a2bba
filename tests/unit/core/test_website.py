"""Which routing rule a visit meets, and where it leads."""

from __future__ import annotations

import pytest

from core.configs.website import Redirect, RoutingRule
from core.website import find_rule, redirect_url


def test_rules_are_for_keys_or_errors() -> None:
    docs = RoutingRule(Redirect("a"), "docs/")
    lost = RoutingRule(Redirect("b"), "docs/", 404)
    any_lost = RoutingRule(Redirect("c"), error_code=404)
    rules = [lost, any_lost, docs]
    assert find_rule(rules, "docs/x") is docs
    assert find_rule(rules, "doc") is None
    assert find_rule(rules, "docs/x", 404) is lost
    assert find_rule(rules, "x", 404) is any_lost
    assert find_rule(rules, "x", 403) is None


@pytest.mark.parametrize(
    ("redirect", "url"),
    [
        (Redirect(), "http://b.test:9000/docs/a%20b%C3%A9"),
        (Redirect("other.test"), "http://other.test/docs/a%20b%C3%A9"),
        (Redirect(protocol="https"), "https://b.test:9000/docs/a%20b%C3%A9"),
        (Redirect(replace_prefix="new/"), "http://b.test:9000/new/a%20b%C3%A9"),
        (Redirect(replace_prefix=""), "http://b.test:9000/a%20b%C3%A9"),
        (Redirect(replace_key="x?y#z"), "http://b.test:9000/x%3Fy%23z"),
        (Redirect(replace_key="a\r\nb"), "http://b.test:9000/a%0D%0Ab"),
    ],
)
def test_redirect_url(redirect: Redirect, url: str) -> None:
    assert redirect_url(redirect, "docs/a bé", "docs/", "http", "b.test:9000") == url
