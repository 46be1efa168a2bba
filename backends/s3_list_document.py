"""Owns the reading of the XML document in which S3 servers answer ListObjects.

botocore takes 30 ms of the event loop for a page of 1,000 keys, half of it to look whether the document is an error.
This takes a third of that, in a thread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import unquote_plus
from xml.etree import ElementTree

KEPT = "ListDocument"
"""Under which name the answer to a call has the document, where it was kept from botocore's own parser."""

_ROOT = b"<ListBucketResult"
_HEAD_BYTES = 1000
_MAX_TAGS = 200_000
"""Five times what 1,000 keys have that say all there is to say. Elements take much more memory than their text."""


@dataclass(slots=True)
class ListDocument:
    """What a document says: of each key its fields by their names, and common prefixes; names are decoded."""

    contents: list[Mapping[str, str]] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    is_truncated: bool = False
    next_token: str = ""
    next_marker: str = ""


def keep_document(
    response_dict: dict[str, object], customized_response_dict: dict[str, object], **_: object
) -> None:
    """For botocore, before it parses: keep a good answer's document for `parsed_sync`."""
    body = response_dict["body"]
    if (
        response_dict["status_code"] == 200
        and isinstance(body, bytes)
        and _ROOT in body[:_HEAD_BYTES]
    ):
        customized_response_dict[KEPT] = body
        response_dict["body"] = b"<ListBucketResult/>"


def parsed_sync(document: bytes) -> ListDocument:
    """Raises ValueError."""
    if document.count(b"<") > _MAX_TAGS:
        raise ValueError("more than a page")
    try:
        root = ElementTree.fromstring(document)
    except ElementTree.ParseError as error:
        raise ValueError("no XML") from error
    found = ListDocument()
    is_encoded = False
    short: dict[str, str] = {}
    for child in root:
        name = _local(child.tag, short)
        if name == "Contents":
            found.contents.append({_local(each.tag, short): each.text or "" for each in child})
        elif name == "CommonPrefixes":
            found.prefixes += [each.text or "" for each in child]
        elif name == "IsTruncated":
            found.is_truncated = (child.text or "").strip().lower() == "true"
        elif name == "NextContinuationToken":
            found.next_token = child.text or ""
        elif name == "NextMarker":
            found.next_marker = child.text or ""
        elif name == "EncodingType":
            is_encoded = (child.text or "").strip() == "url"
    if is_encoded:
        found.next_marker = unquote_plus(found.next_marker)
        found.prefixes = [unquote_plus(each) for each in found.prefixes]
        found.contents = [
            {**each, "Key": unquote_plus(each.get("Key", ""))} for each in found.contents
        ]
    return found


def keys_in(found: ListDocument) -> Sequence[str]:
    """The keys, in the document's order. Raises KeyError."""
    return [each["Key"] for each in found.contents]


def moment(said: str) -> datetime | None:
    """A time as documents have it, None if it is none."""
    try:
        return datetime.fromisoformat(said)
    except ValueError:
        return None


def _local(tag: str, short: dict[str, str]) -> str:
    """A tag without its namespace."""
    name = short.get(tag)
    if name is None:
        name = short[tag] = tag.rpartition("}")[2]
    return name
