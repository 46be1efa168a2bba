"""`weir job` on a server whose jobs native clients see too."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aistore.sdk import Bucket, Client

from tests.native.sdk import connect
from tests.server import Server, ServerOptions


def fill(bucket: Bucket, *names: str) -> None:
    for name in names:
        bucket.object(name).get_writer().put_content(b"x")


def listed(server: Server) -> dict[str, dict[str, Any]]:
    rows = json.loads(server.admin("job", "ls", "--all", "--json").stdout)
    return {row["id"]: row for row in rows}


def test_a_copy_is_started_and_followed(
    server: Server, client: Client, bucket: Bucket, make_bucket: Callable[[], Bucket]
) -> None:
    fill(bucket, "a.jpeg", "b.jpeg")
    to = make_bucket()
    options = ("--bucket", bucket.name, "--to", to.name, "--ext", "jpeg=jpg")
    job_id = server.admin("job", "start", "copy-bck", *options).stdout.strip()
    done = server.admin("job", "wait", job_id, "--progress", "--timeout", "30")
    assert "\x1b" not in done.stdout + done.stderr
    assert "2 objects" in done.stdout
    assert [entry.name for entry in to.list_all_objects()] == ["a.jpg", "b.jpg"]
    row = listed(server)[job_id]
    assert (row["state"], row["buckets"]) == ("finished", f"{bucket.name} -> {to.name}")
    (snapshot,) = client.job(job_id).get_details().list_snapshots()
    assert (snapshot.kind, snapshot.is_idle) == ("copy-bck", True)


def test_an_idle_job_of_a_client_is_shown_and_stopped(
    server: Server, client: Client, bucket: Bucket, make_bucket: Callable[[], Bucket]
) -> None:
    fill(bucket, "a")
    (job_id,) = bucket.objects(obj_names=["a"]).copy(make_bucket())
    server.admin("job", "wait", job_id, "--timeout", "30")
    assert listed(server)[job_id]["state"] in ("idle", "finished")
    server.admin("job", "stop", job_id)
    assert client.job(job_id).wait(timeout=4, verbose=False).job_id == job_id


def test_without_a_server_the_command_copies_encrypted_objects(tmp_path: Path) -> None:
    settings = {"WEIR_ENCRYPTION_NEW_BUCKETS": "AES256"}
    options = ServerOptions([tmp_path / "data"], arguments=("--no-auth",), environment=settings)
    server = Server(options)
    server.start()
    try:
        client = connect(server)
        source, to = client.bucket("source").create(), client.bucket("to").create()
        fill(source, "a")
        server.stop()
        server.admin("job", "start", "copy-bck", "--bucket", "source", "--to", "to")
        server.start()
        assert to.object("a").get_reader().read_all() == b"x"
    finally:
        server.stop()
