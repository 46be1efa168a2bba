"""Owns what native clients ask of a node: its settings, state, disks and log. The one node answers as proxy and as
target, directly or by the name that clients give it.
"""

from __future__ import annotations

import asyncio

from core.claims import Permission
from core.errors import InvalidArgument
from gateway.native.call import (
    Handler,
    NativeCall,
    NativeResponse,
    Row,
    json_response,
    text_response,
)
from gateway.native.capacity import capacity_json, mountpath_uses_sync, system_json_sync
from gateway.native.cluster_config import cluster_config
from gateway.native.faults import NoSuchNode, NotServed
from gateway.native.operations.cluster import bmd, smap, snode_json
from gateway.native.times import rfc3339
from gateway.node_log import archive_log_sync, read_log_sync

_SEVERITIES = ("", "info", "warning", "error", "i", "w", "e")


def _node_id(call: NativeCall) -> str:
    """The node that the request is for. Raises NoSuchNode."""
    node = call.services.node
    named = call.request.headers.get("ais-node-id", "")
    if not named:
        return node.proxy_id
    if named not in (node.node_id, node.proxy_id):
        raise NoSuchNode(node_id=named[:64])
    return named


async def show_config(call: NativeCall) -> NativeResponse:
    """The cluster's settings, and what is the node's own."""
    node = call.services.node
    host = snode_json(call, node.node_id)["public_net"]
    return json_response(
        {
            **cluster_config(node),
            "confdir": str(node.data_dirs[0]) if node.data_dirs else "",
            "log_dir": "",
            "host_net": {"hostname": host["node_hostname"], "port": host["daemon_port"]},
            "fspaths": {str(path): "" for path in node.data_dirs},
            "test_fspaths": {"root": "", "count": 0, "instance": 0},
        }
    )


async def node_status(call: NativeCall) -> NativeResponse:
    """Counters of requests are in the access log and in metrics, not here."""
    node, node_id = call.services.node, _node_id(call)
    uses = await asyncio.to_thread(mountpath_uses_sync, node.data_dirs)
    up_ns = call.services.clock.now_ns() - node.started_ns
    return json_response(
        {
            "snode": snode_json(call, node_id),
            "tracker": {"up.ns.time": {"v": str(up_ns)}},
            "capacity": capacity_json(uses) if node_id == node.node_id else {},
            "status": "online",
            "deployment": "",
            "ais_version": node.version,
            "build_time": "",
            "k8s_pod_name": "",
            "sys_info": await asyncio.to_thread(system_json_sync),
            "smap_version": "1",
            "cluster": {"cluster_version": "1", "node_started": rfc3339(node.started_ns)},
        }
    )


async def node_stats(call: NativeCall) -> NativeResponse:
    node_id = _node_id(call)
    up_ns = call.services.clock.now_ns() - call.services.node.started_ns
    return json_response(
        {"snode": snode_json(call, node_id), "tracker": {"up.ns.time": {"v": str(up_ns)}}}
    )


async def snode(call: NativeCall) -> NativeResponse:
    return json_response(snode_json(call, _node_id(call)))


async def sysinfo(call: NativeCall) -> NativeResponse:
    """Of the machine; asked of the cluster, by node."""
    said = await asyncio.to_thread(system_json_sync)
    if call.request.resource != "cluster":
        return json_response(said)
    node = call.services.node
    uses = await asyncio.to_thread(mountpath_uses_sync, node.data_dirs)
    target = {**said, **capacity_json(uses)}
    return json_response({"proxy": {node.proxy_id: said}, "target": {node.node_id: target}})


async def mountpaths(call: NativeCall) -> NativeResponse:
    """Those that serve are available; nothing is disabled or waits to be."""
    health = {} if call.services.health is None else await call.services.health()
    serving = [path for path, state in health.items() if state in ("ok", "OutOfSpace")]
    failed = [path for path in health if path not in serving]
    return json_response({"available": serving, "waiting_dd": [], "disabled": failed})


async def disks(call: NativeCall) -> NativeResponse:
    """How full the disks are, by mountpath."""
    uses = await asyncio.to_thread(mountpath_uses_sync, call.services.node.data_dirs)
    return json_response(capacity_json(uses)["mountpaths"])


async def software_version(call: NativeCall) -> NativeResponse:
    return json_response(call.services.node.version)


async def metric_names(call: NativeCall) -> NativeResponse:
    return json_response({"up.ns.time": "total"})


async def certificate(call: NativeCall) -> NativeResponse:
    """The certificate is the operator's file; what it says, any TLS client is shown."""
    raise NotServed(reason="details of the TLS certificate are not served")


async def show_log(call: NativeCall) -> NativeResponse:
    """The last of the log; with `all`, what is kept of it as a tar.gz."""
    node, node_id = call.services.node, _node_id(call)
    severity = call.request.query.get("severity", "").lower()
    if severity not in _SEVERITIES:
        reason = f"no such severity: {severity[:16]}"
        raise InvalidArgument(name="severity", value=severity[:16], reason=reason)
    head = (
        f"node {node_id} of cluster {node.cluster_id}, weir {node.version}, "
        f"started {rfc3339(node.started_ns)}\n"
    )
    if call.request.flag("all"):
        archive = await asyncio.to_thread(archive_log_sync, node.log_dir, head)
        return NativeResponse(200, [(b"content-type", b"application/x-gtar")], archive)
    least = {"w": "warning", "e": "error"}.get(severity, severity)
    text = await asyncio.to_thread(read_log_sync, node.log_dir, least)
    is_everything = least in ("", "info", "i")
    return text_response(head + text if is_everything else text)


async def refuse_settings(call: NativeCall) -> NativeResponse:
    """Settings come from the operator's file, environment and command line, and hold from the start."""
    await call.require("weir:ConfigureCluster", Permission.ADMIN)
    reason = "settings are changed where weir is started, not over the API"
    raise NotServed(reason=reason)


async def refuse_membership(call: NativeCall) -> NativeResponse:
    """There is one node, which no other joins or takes over from."""
    await call.require("weir:ConfigureCluster", Permission.ADMIN)
    raise NotServed(reason="this cluster has one node, by its settings")


_QUERIES: dict[str, tuple[Handler, Permission]] = {
    "config": (show_config, Permission.SHOW_CLUSTER),
    "node_status": (node_status, Permission.SHOW_CLUSTER),
    "node_stats": (node_stats, Permission.SHOW_CLUSTER),
    "stats": (node_stats, Permission.SHOW_CLUSTER),
    "snode": (snode, Permission.SHOW_CLUSTER),
    "sysinfo": (sysinfo, Permission.SHOW_CLUSTER),
    "mountpaths": (mountpaths, Permission.SHOW_CLUSTER),
    "disk": (disks, Permission.SHOW_CLUSTER),
    "software_version": (software_version, Permission.SHOW_CLUSTER),
    "metrics": (metric_names, Permission.SHOW_CLUSTER),
    "tls_certificate": (certificate, Permission.SHOW_CLUSTER),
    "log": (show_log, Permission.ADMIN),
}
"""Question → who answers, and what the asker must be permitted. Logs name buckets and users of everybody."""


def _of_node(handler: Handler, permission: Permission) -> Handler:
    async def answer(call: NativeCall) -> NativeResponse:
        await call.require("weir:ShowCluster", permission)
        _node_id(call)
        return await handler(call)

    answer.__name__ = handler.__name__
    return answer


def _forwarded(handler: Handler) -> Handler:
    """For /v1/reverse/daemon, which says by a header which node is to answer."""

    async def answer(call: NativeCall) -> NativeResponse:
        if bytes(call.request.names[0]) != b"daemon" or not call.request.headers.get("ais-node-id"):
            raise InvalidArgument(
                name="Ais-Node-Id", value="", reason="a node's daemon is to be named"
            )
        _node_id(call)
        return await handler(call)

    answer.__name__ = handler.__name__
    return answer


def _rows() -> list[Row]:
    asked = {what: _of_node(handler, needed) for what, (handler, needed) in _QUERIES.items()}
    rows = [Row("GET", "daemon", 0, handler, what=what) for what, handler in asked.items()]
    forwarded = {**asked, "smap": smap, "bmd": bmd}
    rows += [
        Row("GET", "reverse", 1, _forwarded(handler), what=what)
        for what, handler in forwarded.items()
    ]
    rows += [
        Row("GET", "cluster", 0, asked[what], what=what)
        for what in ("sysinfo", "node_stats", "stats", "mountpaths", "software_version")
    ]
    return rows


_SETTINGS_ACTIONS = (
    "set-config",
    "reset-config",
    "rotate-logs",
    "reset-stats",
    "clear-lcache",
    "reload-creds",
)
_MEMBERSHIP_ACTIONS = (
    "start-maintenance",
    "stop-maintenance",
    "decommission-node",
    "shutdown-node",
    "shutdown",
    "decommission",
)

ROWS = (
    *_rows(),
    *(Row("PUT", "cluster", 0, refuse_settings, action) for action in _SETTINGS_ACTIONS),
    *(Row("PUT", "daemon", 0, refuse_settings, action) for action in _SETTINGS_ACTIONS),
    *(Row("PUT", "cluster", 0, refuse_membership, action) for action in _MEMBERSHIP_ACTIONS),
    Row("PUT", "cluster", -1, refuse_membership),
    Row("PUT", "daemon", -1, refuse_membership),
    Row("POST", "cluster", -1, refuse_membership),
)
