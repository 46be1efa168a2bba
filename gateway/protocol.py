"""Owns the bytes of HTTP/1.1 between the socket and uvicorn's parser.

uvicorn does parsing, keep-alive and pipelining; this subclass bounds request heads, takes large bodies past the parser
and its copies, and has each request answered by our cycle (gateway.cycle).
"""

from __future__ import annotations

import asyncio
import os
import socket
from dataclasses import dataclass
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from gateway.cycle import PIECES, Cycle

# More than a small body that came with its head. One read brings up to 250 KiB, so a body that is not being taken makes
# its sender wait from the first read on.
_RECEIVE_HIGH_WATER_BYTES = 16 * 1024
_EXTENSIONS: dict[str, Any] = {PIECES: {}}
_EXTENSIONS_PLAIN: dict[str, Any] = {"http.response.zerocopysend": {}, PIECES: {}}
# A body's rest from this size on is read from the socket by its cycle: up to a megabyte at once, which spares wake-ups
# (10 ms of CPU of 160 for 64 MiB), while few connections share the memory for it; what is read of many in small pieces
# leaves the allocator fewer holes (256 uploads took 19 MiB less with 64 KiB than with 256).
_RAW_FROM_BYTES = 512 * 1024
_RAW_READ_BYTES = 1024 * 1024
_RAW_READ_LEAST_BYTES = 64 * 1024
_RAW_MEMORY_BYTES = 8 * 1024 * 1024
_ASGI = {"version": "3.0", "spec_version": "2.4"}
_HEADER_COST_BYTES = 32  # what a header costs beyond its text, as in HTTP/2 (RFC 9113, 10.5.1)
_BAD_REQUEST = (400, b"BadRequest", b"An error occurred when parsing the HTTP request.")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one connection may take. `head_bytes`: a request line and its headers together (AWS stops at 8 KiB of
    headers; presigned URLs come on top). `pipelined`: requests that wait while one is answered."""

    head_bytes: int = 64 * 1024
    pipelined: int = 64
    stall_timeout_s: float = 120.0
    connections: int = 4096


def limited(limits: Limits) -> type[Protocol]:
    """The protocol class for uvicorn, which instantiates it itself, with limits of ours."""
    return type("LimitedProtocol", (Protocol,), {"limits": limits})


class Protocol(HttpToolsProtocol):
    """One connection. Differs from uvicorn's in the request cycle and in refusing oversized heads."""

    limits = Limits()
    _head_bytes = 0
    _is_in_head = False
    _declared_bytes = 0
    _body_left = 0
    _refused = False
    _raw: socket.socket | None = None
    _active: Cycle | None = None
    _idle_since: float | None = None
    cycle: Cycle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]  # uvicorn wants the subclass that it gets
        self._idle_since = self.loop.time()
        self._watch_idle()
        if len(self.connections) > self.limits.connections:
            self._refused = True
            self._refuse(503, b"SlowDown", b"Please reduce your request rate.")

    def _watch_idle(self) -> None:
        """Close the connection if its next request head does not arrive whole in time (a slow head, or none).

        One timer a connection looks at the time now and then; setting one for each request cost 2 µs a request.
        """
        left_s: float = self.timeout_keep_alive
        if self._idle_since is not None:
            left_s -= self.loop.time() - self._idle_since
            if left_s <= 0:
                self.timeout_keep_alive_handler()
                return
        self.timeout_keep_alive_task = self.loop.call_later(left_s, self._watch_idle)

    def data_received(self, data: bytes) -> None:
        """As uvicorn's, but idleness lasts until a whole head is here, so that a dripped head cannot hold on."""
        if self._body_left:
            data = self._take_body(data)
            if not data:
                return
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # an offer (h2c) that we do not take up; the request was served as it is
        except httptools.HttpParserError:
            if not self._refused:
                self.send_400_response("")

    def _take_body(self, data: bytes) -> bytes:
        """Take what belongs to a body of known length past the parser, which would copy it; returns what follows it."""
        rest = data[self._body_left :]
        self.on_body(data[: self._body_left])
        if not self._body_left:
            # The old parser still waits for this body.
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
            self.on_message_complete()
        return rest

    def on_message_begin(self) -> None:
        self.url = b""
        self.expect_100_continue = False
        self.headers = []
        self._head_bytes = self._declared_bytes = self._body_left = 0
        self._is_in_head = True

    def on_url(self, url: bytes) -> None:
        self.url += url
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count_head(len(name) + len(value) + _HEADER_COST_BYTES)
        if not self._is_in_head:
            return  # a trailer of a chunked body: what it says must not pass for what the head says
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        elif name == b"content-length" and value.isdigit():
            self._declared_bytes = int(value)
        self.headers.append((name, value))

    def _count_head(self, more: int) -> None:
        self._head_bytes += more
        if self._head_bytes > self.limits.head_bytes and not self._refused:
            self._refuse_next(
                400,
                b"RequestHeaderSectionTooLarge",
                b"Your request header and query parameters used to make the request exceed the maximum allowed size.",
            )

    def send_400_response(self, msg: str) -> None:
        """Bytes came that are not HTTP."""
        self._refuse_next(*_BAD_REQUEST)

    def _refuse_next(self, status: int, code: bytes, message: bytes) -> None:
        """Take no more. The requests before are still answered, and the connection ends with the last of them."""
        self._refused = True
        unanswered: Cycle | None = self.cycle  # None before the first request
        if unanswered is None or unanswered.response_complete:
            self._refuse(status, code, message)
        else:
            unanswered.keep_alive = False
            unanswered.message_event.set()

    @property
    def is_refusing(self) -> bool:
        """Whether nothing more is taken: a body that is not whole by now will not be."""
        return self._refused

    def refuse_body(self) -> None:
        """Answer a request whose body turned out to be no HTTP."""
        self._refuse(*_BAD_REQUEST)

    def _refuse(self, status: int, code: bytes, message: bytes) -> None:
        body = (
            b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>%b</Code><Message>%b</Message></Error>'
            % (code, message)
        )
        self.transport.write(
            STATUS_LINE[status] + b"content-type: application/xml\r\n"
            b"content-length: %d\r\nconnection: close\r\n\r\n%b" % (len(body), body)
        )
        self.transport.close()

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        if self._refused:
            return
        if len(self.pipeline) >= self.limits.pipelined:
            self._refuse_next(503, b"SlowDown", b"Please reduce your request rate.")
            return
        self._idle_since = None
        self._body_left = self._declared_bytes
        parsed = httptools.parse_url(self.url)
        version = self.parser.get_http_version()
        scope: Any = {
            "type": "http",
            "asgi": _ASGI,
            "http_version": version,
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "root_path": "",
            "method": self.parser.get_method().decode("ascii"),
            "raw_path": parsed.path,
            # The S3 front reads raw_path; only the few Starlette routes need decoded text, so it is not decoded here.
            "path": parsed.path.decode("latin-1"),
            "query_string": parsed.query or b"",
            "headers": self.headers,
            "extensions": _EXTENSIONS_PLAIN if self.scheme == "http" else _EXTENSIONS,
        }

        previous: Cycle | None = self.cycle  # None before the first request
        self.cycle = Cycle(
            self, scope, keep_alive=version != "1.0" and self.parser.should_keep_alive()
        )
        if previous is None or previous.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self._active = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        """As uvicorn's, but for the timer."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.pipeline:
            # Reading goes on when all have been answered, or for the body of the last: what a client can have queued
            # here is bounded.
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self.flow.resume_reading()
            self._idle_since = self.loop.time()

    def on_body(self, body: bytes) -> None:
        # Never below zero: a chunked body has no length.
        self._body_left = max(self._body_left - len(body), 0)
        cycle = self.cycle
        if self._refused or cycle.response_complete:
            return
        cycle.chunks.append(body)
        cycle.queued_bytes += len(body)
        if cycle.queued_bytes > _RECEIVE_HIGH_WATER_BYTES:
            self.flow.pause_reading()
        cycle.message_event.set()

    @property
    def can_read_raw(self) -> bool:
        """Whether what is to come of the body is long enough, and plain enough, to be read past the transport."""
        return self._body_left >= _RAW_FROM_BYTES and self.scheme == "http" and not self.pipeline

    @property
    def raw_size(self) -> int:
        """How much may be read at once: nothing of what follows the body."""
        share = _RAW_MEMORY_BYTES // len(self.connections)
        return min(self._body_left, max(_RAW_READ_LEAST_BYTES, min(_RAW_READ_BYTES, share)))

    def take_raw(self, data: bytes) -> None:
        """Take what was read past the transport; nothing means that the client has gone."""
        if data:
            self._take_body(data)
        else:
            self.cycle.disconnected = True
            self.transport.close()

    def on_message_complete(self) -> None:
        if not self._refused:
            super().on_message_complete()

    def raw_socket(self) -> socket.socket:
        """The socket by a descriptor that the event loop does not watch, for sendfile and its own readiness waits."""
        if self._raw is None:
            self._raw = socket.socket(
                fileno=os.dup(self.transport.get_extra_info("socket").fileno())
            )
        return self._raw

    def eof_received(self) -> bool:  # type: ignore[override]  # uvicorn never answers one that has stopped sending
        """The client sends no more, but may still read: what it has asked for whole is answered, and then it ends."""
        newest: Cycle | None = self.cycle  # None before the first request
        if newest is None or newest.response_complete or newest.more_body:
            return False
        newest.keep_alive = False
        newest.is_half_closed = True
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        active = self._active
        if active is not None and not active.response_complete:
            # With pipelining uvicorn knows only the newest cycle; the one being answered must hear of the loss too.
            active.disconnected = True
            active.message_event.set()
            active.wake_writer()
        if self._raw is not None:
            self.loop.remove_reader(self._raw.fileno())
            self.loop.remove_writer(self._raw.fileno())
            self._raw.close()
            self._raw = None
        self._unset_keepalive_if_required()
        super().connection_lost(exc)
