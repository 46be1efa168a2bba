"""Connections: keep-alive, pipelining, HEAD, chunked bodies, slow clients, oversized heads."""

from __future__ import annotations

import time

import pytest

from tests.s3compat.signing import UNSIGNED
from tests.s3compat.wire import ConnectionEndedError, Wire, exchange, head, host_of, signed_headers
from tests.server import Server


def test_keep_alive_over_many_requests(server: Server, bucket: str) -> None:
    with Wire(server) as wire:
        for number in range(20):
            target = f"/{bucket}/{number}"
            body = b"x" * number * 1000
            put = signed_headers(server, "PUT", target, body=body)
            assert wire.request("PUT", target, put, body).status == 200
            for method in ("HEAD", "GET"):
                reply = wire.request(method, target, signed_headers(server, method, target))
                assert reply.status == 200
                assert int(reply.headers["content-length"]) == len(body)


def test_keep_alive_after_errors(server: Server, bucket: str) -> None:
    with Wire(server) as wire:
        for target in (f"/{bucket}/absent", "/no-such-bucket-here/k", f"/{bucket}?website"):
            reply = wire.request("GET", target, signed_headers(server, "GET", target))
            assert reply.status in {404, 501}
        target = f"/{bucket}"
        assert wire.request("GET", target, signed_headers(server, "GET", target)).status == 200


def test_keep_alive_after_rejected_body(server: Server) -> None:
    # A body that nobody wants must not be read as the next request.
    body = b"GET / HTTP/1.1\r\n\r\n" * 100
    target = "/no-such-bucket-here/k"
    with Wire(server) as wire:
        put = signed_headers(server, "PUT", target, body=body)
        assert wire.request("PUT", target, put, body).status == 404
        try:
            reply = wire.request("GET", target, signed_headers(server, "GET", target))
        except (ConnectionEndedError, ConnectionError):
            return  # closing is as safe as reading the body to its end
        assert (reply.status, reply.error_code) == (404, "NoSuchBucket")


def test_connection_close_is_obeyed(server: Server, bucket: str) -> None:
    target = f"/{bucket}"
    with Wire(server) as wire:
        headers = signed_headers(server, "GET", target, headers={"connection": "close"})
        assert wire.request("GET", target, headers).status == 200
        assert wire.is_ended()


def test_pipelining_keeps_order(server: Server, bucket: str) -> None:
    targets = [f"/{bucket}/{number}" for number in range(8)]
    sent = b""
    for number, target in enumerate(targets):
        body = str(number).encode() * 5000
        sent += head("PUT", target, signed_headers(server, "PUT", target, body=body)) + body
    for target in targets:
        sent += head("GET", target, signed_headers(server, "GET", target))
    with Wire(server) as wire:
        wire.send(sent)
        assert [wire.receive("PUT").status for _ in targets] == [200] * len(targets)
        bodies = [wire.receive("GET").body for _ in targets]
    assert bodies == [str(number).encode() * 5000 for number in range(len(targets))]


@pytest.mark.parametrize("key", ["k", "absent"])
def test_head_has_no_body(server: Server, bucket: str, key: str) -> None:
    exchange(server, "PUT", f"/{bucket}/k", body=b"x" * 100)
    with Wire(server) as wire:
        for _ in range(2):
            headers = signed_headers(server, "HEAD", f"/{bucket}/{key}")
            assert wire.request("HEAD", f"/{bucket}/{key}", headers).status in {200, 404}
        assert wire.is_silent(0.2)


def test_chunked_transfer_encoding(server: Server, bucket: str) -> None:
    target = f"/{bucket}/k"
    headers = {"transfer-encoding": "chunked"}
    signed = signed_headers(server, "PUT", target, headers=headers, payload_hash=UNSIGNED)
    with Wire(server) as wire:
        wire.send(head("PUT", target, signed))
        for size in (1, 5000, 70_000):
            wire.send(f"{size:x}\r\n".encode() + b"x" * size + b"\r\n")
        wire.send(b"0\r\n\r\n")
        reply = wire.receive("PUT")
    # AWS insists on a length; a gateway that stores the body whole is as good to the client.
    assert reply.status in {200, 411}
    if reply.status == 200:
        assert exchange(server, "GET", target).body == b"x" * 75_001


def test_slow_body(server: Server, bucket: str) -> None:
    target = f"/{bucket}/k"
    body = b"slowly " * 10
    with Wire(server) as wire:
        wire.send(head("PUT", target, signed_headers(server, "PUT", target, body=body)))
        for start in range(0, len(body), 7):
            time.sleep(0.03)
            wire.send(body[start : start + 7])
        assert wire.receive("PUT").status == 200
    assert exchange(server, "GET", target).body == body


def test_slow_head(server: Server, bucket: str) -> None:
    request = head("GET", f"/{bucket}", signed_headers(server, "GET", f"/{bucket}"))
    with Wire(server) as wire:
        for start in range(0, len(request), 40):
            time.sleep(0.01)
            wire.send(request[start : start + 40])
        assert wire.receive().status == 200


def test_slow_reader_does_not_hold_others(server: Server, bucket: str) -> None:
    data = b"r" * 20_000_000
    target = f"/{bucket}/k"
    exchange(server, "PUT", target, body=data)
    slow = [Wire(server) for _ in range(8)]
    try:
        for wire in slow:
            wire.send(head("GET", target, signed_headers(server, "GET", target)))
        for _ in range(10):
            started = time.monotonic()
            assert exchange(server, "GET", f"/{bucket}").status == 200
            assert time.monotonic() - started < 2
        assert slow[0].receive().body == data
    finally:
        for wire in slow:
            wire.close()


def test_head_too_large(server: Server, bucket: str) -> None:
    target = f"/{bucket}"
    headers = signed_headers(server, "GET", target, headers={"x-amz-meta-a": "v" * 200_000})
    with Wire(server) as wire:
        try:
            reply = wire.request("GET", target, headers)
        except (ConnectionResetError, BrokenPipeError):
            return
        assert reply.status in {400, 431}


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"HELLO\r\n\r\n",
        b"GET\x00 / HTTP/1.1\r\n\r\n",
    ],
)
def test_garbage_is_refused(server: Server, garbage: bytes) -> None:
    with Wire(server) as wire:
        wire.send(garbage + b"\r\n\r\n")
        try:
            assert wire.receive().status == 400
        except ConnectionResetError:
            pass
    assert server.health() == 200


def test_request_smuggling_is_refused(server: Server, bucket: str) -> None:
    # Both a length and chunks: whoever believes one of them reads another request than a proxy before us did.
    target = f"/{bucket}/k"
    headers = {"host": host_of(server), "content-length": "5", "transfer-encoding": "chunked"}
    with Wire(server) as wire:
        wire.send(head("PUT", target, headers) + b"0\r\n\r\nGET / HTTP/1.1\r\n\r\n")
        reply = wire.receive("PUT")
        assert reply.status in {400, 403}
        assert wire.is_ended()
