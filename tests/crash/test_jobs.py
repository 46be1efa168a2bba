"""A native job loses its worker, or the store its server, while a client waits for it through the SDK."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from aistore.sdk import Bucket, Client
from aistore.sdk.job import Job
from aistore.sdk.wait_result import WaitResult

from tests.server import Server, ServerOptions

pytestmark = [pytest.mark.crash, pytest.mark.slow]

OBJECTS = 1500


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    running = Server(ServerOptions([tmp_path / "data"], arguments=("--no-auth",)))
    running.start()
    yield running
    running.stop()


@pytest.fixture
def client(server: Server) -> Client:
    """The SDK's own retries carry it over the restart of a server."""
    return Client(server.endpoint, timeout=(5, 30))


@pytest.fixture
def source(client: Client) -> Bucket:
    bucket: Bucket = client.bucket("source").create()
    for number in range(OBJECTS):
        bucket.object(f"{number:05}").get_writer().put_content(b"%05d" % number)
    return bucket


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


class Waiter:
    """Waits for a job in a thread, as a client's program would."""

    def __init__(self, job: Job) -> None:
        self._results: list[WaitResult] = []
        self._thread = threading.Thread(target=self._wait, args=(job,))
        self._thread.start()

    def _wait(self, job: Job) -> None:
        self._results.append(job.wait(timeout=60, verbose=False))

    def result(self) -> WaitResult:
        self._thread.join(90)
        assert self._results, "the client waits still"
        return self._results[0]


def until_begun(job: Job) -> None:
    deadline = time.monotonic() + 30
    while True:
        (snapshot,) = job.get_details().list_snapshots()
        assert time.monotonic() < deadline, "the job does not begin"
        if snapshot.stats is not None and snapshot.stats.objects:
            return


@pytest.mark.parametrize("happens", [kill_worker, kill_all])
def test_a_copy_goes_on_after_a_death(
    server: Server, client: Client, source: Bucket, happens: Callable[[Server], None]
) -> None:
    target = client.bucket("target")
    job = client.job(source.copy(target, num_workers=2))
    waiter = Waiter(client.job(job.job_id))
    until_begun(job)
    happens(server)
    assert waiter.result().success
    assert len(target.list_all_objects()) == OBJECTS
    assert target.object("01499").get_reader().read_all() == b"01499"


def test_a_stop_reaches_a_job_over_a_death(server: Server, client: Client, source: Bucket) -> None:
    job = client.job(source.copy(client.bucket("target"), num_workers=-1))
    until_begun(job)
    kill_worker(server)
    job.abort()
    result = Waiter(client.job(job.job_id)).result()
    assert not result.success
    assert result.error
