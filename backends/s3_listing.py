"""Owns a page of a listing as S3 servers give it, by either version of ListObjects.

Pages begin at a key (V2: StartAfter, V1: Marker), so no server's own tokens have to be remembered. What a server
answers is held to what was asked: keys that come in no order or twice would have listings go round for ever.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, Protocol

from backends.s3_list_document import KEPT, keys_in, moment, parsed_sync
from backends.s3_objects import bare, modified_ns
from backends.s3_options import Dialect
from core.errors import BackendBroken, StoreError
from core.listing import ListPage, ListQuery
from core.names import ObjectKey, parse_object_key
from core.types import ObjectAttributes, ObjectInfo, RemoteFacts

MAX_PAGE = 1000
_MAX_EMPTY_PAGES = 100
_CLASS = re.compile(r"[A-Z0-9_]{1,64}")
_LAST_CHARACTER = "\U0010ffff"


class Calls(Protocol):
    """S3Client.call."""

    async def __call__(
        self,
        operation: str,
        bucket: str = "",
        key: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        **parameters: Any,
    ) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a server listed; `items` are keys and common prefixes in order, with what is known of keys."""

    items: Sequence[tuple[str, ObjectInfo | None]]
    is_truncated: bool
    next_token: str = ""
    next_marker: str = ""


async def page_of(call: Calls, bucket: str, query: ListQuery, dialect: Dialect) -> ListPage:
    """The page that `query` asks for, of at most 1,000 items."""
    limit = min(query.limit, MAX_PAGE)
    after, token = query.after, ""
    empty = 0
    while True:
        answer = await _listed(call, bucket, query, (after, token), limit, dialect)
        if answer.is_truncated and not answer.items:
            # Servers pass over much that was deleted so. To take it for the end would have others' copies removed.
            empty += 1
            gets_on = answer.next_token not in ("", token) or answer.next_marker > after
            if not gets_on or empty > _MAX_EMPTY_PAGES:
                raise _broken(dialect, bucket, "a listing of nothing that does not get on")
            after, token = answer.next_marker or after, answer.next_token
            continue
        token = ""
        # A common prefix begins before what is under it; the server may tell of it again.
        items = [item for item in answer.items if item[0].encode() > query.after.encode()]
        if items or not answer.is_truncated:
            break
        # Nothing but what was listed before: go on behind it.
        last = answer.items[-1][0]
        if last.encode() <= after.encode():
            raise _broken(dialect, bucket, "a listing that does not get on")
        after = last
    is_truncated = answer.is_truncated or len(items) > limit
    items = items[:limit]
    return ListPage(
        entries=[info for _, info in items if info is not None],
        common_prefixes=[name for name, info in items if info is None],
        is_truncated=is_truncated,
        next_after=items[-1][0] if is_truncated else "",
    )


async def _listed(
    call: Calls,
    bucket: str,
    query: ListQuery,
    place: tuple[str, str],
    limit: int,
    dialect: Dialect,
) -> _Answer:
    """`place`: behind which key, or by which token of the server's where it gave one without a key."""
    after, token = place
    parameters: dict[str, Any] = {"MaxKeys": limit}
    if query.prefix:
        parameters["Prefix"] = query.prefix
    if query.delimiter:
        parameters["Delimiter"] = query.delimiter
        if after.endswith(query.delimiter):
            # To begin behind all that is under a common prefix.
            after += _LAST_CHARACTER
    if after:
        parameters["StartAfter" if dialect.list_version == 2 else "Marker"] = after
    if token:
        parameters["ContinuationToken"] = token
    operation = "ListObjectsV2" if dialect.list_version == 2 else "ListObjects"
    said = await call(operation, bucket, **parameters)
    try:
        return await asyncio.to_thread(_read_sync, said.get(KEPT), query.prefix, dialect)
    except (StoreError, KeyError, TypeError, ValueError):
        raise _broken(dialect, bucket, "a listing that can't be read") from None


def _read_sync(document: object, prefix: str, dialect: Dialect) -> _Answer:
    """Raises ValueError, KeyError, StoreError for what can't be read."""
    if not isinstance(document, bytes):
        raise TypeError("no list document")
    said = parsed_sync(document)
    items: list[tuple[str, ObjectInfo | None]] = [
        (info.key, info) for info in (_entry(each, dialect) for each in said.contents)
    ]
    items += [(_name(each), None) for each in said.prefixes]
    # By code points, which is the order of the names' bytes too.
    keys = keys_in(said)
    if said.is_truncated and any(one > other for one, other in pairwise(keys)):
        raise ValueError("a listing that is in no order")
    items = [item for item in items if item[0].startswith(prefix)]
    items.sort(key=lambda item: item[0])
    return _Answer(items, said.is_truncated, said.next_token, said.next_marker)


def _entry(said: Mapping[str, str], dialect: Dialect) -> ObjectInfo:
    etag, when = bare(said.get("ETag", "")), moment(said.get("LastModified", ""))
    return ObjectInfo(
        ObjectKey(_name(said["Key"])),
        _size(said["Size"]),
        etag,
        0 if when is None else modified_ns(when),
        _attributes(said.get("StorageClass") or "STANDARD"),
        # Whether the ETag is an MD5 a listing does not tell.
        remote=RemoteFacts(dialect.provider, etag),
        is_cached=False,
    )


def _size(said: str) -> int:
    """Raises ValueError for what no object has."""
    size_bytes = max(int(said), 0)
    if size_bytes >= 2**63:
        raise ValueError("a size without bounds")
    return size_bytes


@lru_cache(maxsize=64)
def _attributes(storage_class: str) -> ObjectAttributes:
    known = storage_class if _CLASS.fullmatch(storage_class) else "STANDARD"
    return ObjectAttributes(storage_class=known)


def _name(said: str) -> str:
    return parse_object_key(said.encode())


def _broken(dialect: Dialect, bucket: str, reason: str) -> BackendBroken:
    return BackendBroken(
        provider=dialect.provider, bucket=bucket, key="", reason=reason, retry_after_s=1
    )
