"""The lifecycle job loses its worker in the middle, and the store its server: what was begun is ended, and no more."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mypy_boto3_s3 import S3Client

from tests.s3compat.boto import connect, list_keys
from tests.server import Server, ServerOptions

pytestmark = [pytest.mark.crash, pytest.mark.slow]

EXPIRING = 600
KEPT = 150


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    settings = {"WEIR_LIFECYCLE_DAY_S": "0.001", "WEIR_LIFECYCLE_INTERVAL_S": "1e6"}
    settings["WEIR_LIFECYCLE_ACTIONS_PER_S"] = "100"
    running = Server(ServerOptions([tmp_path / "data"], environment=settings))
    running.start()
    yield running
    running.stop()


@pytest.fixture
def client(server: Server) -> S3Client:
    made = connect(server)
    made.create_bucket(Bucket="bucket")
    for number in range(EXPIRING + KEPT):
        prefix = "old" if number < EXPIRING else "kept"
        made.put_object(Bucket="bucket", Key=f"{prefix}/{number:04}", Body=b"x")
    rule: Any = {
        "ID": "r",
        "Status": "Enabled",
        "Filter": {"Prefix": "old/"},
        "Expiration": {"Days": 1},
    }
    made.put_bucket_lifecycle_configuration(
        Bucket="bucket", LifecycleConfiguration={"Rules": [rule]}
    )
    return made


def status(server: Server, job_id: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(server.admin("job", "status", job_id, "--json").stdout)
    return found


def begin(server: Server) -> str:
    """Start the job, and wait until it is in its middle."""
    job_id = server.admin("job", "start", "lifecycle", "--bucket", "bucket").stdout.strip()
    deadline = time.monotonic() + 30
    while not status(server, job_id)["objects"]:
        assert time.monotonic() < deadline, "the job does not begin"
    return job_id


def job_worker(server: Server) -> int:
    """The process id of the job worker, by the name that it shows."""
    for pid in server.tree():
        if Path(f"/proc/{pid}/comm").read_text().strip() == "weir-jobs":
            return pid
    raise AssertionError("no job worker")


def kill_worker(server: Server) -> None:
    os.kill(job_worker(server), signal.SIGKILL)


def kill_all(server: Server) -> None:
    server.kill()
    server.start()


def restart(server: Server) -> None:
    assert server.stop() == 0
    server.start()


@pytest.mark.parametrize("happens", [kill_worker, kill_all, restart])
def test_the_job_goes_on(
    server: Server, client: S3Client, happens: Callable[[Server], None]
) -> None:
    job_id = begin(server)
    happens(server)
    server.admin("job", "wait", job_id, "--timeout", "60")
    found = status(server, job_id)
    assert (found["state"], found["error"]) == ("finished", "")
    left = list_keys(connect(server), "bucket")
    assert len(left) == KEPT
    assert all(key.startswith("kept/") for key in left)


def test_a_job_stops_and_stays_stopped(server: Server, client: S3Client) -> None:
    job_id = begin(server)
    server.admin("job", "stop", job_id)
    waited = server.admin("job", "wait", job_id, "--timeout", "60", is_checked=False)
    assert waited.returncode == 1
    assert status(server, job_id)["state"] == "stopped"
    restart(server)
    assert status(server, job_id)["state"] == "stopped"
    assert len(list_keys(connect(server), "bucket")) > KEPT


def test_without_a_server_the_command_does_the_job(server: Server, client: S3Client) -> None:
    job_id = begin(server)
    server.kill()
    orphan = server.admin("job", "wait", job_id, is_checked=False)
    assert orphan.returncode == 1
    assert "no server runs" in orphan.stderr
    server.admin("job", "start", "lifecycle")
    server.start()
    server.admin("job", "wait", job_id, "--timeout", "60")
    assert len(list_keys(connect(server), "bucket")) == KEPT
