"""Bodies: plain and aws-chunked, whole and damaged, against AWS's published examples."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import IncompleteBody, InvalidArgument
from core.protocols import BodyStream
from core.types import ChecksumAlgorithm, ExpectedDigest
from s3api.auth.body import stored_content_encoding
from s3api.auth.errors import (
    BadDigest,
    InvalidAuthArgument,
    InvalidChunkSizeError,
    InvalidDigest,
    MalformedChunk,
    MalformedTrailer,
    SignatureDoesNotMatch,
)
from s3api.auth.sigv4 import SIGNED_CHUNKS, SIGNED_CHUNKS_TRAILER, UNSIGNED_TRAILER
from s3api.protocol_errors import InvalidRequest, MissingContentLength
from tests.s3compat.signing import ChunkSigner, Scope, authorize_v4
from tests.server import Keys
from tests.unit.s3api.auth.support import (
    ACCESS_KEY,
    EXAMPLE_NS,
    SECRET_KEY,
    Arriving,
    authenticate,
    read,
    request,
)

KINDS = [SIGNED_CHUNKS, SIGNED_CHUNKS_TRAILER, UNSIGNED_TRAILER]
CHUNKS = [b"a" * 65536, b"b" * 70_000, b"c" * 100]
DATA = b"".join(CHUNKS)
SCOPE = Scope(Keys(ACCESS_KEY, SECRET_KEY), EXAMPLE_NS / 1e9, "us-east-1")
SHA256 = hashlib.sha256(DATA).hexdigest()


def crc32(data: bytes) -> str:
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


def open_body(headers: dict[str, str], data: list[bytes], kind: str = "") -> BodyStream:
    """The body of a signed PUT, or of an anonymous one if `kind` is empty."""
    if kind:
        headers = authorize_v4(SCOPE, "PUT", "/b/k", {"host": "h", **headers}, kind)
    asked = request("PUT", "http://h/b/k", headers)
    return authenticate(asked).open_body(Arriving(data))


def framed(
    kind: str,
    chunks: list[bytes],
    *,
    size_bytes: int | None = None,
    checksum: str | None = None,
    damage: Callable[[list[bytes]], None] | None = None,
    cuts: list[int] | None = None,
) -> BodyStream:
    """An aws-chunked body, damaged if asked, arriving in pieces that end at `cuts`."""
    data = b"".join(chunks)
    headers = {"host": "h", "content-encoding": "aws-chunked"}
    headers["x-amz-decoded-content-length"] = str(len(data) if size_bytes is None else size_bytes)
    if kind != SIGNED_CHUNKS:
        headers["x-amz-trailer"] = "x-amz-checksum-crc32"
    headers = authorize_v4(SCOPE, "PUT", "/b/k", headers, kind)
    checksum = crc32(data) if checksum is None else checksum
    signer = ChunkSigner(SCOPE, headers["authorization"].rpartition("Signature=")[2])
    if kind == UNSIGNED_TRAILER:
        frames = [f"{len(c):x}\r\n".encode() + c + b"\r\n" for c in chunks]
        frames.append(f"0\r\nx-amz-checksum-crc32:{checksum}\r\n\r\n".encode())
    else:
        frames = [signer.frame(c) for c in [*chunks, b""]]
        frames.append(
            b"\r\n" if kind == SIGNED_CHUNKS else signer.trailer("x-amz-checksum-crc32", checksum)
        )
    if damage:
        damage(frames)
    raw = b"".join(frames)
    ends = [*sorted(cut for cut in cuts or [] if cut < len(raw)), len(raw)]
    arriving = [raw[a:b] for a, b in zip([0, *ends], ends, strict=False) if b > a]
    asked = request("PUT", "http://h/b/k", headers)
    return authenticate(asked).open_body(Arriving(arriving))


def whole(body: BodyStream) -> bytes:
    return asyncio.run(read(body))


# --- plain -------------------------------------------------------------------------------------------------------


def test_plain_payload_hash_is_a_claim() -> None:
    body = open_body({"content-length": str(len(DATA))}, [DATA], SHA256)
    assert whole(body) == DATA
    assert body.size_bytes == len(DATA)
    assert body.wanted_checksum is None
    assert body.expected_digests() == (ExpectedDigest("sha256", bytes.fromhex(SHA256), "payload"),)


@pytest.mark.parametrize("size_bytes", [len(DATA) - 1, len(DATA) + 1])
def test_plain_wrong_length(size_bytes: int) -> None:
    with pytest.raises(IncompleteBody):
        whole(open_body({"content-length": str(size_bytes)}, [DATA]))


def test_plain_without_length() -> None:
    body = open_body({}, CHUNKS)
    assert body.size_bytes is None
    assert whole(body) == DATA


@pytest.mark.parametrize("value", ["-1", "+1", "1_0", "x", "", "1" * 20])
def test_plain_malformed_length(value: str) -> None:
    with pytest.raises(InvalidArgument):
        open_body({"content-length": value}, [])


def test_digests_of_headers() -> None:
    md5 = hashlib.md5(DATA).digest()
    body = open_body(
        {
            "content-md5": base64.b64encode(md5).decode(),
            "x-amz-checksum-crc32": crc32(DATA),
            "x-amz-sdk-checksum-algorithm": "crc32",
        },
        [],
        SHA256,
    )
    assert [digest.source for digest in body.expected_digests()] == [
        "payload",
        "content-md5",
        "checksum",
    ]
    assert body.expected_algorithms() == ("sha256", "md5", "crc32")
    assert body.wanted_checksum is ChecksumAlgorithm.CRC32


@pytest.mark.parametrize("value", ["", "AWS HAHAHA", "YWJyYWNhZGFicmE=", "rL0Y20xC+Fzt72VPzMSk2A"])
def test_malformed_content_md5(value: str) -> None:
    with pytest.raises(InvalidDigest):
        open_body({"content-md5": value}, [])


@pytest.mark.parametrize(
    "headers",
    [
        {"x-amz-checksum-crc32": "not base64"},
        {"x-amz-checksum-crc32": ""},
        {"x-amz-checksum-crc32": "AAAA"},
        {"x-amz-checksum-sha256": crc32(b"")},
        {"x-amz-checksum-md5": crc32(b"")},
        {"x-amz-checksum-crc32": crc32(b""), "x-amz-checksum-crc32c": crc32(b"")},
        {"x-amz-checksum-crc32": crc32(b""), "x-amz-sdk-checksum-algorithm": "SHA1"},
        {"x-amz-sdk-checksum-algorithm": "SHA1"},
    ],
)
def test_malformed_checksums(headers: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest):
        open_body(headers, [])


def test_checksum_without_padding() -> None:
    with pytest.raises(BadDigest):
        open_body({"x-amz-checksum-sha256": "bad"}, [])


def test_completion_checksum_is_not_of_the_document() -> None:
    asked = request(
        "POST",
        "http://h/b/k?uploadId=u",
        {"x-amz-checksum-crc32": "AAAAAA==-2", "x-amz-checksum-type": "COMPOSITE"},
    )
    assert authenticate(asked).open_body(Arriving([])).expected_digests() == ()


def test_unsigned_payload_hash_is_a_claim_too() -> None:
    body = open_body({"x-amz-content-sha256": SHA256}, [])
    assert body.expected_algorithms() == ("sha256",)
    with pytest.raises(InvalidAuthArgument):
        open_body({"x-amz-content-sha256": "abc"}, [])
    with pytest.raises(InvalidRequest):
        open_body({"x-amz-content-sha256": SIGNED_CHUNKS, "x-amz-decoded-content-length": "1"}, [])


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("aws-chunked", ""),
        ("aws-chunked,gzip", "gzip"),
        ("gzip, aws-chunked", "gzip"),
        ("AWS-Chunked, deflate, br", "deflate,br"),
        ("gzip, br", "gzip, br"),
        ("", ""),
    ],
)
def test_stored_content_encoding(sent: str, stored: str) -> None:
    assert stored_content_encoding(sent) == stored


# --- aws-chunked -------------------------------------------------------------------------------------------------


def test_aws_example_signed_chunks() -> None:
    data = b"a" * 66560
    headers = {
        "host": "s3.amazonaws.com",
        "x-amz-date": "20130524T000000Z",
        "x-amz-storage-class": "REDUCED_REDUNDANCY",
        "x-amz-content-sha256": SIGNED_CHUNKS,
        "content-encoding": "aws-chunked",
        "x-amz-decoded-content-length": "66560",
        "content-length": "66824",
        "authorization": f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/20130524/us-east-1/s3/aws4_request,"
        "SignedHeaders=content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;"
        "x-amz-decoded-content-length;x-amz-storage-class,"
        "Signature=4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
    }
    frames = [
        b"10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n",
        data[:65536],
        b"\r\n400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n",
        data[65536:],
        b"\r\n0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n",
    ]
    asked = request("PUT", "https://s3.amazonaws.com/examplebucket/chunkObject.txt", headers)
    assert sum(map(len, frames)) == 66824
    body = authenticate(asked).open_body(Arriving(frames))
    assert body.size_bytes == 66560
    assert whole(body) == data


def test_aws_example_trailer() -> None:
    data = b"a" * 66560
    headers = {
        "host": "s3.amazonaws.com",
        "x-amz-date": "20130524T000000Z",
        "x-amz-storage-class": "REDUCED_REDUNDANCY",
        "x-amz-content-sha256": SIGNED_CHUNKS_TRAILER,
        "content-encoding": "aws-chunked",
        "x-amz-decoded-content-length": "66560",
        "x-amz-trailer": "x-amz-checksum-crc32c",
        "authorization": f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/20130524/us-east-1/s3/aws4_request,"
        "SignedHeaders=content-encoding;host;x-amz-content-sha256;x-amz-date;"
        "x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer,"
        "Signature=106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
    }
    frames = [
        b"10000;chunk-signature=b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2\r\n",
        data[:65536],
        b"\r\n400;chunk-signature=1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7\r\n",
        data[65536:],
        b"\r\n0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n",
        # AWS's page shows the line feed before the line's end.
        b"x-amz-checksum-crc32c:sOO8/Q==\n\r\n",
        b"x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435"
        b"\r\n\r\n",
    ]
    asked = request("PUT", "https://s3.amazonaws.com/examplebucket/chunkObject.txt", headers)
    body = authenticate(asked).open_body(Arriving(frames))
    assert body.wanted_checksum is ChecksumAlgorithm.CRC32C
    assert body.expected_algorithms() == ("crc32c",)
    assert whole(body) == data
    assert body.expected_digests() == (
        ExpectedDigest("crc32c", base64.b64decode("sOO8/Q=="), "checksum"),
    )


@pytest.mark.parametrize("kind", KINDS)
@given(cuts=st.lists(st.integers(0, 136_500), max_size=12), few=st.booleans())
def test_framed_in_any_pieces(kind: str, cuts: list[int], few: bool) -> None:
    chunks = CHUNKS[2:] if few else CHUNKS
    cuts = [cut % 400 for cut in cuts] if few else cuts
    body = framed(kind, chunks, cuts=cuts)
    assert whole(body) == b"".join(chunks)
    assert bool(body.expected_digests()) == (kind != SIGNED_CHUNKS)


@pytest.mark.parametrize("kind", KINDS)
def test_framed_byte_by_byte(kind: str) -> None:
    assert whole(framed(kind, [b"x" * 300], cuts=list(range(1000)))) == b"x" * 300


@pytest.mark.parametrize("kind", KINDS)
def test_framed_empty(kind: str) -> None:
    assert whole(framed(kind, [])) == b""


def test_framed_in_many_small_frames() -> None:
    assert whole(framed(UNSIGNED_TRAILER, [b"x"] * 5000)) == b"x" * 5000


def test_framed_in_threads() -> None:
    chunks = [bytes([n]) * 300_000 for n in range(4)]
    cuts = list(range(0, 1_200_000, 60_000))
    assert whole(framed(SIGNED_CHUNKS, chunks, cuts=cuts)) == b"".join(chunks)


def flip_data(frames: list[bytes]) -> None:
    frame = bytearray(frames[1])
    frame[-100] ^= 1
    frames[1] = bytes(frame)


def swap(frames: list[bytes]) -> None:
    frames[0], frames[1] = frames[1], frames[0]


def drop(frames: list[bytes]) -> None:
    del frames[1]


def unsign(frames: list[bytes]) -> None:
    size, _, rest = frames[1].partition(b";")
    frames[1] = size + b"\r\n" + rest.partition(b"\r\n")[2]


@pytest.mark.parametrize("kind", [SIGNED_CHUNKS, SIGNED_CHUNKS_TRAILER])
@pytest.mark.parametrize(
    ("damage", "error"),
    [
        (flip_data, SignatureDoesNotMatch),
        (swap, SignatureDoesNotMatch),
        (drop, SignatureDoesNotMatch),
        (unsign, MalformedChunk),
    ],
)
def test_tampered_chunks(
    kind: str, damage: Callable[[list[bytes]], None], error: type[Exception]
) -> None:
    with pytest.raises(error):
        whole(framed(kind, CHUNKS, damage=damage))


def replace_last(old: bytes, new: bytes) -> Callable[[list[bytes]], None]:
    def damage(frames: list[bytes]) -> None:
        assert old in frames[-1]
        frames[-1] = frames[-1].replace(old, new)

    return damage


TRAILER = f"x-amz-checksum-crc32:{crc32(DATA)}\r\n".encode()


@pytest.mark.parametrize(
    ("kind", "damage", "error"),
    [
        (SIGNED_CHUNKS_TRAILER, replace_last(crc32(DATA).encode(), b"AAAAAA=="), SignatureDoesNotMatch),
        (SIGNED_CHUNKS_TRAILER, replace_last(b"signature:", b"signature:0"), SignatureDoesNotMatch),
        (SIGNED_CHUNKS_TRAILER, replace_last(b"x-amz-trailer-signature", b"x-other"), MalformedTrailer),
        (SIGNED_CHUNKS_TRAILER, replace_last(TRAILER, b""), MalformedTrailer),
        (UNSIGNED_TRAILER, replace_last(TRAILER, b""), MalformedTrailer),
        (UNSIGNED_TRAILER, replace_last(TRAILER, TRAILER + TRAILER), MalformedTrailer),
        (UNSIGNED_TRAILER, replace_last(b"crc32:", b"crc32 "), MalformedTrailer),
        (UNSIGNED_TRAILER, replace_last(b"crc32:", b"sha1:"), MalformedTrailer),
        (UNSIGNED_TRAILER, replace_last(crc32(DATA).encode(), b"sailor jerry"), InvalidRequest),
    ],
)  # fmt: skip
def test_bad_trailers(
    kind: str, damage: Callable[[list[bytes]], None], error: type[Exception]
) -> None:
    with pytest.raises(error):
        whole(framed(kind, CHUNKS, damage=damage))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("off", [-1, 1])
def test_wrong_decoded_length(kind: str, off: int) -> None:
    with pytest.raises(IncompleteBody):
        whole(framed(kind, CHUNKS, size_bytes=len(DATA) + off))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("kept", [0, 1, 2, 3])
def test_truncated_between_frames(kind: str, kept: int) -> None:
    def truncate(frames: list[bytes]) -> None:
        del frames[kept:]

    with pytest.raises(IncompleteBody):
        whole(framed(kind, CHUNKS, damage=truncate))


@pytest.mark.parametrize("kind", KINDS)
def test_missing_last_line_end_is_forgiven(kind: str) -> None:
    def truncate(frames: list[bytes]) -> None:
        frames[-1] = frames[-1].rstrip(b"\r\n")

    assert whole(framed(kind, CHUNKS, damage=truncate)) == DATA


@pytest.mark.parametrize(
    "line", [b"zz\r\n", b"-5\r\n", b"f" * 20 + b"\r\n", b"\r\n", b"5" * 5000, b"0x10\r\n", b"1\n2"]
)
def test_malformed_size_line(line: bytes) -> None:
    def spoil(frames: list[bytes]) -> None:
        frames[0] = line + b"a" * 2000 + b"\r\n"

    with pytest.raises(MalformedChunk):
        whole(framed(UNSIGNED_TRAILER, CHUNKS, damage=spoil))


def test_chunk_without_its_end() -> None:
    def spoil(frames: list[bytes]) -> None:
        frames[0] = frames[0][:-2] + b"xx\r\n"

    with pytest.raises(MalformedChunk):
        whole(framed(UNSIGNED_TRAILER, CHUNKS, damage=spoil))


def test_bytes_after_the_end() -> None:
    with pytest.raises(MalformedChunk):
        whole(framed(UNSIGNED_TRAILER, CHUNKS, damage=lambda frames: frames.append(b"more")))


def test_small_signed_chunk_before_another() -> None:
    with pytest.raises(InvalidChunkSizeError):
        whole(framed(SIGNED_CHUNKS, [b"a" * 8191, b"b" * 10]))
    assert len(whole(framed(SIGNED_CHUNKS, [b"a" * 8192, b"b" * 10]))) == 8202


def test_decoded_length_is_required() -> None:
    with pytest.raises(MissingContentLength):
        open_body({"x-amz-trailer": "x-amz-checksum-crc32"}, [], UNSIGNED_TRAILER)


def test_trailer_and_header_checksum() -> None:
    headers = {"x-amz-trailer": "x-amz-checksum-crc32", "x-amz-decoded-content-length": "0"}
    with pytest.raises(InvalidRequest):
        open_body({**headers, "x-amz-checksum-crc32": crc32(b"")}, [], UNSIGNED_TRAILER)
    with pytest.raises(InvalidRequest):
        open_body({**headers, "x-amz-trailer": "x-amz-meta-a"}, [], UNSIGNED_TRAILER)


def test_anonymous_framed_body() -> None:
    """An unsigned client of botocore frames its body without naming a payload hash."""
    frames = [b"3\r\nabc\r\n0\r\nx-amz-checksum-crc32:", crc32(b"abc").encode(), b"\r\n\r\n"]
    body = open_body(
        {
            "content-encoding": "aws-chunked",
            "x-amz-decoded-content-length": "3",
            "x-amz-trailer": "x-amz-checksum-crc32",
        },
        frames,
    )
    assert whole(body) == b"abc"
    assert body.expected_digests()[0].source == "checksum"
