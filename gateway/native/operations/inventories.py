"""Owns the operations of native clients on inventories: having one made, showing and removing them. Listings that are
answered from one are in `listing`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from core.claims import Permission
from core.configs.sections import parse_duration
from core.errors import InvalidArgument, InvalidBucketState, NoSuchBucket, NoSuchInventory
from core.inventories import (
    DEFAULT_NAMES,
    INVENTORY_BUCKET,
    MAX_NAMES,
    MIN_NAMES,
    Inventory,
    home_of,
    parse_inventory_name,
)
from core.job_table import BUCKET, ref_text
from core.listing import ListQuery
from core.names import MAX_KEY_BYTES
from core.types import Bucket
from gateway.native.call import NativeCall, NativeResponse, Row, json_response
from gateway.native.errors import cname
from gateway.native.fields import flag_of, text_of
from gateway.native.operations.buckets import known_to
from gateway.native.operations.jobs import ask_for
from jobs.inventory import CREATE_INVENTORY, InventoryOrder, check_room

_NOT_OF_SNAPSHOTS = ("continuation_token", "start_after")
_FLAGS = (1 << 4) | (1 << 5) | (1 << 13)
"""Of a listing's flags those that change nothing here: names only, names and sizes, no directories."""
_PROPS = frozenset(
    {
        *("name", "size", "version", "checksum", "atime", "cached", "status", "copies", "ec"),
        *("custom", "location", "chunked", "last-modified", "etag", "target_url", "node"),
    }
)
_ALWAYS = ("name", "size", "cached")
_MIN_REFRESH_S = 60


async def create_inventory(call: NativeCall) -> NativeResponse:
    """Have the listing of a bucket that lives elsewhere written down; answers the job's id."""
    bucket = call.bucket()
    await call.require("s3:ListBucket", Permission.LIST_OBJECTS, bucket)
    await call.require("weir:CreateInventory", Permission.ADMIN)
    if bucket.props.backend is None:
        reason = "inventories are of buckets that live elsewhere; listing an ais bucket is local"
        raise InvalidArgument(name="bucket", value=bucket.name, reason=reason)
    order = _order((await call.request.message()).fields())
    found = await call.services.inventories.find(bucket)
    check_room([each.facts.name for each in found], order, bucket)
    await asyncio.to_thread(_check_pending_sync, call, bucket, order)
    return await ask_for(call, CREATE_INVENTORY, order.arguments(bucket))


def _check_pending_sync(call: NativeCall, bucket: Bucket, order: InventoryOrder) -> None:
    for record in call.services.jobs.list_sync(only_pending=True):
        if record.kind != CREATE_INVENTORY or record.arguments.get(BUCKET) != ref_text(bucket.ref):
            continue
        name = record.arguments.get("name") or record.job_id
        if not order.multi or name == order.name:
            reason = f"an inventory of bucket {bucket.name} is being made by job {record.job_id}"
            raise InvalidBucketState(bucket=bucket.name, reason=reason)


def _order(fields: Mapping[str, Any]) -> InventoryOrder:
    for name in _NOT_OF_SNAPSHOTS:
        if fields.get(name):
            reason = "an inventory is of all names with its prefix"
            raise InvalidArgument(name=name, value=str(fields[name])[:64], reason=reason)
    if _number(fields, "flags") & ~_FLAGS:
        reason = "an inventory is a snapshot of what the backend has; its listings may have flags"
        raise InvalidArgument(name="flags", value=str(fields["flags"])[:64], reason=reason)
    per_chunk = _number(fields, "names_per_chunk") or DEFAULT_NAMES
    if not MIN_NAMES <= per_chunk <= MAX_NAMES:
        reason = f"a chunk has {MIN_NAMES} to {MAX_NAMES} names"
        raise InvalidArgument(name="names_per_chunk", value=str(per_chunk), reason=reason)
    name = text_of(fields, "name", 64)
    prefix = text_of(fields, "prefix", MAX_KEY_BYTES + 1)
    return InventoryOrder(
        name=parse_inventory_name(name) if name else "",
        prefix=prefix[:-1] if prefix.endswith("*") else prefix,
        props=_props(text_of(fields, "props", 1000)),
        names_per_chunk=per_chunk,
        refresh_s=_refresh(text_of(fields, "refresh", 64)),
        force=flag_of(fields, "force"),
        multi=flag_of(fields, "multi"),
    )


def _props(text: str) -> str:
    named = [each.strip().lower() for each in text.split(",") if each.strip()]
    for each in named:
        if each not in _PROPS:
            raise InvalidArgument(name="props", value=each[:64], reason="there is no such property")
    return ",".join(dict.fromkeys([*_ALWAYS, *named]))


def _refresh(text: str) -> int:
    if not text:
        return 0
    seconds = parse_duration(text, -1.0)
    if seconds != 0 and not _MIN_REFRESH_S <= seconds <= 10 * 366 * 86400:
        reason = f"it is no time of {_MIN_REFRESH_S} s or more, such as 24h"
        raise InvalidArgument(name="refresh", value=text, reason=reason)
    return int(seconds)


def _number(fields: Mapping[str, Any], name: str) -> int:
    value = fields.get(name)
    if value is None or value == "":
        return 0
    if isinstance(value, str) and len(value) <= 20 and value.isascii() and value.isdigit():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**64:
        return value
    raise InvalidArgument(name=name, value=str(value)[:64], reason="it is no number")


# --- showing and removing ----------------------------------------------------------------------------------------


async def show_inventories(call: NativeCall) -> NativeResponse:
    """Those of a bucket, or the one of that name, by their objects' names."""
    bucket = call.bucket()
    await call.require("s3:ListBucket", Permission.LIST_OBJECTS, bucket)
    name = (await call.request.message()).name
    if name:
        parse_inventory_name(name)
    return json_response(_shown(bucket, await call.services.inventories.find(bucket, name)))


async def show_all_inventories(call: NativeCall) -> NativeResponse:
    """Those of all buckets that the caller may know of."""
    await call.require("s3:ListAllMyBuckets", Permission.LIST_BUCKETS)
    shown: dict[str, Any] = {}
    for bucket in known_to(call.identity, call.store.all_buckets()):
        if bucket.props.backend is not None:
            shown |= _shown(bucket, await call.services.inventories.find(bucket))
    return json_response(shown)


def _shown(bucket: Bucket, found: Sequence[Inventory]) -> dict[str, Any]:
    return {each.key: _inventory_json(bucket, each) for each in found}


def _inventory_json(bucket: Bucket, inventory: Inventory) -> dict[str, Any]:
    facts = inventory.facts
    return {
        "bucket": cname(bucket.ref),
        "name": facts.name,
        "obj_name": inventory.key,
        "size": inventory.size_bytes,
        "prefix": facts.prefix,
        "started": facts.started_ns,
        "finished": facts.finished_ns,
        "ntotal": facts.count,
        "smap_ver": 1,
        "chunks": inventory.chunks,
        "nat": 1,
        "refresh": f"{facts.refresh_s}s" if facts.refresh_s else "",
    }


async def destroy_inventories(call: NativeCall) -> NativeResponse:
    """All of a bucket, or the one of that name."""
    bucket = call.bucket()
    await call.require("s3:ListBucket", Permission.LIST_OBJECTS, bucket)
    await call.require("weir:DestroyInventory", Permission.ADMIN)
    name = (await call.request.message()).name
    if name:
        parse_inventory_name(name)
    try:
        home = call.store.get_bucket(INVENTORY_BUCKET)
    except NoSuchBucket:
        home = None
    removed = 0
    if home is not None:
        # Whatever lies there: what is damaged or of an older binding goes too.
        begin = home_of(bucket.ref)
        page = await call.store.list_objects(home, ListQuery(begin))
        for info in page.entries:
            if name in ("", info.key.removeprefix(begin)):
                await call.store.delete(home, info.key)
                removed += 1
    if name and not removed:
        raise NoSuchInventory(bucket=bucket.name, inventory=name)
    return NativeResponse()


ROWS = (
    Row("POST", "buckets", 1, create_inventory, "create-inventory"),
    Row("GET", "buckets", 1, show_inventories, "show-inventory"),
    Row("GET", "buckets", 0, show_all_inventories, "show-inventory"),
    Row("DELETE", "buckets", 1, destroy_inventories, "destroy-inventory"),
)
