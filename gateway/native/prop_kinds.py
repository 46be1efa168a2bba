"""Owns the types that properties of buckets have, and the reading of their values as clients write them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from core.configs.sections import parse_size
from core.errors import InvalidArgument

Kind = Callable[[str, Any], Any]
"""(a property's name, a value as decoded from JSON) → the value in its normal form. Raises InvalidArgument."""

_MAX_COUNT = 2**63 - 1
_MAX_TEXT = 256
_DURATION = re.compile(r"(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+|0\Z")
_VERB_COUNT = re.compile(r"(get|put|delete|head|list):[1-9][0-9]{0,9}", re.IGNORECASE)
_SIZE = re.compile(r"\d+(\.\d+)?\s*([KMGTP]i?)?B?\Z", re.IGNORECASE)


def _bad(name: str, value: Any, wanted: str) -> InvalidArgument:
    shown = str(value)[:64]
    return InvalidArgument(name=name, value=shown, reason=f"{name}: {shown!r} is not {wanted}")


def BOOL(name: str, value: Any) -> bool:  # a kind, named as the others
    """true or false, also as text."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise _bad(name, value, "true or false")


def read_number(name: str, value: Any, maximum: int) -> int:
    """A whole number, also as text."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 20:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= maximum:
        raise _bad(name, value, f"a number from 0 to {maximum}")
    return value


def COUNT(name: str, value: Any) -> int:
    """A whole number."""
    return read_number(name, value, _MAX_COUNT)


def TEXT(name: str, value: Any) -> str:
    """Any short text."""
    if not isinstance(value, str) or len(value) > _MAX_TEXT:
        raise _bad(name, value, f"a text of at most {_MAX_TEXT} characters")
    return value


def DURATION(name: str, value: Any) -> str:
    """A time as Go writes it: 1h30m."""
    if not isinstance(value, str) or len(value) > _MAX_TEXT or not _DURATION.fullmatch(value):
        raise _bad(name, value, "a duration such as 1h30m")
    return value


def SIZE(name: str, value: Any) -> str:
    """A size as a number of bytes or with a unit: 1GiB."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or len(text) > _MAX_TEXT or not _SIZE.match(text):
        raise _bad(name, value, "a size such as 1GiB")
    return text


def VERB_COUNTS(name: str, value: Any) -> str:
    """Numbers by verb: get:5000 delete:1000."""
    text = TEXT(name, value)
    if not all(_VERB_COUNT.fullmatch(each) for each in text.split()):
        raise _bad(name, value, "a list such as get:5000 delete:1000")
    return text


def size_within(minimum: int, maximum: int) -> Kind:
    """A size between two others, both included."""

    def read(name: str, value: Any) -> str:
        text = SIZE(name, value)
        size_bytes = parse_size(text, -1)
        if not minimum <= size_bytes <= maximum:
            raise _bad(name, value, f"a size from {minimum} to {maximum} bytes")
        return text

    return read


def choice(*allowed: str) -> Kind:
    """One of some words."""

    def read(name: str, value: Any) -> str:
        if not isinstance(value, str) or value not in allowed:
            raise _bad(name, value, f"one of {', '.join(allowed)}")
        return value

    return read


def only(value: Any, reason: str) -> Kind:
    """What cannot be changed, and why."""

    def read(name: str, wanted: Any) -> Any:
        is_same = str(wanted).lower() == str(value).lower()
        if not is_same:
            text = f"{name} cannot be {str(wanted)[:64]!r}: {reason}"
            raise InvalidArgument(name=name, value=str(wanted)[:64], reason=text)
        return value

    return read
