"""Owns what of an object's description, as a backend gives it, may be told to clients. Whoever may write at a provider
chooses names and values there, and what is kept of them becomes headers of our answers: one with a line break, or one
called Content-Length, would be an answer of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from core.types import ObjectAttributes, ObjectInfo

_HEADERS = frozenset(
    {
        "content-type",
        "content-encoding",
        "content-disposition",
        "content-language",
        "cache-control",
        "expires",
        "x-amz-website-redirect-location",
    }
)
"""What clients may write with an object (s3api.headers.SYSTEM_METADATA)."""
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_MAX_VALUE_CHARS = 8192
_MAX_MODIFIED_NS = (2**63 - 1) // 10**9 * 10**9
"""What records hold: the year 2262."""


def sayable(info: ObjectInfo) -> ObjectInfo:
    """The object as it may be told of: what no header can say is left out."""
    attributes, remote = info.attributes, info.remote
    return replace(
        info,
        etag=plain(info.etag),
        modified_ns=min(max(info.modified_ns, 0), _MAX_MODIFIED_NS),
        attributes=_sayable_attributes(attributes),
        remote=None if remote is None else replace(remote, version_id=plain(remote.version_id)),
    )


def plain(text: str) -> str:
    """Without control characters."""
    return _CONTROL.sub("", text)


def _sayable_attributes(attributes: ObjectAttributes) -> ObjectAttributes:
    headers = {
        name: _latin(value)
        for name, value in attributes.headers.items()
        if name in _HEADERS and _is_sayable(value)
    }
    return replace(attributes, headers=headers, user_metadata=_named(attributes.user_metadata))


def _named(metadata: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in metadata.items()
        if _TOKEN.fullmatch(name) and _is_sayable(value)
    }


def _is_sayable(value: str) -> bool:
    return len(value) <= _MAX_VALUE_CHARS and not _CONTROL.search(value)


def _latin(value: str) -> str:
    """As values of headers are kept, one character a byte."""
    return value if all(char <= "\xff" for char in value) else value.encode().decode("latin-1")
