"""Owns a bare HTTP/1.1 client: it sends the bytes that a test says, and reads what comes back, no more."""

from __future__ import annotations

import hashlib
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from defusedxml import ElementTree

from tests.s3compat.signing import Scope, authorize_v4
from tests.server import ROOT_KEYS, Keys, Server


@dataclass(frozen=True, slots=True)
class Reply:
    """One response as it came. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> Element:
        root: Element = ElementTree.fromstring(self.body)
        return root

    @property
    def error_code(self) -> str:
        """The S3 error code of an error document."""
        return self.document.findtext("Code", "")


class ConnectionEndedError(Exception):
    """The server closed the connection where a response was due."""


class Wire:
    """One TCP connection to the server."""

    def __init__(self, server: Server, timeout_s: float = 15.0) -> None:
        self.socket = socket.create_connection((server.host, server.port), timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if server.scheme == "https":
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            self.socket = context.wrap_socket(self.socket)
        self._buffer = b""

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def abort(self) -> None:
        """Close with a reset, as a client that dies does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def request(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes = b""
    ) -> Reply:
        self.send(head(method, target, headers) + body)
        return self.receive(method)

    def receive(self, method: str = "GET") -> Reply:
        """The next response; interim ones are returned too (status 1xx, no body)."""
        lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ")[1])
        headers: dict[str, str] = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        return Reply(status, headers, self._body(method, status, headers))

    def is_silent(self, for_s: float) -> bool:
        """Whether nothing (not even the end) arrives within the time."""
        if self._buffer:
            return False
        previous = self.socket.gettimeout()
        self.socket.settimeout(for_s)
        try:
            self._buffer += self.socket.recv(65536)
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(previous)
        return False

    def is_ended(self) -> bool:
        """Whether the server closes the connection with nothing more to say (waits for it)."""
        try:
            self._buffer += self.socket.recv(65536)
        except ConnectionError:
            return True
        return not self._buffer

    def read(self, size: int) -> bytes:
        """Raw bytes as they come; fewer only at the end."""
        while len(self._buffer) < size and self._fill():
            pass
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def _body(self, method: str, status: int, headers: Mapping[str, str]) -> bytes:
        if method == "HEAD" or status < 200 or status in {204, 304}:
            return b""
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return self._chunked()
        if "content-length" in headers:
            return self._exactly(int(headers["content-length"]))
        while self._fill():
            pass
        data, self._buffer = self._buffer, b""
        return data

    def _chunked(self) -> bytes:
        data = b""
        while size := int(self._until(b"\r\n").split(b";")[0], 16):
            data += self._exactly(size)
            self._exactly(2)
        while self._until(b"\r\n"):
            pass
        return data

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._buffer:
            if not self._fill():
                raise ConnectionEndedError(self._buffer)
        data, self._buffer = self._buffer.split(mark, 1)
        return data

    def _exactly(self, size: int) -> bytes:
        data = self.read(size)
        if len(data) < size:
            raise ConnectionEndedError(f"{len(data)} of {size} bytes")
        return data

    def _fill(self) -> bool:
        data = self.socket.recv(1 << 18)
        self._buffer += data
        return bool(data)


def head(method: str, target: str, headers: Mapping[str, str]) -> bytes:
    """A request's first line and headers."""
    lines = [
        f"{method} {target} HTTP/1.1",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def host_of(server: Server) -> str:
    return f"{server.host}:{server.port}"


def signed_headers(
    server: Server,
    method: str,
    target: str,
    *,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    keys: Keys = ROOT_KEYS,
    payload_hash: str | None = None,
) -> dict[str, str]:
    """Headers for a request of version 4, content-length among them unless the body is chunked."""
    named = {"host": host_of(server), **(headers or {})}
    if "transfer-encoding" not in named and (body or method in {"PUT", "POST"}):
        named.setdefault("content-length", str(len(body)))
    digest = hashlib.sha256(body).hexdigest() if payload_hash is None else payload_hash
    return authorize_v4(Scope(keys, time.time()), method, target, named, digest)


def exchange(
    server: Server,
    method: str,
    target: str,
    *,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    keys: Keys | None = ROOT_KEYS,
) -> Reply:
    """One request on a connection of its own: signed by `keys`, or anonymous with None."""
    if keys is None:
        sent = {"host": host_of(server), "content-length": str(len(body)), **(headers or {})}
    else:
        sent = signed_headers(server, method, target, body=body, headers=headers, keys=keys)
    with Wire(server) as wire:
        reply = wire.request(method, target, sent, body)
        while reply.status < 200:
            reply = wire.receive(method)
        return reply
