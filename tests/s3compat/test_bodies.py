"""Bodies that are not what their request says, and clients that go away; nothing of them may stay."""

from __future__ import annotations

import base64
import hashlib
import time
from pathlib import Path

import pytest

from tests.s3compat.signing import UNSIGNED
from tests.s3compat.wire import Wire, exchange, head, signed_headers
from tests.server import Server

BODY = hashlib.shake_256(b"bodies").digest(300_000)


def test_body_hash_mismatch(server: Server, bucket: str) -> None:
    target = f"/{bucket}/k"
    exchange(server, "PUT", target, body=b"kept")
    signed = signed_headers(
        server,
        "PUT",
        target,
        body=BODY,
        payload_hash=hashlib.sha256(b"another body").hexdigest(),
    )
    with Wire(server) as wire:
        reply = wire.request("PUT", target, signed, BODY)
    assert (reply.status, reply.error_code) == (400, "XAmzContentSHA256Mismatch")
    assert exchange(server, "GET", target).body == b"kept"


def test_body_hash_malformed(server: Server, bucket: str) -> None:
    target = f"/{bucket}/k"
    signed = signed_headers(server, "PUT", target, body=BODY, payload_hash="zz")
    with Wire(server) as wire:
        reply = wire.request("PUT", target, signed, BODY)
    assert reply.status == 400
    assert exchange(server, "GET", target).status == 404


@pytest.mark.parametrize("sent", [0, 1, 100_000, len(BODY) - 1])
def test_truncated_body_then_close(server: Server, bucket: str, sent: int) -> None:
    target = f"/{bucket}/k"
    exchange(server, "PUT", target, body=b"kept")
    wire = Wire(server)
    wire.send(head("PUT", target, signed_headers(server, "PUT", target, body=BODY)) + BODY[:sent])
    wire.close()
    time.sleep(0.1)
    assert exchange(server, "GET", target).body == b"kept"


def test_truncated_body_half_closed(server: Server, bucket: str) -> None:
    target = f"/{bucket}/k"
    with Wire(server) as wire:
        signed = signed_headers(server, "PUT", target, body=BODY, payload_hash=UNSIGNED)
        wire.send(head("PUT", target, signed) + BODY[:1000])
        wire.socket.shutdown(1)
        assert wire.is_ended() or wire.receive("PUT").status == 400
    assert exchange(server, "GET", target).status == 404


def test_clients_gone_mid_upload_leak_nothing(server: Server, bucket: str) -> None:
    settle(server)
    before = server.descriptors()
    held = files_of(server)
    for number in range(30):
        target = f"/{bucket}/{number}"
        large = b"u" * 2_000_000
        signed = signed_headers(server, "PUT", target, body=large, payload_hash=UNSIGNED)
        wire = Wire(server)
        wire.send(head("PUT", target, signed) + large[: 100_000 + number * 50_000])
        (wire.abort if number % 2 else wire.close)()
    settle(server)
    assert server.descriptors() <= before + 8
    assert b"<Key>" not in exchange(server, "GET", f"/{bucket}").body
    assert files_of(server) <= held


def test_clients_gone_mid_download_leak_nothing(server: Server, bucket: str) -> None:
    target = f"/{bucket}/k"
    exchange(server, "PUT", target, body=b"d" * 20_000_000)
    settle(server)
    before = server.descriptors()
    for number in range(30):
        wire = Wire(server)
        wire.send(head("GET", target, signed_headers(server, "GET", target)))
        assert wire.read(1000)
        (wire.abort if number % 2 else wire.close)()
    settle(server)
    assert server.descriptors() <= before + 8
    assert exchange(server, "HEAD", target).status == 200


def test_content_md5_of_another_body(server: Server, bucket: str) -> None:
    wrong = base64.b64encode(hashlib.md5(b"other").digest()).decode()
    target = f"/{bucket}/k"
    reply = exchange(server, "PUT", target, body=BODY, headers={"content-md5": wrong})
    assert (reply.status, reply.error_code) == (400, "BadDigest")
    assert exchange(server, "GET", target).status == 404


def test_length_required(server: Server, bucket: str) -> None:
    target = f"/{bucket}/k"
    signed = signed_headers(server, "PUT", target, payload_hash=UNSIGNED)
    del signed["content-length"]
    with Wire(server) as wire:
        reply = wire.request("PUT", target, {**signed, "connection": "close"})
    # Without length and encoding a message has no body (RFC 9112, 6.3): AWS says MissingContentLength.
    assert reply.status in {200, 403, 411}


@pytest.mark.parametrize("length", ["-1", "abc", "1e3", "99999999999999999999999"])
def test_malformed_length(server: Server, bucket: str, length: str) -> None:
    target = f"/{bucket}/k"
    signed = signed_headers(server, "PUT", target, headers={"content-length": length})
    with Wire(server) as wire:
        assert wire.request("PUT", target, signed).status == 400


def test_put_above_five_gib_is_refused_at_once(server: Server, bucket: str) -> None:
    target = f"/{bucket}/k"
    headers = {"content-length": str(5 * 1024**3 + 1), "expect": "100-continue"}
    signed = signed_headers(server, "PUT", target, headers=headers, payload_hash=UNSIGNED)
    with Wire(server) as wire:
        reply = wire.request("PUT", target, signed)
    assert (reply.status, reply.error_code) == (400, "EntityTooLarge")


def settle(server: Server, timeout_s: float = 5.0) -> None:
    """Wait until the tree's descriptors no longer change."""
    last, since = server.descriptors(), time.monotonic()
    deadline = since + timeout_s
    while time.monotonic() < deadline and time.monotonic() - since < 0.5:
        time.sleep(0.05)
        if (now := server.descriptors()) != last:
            last, since = now, time.monotonic()


def files_of(server: Server) -> set[Path]:
    """Files in the store other than the databases with their logs, whatever their layout."""
    return {
        path
        for directory in server.options.data_dirs
        for path in directory.rglob("*")
        if path.is_file() and not path.name.endswith(("-wal", "-shm", "-journal"))
    }
