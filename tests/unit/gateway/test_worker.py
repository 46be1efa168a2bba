"""A worker that is told to stop before it serves, and the CPUs that workers run on."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
import uvicorn

from gateway.worker import Stop
from tests.server import Server, ServerOptions


async def nothing(*_: object) -> None:
    """An ASGI application that is never called."""


def test_a_stop_that_comes_early_is_remembered() -> None:
    for is_early in (True, False):
        stop, server = Stop(), uvicorn.Server(uvicorn.Config(nothing))
        if is_early:
            stop(signal.SIGTERM, None)
        stop.tell(server)
        assert server.should_exit is is_early
        stop(signal.SIGTERM, None)
        assert server.should_exit


def test_a_node_stops_at_once_whatever_its_workers_have_come_to(tmp_path: Path) -> None:
    """It answers as soon as one of them does."""
    server = Server(ServerOptions([tmp_path / "data"]))
    for number in range(6):
        server.start()
        time.sleep(number * 0.01)
        assert server.stop(timeout_s=10) == 0


def cpus_of_threads(server: Server, worker: int) -> list[set[int]]:
    """The main thread's come first."""
    [pid] = [
        pid
        for pid in server.tree()
        if Path(f"/proc/{pid}/comm").read_text().strip() == f"weir-worker-{worker}"
    ]
    threads = sorted(int(each) for each in os.listdir(f"/proc/{pid}/task"))
    return [os.sched_getaffinity(thread) for thread in threads]


@pytest.mark.parametrize("keep", [True, False])
def test_loop_and_commits_of_a_worker_keep_to_a_cpu(tmp_path: Path, keep: bool) -> None:
    cpus = os.sched_getaffinity(0)
    environment = {"WEIR_KEEP_TO_CPUS": str(keep).lower()}
    server = Server(ServerOptions([tmp_path / "data"], len(cpus), environment=environment))
    server.start()
    try:
        for worker, cpu in enumerate(sorted(cpus)[:2]):
            threads = cpus_of_threads(server, worker)
            assert threads[0] == ({cpu} if keep else cpus)
            assert not keep or threads.count({cpu}) >= 2, "the commits are elsewhere"
    finally:
        server.stop()
