"""Owns what request headers (and the form fields named alike) mean in domain types: conditions, ranges, metadata,
checksums, copy sources; and the refusal of headers that ask for what is not served.

Header values are latin-1 text, one character a byte, and stay so in ObjectAttributes: what a client sent, in whatever
encoding, it gets back byte for byte.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import replace
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from urllib.parse import unquote, unquote_to_bytes

from core.tags import HEADER as TAGGING
from core.tags import parse_tagging
from core.types import (
    NO_CONDITIONS,
    BoundedRange,
    ByteRange,
    Checksum,
    ChecksumAlgorithm,
    ChecksumType,
    Conditions,
    ObjectAttributes,
    OffsetRange,
    SuffixRange,
)
from s3api.acls import owner_and_acl
from s3api.auth.body import stored_content_encoding
from s3api.call import Call
from s3api.lock_headers import NAMES as LOCK_HEADERS
from s3api.lock_headers import read_lock
from s3api.parameters import check_version_id
from s3api.protocol_errors import (
    InvalidChecksum,
    InvalidRedirectLocation,
    InvalidRequest,
    InvalidStorageClass,
    MetadataTooLarge,
    NotImplementedByWeir,
    invalid_argument,
)
from s3api.timestamps import parse_date, parse_http_date
from s3api.tokens import is_token

Fields = Mapping[str, str]

MAX_USER_METADATA_BYTES = 2048
"""Names and values together (AWS: Working with object metadata)."""

REDIRECT_LOCATION = "x-amz-website-redirect-location"
_MAX_REDIRECT_LOCATION = 2048

SYSTEM_METADATA = (
    "content-type",
    "content-encoding",
    "content-disposition",
    "content-language",
    "cache-control",
    "expires",
    REDIRECT_LOCATION,
)
DEFAULT_CONTENT_TYPE = "binary/octet-stream"

_META = "x-amz-meta-"
_WRITE_OFFSET = "x-amz-write-offset-bytes"
_TAGS_AND_LOCK = LOCK_HEADERS | {TAGGING}
_READ_CONDITIONS = frozenset(
    {"if-match", "if-none-match", "if-modified-since", "if-unmodified-since"}
)
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})\Z", re.IGNORECASE)
_COPY_RANGE = re.compile(r"bytes=(\d{1,18})-(\d{1,18})\Z")
# No part of an encoded word holds a question mark (RFC 2047, 2); saying so keeps the search linear.
_ENCODED_WORD = re.compile(r"=\?[!->@-~]+\?[BbQq]\?[ ->@-~]*\?=")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")
_CHECKSUM_HEADERS = {f"x-amz-checksum-{kind.lower()}": kind for kind in ChecksumAlgorithm}


def refuse_unserved(fields: Fields) -> None:
    """Raises NotImplementedByWeir for a header whose promise would silently be broken."""
    if fields.get(_WRITE_OFFSET, "").strip():
        raise NotImplementedByWeir(header=_WRITE_OFFSET)


# --- conditions --------------------------------------------------------------------------------------------------


def read_conditions(fields: Fields) -> Conditions:
    """What a GET or HEAD is conditional on."""
    if _READ_CONDITIONS.isdisjoint(fields):
        return NO_CONDITIONS
    return _conditions(fields, "")


def source_conditions(fields: Fields) -> Conditions:
    """What a copy demands of its source."""
    return _conditions(fields, "x-amz-copy-source-")


def write_conditions(fields: Fields) -> Conditions:
    """What a put, copy or completion demands of the key it replaces. Times play no part, as in S3."""
    if "if-match" not in fields and "if-none-match" not in fields:
        return NO_CONDITIONS
    return Conditions(
        if_match=_etags(fields.get("if-match")), if_none_match=_etags(fields.get("if-none-match"))
    )


def delete_conditions(fields: Fields) -> Conditions:
    """What a delete demands of the object."""
    return delete_conditions_of(
        fields.get("if-match"),
        fields.get("x-amz-if-match-last-modified-time"),
        fields.get("x-amz-if-match-size"),
    )


def delete_conditions_of(etag: str | None, modified: str | None, size: str | None) -> Conditions:
    """The conditions of a delete, from header or document. Raises InvalidArgument."""
    if not etag and not modified and not size:
        return NO_CONDITIONS
    modified_ns = parse_date(modified) if modified else None
    if modified and modified_ns is None:
        raise invalid_argument(
            "x-amz-if-match-last-modified-time", modified, "The date is not valid"
        )
    if size and not re.fullmatch(r"[0-9]{1,18}", size):
        raise invalid_argument("x-amz-if-match-size", size, "The size is not valid")
    return Conditions(
        if_match=_etags(etag), if_size=int(size) if size else None, if_modified_at_ns=modified_ns
    )


def _conditions(fields: Fields, prefix: str) -> Conditions:
    found = Conditions(
        if_match=_etags(fields.get(f"{prefix}if-match")),
        if_none_match=_etags(fields.get(f"{prefix}if-none-match")),
        if_modified_since_ns=_time(fields.get(f"{prefix}if-modified-since")),
        if_unmodified_since_ns=_time(fields.get(f"{prefix}if-unmodified-since")),
    )
    return NO_CONDITIONS if found == NO_CONDITIONS else found


def _etags(value: str | None) -> tuple[str, ...]:
    if not value:
        return ()
    return tuple(bare_etag(tag) for tag in value.split(","))


def bare_etag(text: str) -> str:
    """An ETag without quotes and weakness mark."""
    return text.strip().removeprefix("W/").strip('"')


def _time(value: str | None) -> int | None:
    return parse_http_date(value) if value else None


# --- ranges ------------------------------------------------------------------------------------------------------


def parse_range(value: str | None) -> ByteRange | None:
    """The range of a GET. What is not one valid range of bytes is ignored, as S3 ignores it, several ranges too."""
    match = _RANGE.match(value) if value else None
    if match is None:
        return None
    first, last = match.groups()
    if not first:
        return SuffixRange(int(last)) if last else None
    if not last:
        return OffsetRange(int(first))
    if int(first) > int(last):
        return None
    return BoundedRange(int(first), int(last))


def copy_source_range(fields: Fields) -> ByteRange | None:
    """The range of UploadPartCopy. Raises InvalidArgument for any other form than first-last."""
    value = fields.get("x-amz-copy-source-range")
    if not value:
        return None
    match = _COPY_RANGE.match(value)
    if match is None or int(match[1]) > int(match[2]):
        raise invalid_argument(
            "x-amz-copy-source-range",
            value,
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first "
            "and last are the zero-based offsets of the first and last bytes to copy",
        )
    return BoundedRange(int(match[1]), int(match[2]))


# --- copy source -------------------------------------------------------------------------------------------------


def parse_copy_source(value: str) -> tuple[str, bytes, str | None]:
    """(bucket name, key as bytes, version id) of x-amz-copy-source. Raises InvalidArgument."""
    path, mark, version_id = value.partition("?versionId=")
    raw = unquote_to_bytes(path.encode("latin-1")).removeprefix(b"/")
    bucket, _, key = raw.partition(b"/")
    if not bucket or not key:
        raise invalid_argument(
            "x-amz-copy-source",
            value,
            "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
        )
    if mark:
        check_version_id(unquote(version_id), "x-amz-copy-source")
    return bucket.decode("utf-8", "replace"), key, unquote(version_id) or None


# --- attributes --------------------------------------------------------------------------------------------------


def read_attributes(call: Call, fields: Fields) -> ObjectAttributes:
    """What a writer says of the object: system and user metadata, storage class, owner, ACL, tags, lock.

    Raises NotImplementedByWeir, MetadataTooLarge, InvalidStorageClass, InvalidArgument, InvalidTag, InvalidRequest.
    """
    refuse_unserved(fields)
    kept = {name: fields[name] for name in SYSTEM_METADATA if name in fields}
    for name, value in kept.items():
        # A form's field may hold a line break, which would end the header that it becomes.
        if _UNPRINTABLE.search(value):
            raise invalid_argument(name, value, f"The value of {name} has control characters")
    if REDIRECT_LOCATION in kept:
        check_redirect_location(kept[REDIRECT_LOCATION])
    if not kept.get("content-type"):
        kept["content-type"] = DEFAULT_CONTENT_TYPE
    if "content-encoding" in kept:
        kept["content-encoding"] = stored_content_encoding(kept["content-encoding"])
        if not kept["content-encoding"]:
            del kept["content-encoding"]
    owner_id, acl = owner_and_acl(call, fields)
    attributes = ObjectAttributes(
        headers=kept,
        user_metadata=_user_metadata(fields),
        storage_class=read_storage_class(call, fields) or "STANDARD",
        owner_id=owner_id,
        acl=acl,
    )
    if _TAGS_AND_LOCK.isdisjoint(fields):
        return attributes
    retention, legal_hold = read_lock(call, fields)
    tags = parse_tagging(fields.get(TAGGING, ""))
    return replace(attributes, tags=tags, retention=retention, legal_hold=legal_hold)


def check_redirect_location(value: str) -> None:
    """Raises InvalidRedirectLocation for what a website could not redirect to."""
    if not value.startswith(("/", "http://", "https://")):
        raise InvalidRedirectLocation
    if len(value) > _MAX_REDIRECT_LOCATION:
        reason = "The length of website redirect location cannot exceed 2,048 characters."
        raise InvalidRedirectLocation(reason=reason)


def read_storage_class(call: Call, fields: Fields) -> str | None:
    """The storage class asked for. Raises InvalidStorageClass for one that is not offered."""
    value = fields.get("x-amz-storage-class")
    if value and value not in call.settings.storage_classes:
        raise InvalidStorageClass(storage_class=value)
    return value or None


def _user_metadata(fields: Fields) -> dict[str, str]:
    found: dict[str, str] = {}
    size_bytes = 0
    for name, value in fields.items():
        if name.startswith(_META):
            if not is_token(name):
                # A form's field may be called anything, but the name becomes a header's.
                raise invalid_argument(name, value, "The name of the metadata is no header name")
            found[name[len(_META) :]] = value
            size_bytes += len(name) - len(_META) + len(value)
    if size_bytes > MAX_USER_METADATA_BYTES:
        raise MetadataTooLarge(size_bytes=size_bytes, max_bytes=MAX_USER_METADATA_BYTES)
    return {name: _mail_safe(value) for name, value in found.items()}


def _mail_safe(value: str) -> str:
    """A metadata value in the form that it is returned in. As S3 does, an encoded word (RFC 2047) is put in the one
    canonical form, plain where it needs no encoding; unprintable text is made an encoded word."""
    if "=?" in value and _ENCODED_WORD.search(value):
        try:
            text = str(make_header(decode_header(value)))
            raw = text.encode()
        except (HeaderParseError, LookupError, ValueError):
            return value
        return text if text.isascii() and text.isprintable() else _encoded_word(raw)
    if _UNPRINTABLE.search(value):
        return _encoded_word(value.encode("latin-1", "replace"))
    return value


def _encoded_word(text: bytes) -> str:
    return f"=?UTF-8?B?{base64.b64encode(text).decode()}?="


# --- checksums ---------------------------------------------------------------------------------------------------


def checksum_algorithm(fields: Fields) -> ChecksumAlgorithm | None:
    """What x-amz-checksum-algorithm asks for. Raises InvalidRequest."""
    value = fields.get("x-amz-checksum-algorithm")
    if not value:
        return None
    try:
        return ChecksumAlgorithm(value.upper())
    except ValueError:
        reason = (
            "Checksum algorithm provided is unsupported. Please try again with any of the valid "
            f"types: [{', '.join(ChecksumAlgorithm)}]"
        )
        raise InvalidRequest(reason=reason) from None


def checksum_type(fields: Fields) -> ChecksumType | None:
    """What x-amz-checksum-type asks for. Raises InvalidRequest."""
    value = fields.get("x-amz-checksum-type")
    if not value:
        return None
    try:
        return ChecksumType(value.upper())
    except ValueError:
        reason = "Value for x-amz-checksum-type header is invalid."
        raise InvalidRequest(reason=reason) from None


def claimed_checksum(fields: Fields) -> Checksum | None:
    """The checksum of a whole object that headers claim, composite ones with their count of parts.

    Raises InvalidRequest for several, InvalidChecksum for a value that is none.
    """
    names = [name for name in _CHECKSUM_HEADERS if name in fields]
    if not names:
        return None
    if len(names) > 1:
        reason = (
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
        )
        raise InvalidRequest(reason=reason)
    encoded, mark, count = fields[names[0]].partition("-")
    digest = decode_digest(names[0], encoded)
    if not mark:
        return Checksum(_CHECKSUM_HEADERS[names[0]], digest)
    if not re.fullmatch(r"\d{1,5}", count):
        raise InvalidChecksum(name=names[0])
    return Checksum(_CHECKSUM_HEADERS[names[0]], digest, ChecksumType.COMPOSITE, int(count))


def decode_digest(name: str, encoded: str) -> bytes:
    """A digest in base64, of header or element `name`. Raises InvalidChecksum."""
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidChecksum(name=name) from None
