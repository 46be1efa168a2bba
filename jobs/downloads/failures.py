"""Owns the error of a link that gives nothing, and how links are told without what may be secret in them."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

from core.errors import StoreError


class DownloadFailed(StoreError):
    """What a link gives cannot be had. Fields: link (without what may be secret), reason (a sentence), is_transient."""


def shown(url: str) -> str:
    """A link as it may be told: without user, query and fragment, where secrets are."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "a link that is none"
    return urlunsplit((parts.scheme, host + port, parts.path, "", ""))[:512]


def failed(url: str, reason: str, *, is_transient: bool = False) -> DownloadFailed:
    """The error of a link."""
    return DownloadFailed(link=shown(url), reason=reason, is_transient=is_transient)
