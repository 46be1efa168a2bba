"""Owns how a bucket is served as a website (AWS: Hosting a static website using Amazon S3)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Redirect:
    """Where a request is sent instead. What is empty or None stays as the request had it.

    `code` 0 is 301. `replace_prefix` comes in place of the prefix that the rule asks for, `replace_key` in place of the
    whole key; at most one of them is set.
    """

    host: str = ""
    protocol: str = ""
    replace_prefix: str | None = None
    replace_key: str | None = None
    code: int = 0


@dataclass(frozen=True, slots=True)
class RoutingRule:
    """A redirect, and for which requests: for keys with a prefix, or where an error would be answered, or both."""

    redirect: Redirect
    prefix: str = ""
    error_code: int | None = None


@dataclass(frozen=True, slots=True)
class Website:
    """`redirect_all` sends every request elsewhere, and nothing else is set then. `index_suffix` follows a key that
    ends with "/"; `error_key` is the object shown for errors of the 4xx class, "" for none."""

    index_suffix: str = ""
    error_key: str = ""
    redirect_all: Redirect | None = None
    rules: tuple[RoutingRule, ...] = ()
