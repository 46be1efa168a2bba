"""Owns how objects are told of by the native API of AIStore and of weir: in headers, and in entries of listings.

Beside bytes an object there has custom metadata, pairs of short texts. What of ours does not fit is kept
percent-encoded, under names with one of our prefixes.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, unquote

from multidict import CIMultiDictProxy

from backends.numbers import nanoseconds
from core.errors import NoSuchUpload
from core.names import ObjectKey
from core.types import ObjectAttributes, ObjectInfo, RemoteFacts

PROVIDER = "ais"
HEAD_PROPS = "name,size,checksum,version,custom,last-modified,etag"
LIST_PROPS = "name,size,checksum,version,last-modified,etag"
DEFAULT_TYPE = "application/octet-stream"

_ENCODED, _HEADER = "weirx.", "weirh."
_THEIRS = frozenset({"source", "ETag", "MD5", "CRC32C", "LastModified", "version", "orig_url"})
"""What AIStore keeps among the custom metadata for itself."""
_PLAIN_NAME = re.compile(r"[a-z0-9_.-]{1,128}\Z")
_PLAIN_VALUE = re.compile(r"[!-+\--~](?:[ -+\--~]*[!-+\--~])?\Z")
_SAID = re.compile(r"(?:\[| )(ETag|LastModified|MD5):(\S+?)(?=[ \]]|$)")
_MD5 = re.compile(r"[0-9a-f]{32}\Z")
_MAX_ATTRIBUTES_BYTES = 64 * 1024


def custom_pairs(attributes: ObjectAttributes) -> list[tuple[str, str]]:
    """The custom metadata that an object of these attributes has there."""
    pairs = []
    for name, value in attributes.user_metadata.items():
        is_plain = (
            _PLAIN_NAME.match(name)
            and _PLAIN_VALUE.match(value)
            and not name.startswith((_ENCODED, _HEADER))
        )
        pairs.append((name, value) if is_plain else (_ENCODED + _quoted(name), _quoted(value)))
    for name, value in attributes.headers.items():
        pairs.append((_HEADER + name, _quoted(value)))
    return pairs


def attributes_of(pairs: Iterable[str]) -> ObjectAttributes:
    """What the lines of custom metadata say."""
    headers, user = {"content-type": DEFAULT_TYPE}, {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        if name.startswith(_HEADER):
            headers[name.removeprefix(_HEADER)] = _unquoted(value)
        elif name.startswith(_ENCODED):
            user[_unquoted(name.removeprefix(_ENCODED))] = _unquoted(value)
        elif name and name not in _THEIRS:
            user[name.lower()] = value
    return ObjectAttributes(headers=headers, user_metadata=user)


def info_of_headers(key: ObjectKey, headers: CIMultiDictProxy[str], size_bytes: int) -> ObjectInfo:
    """What the headers of an answer say of an object."""
    return _info(
        key,
        size_bytes,
        etag=headers.get("etag", ""),
        checksum=_typed_checksum(headers),
        version=headers.get("ais-version", ""),
        modified_ns=_http_time_ns(headers.get("last-modified", "")),
        attributes=attributes_of(headers.getall("ais-custom-md", [])),
    )


def info_of_entry(entry: Mapping[str, Any]) -> ObjectInfo | None:
    """What an entry of a listing says; None if it is none."""
    name, size = entry.get("n"), entry.get("s", 0)
    if not isinstance(name, str) or not 0 < len(name.encode("utf-8", "replace")) <= 1024:
        return None
    said = dict(_SAID.findall(str(entry.get("m", ""))))
    checksum = str(entry.get("cs", ""))
    return _info(
        ObjectKey(name),
        size if isinstance(size, int) and 0 <= size < 2**63 else 0,
        etag=said.get("ETag", ""),
        checksum=("", checksum),
        version=str(entry.get("v", "")),
        modified_ns=_iso_time_ns(said.get("LastModified", "")),
        attributes=ObjectAttributes(),
    )


def pack_attributes(upload_id: str, attributes: ObjectAttributes) -> str:
    """An upload's id with the attributes that its object is to have, which the other side does not keep."""
    said = json.dumps([dict(attributes.headers), dict(attributes.user_metadata)])
    return f"{upload_id} {base64.urlsafe_b64encode(zlib.compress(said.encode())).decode()}"


def unpack_attributes(packed: str) -> tuple[str, ObjectAttributes]:
    """What `pack_attributes` was given. Raises NoSuchUpload."""
    upload_id, _, rest = packed.partition(" ")
    try:
        raw = zlib.decompressobj().decompress(
            base64.urlsafe_b64decode(rest.encode()), _MAX_ATTRIBUTES_BYTES
        )
        headers, metadata = json.loads(raw)
        return upload_id, ObjectAttributes(headers=dict(headers), user_metadata=dict(metadata))
    except (ValueError, TypeError, zlib.error):
        raise NoSuchUpload(upload_id=packed[:64]) from None


def _info(  # noqa: PLR0913  # what is said of an object
    key: ObjectKey,
    size_bytes: int,
    *,
    etag: str,
    checksum: tuple[str, str],
    version: str,
    modified_ns: int,
    attributes: ObjectAttributes,
) -> ObjectInfo:
    kind, value = checksum
    # Not every cluster tells an ETag: its checksum and its count of writes stand for one.
    bare = etag.strip('"')[:256] or "-".join(each for each in ("ais", value, version) if each)
    is_md5 = _MD5.match(value) and (kind == "md5" or (not kind and value == bare))
    md5 = bytes.fromhex(value) if is_md5 else b""
    return ObjectInfo(
        key,
        size_bytes,
        bare,
        modified_ns,
        attributes,
        remote=RemoteFacts(PROVIDER, bare, md5=md5),
        is_cached=False,
    )


def _typed_checksum(headers: Mapping[str, str]) -> tuple[str, str]:
    kind = headers.get("ais-checksum-type", "")
    return (kind or "none", headers.get("ais-checksum-value", "").lower())


def _quoted(text: str) -> str:
    return quote(text, safe=" /;:@")


def _unquoted(text: str) -> str:
    return unquote(text, errors="replace")


def _http_time_ns(written: str) -> int:
    try:
        return nanoseconds(parsedate_to_datetime(written).timestamp())
    except (TypeError, ValueError, OverflowError):
        return 0


def _iso_time_ns(written: str) -> int:
    try:
        when = datetime.fromisoformat(written)
        return nanoseconds(when.replace(tzinfo=when.tzinfo or UTC).timestamp())
    except (ValueError, OverflowError):
        return 0
