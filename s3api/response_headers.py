"""Owns the way from ObjectInfo to response headers. On the hot path of every GET and HEAD: plain appends, no copies."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping

from core.errors import InvalidArgument
from core.types import NULL_VERSION, Bucket, Checksum, ChecksumAlgorithm, ChecksumType, ObjectInfo
from s3api.timestamps import http_date

HeaderList = list[tuple[bytes, bytes]]

_ACCEPT_RANGES = (b"accept-ranges", b"bytes")
_CHECKSUM_NAMES = {kind: f"x-amz-checksum-{kind.lower()}".encode() for kind in ChecksumAlgorithm}
_TYPE_FULL = (b"x-amz-checksum-type", b"FULL_OBJECT")
_TYPE_COMPOSITE = (b"x-amz-checksum-type", b"COMPOSITE")
_KEPT_BY_304 = frozenset({"cache-control", "expires"})

OVERRIDES = {
    "response-content-type": "content-type",
    "response-content-language": "content-language",
    "response-expires": "expires",
    "response-cache-control": "cache-control",
    "response-content-disposition": "content-disposition",
    "response-content-encoding": "content-encoding",
}
"""Query parameters by which a GET replaces response headers."""

_OVERRIDE_NAMES = frozenset(OVERRIDES)
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")


def quoted_etag(info: ObjectInfo) -> bytes:
    """The value of an ETag header."""
    return b'"%s"' % info.etag.encode()


def object_headers(info: ObjectInfo, overrides: Mapping[str, str] | None = None) -> HeaderList:
    """The headers that describe an object, in the answer to a GET or HEAD (all but lengths and checksums)."""
    attributes = info.attributes
    headers = [
        (b"last-modified", http_date(info.modified_ns)),
        (b"etag", b'"%s"' % info.etag.encode()),
        _ACCEPT_RANGES,
    ]
    kept: Mapping[str, str] = attributes.headers
    if overrides:
        kept = {**kept, **overrides}
    for name, value in kept.items():
        headers.append((name.encode(), value.encode("latin-1", "replace")))
    for name, value in attributes.user_metadata.items():
        headers.append(
            (b"x-amz-meta-" + name.encode("latin-1", "replace"), value.encode("latin-1", "replace"))
        )
    if attributes.storage_class != "STANDARD":
        headers.append((b"x-amz-storage-class", attributes.storage_class.encode()))
    return headers


def version_headers(bucket: Bucket, info: ObjectInfo) -> HeaderList:
    """Which version is meant, where the bucket has versions or had some."""
    if not bucket.props.versioning:
        return []
    return [(b"x-amz-version-id", info.version_id.encode())]


def written_headers(info: ObjectInfo) -> HeaderList:
    """Which version a write made; the null version of a suspended bucket is not told."""
    if info.version_id == NULL_VERSION:
        return []
    return [(b"x-amz-version-id", info.version_id.encode())]


def not_modified_headers(info: ObjectInfo) -> HeaderList:
    """The headers of a 304: those by which a cache updates what it has."""
    headers = [(b"last-modified", http_date(info.modified_ns)), (b"etag", quoted_etag(info))]
    for name, value in info.attributes.headers.items():
        if name in _KEPT_BY_304:
            headers.append((name.encode(), value.encode("latin-1", "replace")))
    return headers


def checksum_text(checksum: Checksum) -> str:
    """A checksum as S3 writes it: base64, with the count of parts if it is composite."""
    text = base64.b64encode(checksum.digest).decode()
    return f"{text}-{checksum.part_count}" if checksum.type is ChecksumType.COMPOSITE else text


def checksum_headers(checksum: Checksum | None) -> HeaderList:
    """The checksum of an object or part and its type."""
    if checksum is None:
        return []
    kind = _TYPE_COMPOSITE if checksum.type is ChecksumType.COMPOSITE else _TYPE_FULL
    return [(_CHECKSUM_NAMES[checksum.algorithm], checksum_text(checksum).encode()), kind]


def read_overrides(query: Mapping[str, str]) -> dict[str, str] | None:
    """The response headers that a query replaces. Raises InvalidArgument for a value that no header can hold."""
    if _OVERRIDE_NAMES.isdisjoint(query):
        return None
    found: dict[str, str] = {}
    for name, header in OVERRIDES.items():
        value = query.get(name)
        if not value:
            continue
        if _UNPRINTABLE.search(value) or not _is_latin_1(value):
            raise InvalidArgument(
                name=name,
                value=value,
                reason="Header value cannot be represented using ISO-8859-1.",
            )
        found[header] = value
    return found


def _is_latin_1(text: str) -> bool:
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return True
