"""Owns the reading of numbers and times that servers write into headers."""

from __future__ import annotations


def decimal(text: str) -> int | None:
    """A count that has 63 bits, None for what is none. (Python itself raises for texts of thousands of digits.)"""
    if not text.isascii() or not text.isdecimal() or len(text) > 19:
        return None
    number = int(text)
    return number if number < 2**63 else None


def nanoseconds(seconds: float) -> int:
    """A time as objects have it: at whole seconds, from 1970 to what 63 bits hold (the year 2262)."""
    return min(max(int(seconds), 0), (2**63 - 1) // 10**9) * 10**9
