"""Owns the question whether a weir answers: one GET of /-/health over a plain socket, cheap enough for start-up."""

from __future__ import annotations

import socket
import ssl

_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def is_healthy(host: str, port: int, *, is_tls: bool, timeout_s: float) -> bool:
    """Whether /-/health answers 200 in time. Certificates are not checked: it is our own server that we ask."""
    host = _WILDCARDS.get(host, host)
    bracketed = f"[{host}]" if ":" in host else host
    request = f"GET /-/health HTTP/1.1\r\nHost: {bracketed}:{port}\r\nConnection: close\r\n\r\n"
    try:
        with socket.create_connection((host, port), timeout_s) as plain:
            if not is_tls:
                return _ask(plain, request.encode())
            with _trusting_context().wrap_socket(plain) as wrapped:
                return _ask(wrapped, request.encode())
    except OSError:
        return False


def _ask(connection: socket.socket, request: bytes) -> bool:
    connection.sendall(request)
    answer = b""
    while b"\r\n" not in answer:
        chunk = connection.recv(4096)
        if not chunk:
            return False
        answer += chunk
    return answer.split(b" ", 2)[1:2] == [b"200"]


def _trusting_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
