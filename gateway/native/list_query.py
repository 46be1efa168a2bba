"""Owns what a list-objects message asks for: its fields, flags and properties, checked.

Flags that speak of remote buckets (what is cached or missing, what the remote has, how to reach it) say nothing of a
bucket whose objects are all here, and change nothing; only what asks for objects that are not here gets none, and an
inventory it has none.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import IntFlag
from typing import Any

from core.errors import InvalidArgument, InvalidKey, KeyTooLong
from core.inventories import parse_inventory_name
from core.listing import MAX_LISTED, Detail
from core.names import MAX_KEY_BYTES
from core.types import Bucket

_MAX_NAME_BYTES = MAX_KEY_BYTES + 1 + 4096
"""An object's name, and a member's path behind it."""

_REMOTE_PAGE = 1000
"""The usual page of a remote bucket: what most providers give in one request."""

_SNAPSHOT = "an inventory is a snapshot of names and properties"

_UUID = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")


class ListFlag(IntFlag):
    """The flags of a list request that count here."""

    CACHED = 1 << 0
    ARCHIVES = 1 << 3
    NAME_ONLY = 1 << 4
    NAME_SIZE = 1 << 5
    NOT_CACHED = 1 << 9
    NO_RECURSION = 1 << 11
    DIFF = 1 << 12
    NO_DIRS = 1 << 13
    INVENTORY = 1 << 15


_NEVER_TOGETHER = (
    (
        ListFlag.CACHED,
        ListFlag.NOT_CACHED,
        "what is cached and what is not cannot be listed together",
    ),
    (ListFlag.NOT_CACHED, ListFlag.INVENTORY, _SNAPSHOT),
    (ListFlag.DIFF, ListFlag.INVENTORY, _SNAPSHOT),
    (ListFlag.ARCHIVES, ListFlag.INVENTORY, _SNAPSHOT),
    (ListFlag.DIFF, ListFlag.NOT_CACHED, "what is not here cannot differ"),
    (ListFlag.DIFF, ListFlag.ARCHIVES, "members of shards are not compared"),
)


_BY_DEFAULT = frozenset({"name", "size"})
_SAID_BY_FLAGS = frozenset({"cached", "status"})
_OF_CACHED = frozenset({"name", "size", "checksum", "atime"})
_ALIASES = {"target_url": "location", "node": "location"}
_WHOLE = frozenset({"custom"})


@dataclass(frozen=True, slots=True)
class NativeListQuery:
    """One page of names > `after` that start with `prefix`. `uuid` is the same on every page of a listing; `page_size`
    is 0 for what is usual. `inventory`: the name of the one that answers, "" for any, None for the bucket itself."""

    prefix: str
    after: str
    page_size: int
    uuid: str
    props: frozenset[str]
    flags: ListFlag
    time_format: str = ""
    target: str = ""
    inventory: str | None = None

    @property
    def limit(self) -> int:
        """Of a page."""
        return self.page_size or MAX_LISTED

    def usual(self, bucket: Bucket) -> NativeListQuery:
        """With the page that is usual for the bucket, where none was asked for."""
        is_remote = bucket.props.backend is not None and self.inventory is None
        if self.page_size or not is_remote or ListFlag.CACHED in self.flags:
            return self
        return replace(self, page_size=_REMOTE_PAGE)

    @property
    def delimiter(self) -> str:
        return "/" if ListFlag.NO_RECURSION in self.flags else ""

    @property
    def detail(self) -> Detail:
        """What the store must tell of each object."""
        if self.props <= {"name"}:
            return Detail.NAME
        if self.props <= _BY_DEFAULT | _SAID_BY_FLAGS:
            return Detail.SIZE
        return Detail.WHOLE if self.props & _WHOLE else Detail.SUMMARY


def parse_list_query(fields: Mapping[str, Any], inventory: str = "") -> NativeListQuery:
    """Of a message's value, by lower-case names; `inventory`: the name that came beside it. Raises InvalidArgument,
    InvalidKey, KeyTooLong."""
    flags = ListFlag(_number(fields, "flags") & sum(ListFlag))
    for one, other, reason in _NEVER_TOGETHER:
        if one | other in flags:
            raise InvalidArgument(name="flags", value=f"{one.name} and {other.name}", reason=reason)
    is_snapshot = ListFlag.INVENTORY in flags
    token = _text(fields, "continuation_token", _MAX_NAME_BYTES)
    return NativeListQuery(
        prefix=_prefix(_text(fields, "prefix", _MAX_NAME_BYTES)),
        after=token or _text(fields, "start_after", _MAX_NAME_BYTES),
        page_size=min(_number(fields, "pagesize"), MAX_LISTED),
        uuid=_uuid(_text(fields, "uuid", 64)),
        props=_props(_text(fields, "props", 1000), flags),
        flags=flags,
        time_format=_text(fields, "time_format", 100),
        target=_text(fields, "target", 100),
        inventory=(inventory and parse_inventory_name(inventory)) if is_snapshot else None,
    )


def _prefix(text: str) -> str:
    prefix = text[:-1] if text.endswith("*") else text
    if not {".", ".."}.isdisjoint(prefix.split("/")[:-1]):
        raise InvalidKey(reason="a prefix may not contain . or .. as a component")
    return prefix


def _props(text: str, flags: ListFlag) -> frozenset[str]:
    if ListFlag.NAME_ONLY in flags:
        return frozenset({"name"})
    if ListFlag.NAME_SIZE in flags:
        return _BY_DEFAULT
    named = {each.strip().lower() for each in text.split(",")} - {""}
    if not named:
        return _OF_CACHED if ListFlag.CACHED in flags else _BY_DEFAULT
    return frozenset(_ALIASES.get(each, each) for each in named)


def _uuid(text: str) -> str:
    if not text:
        return f"list-{secrets.token_hex(8)}"
    if not _UUID.match(text):
        raise InvalidArgument(name="uuid", value=text, reason="it is no id of a listing")
    return text


def _text(fields: Mapping[str, Any], name: str, max_bytes: int) -> str:
    value = fields.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidArgument(name=name, value=str(value)[:64], reason=f"{name} is text")
    try:
        size_bytes = len(value.encode())
    except UnicodeEncodeError:
        raise InvalidArgument(name=name, value="", reason=f"{name} is not Unicode") from None
    if size_bytes > max_bytes:
        raise KeyTooLong(size_bytes=size_bytes, max_bytes=max_bytes)
    return value


def _number(fields: Mapping[str, Any], name: str) -> int:
    """Numbers come as such and as decimal text."""
    value = fields.get(name)
    if value is None or value == "":
        return 0
    if isinstance(value, str) and len(value) <= 20 and value.isascii() and value.isdigit():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**64:
        return value
    raise InvalidArgument(name=name, value=str(value)[:64], reason=f"{name} is no number")
