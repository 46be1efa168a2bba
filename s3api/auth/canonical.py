"""Owns the canonical forms that signatures are computed over: paths, queries, header values, times. Pure.

Text here is bytes decoded as latin-1, so that what a client sent can be had back byte for byte. Clients mostly send
URIs in canonical form already: one compiled match tells, and then the text is used as it came.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import quote, unquote_to_bytes

from core.errors import InvalidArgument
from s3api.timestamps import parse_http_date
from s3api.tokens import is_token

NS_PER_S = 1_000_000_000
_MAX_NS = 253_402_300_800 * NS_PER_S  # the year 10000

_HEADERS_IN_QUERY = frozenset({"content-type", "content-md5"})
_UNRESERVED = "-_.~"
# A byte that AWS's UriEncode encodes, in upper-case hex; the ones it leaves alone must not come encoded.
_ENCODED_BUT_SLASH = "%(?:[0189A-F][0-9A-F]|2[0-9A-C]|3[A-F]|40|5[B-E]|60|7[BCDF])"
_ENCODED = f"(?:{_ENCODED_BUT_SLASH}|%2F)"
_TEXT = rf"[A-Za-z0-9\-_.~]*+(?:{_ENCODED}[A-Za-z0-9\-_.~]*+)*+"
_PATH = rf"[A-Za-z0-9\-_.~/]*+(?:{_ENCODED_BUT_SLASH}[A-Za-z0-9\-_.~/]*+)*+"

_is_canonical_path = re.compile(_PATH).fullmatch
_is_canonical_query = re.compile(rf"{_TEXT}(?:={_TEXT})?+(?:&{_TEXT}(?:={_TEXT})?+)*+").fullmatch
_encoded_slash = re.compile(rb"%2[Ff]")
_blanks = re.compile(r"[ \t]+")
_is_header_value = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*").fullmatch


def canonical_paths(raw_path: bytes) -> tuple[str, ...]:
    """The path encoded once by AWS's rules, in the one or two ways that clients do it.

    Slashes and dots stay as they are: S3 keys are not paths. A slash that came encoded is one by AWS's rules, but most
    SDKs sign their path as they send it; both forms name the same key.
    """
    path = raw_path.decode("latin-1")
    if _is_canonical_path(path):
        return (path or "/",)
    plain = _encode_path(raw_path)
    if not _encoded_slash.search(raw_path):
        return (plain,)
    return (plain, "%2F".join([_encode_path(part) for part in _encoded_slash.split(raw_path)]))


def _encode_path(raw: bytes) -> str:
    return quote(unquote_to_bytes(raw), safe="/" + _UNRESERVED)


def canonical_query(raw_query: bytes, without: str = "") -> str:
    """The query encoded once by AWS's rules and sorted; the parameter `without` is left out."""
    if not raw_query:
        return ""
    query = raw_query.decode("latin-1")
    pairs = [item.partition("=") for item in query.split("&") if item]
    if not _is_canonical_query(query):
        pairs = [(_encode(name), "=", _encode(value)) for name, _, value in pairs]
    pairs.sort()
    return "&".join([f"{name}={value}" for name, _, value in pairs if name != without])


def _encode(text: str) -> str:
    return quote(unquote_to_bytes(text.replace("+", " ").encode("latin-1")), safe=_UNRESERVED)


def canonical_value(value: str) -> str:
    """A header's value with each run of blanks as one space."""
    return _blanks.sub(" ", value) if "  " in value or "\t" in value else value


def query_headers(query: Mapping[str, str]) -> dict[str, str]:
    """The headers that a presigned URL carries as parameters, by lower-case name.

    Raises InvalidArgument for what no header could be: a decoded parameter may hold line breaks, for one.
    """
    found: dict[str, str] = {}
    for name, value in query.items():
        lower = name.lower()
        if lower[:6] != "x-amz-" and lower not in _HEADERS_IN_QUERY:
            continue
        if not is_token(name) or not _is_header_value(value):
            raise InvalidArgument(name=name, value=value, reason="This is no header.")
        found[lower] = value.encode("utf-8", "replace").decode("latin-1")
    return found


def request_timestamp(headers: Mapping[str, str]) -> tuple[str, int] | None:
    """When a request says it was made: as ISO 8601 basic text, and in nanoseconds. None if it does not say.

    x-amz-date goes before Date; both may be ISO 8601 basic or an HTTP date.
    """
    text = headers.get("x-amz-date")
    if text is None:
        text = headers.get("date", "")
    time_ns = parse_basic_time(text)
    if time_ns is not None:
        return text, time_ns
    time_ns = parse_http_date(text)
    if time_ns is None or not 0 <= time_ns < _MAX_NS:
        return None
    return basic_time(time_ns), time_ns


def parse_basic_time(text: str) -> int | None:
    """Nanoseconds of ISO 8601 basic text (20130524T000000Z); None for anything else."""
    if len(text) != 16 or text[8] != "T" or text[15] != "Z":
        return None
    return _basic_time_ns(text)


@lru_cache(maxsize=1024)
def _basic_time_ns(text: str) -> int | None:
    """Requests of one second or of one client have their times in common."""
    try:
        return int(datetime.fromisoformat(text).timestamp()) * NS_PER_S
    except ValueError:
        return None


def basic_time(time_ns: int) -> str:
    """ISO 8601 basic text, as x-amz-date has it."""
    return datetime.fromtimestamp(time_ns // NS_PER_S, UTC).strftime("%Y%m%dT%H%M%SZ")


def extended_time(time_ns: int) -> str:
    """ISO 8601 text, as error documents have it."""
    return datetime.fromtimestamp(time_ns // NS_PER_S, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
