"""Owns the listing of a bucket's objects: a page of entries, in msgpack or JSON as the client accepts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from core.claims import Permission
from core.errors import InvalidArgument, NoSuchInventory
from core.listing import ListQuery
from core.types import Bucket
from gateway.native.call import NativeCall, NativeResponse, Row
from gateway.native.list_archives import ArchiveListing
from gateway.native.list_entries import Entry, answer_sync, entry_maker, ordered
from gateway.native.list_query import ListFlag, NativeListQuery, parse_list_query
from gateway.native.list_remote import RemotePage, remote_page

_SHORT = 500
"""A page of so many entries is made at once; longer ones in a thread, away from other requests."""


async def list_objects(call: NativeCall) -> NativeResponse:
    """A page of objects. Without a message, the query string says what is asked for."""
    message = await call.request.message()
    if message.value is not None and not isinstance(message.value, dict):
        raise InvalidArgument(name="value", value="", reason="it is no list message")
    fields: Mapping[str, Any] = message.fields() if message.action else call.request.query
    query = parse_list_query(fields, call.request.headers.get("ais-inv-name", ""))
    bucket = call.bucket()
    query = query.usual(bucket)
    _say_to_policies(call, query)
    await call.require("s3:ListBucket", Permission.LIST_OBJECTS, bucket)
    node_id = call.services.node.node_id
    if query.target and query.target != node_id:
        raise InvalidArgument(name="target", value=query.target, reason="there is no such node")
    as_msgpack = "application/msgpack" in call.request.headers.get("accept", "")
    if query.inventory is not None and bucket.props.backend is None:
        raise NoSuchInventory(bucket=bucket.name, inventory=query.inventory)
    if ListFlag.NOT_CACHED in query.flags and bucket.props.backend is None:
        return _response(*answer_sync([], query.uuid, "", as_msgpack=as_msgpack))
    if ListFlag.ARCHIVES in query.flags:
        make = entry_maker(query.props, query.time_format, node_id)
        entries, token = await ArchiveListing(call, bucket, query, make).page()
        return _response(
            *await asyncio.to_thread(answer_sync, entries, query.uuid, token, as_msgpack=as_msgpack)
        )
    found = await _page(call, bucket, query)
    arguments = (found, query, node_id, as_msgpack)
    if len(found.page.entries) <= _SHORT:
        return _response(*_answer_sync(*arguments))
    return _response(*await asyncio.to_thread(_answer_sync, *arguments))


def _say_to_policies(call: NativeCall, query: NativeListQuery) -> None:
    """Have conditions of policies on what is listed see what the message says, whatever the query string does."""
    request = call.request.s3
    said = {"prefix": query.prefix, "max-keys": str(query.limit)}
    if query.delimiter:
        said["delimiter"] = query.delimiter
    request.query = {**request.query, **said}


async def _page(call: NativeCall, bucket: Bucket, query: NativeListQuery) -> RemotePage:
    if bucket.props.backend is not None:
        return await remote_page(call.store, bucket, query)
    asked = ListQuery(query.prefix, query.delimiter, query.after, query.limit, query.detail)
    return RemotePage(await call.store.list_objects(bucket, asked))


def _answer_sync(
    found: RemotePage, query: NativeListQuery, node_id: str, as_msgpack: bool
) -> tuple[bytes, bytes]:
    page, flags = found.page, found.flags
    make = entry_maker(query.props, query.time_format, node_id)
    entries: Sequence[Entry] = [make(info) for info in page.entries]
    if flags:
        for entry in entries:
            entry["f"] |= flags.get(entry["n"], 0)
    token = page.next_after if page.is_truncated else ""
    return answer_sync(
        ordered(entries, page.common_prefixes), query.uuid, token, as_msgpack=as_msgpack
    )


def _response(content_type: bytes, body: bytes) -> NativeResponse:
    return NativeResponse(200, [(b"content-type", content_type)], body)


ROWS = (
    Row("GET", "buckets", 1, list_objects, "list"),
    Row("GET", "buckets", 1, list_objects, ""),
)
