"""Owns what S3's headers say of an object, in both directions: attributes to headers, and headers to an
ObjectInfo. Pure.

Metadata that is not ASCII is an encoded word (RFC 2047) on both ways, which is how S3 itself tells of it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import assert_never
from urllib.parse import urlencode

from backends.numbers import nanoseconds
from backends.s3_options import Dialect
from core.errors import BackendBroken, InvalidArgument
from core.names import ObjectKey
from core.told_attributes import plain
from core.types import (
    BoundedRange,
    ByteRange,
    ObjectAttributes,
    ObjectInfo,
    OffsetRange,
    PartRange,
    RemoteFacts,
    SuffixRange,
)

_KEPT = (
    "content-type",
    "content-encoding",
    "content-disposition",
    "content-language",
    "cache-control",
    "expires",
    "x-amz-website-redirect-location",
)
_META = "x-amz-meta-"
_META_SEEN = (_META, "x-goog-meta-")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")
_PRINTABLE = re.compile(r"[\x20-\x7e]*")
_MD5_ETAG = re.compile(r"[0-9a-f]{32}")
_DEFAULT_TYPE = "binary/octet-stream"
_NS = 10**9


# --- out ---------------------------------------------------------------------------------------------------------


def headers_of(attributes: ObjectAttributes, dialect: Dialect) -> dict[str, str]:
    """The headers with which an object is written. Raises InvalidArgument for what no header can say."""
    headers = {
        name: _sayable(name, attributes.headers[name])
        for name in _KEPT
        if name in attributes.headers
    }
    for name, value in attributes.user_metadata.items():
        if not _TOKEN.fullmatch(name):
            raise InvalidArgument(name=name, value=value, reason="The name can't be a header's")
        headers[_META + name] = _as_ascii(value)
    if dialect.has_storage_classes and attributes.storage_class != "STANDARD":
        headers["x-amz-storage-class"] = _sayable("x-amz-storage-class", attributes.storage_class)
    if dialect.has_tags and attributes.tags:
        headers["x-amz-tagging"] = urlencode(attributes.tags)
    return headers


def range_header(byte_range: ByteRange) -> str:
    """A range as a header says it."""
    match byte_range:
        case BoundedRange(first, last):
            return f"bytes={first}-{last}"
        case OffsetRange(first):
            return f"bytes={first}-"
        case SuffixRange(length):
            return f"bytes=-{length}"
        case PartRange():
            raise AssertionError("a part is asked for by its number")
        case _:
            assert_never(byte_range)


def _sayable(name: str, value: str) -> str:
    if not _PRINTABLE.fullmatch(value):
        reason = "The backend takes no characters but printable ASCII in this header"
        raise InvalidArgument(name=name, value=value, reason=reason)
    return value


def _as_ascii(value: str) -> str:
    if _PRINTABLE.fullmatch(value):
        return value
    return f"=?UTF-8?B?{base64.b64encode(value.encode()).decode()}?="


# --- in ----------------------------------------------------------------------------------------------------------


def info_of(
    key: ObjectKey, size_bytes: int, headers: Mapping[str, str], dialect: Dialect, has_md5: bool
) -> ObjectInfo:
    """An object by the headers of an answer to HEAD or GET (lower-case names). `has_md5`: whether this server's ETags
    are MD5s where they look like it."""
    etag = bare(headers.get("etag", ""))
    return ObjectInfo(
        key,
        size_bytes,
        etag,
        modified_ns(headers.get("last-modified", "")),
        ObjectAttributes(
            headers=_kept(headers),
            user_metadata={
                name.split("-meta-", 1)[1]: _as_ascii(value)
                for name, value in headers.items()
                if name.startswith(_META_SEEN)
            },
            storage_class=_storage_class(headers.get("x-amz-storage-class", "")),
        ),
        remote=facts_of(etag, headers, dialect, has_md5),
        is_cached=False,
    )


def facts_of(etag: str, headers: Mapping[str, str], dialect: Dialect, has_md5: bool) -> RemoteFacts:
    """What an answer says of the object's identity."""
    hashes = _google_hashes(headers.get("x-goog-hash", ""))
    version_id = headers.get("x-amz-version-id") or headers.get("x-goog-generation") or ""
    crc32c = hashes.get("crc32c", b"")
    if not crc32c and headers.get("x-amz-checksum-type", "FULL_OBJECT") == "FULL_OBJECT":
        crc32c = _from_base64(headers.get("x-amz-checksum-crc32c", ""), 4)
    return RemoteFacts(
        dialect.provider,
        etag,
        "" if version_id == "null" else version_id[:1024],
        hashes.get("md5", b"") or (md5_of(etag, headers) if has_md5 else b""),
        crc32c,
    )


def md5_of(etag: str, headers: Mapping[str, str]) -> bytes:
    """The MD5 that an ETag is; empty if it is none: of an object in parts, or one encrypted with keys that S3 does not
    have by itself (AWS: Checking object integrity, ETags)."""
    is_sealed = (
        headers.get("x-amz-server-side-encryption", "AES256") != "AES256"
        or "x-amz-server-side-encryption-customer-algorithm" in headers
    )
    return bytes.fromhex(etag) if _MD5_ETAG.fullmatch(etag) and not is_sealed else b""


def range_of(headers: Mapping[str, str]) -> tuple[int, int, int] | None:
    """(first, length, size of the whole) of an answer with a part of an object, None if it doesn't say that well."""
    match = re.fullmatch(
        r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})", headers.get("content-range", "")
    )
    if match is None:
        return None
    first, last, size_bytes = int(match[1]), int(match[2]), int(match[3])
    return (first, last + 1 - first, size_bytes) if first <= last < size_bytes else None


def length_of(headers: Mapping[str, str]) -> int:
    """How many bytes an answer promises. Raises BackendBroken if it does not tell."""
    said = headers.get("content-length", "")
    if not re.fullmatch(r"\d{1,19}", said):
        raise BackendBroken(reason="the answer does not tell how long it is", retry_after_s=1)
    return int(said)


def modified_ns(said: str | datetime) -> int:
    """A time of HTTP or of a listing, at whole seconds, as headers tell it; 0 if it can't be read."""
    try:
        moment = said if isinstance(said, datetime) else parsedate_to_datetime(said)
        return nanoseconds(moment.timestamp())
    except (ValueError, TypeError, OverflowError):
        return 0


def now_ns(headers: Mapping[str, str]) -> int:
    """When the server says that it answered: its own clock, by which it dates objects."""
    return modified_ns(headers.get("date", "")) or time.time_ns() // _NS * _NS


def bare(etag: str) -> str:
    """An ETag without its quotes, not longer than any is, and without what no header can say (those of documents may
    have it)."""
    return plain(etag.strip().removeprefix("W/").strip('"')[:256])


def etag_of_parts(etags: Sequence[str]) -> str:
    """The ETag that an object made of parts with these has, "" if theirs are not MD5s."""
    if not all(_MD5_ETAG.fullmatch(etag) for etag in etags):
        return ""
    joined = b"".join(bytes.fromhex(etag) for etag in etags)
    return f"{hashlib.md5(joined, usedforsecurity=False).hexdigest()}-{len(etags)}"


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    kept = {name: headers[name] for name in _KEPT if headers.get(name)}
    # Servers that keep the framing of an upload as if it were the object's (S3 itself takes it off).
    coding = [each.strip() for each in kept.get("content-encoding", "").split(",")]
    if "aws-chunked" in coding:
        rest = ",".join(each for each in coding if each not in ("", "aws-chunked"))
        kept["content-encoding"] = rest
        if not rest:
            del kept["content-encoding"]
    return {"content-type": _DEFAULT_TYPE} | kept


def _storage_class(said: str) -> str:
    return said if re.fullmatch(r"[A-Z0-9_]{1,32}", said) else "STANDARD"


def _google_hashes(said: str) -> dict[str, bytes]:
    """x-goog-hash: crc32c=BASE64,md5=BASE64."""
    sizes = {"crc32c": 4, "md5": 16}
    found = {}
    for each in said.split(","):
        name, _, value = each.strip().partition("=")
        if name in sizes:
            found[name] = _from_base64(value, sizes[name])
    return found


def _from_base64(said: str, size_bytes: int) -> bytes:
    try:
        digest = base64.b64decode(said, validate=True)
    except (binascii.Error, ValueError):
        return b""
    return digest if len(digest) == size_bytes else b""
