"""Owns the rules of tags: how many an object or bucket may have, what they may be made of, and their form in
x-amz-tagging. Pure.

Source: AWS, Categorizing your storage using tags; Using cost allocation S3 bucket tags; PutObject, x-amz-tagging.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from urllib.parse import unquote_plus

from core.errors import InvalidArgument, InvalidTag, TooManyTags

MAX_OBJECT_TAGS = 10
MAX_BUCKET_TAGS = 50
MAX_KEY_CHARACTERS = 128
MAX_VALUE_CHARACTERS = 256

HEADER = "x-amz-tagging"

_RESERVED_PREFIX = "aws:"
_SIGNS = frozenset("_.:/=+-@")
_NO_TAGS: Mapping[str, str] = {}


def object_tags(pairs: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    """Tags for an object, in order of their keys. Raises InvalidTag."""
    found = _checked(pairs)
    if len(found) > MAX_OBJECT_TAGS:
        raise InvalidTag(
            key="", value="", reason=f"Object tags cannot be greater than {MAX_OBJECT_TAGS}"
        )
    return found


def bucket_tags(pairs: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    """Tags for a bucket, in order of their keys. Raises InvalidTag, TooManyTags."""
    found = _checked(pairs)
    if len(found) > MAX_BUCKET_TAGS:
        raise TooManyTags(max_tags=MAX_BUCKET_TAGS)
    return found


def parse_tagging(text: str) -> Mapping[str, str]:
    """The tags of x-amz-tagging: form data, a key without "=" has an empty value. `text` has one latin-1 character a
    byte. Raises InvalidArgument, InvalidTag."""
    if not text:
        return _NO_TAGS
    pairs = []
    for field in text.encode("latin-1", "replace").decode("utf-8", "surrogateescape").split("&"):
        name, _, value = field.partition("=")
        try:
            pairs.append(
                (unquote_plus(name, errors="strict"), unquote_plus(value, errors="strict"))
            )
        except UnicodeDecodeError:
            raise _bad_header(text) from None
    if len({name for name, _ in pairs}) != len(pairs):
        raise _bad_header(text)
    return object_tags(pairs)


def _bad_header(text: str) -> InvalidArgument:
    return InvalidArgument(
        name=HEADER,
        value=text,
        reason=f"The header '{HEADER}' shall be encoded as UTF-8 then URLEncoded URL query parameters "
        "without tag name duplicates.",
    )


def _checked(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in pairs:
        if not 1 <= len(key) <= MAX_KEY_CHARACTERS or not _is_allowed(key):
            raise InvalidTag(key=key, value=value, reason="The TagKey you have provided is invalid")
        if len(value) > MAX_VALUE_CHARACTERS or not _is_allowed(value):
            raise InvalidTag(
                key=key, value=value, reason="The TagValue you have provided is invalid"
            )
        if key.lower().startswith(_RESERVED_PREFIX):
            raise InvalidTag(
                key=key,
                value=value,
                reason="System tags cannot be added/updated by requester",
            )
        if key in found:
            raise InvalidTag(
                key=key, value=value, reason="Cannot provide multiple Tags with the same key"
            )
        found[key] = value
    return dict(sorted(found.items()))


def _is_allowed(text: str) -> bool:
    """Letters, digits and blanks of any script, and a few signs."""
    return all(sign in _SIGNS or unicodedata.category(sign)[0] in "LNZ" for sign in text)
