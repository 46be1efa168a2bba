"""Owns what native clients ask of the cluster and its nodes."""

from __future__ import annotations

from gateway.native.call import NativeCall, NativeResponse, Row


async def health(call: NativeCall) -> NativeResponse:
    """200 once the node serves; it answers at all only then."""
    node = call.services.node
    up_ns = b"%d" % (call.services.clock.now_ns() - node.started_ns)
    return NativeResponse(headers=[(b"ais-cluster-uptime", up_ns), (b"ais-node-uptime", up_ns)])


ROWS = (Row("GET", "health", 0, health),)
