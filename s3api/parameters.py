"""Owns what query parameters mean: page sizes, part numbers, version ids, encoding types, continuation tokens."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping

from core.errors import InvalidArgument, NoSuchUpload
from core.names import UploadId
from core.types import MAX_PARTS

Query = Mapping[str, str]

MAX_PAGE = 1000
_VERSION_ID = re.compile(r"[A-Za-z0-9._-]{1,1024}\Z")
_MAX_INT32 = 2**31 - 1
_NUMBER = re.compile(r"[0-9]{1,18}\Z")


def page_size(query: Query, name: str) -> int:
    """The limit of a page: 0..1000, and 1000 for more, as S3 has it. Raises InvalidArgument."""
    value = query.get(name)
    if value is None:
        return MAX_PAGE
    if not _NUMBER.match(value):
        if re.match(r"-[0-9]+\Z", value):
            reason = f"Argument {name} must be an integer between 0 and {_MAX_INT32}"
        else:
            reason = f"Provided {name} not an integer or within integer range"
        raise InvalidArgument(name=name, value=value, reason=reason)
    number = int(value)
    if number > _MAX_INT32:
        reason = f"Provided {name} not an integer or within integer range"
        raise InvalidArgument(name=name, value=value, reason=reason)
    return min(number, MAX_PAGE)


def max_buckets(query: Query) -> int | None:
    """The page size of ListBuckets; None for all. Raises InvalidArgument."""
    value = query.get("max-buckets")
    if value is None:
        return None
    if not _NUMBER.match(value) or not 1 <= int(value) <= 10_000:
        raise InvalidArgument(
            name="max-buckets",
            value=value,
            reason="Argument max-buckets must be an integer between 1 and 10000",
        )
    return int(value)


def part_number(query: Query) -> int | None:
    """The partNumber of a read or an upload. Raises InvalidArgument."""
    value = query.get("partNumber")
    if value is None:
        return None
    if not _NUMBER.match(value) or not 1 <= int(value) <= MAX_PARTS:
        raise InvalidArgument(
            name="partNumber",
            value=value,
            reason=f"Part number must be an integer between 1 and {MAX_PARTS}, inclusive",
        )
    return int(value)


def marker_number(value: str | None, name: str) -> int:
    """A part number marker: 0 where there is none. Raises InvalidArgument."""
    if not value:
        return 0
    if not _NUMBER.match(value) or int(value) > _MAX_INT32:
        reason = f"Provided {name} not an integer or within integer range"
        raise InvalidArgument(name=name, value=value, reason=reason)
    return int(value)


def upload_id(query: Query) -> UploadId:
    """Raises NoSuchUpload for an empty one, as for any that nobody issued."""
    value = query["uploadId"]
    if not value:
        raise NoSuchUpload(upload_id="")
    return UploadId(value)


def version_id(query: Query) -> str | None:
    """The version asked for, None for the current one. Raises InvalidArgument."""
    value = query.get("versionId")
    if value is not None:
        check_version_id(value, "versionId")
    return value


def check_version_id(value: str, name: str) -> None:
    """Raises InvalidArgument for what can be no version's id, of whatever store (`name`: where it stands)."""
    if not value:
        reason = "Version id cannot be the empty string"
        raise InvalidArgument(name=name, value="", reason=reason)
    if not _VERSION_ID.match(value):
        raise InvalidArgument(name=name, value=value, reason="Invalid version id specified")


def is_url_encoded(query: Query) -> bool:
    """Whether names in the answer are to be percent-encoded. Raises InvalidArgument."""
    value = query.get("encoding-type")
    if not value:
        return False
    if value.lower() != "url":
        reason = "Invalid Encoding Method specified in Request"
        raise InvalidArgument(name="encoding-type", value=value, reason=reason)
    return True


def continuation_token(after: str) -> str:
    """An opaque token that continues after a name."""
    return base64.urlsafe_b64encode(b"1" + after.encode()).decode()


def continued_after(token: str) -> str:
    """The name after which a token continues. Raises InvalidArgument for a token that we did not make."""
    try:
        raw = base64.urlsafe_b64decode(token.encode("ascii"))
        if raw[:1] == b"1":
            return raw[1:].decode()
    except (binascii.Error, ValueError):
        pass
    raise InvalidArgument(
        name="continuation-token",
        value=token,
        reason="The continuation token provided is incorrect",
    )
