"""Owns the parsing of an ASGI scope into a Request: names from path or host, headers and query as dictionaries."""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_plus, unquote_to_bytes

from s3api.call import Request

_LONGEST_KEPT = 256
# A presigned URL's credential comes again with every request of its key and day; decoding it takes 2 µs.
_decode_again = lru_cache(maxsize=1024)(unquote_plus)

_NO_QUERY: Mapping[str, str] = {}


def parse_request(scope: Mapping[str, Any], domains: tuple[str, ...]) -> Request:
    """Never fails: what is malformed is found by whoever needs the field."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name = raw_name.decode("latin-1")
        # Only blanks: to str.strip, the last byte of a UTF-8 "à" is a no-break space.
        value = raw_value.strip(b" \t").decode("latin-1")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    raw_path: bytes = scope["raw_path"]
    raw_query: bytes = scope["query_string"]
    host = headers.get("host", "")
    bucket = _virtual_host_bucket(host, domains) if domains else None
    is_virtual_host = bucket is not None
    if is_virtual_host:
        raw_key = raw_path[1:]
    else:
        path = raw_path
        # No bucket can be called s3, but keys can begin with it: the prefix is one of path style alone.
        if path.startswith(b"/s3/") or path == b"/s3":
            path = path[3:] or b"/"
        raw_bucket, _, raw_key = path[1:].partition(b"/")
        if b"%" in raw_bucket:
            raw_bucket = unquote_to_bytes(raw_bucket)
        if raw_bucket[:1] == b":":
            # How Ceph's clients name a bucket of no tenant (TENANT:BUCKET); no name of S3 has a colon.
            raw_bucket = raw_bucket[1:]
        bucket = raw_bucket.decode("utf-8", "replace") or None
    client = scope.get("client")
    return Request(
        method=scope["method"],
        raw_path=raw_path,
        raw_query=raw_query,
        headers=headers,
        query=_parse_query(raw_query) if raw_query else _NO_QUERY,
        bucket=bucket,
        key=(unquote_to_bytes(raw_key) if b"%" in raw_key else raw_key) or None,
        scheme=scope["scheme"],
        host=host,
        client_address=client[0] if client else "",
        is_virtual_host=is_virtual_host,
        request_id=f"{random.getrandbits(64):016X}",
    )


def _virtual_host_bucket(host: str, domains: tuple[str, ...]) -> str | None:
    """The bucket that the Host header names under one of our domains, if any."""
    name = host.rsplit(":", 1)[0].lower() if not host.endswith("]") else host
    for domain in domains:
        if name.endswith(domain) and name[: -len(domain)].endswith("."):
            return name[: -len(domain) - 1]
    return None


def _parse_query(raw_query: bytes) -> dict[str, str]:
    """Names and values decoded as form data ("+" is a space); the first of a repeated name wins."""
    query: dict[str, str] = {}
    for field in raw_query.decode("latin-1").split("&"):
        if not field:
            continue
        name, _, value = field.partition("=")
        if "%" in name or "+" in name:
            name = unquote_plus(name)
        if "%" in value or "+" in value:
            value = _decode_again(value) if len(value) < _LONGEST_KEPT else unquote_plus(value)
        query.setdefault(name, value)
    return query
