"""Owns which other web origins may use a bucket from a browser (AWS: CORS configuration)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CorsRule:
    """What pages of some origins may send to a bucket, and see of its answers.

    Origins and header names may hold one "*" each, which stands for any run of characters. `max_age_s` None: a browser
    keeps the answer to a preflight as long as it likes.
    """

    origins: tuple[str, ...]
    methods: tuple[str, ...]
    headers: tuple[str, ...] = ()
    exposed_headers: tuple[str, ...] = ()
    max_age_s: int | None = None
    rule_id: str = ""
