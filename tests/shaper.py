"""Owns Shaper: a proxy of HTTP/1.1 on loopback that makes a server behave like a cloud, for tests and measurements.

It delays the first byte of answers, caps the bandwidth of each stream in both directions, counts what passes, and goes
wrong on demand. Requests pass byte for byte, Host and signatures included.

In tests: `with shaped(endpoint, delay_s=0.03, bytes_per_s=50_000_000) as shaper: ... shaper.endpoint`. As a process of
its own: `python -m tests.shaper --target URL --listen PORT --delay-ms 30 --mib-per-s 50`; GET /-/shaper there tells
the counts, and POST /-/shaper sets them to zero.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

BLOCK_BYTES = 256 * 1024
MAX_HEAD_BYTES = 64 * 1024
COUNTS_PATH = "/-/shaper"

Kind = Literal["status", "cut", "truncate", "lie", "flip", "stall", "lose"]


@dataclass(slots=True)
class Fault:
    """Something that goes wrong with answers to requests that match, `times` times (-1: for good).

    status: an error of `status` and `code` is answered, and the server is not asked. cut: the connection is reset after
    `at_bytes` of the body. truncate: the body ends there, framed as if that were all. lie: `at_bytes` more (or, below
    zero, fewer) are promised than there are. flip: the byte there is another. stall: nothing comes after it, until the
    shaper's `release`; at -1 not even a head. lose: the server does what it was asked to, and its answer is lost.
    """

    kind: Kind
    method: str = ""
    path: str = ""
    times: int = 1
    at_bytes: int = 0
    status: int = 503
    code: str = "SlowDown"

    def matches(self, request: Request) -> bool:
        return self.method in ("", request.method) and self.path in request.target


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked."""

    method: str
    target: str
    headers: dict[str, str]

    @property
    def range(self) -> str:
        return self.headers.get("range", "")


@dataclass(slots=True)
class Shape:
    """How the way is. Rates are of one stream in one direction; 0 is no limit."""

    delay_s: float = 0.0
    bytes_per_s: float = 0.0


@dataclass(slots=True)
class Counts:
    """What passed."""

    requests: list[Request] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    up_bytes: int = 0
    down_bytes: int = 0
    open_streams: int = 0
    most_streams: int = 0

    def of(self, method: str = "", path: str = "") -> int:
        """How many requests of a method, with some text in their path and query."""
        return sum(
            method in ("", each.method) and path in each.target for each in list(self.requests)
        )


class _Cut(Exception):  # not an error: the end of a connection
    """The connection is to be reset."""


def _nothing(_: Request) -> str:
    return ""


class Shaper:
    """See this module. Its attributes may be changed from any thread while it runs.

    `refuses` gives the code of the error that a request is answered with, in place of the server; "" if it may pass.
    """

    def __init__(self, target: str, shape: Shape | None = None) -> None:
        parts = urlsplit(target)
        assert parts.hostname is not None
        self._target = (parts.hostname, parts.port or 80)
        self.shape = shape or Shape()
        self.counts = Counts()
        self.faults: list[Fault] = []
        self.refuses: Callable[[Request], str] = _nothing
        self.port = 0
        self._server: asyncio.Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._released = asyncio.Event()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    # --- running ---

    async def listen(self, port: int = 0) -> None:
        """Take connections."""
        self._loop = asyncio.get_running_loop()
        self._server = await asyncio.start_server(
            self._connected, "127.0.0.1", port or self.port, limit=BLOCK_BYTES
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Take no connections any more, and break off those there are; until `listen`."""
        if self._server is not None:
            self._server.close()
            self._server = None
        tasks = list(self._connections)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- faults ---

    def fail(self, kind: Kind, **about: Any) -> Fault:
        """Let something go wrong; see Fault."""
        fault = Fault(kind, **about)
        self.faults.append(fault)
        return fault

    def release(self) -> None:
        """Let what is stalled go on, and nothing go wrong any more."""
        self.faults.clear()
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._released.set)

    def _fault_of(self, request: Request) -> Fault | None:
        for fault in self.faults:
            if fault.matches(request):
                if fault.times > 0:
                    fault.times -= 1
                if fault.times == 0:
                    self.faults.remove(fault)
                return fault
        return None

    # --- connections ---

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        connection = _Connection(self, reader, writer, self._target)
        try:
            await connection.serve()
        except (_Cut, asyncio.CancelledError, OSError, asyncio.IncompleteReadError):
            writer.transport.abort()
        finally:
            self._connections.discard(task)
            connection.close()

    async def stalled(self) -> None:
        """Until the release."""
        self._released.clear()
        await self._released.wait()

    def reset_counts(self) -> None:
        """Begin to count anew."""
        self.counts = Counts()


class _Connection:
    """A client's connection, and the one to the server that goes with it."""

    def __init__(
        self,
        shaper: Shaper,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        target: tuple[str, int],
    ) -> None:
        self._shaper = shaper
        self._reader = reader
        self._writer = writer
        self._target = target
        self._server: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def serve(self) -> None:
        """Request by request, until either side closes."""
        while True:
            head = await _head(self._reader)
            if not head:
                return
            request = _request(head)
            if request.target.startswith(COUNTS_PATH):
                await self._tell(request)
                continue
            counts = self._shaper.counts
            counts.requests.append(request)
            fault = self._shaper._fault_of(request)
            refused = self._shaper.refuses(request)
            if refused:
                fault = Fault("status", status=400, code=refused)
            if fault is not None and fault.kind == "status":
                await self._refuse(request, fault)
                return
            counts.open_streams += 1
            counts.most_streams = max(counts.most_streams, counts.open_streams)
            try:
                goes_on = await self._exchange(head, request, fault)
            finally:
                counts.open_streams -= 1
            if not goes_on:
                return

    def close(self) -> None:
        for writer in (self._writer, self._server[1] if self._server else None):
            if writer is not None:
                writer.close()

    async def _exchange(self, head: bytes, request: Request, fault: Fault | None) -> bool:
        """One request and its answer. Gives whether the connection can be used again."""
        if self._server is None:
            self._server = await asyncio.open_connection(*self._target, limit=BLOCK_BYTES)
        server_reader, server_writer = self._server
        server_writer.write(head)
        await server_writer.drain()
        sending = asyncio.ensure_future(self._send_body(request, server_writer))
        try:
            answer = await self._answer_head(server_reader)
            is_sent = sending.done() and sending.exception() is None
            if fault is not None and fault.kind == "lose":
                raise _Cut
            if fault is not None and fault.kind == "stall" and fault.at_bytes < 0:
                await self._shaper.stalled()
            await asyncio.sleep(self._shaper.shape.delay_s)
            goes_on = await self._pass_answer(request, answer, server_reader, fault)
        finally:
            if not sending.done():
                sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        return goes_on and is_sent

    async def _send_body(self, request: Request, writer: asyncio.StreamWriter) -> None:
        async for block in self._paced(_body(self._reader, request.headers, is_request=True)):
            self._shaper.counts.up_bytes += len(block)
            writer.write(block)
            await writer.drain()

    async def _answer_head(self, reader: asyncio.StreamReader) -> bytes:
        """The head of the answer; those that only say to go on are passed at once."""
        while True:
            head = await _head(reader)
            if not head:
                raise _Cut
            if not head.startswith(b"HTTP/1.1 1"):
                return head
            self._writer.write(head)
            await self._writer.drain()

    async def _pass_answer(
        self, request: Request, head: bytes, reader: asyncio.StreamReader, fault: Fault | None
    ) -> bool:
        status, headers = int(head.split(b" ", 2)[1]), _headers(head)
        self._shaper.counts.statuses[status] += 1
        has_body = request.method != "HEAD" and status not in (204, 304)
        ends_here = False
        limit = None
        if fault is not None and fault.kind in ("truncate", "lie") and has_body:
            length = int(headers.get("content-length", "0"))
            limit = min(fault.at_bytes, length) if fault.kind == "truncate" else length
            promised = limit if fault.kind == "truncate" else length + fault.at_bytes
            head = _with_length(head, promised)
            ends_here = True
        self._writer.write(head)
        if has_body:
            blocks = self._paced(_body(reader, headers, is_request=False))
            await self._pass_body(blocks, fault, limit)
        await self._writer.drain()
        is_kept = "close" not in (headers.get("connection", ""), request.headers.get("connection"))
        is_framed = not has_body or "content-length" in headers or "transfer-encoding" in headers
        return is_kept and is_framed and not ends_here

    async def _pass_body(
        self, blocks: AsyncIterator[bytes], fault: Fault | None, limit: int | None
    ) -> None:
        passed = 0
        at = fault.at_bytes if fault is not None else 0
        kind = fault.kind if fault is not None else ""
        async for each in blocks:
            block = each
            if limit is not None:
                block = block[: limit - passed]
            is_here = passed <= at < passed + len(block)
            if is_here and kind == "flip":
                place = at - passed
                block = block[:place] + bytes([block[place] ^ 0xFF]) + block[place + 1 :]
            if is_here and kind in ("cut", "stall"):
                await self._write(block[: at - passed])
                if kind == "cut":
                    raise _Cut
                await self._shaper.stalled()
                block, passed = block[at - passed :], at
            await self._write(block)
            passed += len(block)
            if limit is not None and passed >= limit:
                return

    async def _write(self, block: bytes) -> None:
        if block:
            self._shaper.counts.down_bytes += len(block)
            self._writer.write(block)
            await self._writer.drain()

    async def _paced(self, blocks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Blocks as fast as the shape has them go."""
        began, passed = time.monotonic(), 0
        async for block in blocks:
            rate = self._shaper.shape.bytes_per_s
            if not rate:
                yield block
                continue
            step = max(int(rate / 100), 4096)
            for first in range(0, len(block), step):
                piece = block[first : first + step]
                # What a rate holds up is what comes next: the first bytes of a stream are late by the delay alone.
                ahead_s = passed / rate - (time.monotonic() - began)
                if ahead_s > 0:
                    await asyncio.sleep(ahead_s)
                elif ahead_s < -0.1:
                    # What a stream did not use while its source was slow it does not catch up.
                    began, passed = time.monotonic(), 0
                yield piece
                passed += len(piece)

    async def _refuse(self, request: Request, fault: Fault) -> None:
        self._shaper.counts.statuses[fault.status] += 1
        body = f"<?xml version='1.0'?><Error><Code>{fault.code}</Code></Error>".encode()
        await self._reply(
            fault.status, "application/xml", b"" if request.method == "HEAD" else body
        )

    async def _tell(self, request: Request) -> None:
        counts = self._shaper.counts
        if request.method == "POST":
            self._shaper.reset_counts()
        said = {
            "requests": Counter(each.method for each in counts.requests),
            "statuses": counts.statuses,
            "up_bytes": counts.up_bytes,
            "down_bytes": counts.down_bytes,
            "most_streams": counts.most_streams,
        }
        await self._reply(200, "application/json", json.dumps(said).encode(), is_kept=True)

    async def _reply(
        self, status: int, media_type: str, body: bytes, *, is_kept: bool = False
    ) -> None:
        head = (
            f"HTTP/1.1 {status} Shaped\r\nContent-Type: {media_type}\r\n"
            f"Content-Length: {len(body)}\r\nConnection: {'keep-alive' if is_kept else 'close'}"
            "\r\n\r\n"
        )
        self._writer.write(head.encode() + body)
        await self._writer.drain()


# --- HTTP -------------------------------------------------------------------------------------------------------------


async def _head(reader: asyncio.StreamReader) -> bytes:
    """The bytes of a head; none if the other side has closed."""
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial.strip():
            raise
        return b""


def _request(head: bytes) -> Request:
    method, target, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
    return Request(method, target, _headers(head))


def _headers(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").split("\r\n")[1:]
    named = (line.partition(":") for line in lines if ":" in line)
    return {name.strip().lower(): value.strip() for name, _, value in named}


def _with_length(head: bytes, length: int) -> bytes:
    lines = [
        line for line in head.split(b"\r\n") if not line.lower().startswith(b"content-length:")
    ]
    return b"\r\n".join([lines[0], b"Content-Length: %d" % length, *lines[1:]])


async def _body(
    reader: asyncio.StreamReader, headers: dict[str, str], *, is_request: bool
) -> AsyncIterator[bytes]:
    """The blocks of a body as they came, framing included."""
    if headers.get("transfer-encoding", "").lower() == "chunked":
        async for block in _chunks(reader):
            yield block
        return
    if "content-length" not in headers:
        while not is_request and (block := await reader.read(BLOCK_BYTES)):
            yield block
        return
    left = int(headers["content-length"])
    while left:
        block = await reader.read(min(left, BLOCK_BYTES))
        if not block:
            raise _Cut
        left -= len(block)
        yield block


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while True:
        line = await reader.readuntil(b"\r\n")
        yield line
        left = int(line.split(b";")[0], 16)
        if left == 0:
            while (line := await reader.readuntil(b"\r\n")) != b"\r\n":
                yield line
            yield line
            return
        left += 2
        while left:
            block = await reader.read(min(left, BLOCK_BYTES))
            if not block:
                raise _Cut
            left -= len(block)
            yield block


# --- how it is run ----------------------------------------------------------------------------------------------------


class RunningShaper:
    """A shaper on a thread of its own."""

    def __init__(self, shaper: Shaper) -> None:
        self.shaper = shaper
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.do(shaper.listen)

    def do(self, ask: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Have the shaper do something: `listen`, `refuse`."""
        asyncio.run_coroutine_threadsafe(ask(), self._loop).result(30)

    def stop(self) -> None:
        """End it, and its thread."""
        self.do(self.shaper.refuse)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()


@contextmanager
def running(target: str, delay_s: float = 0.0, bytes_per_s: float = 0.0) -> Iterator[RunningShaper]:
    """A shaper in front of a server, on a thread of its own."""
    made = RunningShaper(Shaper(target, Shape(delay_s, bytes_per_s)))
    try:
        yield made
    finally:
        made.stop()


@contextmanager
def shaped(target: str, delay_s: float = 0.0, bytes_per_s: float = 0.0) -> Iterator[Shaper]:
    """As `running`, for who neither has it refuse nor listen again."""
    with running(target, delay_s, bytes_per_s) as made:
        yield made.shaper


async def _serve(target: str, port: int, shape: Shape) -> None:
    shaper = Shaper(target, shape)
    await shaper.listen(port)
    print(f"shaping {target} on {shaper.endpoint}", flush=True)
    await asyncio.Event().wait()


def main() -> None:
    """Run a shaper as a process."""
    import uvloop

    parser = argparse.ArgumentParser(description="Make a server behave like a cloud")
    parser.add_argument("--target", required=True, help="URL of the server")
    parser.add_argument("--listen", type=int, default=0, help="port of loopback")
    parser.add_argument("--delay-ms", type=float, default=30.0, help="to the first byte")
    parser.add_argument("--mib-per-s", type=float, default=0.0, help="of each stream, 0: no limit")
    given = parser.parse_args()
    shape = Shape(given.delay_ms / 1000, given.mib_per_s * 1024**2)
    uvloop.run(_serve(given.target, given.listen, shape))


if __name__ == "__main__":
    main()
