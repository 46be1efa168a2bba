"""Owns an S3 server that does what tests want of it: it counts reads, waits in their middle, sends less or other than
it promised, throttles and fails. In the test's own process, so that a test is told and tells at once."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

from tests.counterparts.started import MOTO_KEYS, S3Endpoint

_STEP_BYTES = 64 * 1024
_RANGE = re.compile(r"bytes=(\d*)-(\d*)\Z")


@dataclass(slots=True)
class Hold:
    """A place in an object's bytes where reads wait."""

    at_bytes: int
    reached: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)


@dataclass(slots=True)
class Held:
    """An object, and what is wrong with it. `fails`: the statuses that its next requests are answered with, each with
    the code of an error; `cuts`: after how many bytes the next answers end; `sent`: other bytes than those the ETag
    speaks of; `wait_s`: before each 64 KiB."""

    data: bytes
    etag: str
    modified: float
    fails: list[tuple[int, str]] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)
    sent: bytes | None = None
    wait_s: float = 0.0


class WilfulS3:
    """The server. `reads`: GETs of objects by key, `heads` likewise; `sent_bytes` of bodies."""

    def __init__(self) -> None:
        self.objects: dict[str, Held] = {}
        self.reads: Counter[str] = Counter()
        self.heads: Counter[str] = Counter()
        self.sent_bytes: Counter[str] = Counter()
        self.refuses_all = False
        self.is_stopped = False
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def endpoint(self) -> S3Endpoint:
        return S3Endpoint(f"http://127.0.0.1:{self._server.server_port}", MOTO_KEYS)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Connections that are open say nothing any more."""
        self.is_stopped = True
        for held in self.objects.values():
            for hold in held.holds:
                hold.go_on.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def place(self, key: str, data: bytes) -> Held:
        """Write an object."""
        etag = hashlib.md5(data, usedforsecurity=False).hexdigest()
        held = self.objects[key] = Held(data, etag, time.time() // 1)
        return held

    @contextmanager
    def holding(self, key: str, at_bytes: int) -> Iterator[Hold]:
        """Let reads of an object wait when they have sent so many bytes, while the context lasts."""
        hold = Hold(at_bytes)
        held = self.objects[key]
        held.holds.append(hold)
        try:
            yield hold
        finally:
            hold.go_on.set()
            held.holds.remove(hold)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, wilful: WilfulS3) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.wilful = wilful


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        return

    def do_PUT(self) -> None:  # creation of the bucket
        self.rfile.read(int(self.headers.get("content-length", "0")))
        self._answer(200, {}, b"")

    def do_HEAD(self) -> None:
        self._serve(with_body=False)

    def do_GET(self) -> None:
        self._serve(with_body=True)

    def _serve(self, *, with_body: bool) -> None:
        if self.server.wilful.is_stopped:
            self.close_connection = True
            return
        parts = urlsplit(self.path)
        _, _, *rest = unquote(parts.path).split("/", 2)
        key = rest[0] if rest else ""
        if self.server.wilful.refuses_all:
            self._error(403, "InvalidAccessKeyId")
            return
        if not key:
            self._answer(200, {"x-amz-bucket-region": "us-east-1"}, _of_bucket(parts.query))
            return
        wilful = self.server.wilful
        (wilful.reads if with_body else wilful.heads)[key] += 1
        held = wilful.objects.get(key)
        if held is None:
            self._error(404, "NoSuchKey")
        elif held.fails:
            self._error(*held.fails.pop(0))
        elif self.headers.get("if-match", held.etag).strip('"') != held.etag:
            self._error(412, "PreconditionFailed")
        else:
            self._send(key, held, with_body)

    def _send(self, key: str, held: Held, with_body: bool) -> None:
        size = len(held.data)
        first, end, status = 0, size, 200
        match = _RANGE.match(self.headers.get("range", ""))
        if match is not None:
            status = 206
            if match[1]:
                first, end = int(match[1]), min(int(match[2] or size - 1) + 1, size)
            else:
                first = max(size - int(match[2]), 0)
            if first >= end:
                self._error(416, "InvalidRange")
                return
        self.send_response(status)
        self.send_header("etag", f'"{held.etag}"')
        self.send_header("last-modified", formatdate(held.modified, usegmt=True))
        self.send_header("content-type", "application/x-test")
        self.send_header("content-length", str(end - first))
        self.send_header("accept-ranges", "bytes")
        if status == 206:
            self.send_header("content-range", f"bytes {first}-{end - 1}/{size}")
        self.end_headers()
        if with_body:
            self._send_body(key, held, first, end)

    def _send_body(self, key: str, held: Held, first: int, end: int) -> None:
        data = held.data if held.sent is None else held.sent
        cut = held.cuts.pop(0) if held.cuts else None
        at = first
        stop = end if cut is None else min(first + cut, end)
        try:
            while at < stop:
                step = _step(held, at, stop)
                self.wfile.write(data[at:step])
                self.server.wilful.sent_bytes[key] += step - at
                at = step
        except OSError:
            self.close_connection = True  # who asked has left
        if cut is not None:
            self.close_connection = True

    def _error(self, status: int, code: str) -> None:
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>-</Message></Error>"
        self._answer(status, {"content-type": "application/xml"}, body.encode())

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _step(held: Held, at: int, stop: int) -> int:
    """Where the next bytes end; waits before them if it is told to."""
    step = min(at + _STEP_BYTES, stop)
    for hold in list(held.holds):
        if at < hold.at_bytes:
            step = min(step, hold.at_bytes)
        elif at == hold.at_bytes:
            hold.reached.set()
            hold.go_on.wait(60)
    if held.wait_s:
        time.sleep(held.wait_s)
    return step


def _of_bucket(query: str) -> bytes:
    if query.startswith("versioning"):
        return b"<VersioningConfiguration/>"
    if query.startswith("location"):
        return b"<LocationConstraint/>"
    return b""
