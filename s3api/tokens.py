"""Owns the grammar of HTTP tokens (RFC 9110, 5.6.2): what the name of a header consists of."""

from __future__ import annotations

import re

_token = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


def is_token(text: str) -> bool:
    """Whether a text can be the name of a header."""
    return _token.fullmatch(text) is not None
