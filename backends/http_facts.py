"""Owns what the headers of a plain HTTP server say of a file."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from backends.numbers import decimal, nanoseconds
from core.errors import BackendBroken
from core.names import ObjectKey
from core.types import ObjectAttributes, ObjectInfo, RemoteFacts

_KEPT = (
    "content-type",
    "content-encoding",
    "content-language",
    "content-disposition",
    "cache-control",
    "expires",
)
_MAX_ETAG_CHARS = 256


def info_of(key: ObjectKey, headers: Mapping[str, str], size_bytes: int) -> ObjectInfo:
    """What is known of a file. Its remote ETag is empty where nothing tells one state of it from another."""
    modified = headers.get("last-modified", "")
    remote_etag = _etag(headers.get("etag", ""))
    if not remote_etag and modified:
        remote_etag = f"at-{_digest(modified, size_bytes)}"
    said = {name: headers[name] for name in _KEPT if headers.get(name)}
    said.setdefault("content-type", "application/octet-stream")
    return ObjectInfo(
        key,
        size_bytes,
        remote_etag or f"of-{size_bytes}",
        _time_ns(modified),
        ObjectAttributes(headers=said),
        remote=RemoteFacts("ht", remote_etag, md5=_md5(headers)),
        is_cached=False,
    )


def length_of(headers: Mapping[str, str]) -> int | None:
    """How many bytes a body is promised to have; None where that is not said."""
    return decimal(headers.get("content-length", ""))


def place_of(headers: Mapping[str, str], bucket: str, key: str) -> tuple[int, int]:
    """Where a range begins, and the size of the whole. Raises BackendBroken."""
    unit, _, place = headers.get("content-range", "").partition(" ")
    span, _, size = place.partition("/")
    first, whole = decimal(span.partition("-")[0]), decimal(size)
    if unit == "bytes" and first is not None and whole is not None:
        return first, whole
    raise BackendBroken(
        provider="ht", bucket=bucket, key=key, reason="a range without its place", retry_after_s=1
    )


def _etag(written: str) -> str:
    """Without quotes; a weak one keeps its mark, so that no S3 client takes it for a digest."""
    weak, _, bare = written.rpartition("W/")
    found = bare.strip().strip('"')
    if not found or len(found) > _MAX_ETAG_CHARS or not found.isprintable() or '"' in found:
        return ""
    return f"W/{found}" if weak or written.startswith("W/") else found


def _digest(*said: object) -> str:
    whole = "\n".join(map(str, said))
    return hashlib.md5(whole.encode(), usedforsecurity=False).hexdigest()


def _md5(headers: Mapping[str, str]) -> bytes:
    # Of a range's answer it is the range's.
    if "content-range" in headers:
        return b""
    try:
        raw = base64.b64decode(headers.get("content-md5", ""), validate=True)
    except (binascii.Error, ValueError):
        return b""
    return raw if len(raw) == 16 else b""


def _time_ns(written: str) -> int:
    try:
        return nanoseconds(parsedate_to_datetime(written).timestamp())
    except (TypeError, ValueError, OverflowError):
        return 0
