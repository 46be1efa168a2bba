"""What native clients ask of the cluster and its nodes."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest
import requests
import xxhash
from aistore.sdk import Client
from aistore.sdk.enums import LogSeverity, NodeFilter
from aistore.sdk.errors import AISError

from tests.native.sdk import connect
from tests.server import Server, ServerOptions


def ask(server: Server, http: requests.Session, resource: str, what: str) -> Any:
    reply = http.get(f"{server.endpoint}/v1/{resource}", params={"what": what}, timeout=10)
    assert reply.status_code == 200, reply.text
    assert reply.headers["Content-Type"] == "application/json"
    return reply.json()


# --- the map -------------------------------------------------------------------------------------------------------


def test_map_of_the_nodes(client: Client, server: Server) -> None:
    found = client.cluster().get_info()
    assert found.version != 0
    assert found.uuid == client.cluster().get_uuid() != ""
    (target_id, target) = next(iter(found.tmap.items()))
    assert len(found.tmap) == len(found.pmap) == 1
    assert target.daemon_id == target_id
    assert (target.daemon_type, found.proxy_si.daemon_type) == ("target", "proxy")
    assert found.proxy_si.daemon_id in found.pmap
    assert target.id_digest == xxhash.xxh64_intdigest(target_id.encode(), seed=1103515245)
    assert target.public_net.daemon_port == str(server.port)
    assert client.cluster().get_primary_url() == server.endpoint
    assert found.get_target_for_object("ais/@#/bucket/name") == target


def test_map_names_the_host_that_the_client_uses(server: Server, http: requests.Session) -> None:
    reply = http.get(
        f"{server.endpoint}/v1/daemon?what=smap", headers={"Host": "localhost:8080"}, timeout=10
    )
    net = reply.json()["proxy_si"]["public_net"]
    assert net["direct_url"] == "http://localhost:8080"
    assert (net["node_hostname"], net["daemon_port"]) == ("localhost", "8080")


def test_names_last_over_restarts(tmp_path: Path) -> None:
    server = Server(ServerOptions([tmp_path / "data"], workers=1, arguments=("--no-auth",)))
    seen = []
    for _ in range(2):
        server.start()
        try:
            found = connect(server).cluster().get_info()
            seen.append((found.uuid, *found.tmap, *found.pmap))
        finally:
            server.stop()
    assert seen[0] == seen[1]


# --- health --------------------------------------------------------------------------------------------------------


def test_is_ready(client: Client) -> None:
    assert client.cluster().is_ready()


@pytest.mark.parametrize("query", ["", "?prr=true", "?readiness=true"])
def test_health_says_how_long_the_node_has_been_up(
    server: Server, http: requests.Session, query: str
) -> None:
    reply = http.get(f"{server.endpoint}/v1/health{query}", timeout=10)
    assert reply.status_code == 200
    assert int(reply.headers["Ais-Node-Uptime"]) > 0
    assert int(reply.headers["Ais-Cluster-Uptime"]) > 0


# --- settings and state --------------------------------------------------------------------------------------------


def test_cluster_config(server: Server, http: requests.Session) -> None:
    config = ask(server, http, "cluster", "cluster_config")
    assert config["auth"]["client_auth_required"] is False
    assert not config["auth"]["enabled"]
    assert not config["auth"]["intra_cluster"]["enabled"]
    assert not config["mirror"]["enabled"]
    assert not config["ec"]["enabled"]
    assert config["features"] == "0"
    assert config["uuid"] == ask(server, http, "daemon", "smap")["uuid"]


@pytest.mark.parametrize(
    "what",
    ["config", "snode", "sysinfo", "mountpaths", "disk", "node_stats", "node_status", "bmd"],
)
def test_what_nodes_answer(server: Server, http: requests.Session, what: str) -> None:
    assert isinstance(ask(server, http, "daemon", what), dict)


def test_what_the_cluster_has_not(server: Server, http: requests.Session) -> None:
    assert ask(server, http, "cluster", "backends") == []
    assert ask(server, http, "etl", "") == []
    assert ask(server, http, "cluster", "remote")["a"] is None
    assert ask(server, http, "cluster", "target_ips") == ["127.0.0.1"]


def test_performance(client: Client) -> None:
    found = client.cluster().get_performance()
    assert set(found) == set(client.cluster().get_info().tmap)
    (status,) = found.values()
    assert status["snode"]["daemon_type"] == "target"
    assert int(status["capacity"]["total"]) > 0
    assert int(status["tracker"]["up.ns.time"]["v"]) > 0


@pytest.mark.parametrize(
    ("method", "path", "action"),
    [
        ("PUT", "cluster", "set-config"),
        ("PUT", "cluster", "reset-config"),
        ("PUT", "cluster", "shutdown"),
        ("PUT", "daemon", "set-config"),
        ("PUT", "cluster/set-config", ""),
        ("POST", "cluster/join-by-admin", ""),
    ],
)
def test_what_one_node_cannot_do(
    server: Server, http: requests.Session, method: str, path: str, action: str
) -> None:
    body = {"action": action, "name": "", "value": None}
    reply = http.request(method, f"{server.endpoint}/v1/{path}", json=body, timeout=10)
    assert reply.status_code == 501
    assert reply.json()["message"]


@pytest.mark.parametrize("path", ["cluster?what=nonsense", "daemon", "reverse/daemon?what=log"])
def test_queries_that_are_none(server: Server, http: requests.Session, path: str) -> None:
    assert http.get(f"{server.endpoint}/v1/{path}", timeout=10).status_code == 400


# --- logs ----------------------------------------------------------------------------------------------------------


def test_logs_of_all_nodes(client: Client) -> None:
    found = client.cluster().get_cluster_logs(role=NodeFilter.ALL)
    assert len(found) == 2
    for node_id, text in found.items():
        assert text.startswith(f"node {node_id} of cluster {client.cluster().get_uuid()}")
        assert "ACCESS CONTROL IS OFF" in text


def test_log_by_severity(client: Client) -> None:
    node_id = next(iter(client.cluster().get_info().tmap))
    warnings = client.cluster().get_node_log(node_id, LogSeverity.WARNING)
    assert "ACCESS CONTROL IS OFF" in warnings
    assert " info " not in warnings
    assert "ACCESS CONTROL" not in client.cluster().get_node_log(node_id, LogSeverity.ERROR)


def test_log_archive(client: Client) -> None:
    node_id = next(iter(client.cluster().get_info().tmap))
    packed = client.cluster().get_node_log_archive(node_id)
    with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as archive:
        assert {"node.txt", "weir.log"} <= set(archive.getnames())


def test_node_that_is_not_there(client: Client) -> None:
    with pytest.raises(AISError) as caught:
        client.cluster().get_node_log("t00000000")
    assert caught.value.status_code == 404


# --- access --------------------------------------------------------------------------------------------------------


def test_strangers_learn_nothing_but_health(tmp_path: Path, http: requests.Session) -> None:
    server = Server(ServerOptions([tmp_path / "data"], workers=1))
    server.start()
    try:
        url = f"{server.endpoint}/v1"
        assert http.get(f"{url}/health", timeout=10).status_code == 200
        for path in (
            "daemon?what=smap",
            "daemon?what=config",
            "cluster?what=cluster_config",
            "cluster?what=bmd",
            "daemon?what=log",
            "buckets",
        ):
            reply = http.get(f"{url}/{path}", timeout=10)
            assert (path, reply.status_code) == (path, 401)
            assert "token required" in reply.text
    finally:
        server.stop()
