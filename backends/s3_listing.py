"""Owns a page of a listing as S3 servers give it, by either version of ListObjects.

Pages begin at a key (V2: StartAfter, V1: Marker), so no server's own tokens have to be remembered. What a server
answers is held to what was asked: keys that come in no order or twice would have listings go round for ever.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from backends.s3_objects import bare, modified_ns
from backends.s3_options import Dialect
from core.errors import BackendBroken, StoreError
from core.listing import ListPage, ListQuery
from core.names import ObjectKey, parse_object_key
from core.types import ObjectAttributes, ObjectInfo, RemoteFacts

MAX_PAGE = 1000
_LAST_CHARACTER = "\U0010ffff"
_BARE = ObjectAttributes()


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


async def page_of(call: Calls, bucket: str, query: ListQuery, dialect: Dialect) -> ListPage:
    """The page that `query` asks for, of at most 1,000 items."""
    limit = min(query.limit, MAX_PAGE)
    after = query.after
    while True:
        answer = await _listed(call, bucket, query, after, limit, dialect)
        # A common prefix begins before what is under it; the server may tell of it again.
        items = [item for item in answer.items if item[0].encode() > query.after.encode()]
        if items or not answer.is_truncated:
            break
        # Nothing but what was listed before: go on behind it.
        last = answer.items[-1][0] if answer.items else after
        if last.encode() <= after.encode():
            raise _broken(dialect, bucket, "a listing that does not get on")
        after = last
    items = items[:limit]
    return ListPage(
        entries=[info for _, info in items if info is not None],
        common_prefixes=[name for name, info in items if info is None],
        is_truncated=answer.is_truncated,
        next_after=items[-1][0] if answer.is_truncated else "",
    )


async def _listed(
    call: Calls, bucket: str, query: ListQuery, after: str, limit: int, dialect: Dialect
) -> _Answer:
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
    operation = "ListObjectsV2" if dialect.list_version == 2 else "ListObjects"
    said = await call(operation, bucket, **parameters)
    try:
        items: list[tuple[str, ObjectInfo | None]] = [
            (info.key, info)
            for info in (_entry(each, dialect) for each in said.get("Contents", ()))
        ]
        items += [(_name(each["Prefix"]), None) for each in said.get("CommonPrefixes", ())]
    except (StoreError, KeyError, TypeError, ValueError):
        raise _broken(dialect, bucket, "a listing that can't be read") from None
    is_truncated = bool(said.get("IsTruncated")) and bool(items)
    items = [item for item in items if item[0].startswith(query.prefix)]
    in_order = sorted(items, key=lambda item: item[0].encode())
    if is_truncated and not _is_ordered(said):
        raise _broken(dialect, bucket, "a listing that is in no order")
    return _Answer(in_order, is_truncated)


def _entry(said: Mapping[str, Any], dialect: Dialect) -> ObjectInfo:
    etag, when = bare(str(said.get("ETag", ""))), said.get("LastModified")
    return ObjectInfo(
        ObjectKey(_name(said["Key"])),
        max(int(said["Size"]), 0),
        etag,
        modified_ns(when) if isinstance(when, datetime) else 0,
        _BARE,
        # Whether the ETag is an MD5 a listing does not tell.
        remote=RemoteFacts(dialect.provider, etag),
        is_cached=False,
    )


def _name(said: str) -> str:
    return parse_object_key(said.encode())


def _is_ordered(said: Mapping[str, Any]) -> bool:
    keys = [each["Key"].encode() for each in said.get("Contents", ())]
    return keys == sorted(keys)


def _broken(dialect: Dialect, bucket: str, reason: str) -> BackendBroken:
    return BackendBroken(
        provider=dialect.provider, bucket=bucket, key="", reason=reason, retry_after_s=1
    )
