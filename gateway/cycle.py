"""Owns one request and its response between uvicorn's protocol and the ASGI app.

It sends the head and the body in one write, queues received chunks without copying them, and offers zero-copy sending
of files (ASGI extension `http.response.zerocopysend`) and of bodies in pieces (our own extension PIECES: a message has
`pieces` in place of `body`).
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

if TYPE_CHECKING:
    from gateway.protocol import Protocol

PIECES = "weir.response.pieces"
"""The ASGI extension."""

_LARGE_CHUNK_BYTES = 64 * 1024
_SENDFILE_STEP_BYTES = 1024 * 1024
_RAW_READS_A_TURN = 4


class Cycle(RequestResponseCycle):
    """One request and its response.

    The response head waits for the first body message and leaves with it in one write. Header names and values come
    from our own operations only, already checked, so uvicorn's per-header checks are replaced by one.
    """

    connection: Protocol
    _head: bytes | None = None
    _writable: asyncio.Future[None] | None = None
    _raw_reads = 0
    _was_read = False
    is_half_closed = False
    """The client will send no more, and may have gone: whoever asks again for a body that was read is told so."""

    def __init__(self, connection: Protocol, scope: Any, *, keep_alive: bool) -> None:
        """Sets what uvicorn's own does, without its eleven keyword arguments, which cost 2 µs a request."""
        self.connection = connection
        self.scope = scope
        self.transport = connection.transport
        self.flow = connection.flow
        self.logger = connection.logger
        self.default_headers = connection.server_state.default_headers
        self.message_event = asyncio.Event()
        self.on_response = connection.on_response_complete
        self.disconnected = False
        self.keep_alive = keep_alive
        self.waiting_for_100_continue = connection.expect_100_continue
        self.more_body = True
        self.response_started = False
        self.response_complete = False
        self.chunked_encoding: bool | None = None
        self.expected_content_length = 0
        self.chunks: list[bytes] = []
        self.queued_bytes = 0

    async def receive(self) -> Any:
        if self.waiting_for_100_continue and not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.waiting_for_100_continue = False
        if not self.chunks and self.more_body and not self.disconnected:
            if self.response_complete:
                return {"type": "http.disconnect"}
            if self.connection.is_refusing:
                self._give_up()
                return {"type": "http.disconnect"}
            if self.connection.can_read_raw:
                await self._read_raw()
            else:
                self.message_event.clear()
                self.flow.resume_reading()
                await self._within_stall_timeout(self.message_event.wait())
        has_left = self.disconnected or self.response_complete
        if self._was_read and not has_left:
            # Only who reads learns of an end.
            self.flow.resume_reading()
        if not self.chunks and (has_left or (self._was_read and self.is_half_closed)):
            return {"type": "http.disconnect"}
        body = self._next_piece()
        more_body = self.more_body or bool(self.chunks)
        self._was_read = not more_body
        return {"type": "http.request", "body": body, "more_body": more_body}

    async def _read_raw(self) -> None:
        """Take the next of a large body from the socket itself.

        The transport copies what it has read once more, and is stopped and started again around each piece: of 64 MiB
        that took 20 ms of 160.
        """
        sock_fd = self.connection.raw_socket().fileno()
        self.flow.pause_reading()
        while not self.disconnected:
            try:
                self.connection.take_raw(os.read(sock_fd, self.connection.raw_size))
            except BlockingIOError:
                await self._within_stall_timeout(self._wait_readable(sock_fd))
                continue
            except OSError:
                self.transport.abort()
                self.disconnected = True
            self._raw_reads += 1
            if self._raw_reads % _RAW_READS_A_TURN == 0:
                # Others are to have their turn, however fast this one's bytes come.
                await asyncio.sleep(0)
            return

    async def _wait_readable(self, sock_fd: int) -> None:
        loop = asyncio.get_running_loop()
        self.message_event.clear()
        loop.add_reader(sock_fd, self.message_event.set)
        try:
            await self.message_event.wait()
        finally:
            if not self.disconnected:
                loop.remove_reader(sock_fd)

    async def _within_stall_timeout(self, waiting: Coroutine[Any, Any, Any]) -> None:
        """A client from which nothing more comes is gone."""
        try:
            async with asyncio.timeout(self.connection.limits.stall_timeout_s):
                await waiting
        except TimeoutError:
            self.transport.abort()
            self.disconnected = True

    def _give_up(self) -> None:
        """The rest of the body will never come, because what came in its place was no HTTP."""
        if self.response_started:
            self.transport.abort()
        else:
            self.connection.refuse_body()
        self.disconnected = True

    def _next_piece(self) -> bytes:
        """What is queued; a large chunk alone, as it came."""
        if self.chunks and len(self.chunks[0]) >= _LARGE_CHUNK_BYTES:
            body = self.chunks.pop(0)
            self.queued_bytes -= len(body)
            return body
        body = b"".join(self.chunks)
        self.chunks = []
        self.queued_bytes = 0
        return body

    async def send(self, message: Any) -> None:
        """Raises ConnectionError once the client is gone, so that a large body is not read for nobody (ASGI 2.4)."""
        if self.disconnected:
            raise ConnectionError("client gone")
        kind = message["type"]
        if kind == "http.response.body":
            if "pieces" in message:
                self._send_pieces(message["pieces"], message["size"])
            else:
                self._send_body(message.get("body", b""), message.get("more_body", False))
            if self.flow.write_paused:
                await self._drain()
        elif kind == "http.response.start":
            if self.flow.write_paused:
                await (
                    self._drain()
                )  # of the answers to pipelined requests, which nobody may be reading
            self._start(message["status"], message["headers"])
        elif kind == "http.response.zerocopysend":
            await self._send_file(message["file"], message["offset"], message["count"])
            if not message.get("more_body", False):
                self._send_body(b"", more_body=False)
        else:
            raise RuntimeError(f"unexpected ASGI message {kind!r}")

    async def _drain(self) -> None:
        """Wait until the client has taken most of what was written. Raises ConnectionError once it takes nothing."""
        left_bytes = self.transport.get_write_buffer_size()
        while self.flow.write_paused and not self.disconnected:
            try:
                async with asyncio.timeout(self.connection.limits.stall_timeout_s):
                    await self.flow.drain()
            except TimeoutError:
                before, left_bytes = left_bytes, self.transport.get_write_buffer_size()
                if left_bytes >= before:
                    self.transport.abort()
                    raise ConnectionError("client stalled") from None

    def _start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        if self.response_started:
            raise RuntimeError("response started twice")
        self.response_started = True
        body_will_come = self.waiting_for_100_continue
        self.waiting_for_100_continue = False
        lines = [b"%b: %b\r\n" % header for header in (*self.default_headers, *headers)]
        for name, value in reversed(headers):
            # Our operations give it last or nearly so.
            if name == b"content-length":
                self.chunked_encoding = False
                self.expected_content_length = int(value)
                break
        text = b"".join(lines)
        if text.count(b"\n") != len(lines) or text.count(b"\r") != len(lines):
            raise RuntimeError("line break in a response header")
        if b"connection: close" in text and b"connection: close\r\n" in lines:
            lines.remove(b"connection: close\r\n")
            text = b"".join(lines)
            self.keep_alive = False
        parts = [STATUS_LINE[status], text]
        if body_will_come:
            # The client asked whether to send its body and is told no by this status; whether it sends it all the
            # same is unknown, so the connection cannot be reused (RFC 9110 §10.1.1).
            self.keep_alive = False
        if not self.keep_alive:
            parts.append(b"connection: close\r\n")
        if self.chunked_encoding is None and status not in (204, 304):
            self.chunked_encoding = self.scope["method"] != "HEAD"
            if self.chunked_encoding:
                parts.append(b"transfer-encoding: chunked\r\n")
        parts.append(b"\r\n")
        self._head = b"".join(parts)

    def _send_body(self, body: bytes, more_body: bool) -> None:
        if self.response_complete:
            raise RuntimeError("response already complete")
        if self.scope["method"] == "HEAD":
            body = b""
            self.expected_content_length = 0
        elif self.chunked_encoding:
            end = b"\r\n" if more_body else b"\r\n0\r\n\r\n"
            if len(body) >= _LARGE_CHUNK_BYTES:
                # To put it between its size and its end would take a copy.
                self.transport.writelines((self._take_head() + b"%x\r\n" % len(body), body, end))
                body = b""
            elif body:
                body = b"%x\r\n%b%b" % (len(body), body, end)
            elif not more_body:
                body = b"0\r\n\r\n"
        else:
            self.expected_content_length -= len(body)
            if self.expected_content_length < 0:
                raise RuntimeError("response longer than its content-length")
        if self._head is not None:
            body = self._take_head() + body
        if body:
            self.transport.write(body)
        if not more_body:
            self._complete()

    def _send_pieces(self, pieces: Sequence[bytes], size_bytes: int) -> None:
        """Some of a body whose length was not said, of which more will come. The kernel gathers the pieces."""
        if not self.chunked_encoding or self.scope["method"] == "HEAD":
            self._send_body(b"".join(pieces), more_body=True)
            return
        if size_bytes:
            head = self._take_head() + b"%x\r\n" % size_bytes
            self.transport.writelines((head, *pieces, b"\r\n"))

    def _take_head(self) -> bytes:
        head, self._head = self._head, None
        return head or b""

    def _complete(self) -> None:
        if self.expected_content_length != 0:
            raise RuntimeError("response shorter than its content-length")
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()

    # --- zero-copy ---

    async def _send_file(self, fd: int, offset: int, count: int) -> None:
        """Send `count` bytes of an open file. Raises ConnectionError when the client is gone or stalls."""
        if self.chunked_encoding or self.expected_content_length < count:
            raise RuntimeError("zero-copy sending needs a content-length that covers it")
        raw = self.connection.raw_socket()
        sock_fd = raw.fileno()
        await self._flush_head(raw)
        self.expected_content_length -= count
        while count and not self.disconnected:
            step = min(count, _SENDFILE_STEP_BYTES)
            try:
                if _is_cached(fd, offset + step - 1):
                    sent = os.sendfile(sock_fd, fd, offset, step)
                else:
                    # The pages are not in memory: let the disk wait happen in a thread. The socket does not block, so
                    # the thread never waits for a slow client.
                    own = os.dup(sock_fd), os.dup(fd)
                    sent = await asyncio.to_thread(_send_and_close, *own, offset, step)
            except BlockingIOError:
                await self._wait_writable(sock_fd)
                continue
            if sent == 0:
                raise RuntimeError("file shorter than its record")
            offset += sent
            count -= sent
        if count:
            raise ConnectionError("client gone")

    async def _flush_head(self, raw: socket.socket) -> None:
        """Put what the transport still holds, then the head, on the wire before the file's bytes."""
        sock_fd = raw.fileno()
        head, self._head = self._head, None
        deadline = asyncio.get_running_loop().time() + self.connection.limits.stall_timeout_s
        while self.transport.get_write_buffer_size() and not self.disconnected:
            await self._wait_writable(sock_fd)
            if asyncio.get_running_loop().time() > deadline:
                raise ConnectionError("client stalled")
            await asyncio.sleep(0)
        if head is None:
            return
        view = memoryview(head)
        while view and not self.disconnected:
            try:
                view = view[raw.send(view, socket.MSG_MORE) :]
            except BlockingIOError:
                await self._wait_writable(sock_fd)

    async def _wait_writable(self, sock_fd: int) -> None:
        loop = asyncio.get_running_loop()
        self._writable = loop.create_future()
        loop.add_writer(sock_fd, self.wake_writer)
        try:
            async with asyncio.timeout(self.connection.limits.stall_timeout_s):
                await self._writable
        except TimeoutError:
            self.transport.abort()
            raise ConnectionError("client stalled") from None
        finally:
            self._writable = None
            if not self.disconnected:
                loop.remove_writer(sock_fd)

    def wake_writer(self) -> None:
        """The socket is writable, or gone."""
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)


def _send_and_close(sock_fd: int, fd: int, offset: int, count: int) -> int:
    """Send in a thread, on descriptors of its own: the connection's and the reader's may be closed, and their numbers
    given to others, before the thread gets to them."""
    try:
        return os.sendfile(sock_fd, fd, offset, count)
    finally:
        os.close(sock_fd)
        os.close(fd)


def _is_cached(fd: int, offset: int) -> bool:
    """Whether a file's byte is in the page cache, so that reading up to it is unlikely to wait for the disk."""
    try:
        return os.preadv(fd, [bytearray(1)], offset, os.RWF_NOWAIT) == 1
    except OSError:
        return False
