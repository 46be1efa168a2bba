"""Expect: 100-continue. The go-ahead is given only to a request that may go ahead."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.s3compat.wire import Wire, exchange, head, signed_headers
from tests.server import OTHER_KEYS, ROOT_KEYS, Keys, Server

BODY = b"x" * 200_000


def ask(
    server: Server, target: str, keys: Keys = ROOT_KEYS, extra: Mapping[str, str] | None = None
) -> bytes:
    headers = {"expect": "100-continue", **(extra or {})}
    return head(
        "PUT", target, signed_headers(server, "PUT", target, body=BODY, headers=headers, keys=keys)
    )


def test_expect_continue_then_body(server: Server, bucket: str) -> None:
    with Wire(server) as wire:
        wire.send(ask(server, f"/{bucket}/k"))
        assert wire.receive().status == 100
        wire.send(BODY)
        assert wire.receive("PUT").status == 200
        # The connection goes on.
        get = signed_headers(server, "GET", f"/{bucket}/k")
        assert wire.request("GET", f"/{bucket}/k", get).body == BODY


def test_expect_continue_bad_signature(server: Server, bucket: str) -> None:
    with Wire(server) as wire:
        wire.send(ask(server, f"/{bucket}/k", Keys(OTHER_KEYS.access_key, "wrong")))
        reply = wire.receive("PUT")
        assert (reply.status, reply.error_code) == (403, "SignatureDoesNotMatch")


def test_expect_continue_other_user(server: Server, bucket: str) -> None:
    with Wire(server) as wire:
        wire.send(ask(server, f"/{bucket}/k", OTHER_KEYS))
        reply = wire.receive("PUT")
        assert (reply.status, reply.error_code) == (403, "AccessDenied")


def test_expect_continue_missing_bucket(server: Server) -> None:
    with Wire(server) as wire:
        wire.send(ask(server, "/no-such-bucket-here/k"))
        reply = wire.receive("PUT")
        assert (reply.status, reply.error_code) == (404, "NoSuchBucket")


def test_expect_continue_failed_precondition_stores_nothing(server: Server, bucket: str) -> None:
    exchange(server, "PUT", f"/{bucket}/k", body=b"kept")
    with Wire(server) as wire:
        wire.send(ask(server, f"/{bucket}/k", extra={"if-none-match": "*"}))
        reply = wire.receive("PUT")
        if reply.status == 100:
            wire.send(BODY)
            reply = wire.receive("PUT")
        assert reply.status == 412
    assert exchange(server, "GET", f"/{bucket}/k").body == b"kept"


def test_expect_continue_body_sent_at_once(server: Server, bucket: str) -> None:
    with Wire(server) as wire:
        wire.send(ask(server, f"/{bucket}/k") + BODY)
        reply = wire.receive("PUT")
        if reply.status == 100:
            reply = wire.receive("PUT")
        assert reply.status == 200


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_expect_continue_without_body(server: Server, bucket: str, method: str) -> None:
    exchange(server, "PUT", f"/{bucket}/k", body=b"x")
    with Wire(server) as wire:
        headers = signed_headers(server, method, f"/{bucket}/k", headers={"expect": "100-continue"})
        reply = wire.request(method, f"/{bucket}/k", headers)
        if reply.status == 100:
            reply = wire.receive(method)
        assert reply.status == 200
