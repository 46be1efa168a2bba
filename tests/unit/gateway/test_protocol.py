"""The HTTP protocol over real sockets: zero-copy sends, pipelining, early leavers, heads that are too large."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from gateway.protocol import Limits, Protocol


class App:
    """Answers /file with the file, /echo with the body, /late-read only after being released."""

    def __init__(self, file: Path) -> None:
        self.fd = os.open(file, os.O_RDONLY)
        self.size_bytes = file.stat().st_size
        self.gone = asyncio.Event()
        self.release = asyncio.Event()

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        path = scope["raw_path"]
        if path == b"/file":
            try:
                await self._send_file(send)
            except ConnectionError:
                self.gone.set()
        elif path == b"/refuse":
            await _answer(send, 403, b"no")
        elif path == b"/split":
            headers = [(b"content-length", b"0"), (b"a\r\nset-cookie", b"x")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
        elif path == b"/long":
            try:
                await _send_long(send)
            except ConnectionError:
                self.gone.set()
        elif path == b"/slow":
            await self.release.wait()
            await _answer(send, 200, b"slow")
        else:
            body = b""
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    self.gone.set()
                    return
                body += message["body"]
                if not message["more_body"]:
                    break
            await _answer(send, 200, body)

    async def _send_file(self, send: Any) -> None:
        headers = [(b"content-length", b"%d" % self.size_bytes)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        half = self.size_bytes // 2
        for offset, count in ((0, half), (half, self.size_bytes - half)):
            message = {"file": self.fd, "offset": offset, "count": count, "more_body": True}
            await send({"type": "http.response.zerocopysend", **message})
        await send({"type": "http.response.body", "body": b""})


async def _answer(send: Any, status: int, body: bytes) -> None:
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _send_long(send: Any) -> None:
    headers = [(b"content-length", b"%d" % (64 * 1024**2))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for _ in range(64):
        message = {"body": bytes(1024**2), "more_body": True}
        await send({"type": "http.response.body", **message})
    await send({"type": "http.response.body", "body": b""})


@contextlib.asynccontextmanager
async def serving(file: Path) -> AsyncIterator[tuple[App, int]]:
    app = App(file)
    config = uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        timeout_keep_alive=2,
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    listener = await asyncio.get_running_loop().create_server(
        lambda: Protocol(config, server.server_state, {}), "127.0.0.1", 0
    )
    try:
        yield app, listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        for connection in list(server.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0.01)
        os.close(app.fd)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "body"
    path.write_bytes(os.urandom(3 * 1024 * 1024 + 17))
    return path


def run(coroutine: Any) -> None:
    asyncio.run(asyncio.wait_for(coroutine, 20))


def test_zero_copy_sends_the_file_and_keeps_the_connection(file: Path) -> None:
    async def scenario() -> None:
        async with serving(file) as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for _ in range(2):
                writer.write(b"GET /file HTTP/1.1\r\nhost: x\r\n\r\n")
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 200")
                assert await reader.readexactly(file.stat().st_size) == file.read_bytes()
            writer.close()

    run(scenario())


def test_zero_copy_reader_that_leaves_ends_the_send(file: Path) -> None:
    os.truncate(file, 64 * 1024 * 1024)  # more than any socket buffer takes

    async def scenario() -> None:
        async with serving(file) as (app, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
            writer.write(b"GET /file HTTP/1.1\r\nhost: x\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            writer.transport.abort()
            await asyncio.wait_for(app.gone.wait(), 5)

    run(scenario())


def test_pipelined_requests_are_answered_in_order(file: Path) -> None:
    async def scenario() -> None:
        async with serving(file) as (app, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(
                b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n"
                b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello"
                b"GET /refuse HTTP/1.1\r\nhost: x\r\n\r\n"
            )
            await asyncio.sleep(0.05)
            app.release.set()
            got = b""
            for _ in range(3):
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                got += await reader.readexactly(length) + b"|"
            assert got == b"slow|hello|no|"
            writer.close()

    run(scenario())


def test_large_body_arrives_whole(file: Path) -> None:
    async def scenario() -> None:
        async with serving(file) as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            body = file.read_bytes()
            writer.write(b"PUT /echo HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body))
            writer.write(body)
            await reader.readuntil(b"\r\n\r\n")
            assert await reader.readexactly(len(body)) == body
            writer.close()

    run(scenario())


@pytest.mark.parametrize("cut", [1, 50, 60, 70_000, 199_999, 200_000, 200_100])
def test_what_follows_a_body_is_the_next_request(file: Path, cut: int) -> None:
    """However the bytes are cut into reads: bodies go past the parser, which must not notice."""
    body, other = os.urandom(200_000 - 55), b"x" * 20
    sent = b"PUT /echo HTTP/1.1\r\nhost: h\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    sent += b"PUT /echo HTTP/1.1\r\nhost: h\r\ncontent-length: %d\r\n\r\n%b" % (len(other), other)
    sent += b"GET /echo HTTP/1.1\r\nhost: h\r\n\r\n"

    async def scenario() -> None:
        async with serving(file) as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for piece in (sent[:cut], sent[cut:]):
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.01)
            for expected in (body, other, b""):
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 200")
                assert await reader.readexactly(len(expected)) == expected
            writer.close()

    run(scenario())


@pytest.mark.parametrize(
    "length", [b"5, 5", b"+5", b"5_0", b"", b"5\r\ntransfer-encoding: chunked"]
)
def test_doubtful_length_is_refused(file: Path, length: bytes) -> None:
    async def scenario() -> None:
        async with serving(file) as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"PUT /echo HTTP/1.1\r\nhost: h\r\ncontent-length: %b\r\n\r\n" % length)
            assert (await reader.readline()).startswith(b"HTTP/1.1 400")
            writer.close()

    run(scenario())


def test_refused_expectation_is_never_continued_and_closes(file: Path) -> None:
    async def scenario() -> None:
        async with serving(file) as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(
                b"PUT /refuse HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n"
            )
            answer = await reader.read()
            assert answer.startswith(b"HTTP/1.1 403")
            assert b"connection: close" in answer
            writer.close()

    run(scenario())


def test_accepted_expectation_is_continued(file: Path) -> None:
    async def scenario() -> None:
        async with serving(file) as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(
                b"PUT /echo HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n"
            )
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
            writer.write(b"ok")
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
            writer.close()

    run(scenario())


def test_sender_that_leaves_is_noticed(file: Path) -> None:
    async def scenario() -> None:
        async with serving(file) as (app, port):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"PUT /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\npart")
            await writer.drain()
            await asyncio.sleep(0.05)
            writer.transport.abort()
            await asyncio.wait_for(app.gone.wait(), 5)

    run(scenario())


@pytest.mark.parametrize(
    "head",
    [
        b"GET /file HTTP/1.1\r\nhost: x\r\nx-long: " + b"y" * Limits().head_bytes + b"\r\n\r\n",
        b"GET /" + b"y" * Limits().head_bytes + b" HTTP/1.1\r\nhost: x\r\n\r\n",
        b"this is not http\r\n\r\n",
    ],
)
def test_bad_heads_are_refused_with_xml(file: Path, head: bytes) -> None:
    async def scenario() -> None:
        async with serving(file) as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(head)
            answer = await reader.read()
            assert answer.startswith(b"HTTP/1.1 400")
            assert b"<Error><Code>" in answer
            writer.close()

    run(scenario())


def test_request_before_bad_bytes_is_answered(file: Path) -> None:
    async def scenario() -> None:
        async with serving(file) as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"PUT /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nbar")
            answer = await reader.read()
            assert answer.startswith(b"HTTP/1.1 200")
            assert answer.endswith(b"\r\n\r\nba")
            writer.close()

    run(scenario())


def test_dripped_head_is_cut_off(file: Path) -> None:
    async def scenario() -> None:
        async with serving(file) as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for byte in b"GET /file HTTP/1.1\r\nhost: x":
                if reader.at_eof():
                    break
                writer.write(bytes([byte]))
                await asyncio.sleep(0.15)
            assert await reader.read() == b""
            writer.close()

    run(scenario())


def test_a_line_break_in_a_header_name_is_not_sent(file: Path) -> None:
    async def scenario() -> None:
        async with serving(file) as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /split HTTP/1.1\r\nhost: x\r\n\r\n")
            assert b"set-cookie" not in await reader.read()
            writer.close()

    run(scenario())


def test_a_reader_that_takes_nothing_is_cut_off(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Protocol, "limits", Limits(stall_timeout_s=0.2))

    async def scenario() -> None:
        async with serving(file) as (app, port):
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(b"GET /long HTTP/1.1\r\nhost: x\r\n\r\n")
                await asyncio.wait_for(app.gone.wait(), 5)

    run(scenario())
