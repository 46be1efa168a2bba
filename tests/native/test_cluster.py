"""What native clients ask of the cluster and its nodes."""

from __future__ import annotations

import requests

from tests.server import Server


def test_health_says_how_long_the_node_has_been_up(server: Server, http: requests.Session) -> None:
    reply = http.get(f"{server.endpoint}/v1/health", timeout=10)
    assert reply.status_code == 200
    assert int(reply.headers["Ais-Node-Uptime"]) > 0
    assert int(reply.headers["Ais-Cluster-Uptime"]) > 0
