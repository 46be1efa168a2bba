"""Owns times as S3 writes and reads them: HTTP dates, ISO 8601; at whole seconds but where it says
otherwise."""

from __future__ import annotations

import re
import time
from calendar import timegm
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_tz
from functools import lru_cache

_NS_PER_S = 1_000_000_000
_NS_PER_MS = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_FRACTION = re.compile(r"\.\d+")


@lru_cache(maxsize=4096)
def _http_date(seconds: int) -> bytes:
    year, month, day, hour, minute, second, weekday, _, _ = time.gmtime(seconds)
    return (
        f"{_DAYS[weekday]}, {day:02d} {_MONTHS[month - 1]} {year:04d} "
        f"{hour:02d}:{minute:02d}:{second:02d} GMT"
    ).encode()


def http_date(time_ns: int) -> bytes:
    """As in Last-Modified."""
    return _http_date(time_ns // _NS_PER_S)


@lru_cache(maxsize=4096)
def _iso_date(seconds: int) -> str:
    year, month, day, hour, minute, second, _, _, _ = time.gmtime(seconds)
    return f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}.000Z"


def iso_date(time_ns: int) -> str:
    """As in XML. S3 writes milliseconds and keeps them zero, so that they agree with Last-Modified."""
    return _iso_date(time_ns // _NS_PER_S)


def iso_moment(time_ns: int) -> str:
    """As in XML, with its milliseconds: for times that clients give and read back."""
    seconds, rest_ns = divmod(time_ns, _NS_PER_S)
    return f"{_iso_date(seconds)[:-4]}{rest_ns // _NS_PER_MS:03d}Z"


def parse_iso_moment(text: str) -> int | None:
    """Nanoseconds at whole milliseconds, of an ISO 8601 date with time; None for anything else."""
    try:
        moment = datetime.fromisoformat(text.strip())
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        since_epoch = moment - _EPOCH
    except (ValueError, OverflowError):
        return None
    return since_epoch // timedelta(milliseconds=1) * _NS_PER_MS


def parse_http_date(text: str) -> int | None:
    """Nanoseconds; None for what is no date (such a condition is ignored)."""
    parsed = parsedate_tz(text)
    if parsed is None:
        return None
    try:
        seconds = timegm((*parsed[:6], 0, 0, 0)) - (parsed[9] or 0)
    except (ValueError, OverflowError):
        return None
    return seconds * _NS_PER_S


def parse_date(text: str) -> int | None:
    """An HTTP date or an ISO 8601 one, as clients send in documents."""
    try:
        moment = datetime.fromisoformat(_FRACTION.sub("", text.strip()))
    except ValueError:
        return parse_http_date(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp()) * _NS_PER_S
