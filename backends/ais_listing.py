"""Owns pages of another cluster's listings. They are asked for flat, and rolled up by delimiter here: so every
delimiter works, and what lies under a common prefix is leapt over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgpack

from backends.ais_client import AisClient, broken
from backends.ais_facts import LIST_PROPS, info_of_entry
from core.listing import ListPage, ListQuery
from core.types import ObjectInfo

_MAX_PAGE = 10_000
_LAST = "\U0010ffff"
"""Sorts after all that may follow a common prefix."""


async def list_page(client: AisClient, bucket: str, query: ListQuery) -> ListPage:
    """See Backend.list_page."""
    entries: list[ObjectInfo] = []
    groups: list[str] = []
    after, last, is_truncated = query.after, "", query.limit > 0
    if after and _group(after, query) == after:
        after += _LAST
    while is_truncated and len(entries) + len(groups) < query.limit:
        left = query.limit - len(entries) - len(groups)
        found, is_truncated = await _flat_page(client, bucket, query.prefix, after, left)
        before = after
        for info in found:
            if info.key.encode() <= after.encode():
                continue
            if len(entries) + len(groups) == query.limit:
                is_truncated = True
                break
            group = _group(info.key, query)
            if group:
                groups.append(group)
                last, after = group, group + _LAST
            else:
                entries.append(info)
                last = after = info.key
        if is_truncated and after == before:
            raise broken(bucket, "", "a listing that does not get on")
        if not query.delimiter:
            break
    return ListPage(entries, groups, is_truncated, last if is_truncated else "")


def _group(name: str, query: ListQuery) -> str:
    """The common prefix that a key is under, "" if it is under none."""
    if not query.delimiter or not name.startswith(query.prefix):
        return ""
    end = name.find(query.delimiter, len(query.prefix))
    return "" if end < 0 else name[: end + len(query.delimiter)]


async def _flat_page(
    client: AisClient, bucket: str, prefix: str, after: str, limit: int
) -> tuple[Sequence[ObjectInfo], bool]:
    value = {
        "prefix": prefix,
        "pagesize": min(limit, _MAX_PAGE),
        "uuid": "",
        "props": LIST_PROPS,
        "continuation_token": "",
        "flags": "0",
        "target": "",
        "start_after": after,
    }
    _, body = await client.ask(
        "GET",
        bucket,
        headers=[("Accept", "application/msgpack")],
        action={"action": "list", "value": value},
    )
    try:
        page: Any = msgpack.unpackb(body, strict_map_key=False)
        found = [info_of_entry(entry) for entry in page.get("Entries") or ()]
        token = page.get("ContinuationToken")
    except (ValueError, TypeError, AttributeError, msgpack.exceptions.UnpackException):
        raise broken(bucket, "", "a listing that is none") from None
    # Prefixes that end in a star are cut by AIStore, and then more is listed than was asked for.
    infos = [info for info in found if info is not None and info.key.startswith(prefix)]
    return sorted(infos, key=lambda info: info.key.encode()), bool(token)
