"""Owns the reading of single bucket properties of the native API, where their sections lie as text
(NativeProps.sections): each by its dotted name, with what holds where it was not set.

Texts were checked when they were set; one that cannot be read all the same counts as not set.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any

from core.configs.native import NativeProps

_UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4, "p": 1024**5}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgtp]?)(i?)b?\Z", re.IGNORECASE)
_TIMES = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_TIME = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")


def is_on(native: NativeProps, name: str, default: bool = False) -> bool:
    """A switch."""
    value = _value(native, name)
    return value if isinstance(value, bool) else default


def number(native: NativeProps, name: str, default: int = 0) -> int:
    """A count."""
    value = _value(native, name)
    return value if isinstance(value, int) and not isinstance(value, bool) else default


def text(native: NativeProps, name: str, default: str = "") -> str:
    """A text."""
    value = _value(native, name)
    return value if isinstance(value, str) else default


def size_bytes(native: NativeProps, name: str, default: int = 0) -> int:
    """A size. Units are AIStore's: KB and KiB are both 1,024 bytes."""
    value = _value(native, name)
    return parse_size(str(value), default) if isinstance(value, int | str) else default


def seconds(native: NativeProps, name: str, default: float = 0.0) -> float:
    """A time."""
    value = _value(native, name)
    return parse_duration(value, default) if isinstance(value, str) else default


def parse_size(written: str, default: int = 0) -> int:
    """Bytes of a size as clients write it: 4MiB, 1gb, 512."""
    match = _SIZE.match(written.strip())
    if match is None:
        return default
    count, unit = match[1], _UNITS[match[2].lower()]
    return int(float(count) * unit) if "." in count else int(count) * unit


def parse_duration(written: str, default: float = 0.0) -> float:
    """Seconds of a duration as Go writes it: 1h30m."""
    parts = _TIME.findall(written)
    if not parts or "".join(n + unit for n, unit in parts) != written:
        return 0.0 if written == "0" else default
    return sum(float(n) * _TIMES[unit] for n, unit in parts)


def _value(native: NativeProps, name: str) -> Any:
    written = native.sections.get(name)
    return None if written is None else _decoded(written)


@lru_cache(maxsize=1024)
def _decoded(written: str) -> Any:
    try:
        return json.loads(written)
    except ValueError:
        return None
