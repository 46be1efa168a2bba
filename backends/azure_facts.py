"""Owns how objects and their attributes are written down in Azure: as properties and metadata of blobs.

Azure's names of metadata are C identifiers, its values ASCII. What fits is kept as it is, so that others can read it;
what does not is kept under a name that begins with one of our prefixes, from which it comes back as it was.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime

from backends.numbers import nanoseconds
from core.names import ObjectKey
from core.types import ObjectAttributes, ObjectInfo, RemoteFacts

PROVIDER = "azure"
DEFAULT_TYPE = "application/octet-stream"

_NAMED, _CODED, _HEADER = "weirx_", "weirb_", "weirh_"
"""Of metadata: a name in other letters; name and value so; a header of S3's that Azure has no property for."""
_IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]*\Z")
_PLAIN_VALUE = re.compile(r"[!-~](?:[ -~]*[!-~])?\Z")
_ESCAPED = re.compile(r"_([0-9a-f]{2})")
_PROPERTIES = (
    "content-type",
    "content-encoding",
    "content-language",
    "content-disposition",
    "cache-control",
)


def put_headers(attributes: ObjectAttributes) -> dict[str, str]:
    """The headers by which a blob is given its attributes."""
    headers = {
        f"x-ms-blob-{name}": attributes.headers[name]
        for name in _PROPERTIES
        if name in attributes.headers
    }
    for name, value in metadata_of(attributes).items():
        headers[f"x-ms-meta-{name}"] = value
    return headers


def metadata_of(attributes: ObjectAttributes) -> dict[str, str]:
    """The metadata of a blob, as Azure takes it."""
    found = dict(_written(name, value) for name, value in attributes.user_metadata.items())
    for name, value in attributes.headers.items():
        if name not in _PROPERTIES:
            found[_HEADER + name.replace("-", "_")] = _to_text(value)
    return found


def attributes_of(headers: Mapping[str, str], metadata: Mapping[str, str]) -> ObjectAttributes:
    """What a blob's properties and metadata say."""
    said = {name: headers[name] for name in _PROPERTIES if headers.get(name)}
    user: dict[str, str] = {}
    for written, value in metadata.items():
        name = written.lower()
        if name.startswith(_HEADER):
            said[name.removeprefix(_HEADER).replace("_", "-")] = _from_text(value)
        elif name.startswith(_CODED):
            user[_unescaped(name.removeprefix(_CODED))] = _from_text(value)
        elif name.startswith(_NAMED):
            user[_unescaped(name.removeprefix(_NAMED))] = value
        else:
            user[name] = value
    return ObjectAttributes(headers=said, user_metadata=user)


def info_of_headers(key: ObjectKey, headers: Mapping[str, str], size_bytes: int) -> ObjectInfo:
    """What the headers of an answer say of a blob."""
    # MD5 of a range's answer is the whole blob's under another name.
    md5 = headers.get("x-ms-blob-content-md5") or (
        "" if "content-range" in headers else headers.get("content-md5", "")
    )
    metadata = {
        name[10:]: value for name, value in headers.items() if name.lower().startswith("x-ms-meta-")
    }
    return make_info(
        key,
        size_bytes,
        headers.get("etag", ""),
        http_time_ns(headers.get("last-modified", "")),
        attributes_of(headers, metadata),
        _raw_md5(md5),
    )


def make_info(
    key: ObjectKey,
    size_bytes: int,
    etag: str,
    modified_ns: int,
    attributes: ObjectAttributes,
    md5: bytes,
) -> ObjectInfo:
    """An object as it is told of; `etag` as Azure writes it."""
    bare = etag.removeprefix("W/").strip('"')
    facts = RemoteFacts(PROVIDER, bare, md5=md5)
    return ObjectInfo(key, size_bytes, bare, modified_ns, attributes, remote=facts, is_cached=False)


def is_directory(headers: Mapping[str, str]) -> bool:
    """Whether a blob stands for a directory of a hierarchical namespace, which is no object."""
    return (
        headers.get("x-ms-meta-hdi_isfolder", "").lower() == "true"
        or headers.get("x-ms-resource-type", "").lower() == "directory"
    )


def http_time_ns(written: str) -> int:
    """The time of a header; 0 if it is none."""
    try:
        return time_ns(parsedate_to_datetime(written))
    except (TypeError, ValueError, OverflowError):
        return 0


def time_ns(when: datetime) -> int:
    return nanoseconds(when.timestamp())


def _written(name: str, value: str) -> tuple[str, str]:
    if not _PLAIN_VALUE.match(value):
        return _CODED + _escaped(name), _to_text(value)
    if not _IDENTIFIER.match(name) or name.startswith((_NAMED, _CODED, _HEADER, "hdi_")):
        return _NAMED + _escaped(name), value
    return name, value


def _escaped(name: str) -> str:
    return "".join(
        chr(byte) if chr(byte).isalnum() and byte < 0x80 else f"_{byte:02x}"
        for byte in name.encode()
    )


def _unescaped(written: str) -> str:
    raw = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), written)
    return raw.encode("latin-1", "replace").decode("utf-8", "replace")


def _to_text(value: str) -> str:
    # The dot: Azure takes no empty values.
    return "." + base64.urlsafe_b64encode(value.encode()).decode()


def _from_text(written: str) -> str:
    try:
        return base64.urlsafe_b64decode(written[1:].encode()).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return written


def _raw_md5(written: str) -> bytes:
    try:
        raw = base64.b64decode(written, validate=True)
    except (binascii.Error, ValueError):
        return b""
    return raw if len(raw) == 16 else b""
