"""Owns which routing rule of a website a request meets, and where it leads. Pure.

Source: AWS, (Optional) Configuring a webpage redirect; Configuring advanced conditional redirects.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote

from core.configs.website import Redirect, RoutingRule

_KEPT_IN_PATHS = "/-_.~!$&'()*+,;=:@"


def find_rule(
    rules: Iterable[RoutingRule], key: str, error_code: int | None = None
) -> RoutingRule | None:
    """The first rule for a key: of those without error code before the object is looked for (None), then of those for
    the error that would be answered."""
    for rule in rules:
        if rule.error_code == error_code and key.startswith(rule.prefix):
            return rule
    return None


def redirect_url(redirect: Redirect, key: str, prefix: str, scheme: str, host: str) -> str:
    """Where a redirect leads from a key that met a rule for `prefix`; `scheme` and `host` are the request's."""
    if redirect.replace_key is not None:
        target = redirect.replace_key
    elif redirect.replace_prefix is not None:
        target = redirect.replace_prefix + key[len(prefix) :]
    else:
        target = key
    return f"{redirect.protocol or scheme}://{redirect.host or host}{path_of(target)}"


def path_of(key: str) -> str:
    """A key as the path of a URL."""
    return "/" + quote(key, safe=_KEPT_IN_PATHS)
