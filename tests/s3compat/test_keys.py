"""Keys that are legal in S3 and awkward everywhere else, as they go over the wire."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from mypy_boto3_s3 import S3Client

from tests.s3compat.boto import list_keys
from tests.s3compat.wire import exchange
from tests.server import Server

KEYS = [
    "a//b",
    "/leading",
    "//",
    "/",
    "trailing/",
    "..",
    "../../../../etc/passwd",
    ".",
    "a/./b/../c",
    "per%cent",
    "%2F",
    "%2e%2e%2f",
    "plus+plus",
    "sp ace",
    "quest?ion=1&x",
    "hash#tag",
    "back\\slash",
    "quote\"'`",
    "<xml>&amp;",
    "tab\tnew\nline\rret",
    "bell\x07\x01\x1f\x7f",
    "emoji\U0001f600\U0001f468‍\U0001f469‍\U0001f467",
    "ünï€ö∂é",
    "e\u0301 not é",
    "\u202ertl",
    "x" * 1024,
    "é" * 512,
    "deep/" * 204 + "k",
    "con.nul",
    "*|:<>",
    "~tilde",
    ";semi;colon=,",
]


@pytest.mark.parametrize("key", KEYS, ids=range(len(KEYS)))
def test_key_round_trip(server: Server, client: S3Client, bucket: str, key: str) -> None:
    target = f"/{bucket}/" + quote(key, safe="/")
    put = exchange(server, "PUT", target, body=key.encode())
    assert put.status == 200, put.body
    assert exchange(server, "GET", target).body == key.encode()
    # Every byte encoded names the same key.
    encoded = f"/{bucket}/" + "".join(f"%{byte:02X}" for byte in key.encode())
    assert exchange(server, "GET", encoded).body == key.encode()
    assert list_keys(client, bucket) == [key]
    assert list_keys(client, bucket, key) == [key]
    assert exchange(server, "DELETE", target).status == 204
    assert list_keys(client, bucket) == []


def test_keys_are_apart(server: Server, client: S3Client, bucket: str) -> None:
    keys = ["a/b", "a//b", "/a/b", "a/b/", "a/./b", "a/%2E/b", "A/B", "a%2Fb", "á", "a\u0301"]
    for key in keys:
        exchange(server, "PUT", f"/{bucket}/" + quote(key, safe="/"), body=key.encode())
    assert list_keys(client, bucket) == sorted(keys, key=str.encode)
    for key in keys:
        got = exchange(server, "GET", f"/{bucket}/" + quote(key, safe="/"))
        assert got.body == key.encode()


def test_key_too_long(server: Server, bucket: str) -> None:
    for target in (f"/{bucket}/" + "x" * 1025, f"/{bucket}/" + quote("é" * 513)):
        reply = exchange(server, "PUT", target, body=b"x")
        assert (reply.status, reply.error_code) == (400, "KeyTooLongError")


def test_no_key_becomes_a_path(server: Server, bucket: str) -> None:
    for key in ("../escaped-weir", "..%2Fescaped-weir", "%2e%2e/escaped-weir", "/tmp/escaped-weir"):
        exchange(server, "PUT", f"/{bucket}/{key}", body=b"x")
    data = server.options.data_dirs[0]
    assert not list(data.parent.rglob("escaped-weir"))
    assert not Path("/tmp/escaped-weir").exists()
