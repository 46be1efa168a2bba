"""A worker that is told to stop before it serves."""

from __future__ import annotations

import signal
import time
from pathlib import Path

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
