"""Owns the client for large bodies. It never looks at a byte (received ones are dropped in the kernel, sent ones leave
by sendfile), so that the server, not the client, sets the rate."""

from __future__ import annotations

import os
import socket
import statistics
import struct
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench.samples import Sample

_BUFFER_BYTES = 1024**2
_TIMEOUT = struct.pack("ll", 60, 0)  # a struct timeval


@dataclass(frozen=True, slots=True)
class Load:
    """How hard to drive: each connection takes the targets in turn, from its own offset, for `seconds`.

    Transfers that are under way then run to their end, unless `is_cut_off`.
    """

    address: tuple[str, int]
    targets: Sequence[str]
    connections: int
    seconds: float
    is_cut_off: bool = False


@dataclass(slots=True)
class _Tally:
    lock: threading.Lock = field(default_factory=threading.Lock)
    latencies_ms: list[float] = field(default_factory=list)
    bytes: int = 0
    errors: int = 0


def get(load: Load) -> Sample:
    """Read the targets whole, again and again."""
    sink = bytearray(_BUFFER_BYTES)

    def read_one(connection: socket.socket, target: str, tally: _Tally, deadline: float) -> bool:
        connection.sendall(_request_head(load, "GET", target, 0))
        status, length, early = _read_head(connection)
        received = early
        while received < length and not (load.is_cut_off and time.perf_counter() > deadline):
            dropped = connection.recv_into(
                sink, min(_BUFFER_BYTES, length - received), socket.MSG_TRUNC
            )
            if not dropped:
                raise ConnectionError("closed in a body")
            received += dropped
        with tally.lock:
            tally.bytes += received
            tally.errors += status != 200
        return received == length

    return _drive(load, read_one)


def put(load: Load, size_bytes: int, stall_at_bytes: int | None = None) -> Sample:
    """Write a body of `size_bytes` to each target; with `stall_at_bytes`, wait there until time is over and leave."""
    source = os.memfd_create("bench-body")
    os.write(source, os.urandom(4096) * (size_bytes // 4096))

    def write_one(connection: socket.socket, target: str, tally: _Tally, deadline: float) -> bool:
        connection.sendall(_request_head(load, "PUT", target, size_bytes))
        sent = 0
        while sent < (stall_at_bytes or size_bytes):
            sent += os.sendfile(
                connection.fileno(), source, sent, (stall_at_bytes or size_bytes) - sent
            )
        if stall_at_bytes:
            time.sleep(max(0.0, deadline - time.perf_counter()))
            return False
        status, _, _ = _read_head(connection)
        with tally.lock:
            tally.bytes += sent
            tally.errors += status != 200
        return True

    try:
        return _drive(load, write_one)
    finally:
        os.close(source)


def _drive(load: Load, transfer: Callable[[socket.socket, str, _Tally, float], bool]) -> Sample:
    tally = _Tally()
    begun = time.perf_counter()
    deadline = begun + load.seconds

    def work(offset: int) -> None:
        try:
            with socket.create_connection(load.address) as connection:
                # Not settimeout(): it makes the descriptor non-blocking, and sendfile would busy-wait.
                for direction in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
                    connection.setsockopt(socket.SOL_SOCKET, direction, _TIMEOUT)
                turn = offset
                while time.perf_counter() < deadline:
                    target = load.targets[turn % len(load.targets)]
                    started = time.perf_counter()
                    if transfer(connection, target, tally, deadline):
                        with tally.lock:
                            tally.latencies_ms.append((time.perf_counter() - started) * 1e3)
                    turn += 1
        except OSError:
            with tally.lock:
                tally.errors += 1

    threads = [threading.Thread(target=work, args=(n,)) for n in range(load.connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - begun
    latencies = sorted(tally.latencies_ms) or [0.0]
    return Sample(
        requests=len(tally.latencies_ms),
        bytes=tally.bytes,
        seconds=seconds,
        p50_ms=statistics.median(latencies),
        p99_ms=latencies[min(len(latencies) - 1, int(len(latencies) * 0.99))],
        errors=tally.errors,
    )


def _request_head(load: Load, method: str, target: str, size_bytes: int) -> bytes:
    length = f"Content-Length: {size_bytes}\r\n" if method == "PUT" else ""
    host, port = load.address
    return f"{method} {target} HTTP/1.1\r\nHost: {host}:{port}\r\n{length}\r\n".encode()


def _read_head(connection: socket.socket) -> tuple[int, int, int]:
    """Status, content length, and how many bytes of the body came along."""
    head = b""
    while b"\r\n\r\n" not in head:
        more = connection.recv(4096)
        if not more:
            raise ConnectionError("closed before a response")
        head += more
    head, _, early = head.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    lengths = [
        line.split(":", 1)[1] for line in lines if line.lower().startswith("content-length:")
    ]
    return int(lines[0].split()[1]), int(lengths[0]) if lengths else 0, len(early)
