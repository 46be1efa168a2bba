"""Bodies that a cycle reads from the socket itself: whole, in order, and no byte of what follows them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

from gateway.protocol import Limits, Protocol
from tests.unit.gateway.test_protocol import serving

NewLoop = Callable[[], asyncio.AbstractEventLoop]
SIZE_BYTES = 5 * 1024 * 1024 + 3


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def new_loop(request: pytest.FixtureRequest) -> NewLoop:
    made: NewLoop = request.param
    return made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "body"
    path.write_bytes(b"x")
    return path


def run(new_loop: NewLoop, coroutine: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(asyncio.wait_for(coroutine, 60))


def head(size_bytes: int) -> bytes:
    return b"PUT /echo HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % size_bytes


async def read_answer(reader: asyncio.StreamReader) -> bytes:
    lines = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(lines.partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return await reader.readexactly(length)


@pytest.mark.parametrize("piece_bytes", [1000_003, SIZE_BYTES])
def test_what_follows_is_the_next_request(new_loop: NewLoop, file: Path, piece_bytes: int) -> None:
    async def scenario() -> None:
        body = os.urandom(SIZE_BYTES)
        sent = head(SIZE_BYTES) + body + head(SIZE_BYTES) + body + head(2) + b"ab"
        async with serving(file) as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            answers = asyncio.create_task(_read_answers(reader, 3))
            for first in range(0, len(sent), piece_bytes):
                writer.write(sent[first : first + piece_bytes])
                await writer.drain()
                await asyncio.sleep(0)
            assert await answers == [body, body, b"ab"]
            writer.close()

    run(new_loop, scenario())


async def _read_answers(reader: asyncio.StreamReader, count: int) -> list[bytes]:
    return [await read_answer(reader) for _ in range(count)]


def test_a_sender_that_leaves_is_noticed(new_loop: NewLoop, file: Path) -> None:
    async def scenario() -> None:
        async with serving(file) as (app, port):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(head(SIZE_BYTES) + bytes(2 * 1024 * 1024))
            await writer.drain()
            writer.transport.abort()
            await app.gone.wait()

    run(new_loop, scenario())


def test_one_that_only_stops_sending_is_answered(new_loop: NewLoop, file: Path) -> None:
    async def scenario() -> None:
        async with serving(file) as (app, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n" + head(2) + b"ab")
            writer.write_eof()
            await asyncio.sleep(0.05)
            app.release.set()
            assert await _read_answers(reader, 2) == [b"slow", b"ab"]
            assert await reader.read() == b""
            writer.close()

    run(new_loop, scenario())


def test_one_that_stops_within_a_body_is_not(new_loop: NewLoop, file: Path) -> None:
    async def scenario() -> None:
        async with serving(file) as (app, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(head(10) + b"ab")
            writer.write_eof()
            await app.gone.wait()
            assert await reader.read() == b""
            writer.close()

    run(new_loop, scenario())


def test_a_sender_that_stalls_is_given_up(
    new_loop: NewLoop, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Protocol, "limits", Limits(stall_timeout_s=0.05))

    async def scenario() -> None:
        async with serving(file) as (app, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(head(SIZE_BYTES) + bytes(1000))
            await app.gone.wait()
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await reader.readexactly(1)
            writer.close()

    run(new_loop, scenario())
