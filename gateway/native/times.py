"""Owns how times look to native clients."""

from __future__ import annotations

from datetime import UTC, datetime

ZERO_TIME = "0001-01-01T00:00:00Z"
"""What has not happened."""


def rfc3339(time_ns: int) -> str:
    """A time as RFC 3339 has it, to the nanosecond; 0 has not happened."""
    if time_ns <= 0:
        return ZERO_TIME
    seconds, fraction = divmod(time_ns, 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{fraction:09}Z"
