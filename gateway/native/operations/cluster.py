"""Owns what native clients ask of the cluster: its health, its map of nodes, its settings, and its map of buckets."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import xxhash

from core.claims import Permission
from core.types import Bucket
from gateway.native.call import NativeCall, NativeResponse, Row, json_response
from gateway.native.cluster_config import cluster_config
from gateway.native.props import props_json
from gateway.native.times import rfc3339

_DIGEST_SEED = 1103515245
_SERVING_STATES = frozenset({"ok", "OutOfSpace"})
_MAP_VERSION = "1"
"""The map of nodes never changes: there is one node."""


async def health(call: NativeCall) -> NativeResponse:
    """200 while a mountpath serves, for anybody: watchdogs have no keys."""
    node = call.services.node
    up_ns = b"%d" % (call.services.clock.now_ns() - node.started_ns)
    headers = [(b"ais-cluster-uptime", up_ns), (b"ais-node-uptime", up_ns)]
    check = call.services.health
    if check is not None and not _SERVING_STATES.intersection((await check()).values()):
        return NativeResponse(503, headers)
    return NativeResponse(headers=headers)


async def smap(call: NativeCall) -> NativeResponse:
    """One proxy and one target, both this process tree, at the address by which the client has reached it."""
    await _require_show(call)
    return json_response(smap_json(call))


def smap_json(call: NativeCall) -> dict[str, Any]:
    """The map of the nodes (AIStore: Smap)."""
    node = call.services.node
    proxy, target = snode_json(call, node.proxy_id), snode_json(call, node.node_id)
    return {
        "uuid": node.cluster_id,
        "version": _MAP_VERSION,
        "creation_time": rfc3339(node.started_ns),
        "proxy_si": proxy,
        "pmap": {node.proxy_id: proxy},
        "tmap": {node.node_id: target},
        "ext": None,
    }


def snode_json(call: NativeCall, node_id: str) -> dict[str, Any]:
    """One node of the map."""
    request = call.request.s3
    host = request.headers.get("host", "")
    name, _, port = host.rpartition(":")
    if not name or not port.isdecimal():
        name, port = host, "443" if request.scheme == "https" else "80"
    net = {
        "node_hostname": name,
        "node_ip_addr": name,
        "daemon_port": port,
        "direct_url": f"{request.scheme}://{host}",
    }
    return {
        "daemon_id": node_id,
        "daemon_type": "proxy" if node_id == call.services.node.proxy_id else "target",
        "flags": 0,
        "id_digest": xxhash.xxh64_intdigest(node_id.encode(), seed=_DIGEST_SEED),
        "public_net": net,
        "intra_control_net": net,
        "intra_data_net": net,
    }


async def show_cluster_config(call: NativeCall) -> NativeResponse:
    await _require_show(call)
    return json_response(cluster_config(call.services.node))


async def bmd(call: NativeCall) -> NativeResponse:
    """The map of the buckets (AIStore: BMD), with their properties."""
    await call.require("weir:ShowCluster", Permission.ADMIN)
    buckets, cluster_id = call.store.all_buckets(), call.services.node.cluster_id
    return await asyncio.to_thread(_bmd, buckets, cluster_id)


def _bmd(buckets: Sequence[Bucket], cluster_id: str) -> NativeResponse:
    """In a thread: there may be very many buckets."""
    providers: dict[str, dict[str, dict[str, Any]]] = {}
    for bucket in buckets:
        spaces = providers.setdefault(bucket.ref.provider, {})
        named = spaces.setdefault(bucket.ref.namespace or "@#", {})
        named[bucket.ref.name] = props_json(bucket)
    return json_response({"version": "1", "uuid": cluster_id, "providers": providers, "ext": None})


async def transforms(call: NativeCall) -> NativeResponse:
    """No transformations (ETL) run here."""
    await _require_show(call)
    return json_response([])


async def target_addresses(call: NativeCall) -> NativeResponse:
    await _require_show(call)
    return json_response(
        [snode_json(call, call.services.node.node_id)["public_net"]["node_ip_addr"]]
    )


async def _require_show(call: NativeCall) -> None:
    await call.require("weir:ShowCluster", Permission.SHOW_CLUSTER)


ROWS = (
    Row("GET", "health", 0, health),
    Row("GET", "daemon", 0, smap, what="smap"),
    Row("GET", "daemon", 0, bmd, what="bmd"),
    Row("GET", "cluster", 0, smap, what="smap"),
    Row("GET", "cluster", 0, bmd, what="bmd"),
    Row("GET", "cluster", 0, show_cluster_config, what="cluster_config"),
    Row("GET", "cluster", 0, target_addresses, what="target_ips"),
    Row("GET", "etl", 0, transforms),
)
