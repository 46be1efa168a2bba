"""Without access control: whoever asks is root, whatever the request is signed with, and bodies still arrive whole."""

from __future__ import annotations

import asyncio
import base64
import zlib

import pytest

from core.names import UserId
from core.types import User
from s3api.auth.errors import AccessDenied
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
    asked = request("GET", "http://localhost:9000/b/k", headers)
    assert OPEN.authenticate(asked, EXAMPLE_NS).identity.user is ROOT


def test_headers_of_a_presigned_url_count() -> None:
    asked = request("PUT", "http://localhost:9000/b/k?X-Amz-Signature=0&x-amz-acl=public-read", {})
    assert OPEN.authenticate(asked, EXAMPLE_NS).identity.user is ROOT
    assert asked.headers["x-amz-acl"] == "public-read"


@pytest.mark.parametrize("kind", [SIGNED_CHUNKS, SIGNED_CHUNKS_TRAILER, UNSIGNED_TRAILER])
def test_framed_bodies_are_unchunked(kind: str) -> None:
    data = b"x" * 10_000
    headers = {
        "host": "127.0.0.1",
        "x-amz-decoded-content-length": str(len(data)),
        "content-encoding": "aws-chunked",
    }
    if kind != SIGNED_CHUNKS:
        headers["x-amz-trailer"] = "x-amz-checksum-crc32"
    signed = authorize_v4(STRANGER, "PUT", "/b/k", headers, kind)
    asked = request("PUT", "http://localhost:9000/b/k", signed)
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


NEAR = ["127.0.0.1", "127.0.0.1:9000", "localhost", "LOCALHOST:1", "[::1]:9000", "[::1]"]
OURS = ["bucket.localhost:9000", "s3.test", "bucket.s3.test:80"]
FAR = [
    "evil.test",
    "127.0.0.1.evil.test",
    "192.0.2.1:9000",
    "localhost.evil.test",
    "xs3.test",
    "[::2]:1",
]


@pytest.mark.parametrize("host", [*NEAR, *OURS])
def test_programs_of_this_machine(host: str) -> None:
    open_door = OpenAuthenticator(ROOT, domains=("s3.test",))
    for headers in ({"host": host}, {"host": host, "origin": f"http://{host}"}):
        asked = request("GET", "http://x/b/k", headers)
        assert open_door.authenticate(asked, EXAMPLE_NS).identity.user is ROOT


@pytest.mark.parametrize("host", FAR)
def test_pages_of_strangers(host: str) -> None:
    """By a name of the page's own that points here (DNS rebinding), or across sites."""
    open_door = OpenAuthenticator(ROOT, domains=("s3.test",))
    for headers in ({"host": host}, {"host": "localhost", "origin": f"https://{host}"}):
        asked = request("POST", "http://x/b", headers)
        with pytest.raises(AccessDenied):
            open_door.authenticate(asked, EXAMPLE_NS)
        forced = OpenAuthenticator(ROOT, is_for_strangers=True)
        assert forced.authenticate(asked, EXAMPLE_NS).identity.user is ROOT


@pytest.mark.parametrize("origin", ["null", "", "http://[", "file://", "https://"])
def test_pages_of_nowhere(origin: str) -> None:
    asked = request("POST", "http://localhost/b", {"origin": origin})
    with pytest.raises(AccessDenied):
        OPEN.authenticate(asked, EXAMPLE_NS)
