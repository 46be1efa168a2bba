"""aws-chunked bodies of each kind, and everything that can be wrong with one."""

from __future__ import annotations

import base64
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.s3compat.signing import (
    SIGNED_CHUNKS,
    SIGNED_CHUNKS_TRAILER,
    UNSIGNED_TRAILER,
    ChunkSigner,
    Scope,
    authorize_v4,
)
from tests.s3compat.wire import ConnectionEndedError, Reply, Wire, exchange, head, host_of
from tests.server import ROOT_KEYS, Server

CHUNKS = [b"a" * 65536, b"b" * 70_000, b"c" * 100]
DATA = b"".join(CHUNKS)


def crc32(data: bytes) -> str:
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


@dataclass(slots=True)
class Upload:
    """One aws-chunked PUT, made ready to be damaged before it is sent."""

    target: str
    headers: dict[str, str]
    frames: list[bytes]

    def send(self, server: Server) -> Reply:
        body = b"".join(self.frames)
        self.headers.setdefault("content-length", str(len(body)))
        with Wire(server) as wire:
            wire.send(head("PUT", self.target, self.headers) + body)
            return wire.receive("PUT")


def upload(
    server: Server, bucket: str, kind: str, decoded_length: int = len(DATA), checksum: str = ""
) -> Upload:
    scope = Scope(ROOT_KEYS, time.time())
    target = f"/{bucket}/k"
    headers = {
        "host": host_of(server),
        "content-encoding": "aws-chunked",
        "x-amz-decoded-content-length": str(decoded_length),
    }
    has_trailer = kind != SIGNED_CHUNKS
    if has_trailer:
        headers["x-amz-trailer"] = "x-amz-checksum-crc32"
    signed = authorize_v4(scope, "PUT", target, headers, kind)
    value = checksum or crc32(DATA)
    if kind == UNSIGNED_TRAILER:
        frames = [f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n" for chunk in CHUNKS]
        frames += [b"0\r\n", f"x-amz-checksum-crc32:{value}\r\n\r\n".encode()]
        return Upload(target, signed, frames)
    signer = ChunkSigner(scope, signed["authorization"].rpartition("Signature=")[2])
    frames = [signer.frame(chunk) for chunk in [*CHUNKS, b""]]
    frames.append(signer.trailer("x-amz-checksum-crc32", value) if has_trailer else b"\r\n")
    return Upload(target, signed, frames)


KINDS = [SIGNED_CHUNKS, SIGNED_CHUNKS_TRAILER, UNSIGNED_TRAILER]


@pytest.mark.parametrize("kind", KINDS)
def test_aws_chunked(server: Server, bucket: str, kind: str) -> None:
    reply = upload(server, bucket, kind).send(server)
    assert reply.status == 200, reply.body
    got = exchange(server, "GET", f"/{bucket}/k", headers={"x-amz-checksum-mode": "ENABLED"})
    assert got.body == DATA
    # aws-chunked is about the transfer and is not kept with the object.
    assert "aws-chunked" not in got.headers.get("content-encoding", "")
    if kind != SIGNED_CHUNKS:
        assert got.headers["x-amz-checksum-crc32"] == crc32(DATA)


@pytest.mark.parametrize("kind", KINDS)
def test_aws_chunked_byte_by_byte_frames(server: Server, bucket: str, kind: str) -> None:
    whole = upload(server, bucket, kind)
    body = b"".join(whole.frames)
    whole.headers["content-length"] = str(len(body))
    with Wire(server) as wire:
        wire.send(head("PUT", whole.target, whole.headers))
        # Cuts inside a size line, a signature, a chunk's end and the trailer.
        cuts = [0, 1, 3, 50, 90, 65620, 65624, 65626, len(body) - 90, len(body) - 3, len(body) - 1]
        for start, end in zip(cuts, [*cuts[1:], len(body)], strict=True):
            wire.send(body[start:end])
            time.sleep(0.005)
        assert wire.receive("PUT").status == 200
    assert exchange(server, "GET", whole.target).body == DATA


def flip_data(whole: Upload) -> None:
    frame = bytearray(whole.frames[1])
    frame[-100] ^= 1
    whole.frames[1] = bytes(frame)


def flip_signature(whole: Upload) -> None:
    first = whole.frames[1]
    at = first.index(b"chunk-signature=") + 20
    whole.frames[1] = first[:at] + (b"0" if first[at : at + 1] != b"0" else b"1") + first[at + 1 :]


def swap_chunks(whole: Upload) -> None:
    whole.frames[0], whole.frames[1] = whole.frames[1], whole.frames[0]


def drop_chunk(whole: Upload) -> None:
    del whole.frames[1]


def drop_signature(whole: Upload) -> None:
    size, _, rest = whole.frames[1].partition(b";")
    whole.frames[1] = size + b"\r\n" + rest.partition(b"\r\n")[2]


REFUSALS = {"SignatureDoesNotMatch", "InvalidChunkSizeError", "IncompleteBody", "InvalidRequest"}
TAMPERED = [flip_data, flip_signature, swap_chunks, drop_chunk, drop_signature]


@pytest.mark.parametrize("damage", TAMPERED)
@pytest.mark.parametrize("kind", [SIGNED_CHUNKS, SIGNED_CHUNKS_TRAILER])
def test_aws_chunked_tampered(
    server: Server, bucket: str, kind: str, damage: Callable[[Upload], None]
) -> None:
    exchange(server, "PUT", f"/{bucket}/k", body=b"kept")
    whole = upload(server, bucket, kind)
    damage(whole)
    reply = whole.send(server)
    assert reply.status in {400, 403}
    assert reply.error_code in REFUSALS
    assert exchange(server, "GET", f"/{bucket}/k").body == b"kept"


@pytest.mark.parametrize("kind", [SIGNED_CHUNKS_TRAILER, UNSIGNED_TRAILER])
def test_aws_chunked_wrong_trailer_checksum(server: Server, bucket: str, kind: str) -> None:
    reply = upload(server, bucket, kind, checksum=crc32(b"other")).send(server)
    assert (reply.status, reply.error_code) == (400, "BadDigest")
    assert exchange(server, "GET", f"/{bucket}/k").status == 404


def test_aws_chunked_tampered_trailer(server: Server, bucket: str) -> None:
    whole = upload(server, bucket, SIGNED_CHUNKS_TRAILER)
    whole.frames[-1] = whole.frames[-1].replace(crc32(DATA).encode(), crc32(b"other").encode())
    reply = whole.send(server)
    assert reply.status in {400, 403}
    assert exchange(server, "GET", f"/{bucket}/k").status == 404


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("declared", [len(DATA) - 1, len(DATA) + 1])
def test_aws_chunked_wrong_decoded_length(
    server: Server, bucket: str, kind: str, declared: int
) -> None:
    reply = upload(server, bucket, kind, decoded_length=declared).send(server)
    assert (reply.status, reply.error_code) == (400, "IncompleteBody")
    assert exchange(server, "GET", f"/{bucket}/k").status == 404


@pytest.mark.parametrize("kind", KINDS)
def test_aws_chunked_truncated(server: Server, bucket: str, kind: str) -> None:
    whole = upload(server, bucket, kind)
    body = b"".join(whole.frames)[:80_000]
    whole.headers["content-length"] = "136000"
    wire = Wire(server)
    wire.send(head("PUT", whole.target, whole.headers) + body)
    wire.close()
    assert exchange(server, "GET", f"/{bucket}/k").status == 404


@pytest.mark.parametrize(
    "frame", [b"zz\r\n", b"-5\r\n", b"ffffffffffffffffffff\r\n", b"\r\n", b"5" * 5000 + b"\r\n"]
)
def test_aws_chunked_malformed_size(server: Server, bucket: str, frame: bytes) -> None:
    whole = upload(server, bucket, UNSIGNED_TRAILER)
    whole.frames[0] = frame + b"a" * 100 + b"\r\n"
    try:
        reply = whole.send(server)
    except (ConnectionEndedError, ConnectionError):
        pass
    else:
        assert reply.status == 400
    assert exchange(server, "GET", f"/{bucket}/k").status == 404
