"""Owns reading single fields out of what a native message says: each is checked for what it is, once, here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.errors import InvalidArgument
from core.names import MAX_KEY_BYTES

_SHOWN_CHARS = 64

Fields = Mapping[str, Any]


def fields_of(value: object) -> Fields:
    """The value of a message, by lower-case names. Raises InvalidArgument."""
    if not isinstance(value, dict):
        raise InvalidArgument(name="value", value="", reason="it names no objects")
    return {str(name).lower(): each for name, each in value.items()}


def text_of(
    fields: Fields, name: str, max_bytes: int = MAX_KEY_BYTES, *, max_chars: int | None = None
) -> str:
    """A text, "" where there is none. `max_chars` bounds its characters in place of its bytes, as free text wants it.
    Raises InvalidArgument."""
    value = fields.get(name)
    if value is None:
        return ""
    try:
        raw = value.encode() if isinstance(value, str) else None
        is_good = raw is not None and (
            len(raw) <= max_bytes if max_chars is None else len(value) <= max_chars
        )
    except UnicodeEncodeError:
        is_good = False
    if not is_good:
        most = f"{max_bytes} bytes" if max_chars is None else f"{max_chars} characters"
        reason = f"it is no text of up to {most}"
        raise InvalidArgument(name=name, value=ascii(value)[:_SHOWN_CHARS], reason=reason)
    return str(value)


def flag_of(fields: Fields, name: str) -> bool:
    """A boolean, False where there is none. Raises InvalidArgument."""
    value = fields.get(name)
    if value is None or isinstance(value, bool):
        return bool(value)
    reason = "it is neither true nor false"
    raise InvalidArgument(name=name, value=str(value)[:_SHOWN_CHARS], reason=reason)
