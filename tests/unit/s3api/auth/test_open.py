"""Without access control: whoever asks is root, whatever the request is signed with, and bodies still arrive whole."""

from __future__ import annotations

import asyncio
import base64
import zlib

import pytest

from core.names import UserId
from core.types import User
from s3api.auth.open import OpenAuthenticator
from s3api.auth.sigv4 import SIGNED_CHUNKS, SIGNED_CHUNKS_TRAILER, UNSIGNED_TRAILER
from tests.s3compat.signing import ChunkSigner, Scope, authorize_v4
from tests.server import Keys
from tests.unit.s3api.auth.support import EXAMPLE_NS, Arriving, read, request

ROOT = User(UserId("f" * 64), "root", "root", is_root=True)
STRANGER = Scope(Keys("NOBODYKNOWSTHISKEY01", "nor the secret of it"), EXAMPLE_NS / 1e9, "mars-1")
OPEN = OpenAuthenticator(ROOT)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "AWS4-HMAC-SHA256 nonsense"},
        {"authorization": "AWS nobody:nothing"},
        {"authorization": "Bearer x.y.z"},
        {"authorization": "what is this"},
        {"x-amz-security-token": "x.y.z"},
    ],
)
def test_everybody_is_root(headers: dict[str, str]) -> None:
    asked = request("GET", "http://h/b/k", headers)
    assert OPEN.authenticate(asked, EXAMPLE_NS).identity.user is ROOT


def test_headers_of_a_presigned_url_count() -> None:
    asked = request("PUT", "http://h/b/k?X-Amz-Signature=0&x-amz-acl=public-read", {})
    assert OPEN.authenticate(asked, EXAMPLE_NS).identity.user is ROOT
    assert asked.headers["x-amz-acl"] == "public-read"


@pytest.mark.parametrize("kind", [SIGNED_CHUNKS, SIGNED_CHUNKS_TRAILER, UNSIGNED_TRAILER])
def test_framed_bodies_are_unchunked(kind: str) -> None:
    data = b"x" * 10_000
    headers = {
        "host": "h",
        "x-amz-decoded-content-length": str(len(data)),
        "content-encoding": "aws-chunked",
    }
    if kind != SIGNED_CHUNKS:
        headers["x-amz-trailer"] = "x-amz-checksum-crc32"
    signed = authorize_v4(STRANGER, "PUT", "/b/k", headers, kind)
    asked = request("PUT", "http://h/b/k", signed)
    signer = ChunkSigner(STRANGER, "0" * 64)
    checksum = base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()
    if kind == UNSIGNED_TRAILER:
        frames = b"%x\r\n%b\r\n0\r\n" % (len(data), data)
        frames += f"x-amz-checksum-crc32:{checksum}\r\n\r\n".encode()
    else:
        frames = signer.frame(data) + signer.frame(b"")
        end = b"\r\n"
        frames += end if kind == SIGNED_CHUNKS else signer.trailer("x-amz-checksum-crc32", checksum)
    body = OPEN.authenticate(asked, EXAMPLE_NS).open_body(Arriving([frames]))
    assert asyncio.run(read(body)) == data
