"""The shaper itself: what it delays, caps, counts and spoils."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import ClassVar

import pytest

from tests.shaper import RunningShaper, Shaper, running

DATA = bytes(range(256)) * 4096


class Handler(BaseHTTPRequestHandler):
    """Gives DATA, and keeps what is put."""

    protocol_version = "HTTP/1.1"
    kept: ClassVar[list[bytes]] = []

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(DATA)))
        self.end_headers()
        self.wfile.write(DATA)

    def do_PUT(self) -> None:
        self.kept.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    serving = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{serving.server_port}"
    serving.shutdown()
    thread.join()
    serving.server_close()


@pytest.fixture
def run(server: str) -> Iterator[RunningShaper]:
    with running(server) as made:
        yield made


@pytest.fixture
def shaper(run: RunningShaper) -> Shaper:
    return run.shaper


def ask(shaper: Shaper, method: str = "GET", path: str = "/k", body: bytes | None = None) -> bytes:
    """One request over a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", shaper.port, timeout=10)
    try:
        connection.request(method, path, body)
        reply = connection.getresponse()
        data = reply.read()
        assert reply.status == 200, reply.status
        return data
    finally:
        connection.close()


def test_passes_and_counts(shaper: Shaper) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", shaper.port, timeout=10)
    for _ in range(3):
        connection.request("GET", "/a%20b?x=1")
        assert connection.getresponse().read() == DATA
    connection.request("PUT", "/new", DATA)
    assert connection.getresponse().read() == b""
    connection.close()
    assert Handler.kept[-1] == DATA
    assert shaper.counts.of("GET") == 3
    assert shaper.counts.of("GET", "a%20b?x=1") == 3
    assert shaper.counts.of("PUT") == 1
    assert shaper.counts.down_bytes == 3 * len(DATA)
    assert shaper.counts.up_bytes == len(DATA)
    assert shaper.counts.statuses == {200: 4}


def test_delay_and_rate(shaper: Shaper) -> None:
    shaper.shape.delay_s = 0.1
    began = time.monotonic()
    ask(shaper)
    assert time.monotonic() - began >= 0.1
    shaper.shape.delay_s, shaper.shape.bytes_per_s = 0, len(DATA) * 4
    began = time.monotonic()
    assert ask(shaper) == DATA
    assert time.monotonic() - began >= 0.2


def test_faults(shaper: Shaper) -> None:
    shaper.fail("status", status=429, code="TooManyRequests")
    with pytest.raises(AssertionError, match="429"):
        ask(shaper)
    shaper.fail("cut", at_bytes=1000)
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        ask(shaper)
    shaper.fail("truncate", at_bytes=1000)
    assert ask(shaper) == DATA[:1000]
    shaper.fail("lie", at_bytes=10)
    with pytest.raises(http.client.IncompleteRead):
        ask(shaper)
    shaper.fail("lie", at_bytes=-10)
    assert ask(shaper) == DATA[:-10]
    shaper.fail("flip", at_bytes=300_000)
    spoilt = ask(shaper)
    assert [place for place in range(len(DATA)) if spoilt[place] != DATA[place]] == [300_000]
    shaper.fail("status", method="PUT", times=-1, status=403, code="AccessDenied")
    for _ in range(2):
        with pytest.raises(AssertionError, match="403"):
            ask(shaper, "PUT", body=b"x")
    assert ask(shaper) == DATA


def test_lost_answer(shaper: Shaper) -> None:
    shaper.fail("lose", method="PUT")
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        ask(shaper, "PUT", body=b"arrives")
    assert Handler.kept[-1] == b"arrives"


def test_stall(shaper: Shaper) -> None:
    shaper.fail("stall", at_bytes=1000)
    connection = http.client.HTTPConnection("127.0.0.1", shaper.port, timeout=10)
    connection.request("GET", "/k")
    reply = connection.getresponse()
    assert reply.read(1000) == DATA[:1000]
    shaper.release()
    assert reply.read() == DATA[1000:]
    connection.close()


def test_refuses_and_comes_back(run: RunningShaper) -> None:
    assert ask(run.shaper) == DATA
    run.do(run.shaper.refuse)
    with pytest.raises(ConnectionRefusedError):
        ask(run.shaper)
    run.do(run.shaper.listen)
    assert ask(run.shaper) == DATA
