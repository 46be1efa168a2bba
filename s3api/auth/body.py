"""Owns the streams of request bodies: plain or aws-chunked, with their length, digests and signatures.

What a stream hands on may turn out bad only at its end; its error then keeps the writer from storing anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from typing import Final

from core.errors import IncompleteBody, InvalidArgument
from core.protocols import BodyStream
from core.types import ChecksumAlgorithm, ExpectedDigest
from s3api.auth.chunked import ChunkDecoder, ChunkVerifier
from s3api.auth.digests import Claims, parse_trailer, read_claims, trailer_header
from s3api.auth.sigv4 import (
    SIGNED_CHUNKS,
    SIGNED_CHUNKS_TRAILER,
    UNSIGNED_PAYLOAD,
    UNSIGNED_TRAILER,
    Verified,
    check_payload,
)
from s3api.call import Request
from s3api.protocol_errors import InvalidRequest, MissingContentLength

_BATCH_BYTES = 256 * 1024
"""Signed chunks are hashed in a thread in runs of this size: 150 to 500 µs of SHA-256, against 60 µs for the hop."""
_INLINE_BYTES = 64 * 1024
_INLINE_FRAMES = 256
"""Above this many line ends, decoding could hold the loop for longer than a hop costs."""


UNSIGNED: Final = None
"""For `open_body`: the request has no signature of version 4."""


class Unchecked:
    """A signature, if there is one, that is not looked at: its key is not known here, and need not be."""


UNCHECKED: Final = Unchecked()
"""For `open_body`: the body is read as its sender framed it, and signatures of chunks stand for nothing."""


def stored_content_encoding(value: str) -> str:
    """A Content-Encoding without `aws-chunked`, which speaks of the transfer and is not kept. May become empty."""
    if "aws-chunked" not in value.lower():
        return value
    names = [name.strip() for name in value.split(",")]
    return ",".join([name for name in names if name and name.lower() != "aws-chunked"])


def open_body(
    request: Request, signed: Verified | Unchecked | None, chunks: AsyncIterable[bytes]
) -> BodyStream:
    """The verified stream over the raw chunks of a request, which was `signed` with version 4 or not.

    Raises InvalidDigest, InvalidRequest, InvalidAuthArgument, MissingContentLength for headers that cannot be honoured.
    """
    if isinstance(signed, Verified):
        name = signed.payload
    elif name := request.headers.get("x-amz-content-sha256", ""):
        # Nobody signed it, but it is a claim that must hold.
        check_payload(name)
    is_framed = name.startswith("STREAMING-")
    if not is_framed and name in ("", UNSIGNED_PAYLOAD):
        # Clients that sign with version 2, or not at all, frame their bodies without saying so in a payload hash.
        is_framed = "x-amz-decoded-content-length" in request.headers and (
            "aws-chunked" in request.headers.get("content-encoding", "").lower()
        )
        name = UNSIGNED_TRAILER if is_framed else name
    claims = read_claims(
        request.headers,
        name if len(name) == 64 else None,
        # The checksum headers of CompleteMultipartUpload speak of the object that it makes.
        is_of_body=not (request.method == "POST" and "uploadId" in request.query),
        has_trailer=is_framed and name != SIGNED_CHUNKS,
    )
    if is_framed:
        return _open_framed(request, name, signed, claims, chunks)
    return PlainBody(chunks, _length(request, "content-length"), claims)


def _open_framed(
    request: Request,
    name: str,
    signed: Verified | Unchecked | None,
    claims: Claims,
    chunks: AsyncIterable[bytes],
) -> BodyStream:
    size_bytes = _length(request, "x-amz-decoded-content-length")
    if size_bytes is None:
        raise MissingContentLength
    verifier = None
    if name in (SIGNED_CHUNKS, SIGNED_CHUNKS_TRAILER):
        if signed is None:
            raise InvalidRequest(
                reason="Signed chunks need a request signed with AWS4-HMAC-SHA256."
            )
        verifier = ChunkVerifier(signed) if isinstance(signed, Verified) else None
    elif name != UNSIGNED_TRAILER:
        raise InvalidRequest(reason=f"x-amz-content-sha256 {name} is not supported.")
    decoder = ChunkDecoder(
        size_bytes,
        trailer=trailer_header(claims.trailer),
        verifier=verifier,
        signs_trailer=name == SIGNED_CHUNKS_TRAILER,
    )
    return FramedBody(chunks, size_bytes, claims, decoder, is_signed=verifier is not None)


def _length(request: Request, header: str) -> int | None:
    text = request.headers.get(header)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise InvalidArgument(name=header, value=text, reason=f"{header} must be a whole number")
    return int(text)


class PlainBody:
    """A BodyStream of bytes as they come."""

    def __init__(
        self, chunks: AsyncIterable[bytes], size_bytes: int | None, claims: Claims
    ) -> None:
        self._chunks = chunks
        self._size_bytes = size_bytes
        self._claims = claims

    @property
    def size_bytes(self) -> int | None:
        """As BodyStream."""
        return self._size_bytes

    @property
    def wanted_checksum(self) -> ChecksumAlgorithm | None:
        """As BodyStream."""
        return self._claims.wanted

    def __aiter__(self) -> AsyncIterator[bytes]:
        """As BodyStream. Raises IncompleteBody."""
        return _Counted(aiter(self._chunks), self._size_bytes)

    def expected_digests(self) -> Sequence[ExpectedDigest]:
        """As BodyStream."""
        return self._claims.digests

    def expected_algorithms(self) -> Sequence[str]:
        """As BodyStream."""
        return self._claims.algorithms()


class _Counted:
    """An iterator of chunks of which there must be so many bytes; no generator, as s3api.edge.RequestBody."""

    def __init__(self, chunks: AsyncIterator[bytes], size_bytes: int | None) -> None:
        self._chunks = chunks
        self._size_bytes = size_bytes
        self._received = 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await anext(self._chunks)
        except StopAsyncIteration:
            if self._size_bytes is not None and self._received != self._size_bytes:
                raise IncompleteBody(
                    expected_bytes=self._size_bytes, actual_bytes=self._received
                ) from None
            raise
        self._received += len(chunk)
        return chunk


class FramedBody(PlainBody):
    """A BodyStream of aws-chunked frames."""

    def __init__(
        self,
        chunks: AsyncIterable[bytes],
        size_bytes: int,
        claims: Claims,
        decoder: ChunkDecoder,
        *,
        is_signed: bool,
    ) -> None:
        super().__init__(chunks, size_bytes, claims)
        self._decoder = decoder
        self._is_signed = is_signed
        self._trailing: tuple[ExpectedDigest, ...] = ()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """As BodyStream. Raises what ChunkDecoder raises, and InvalidRequest for a bad checksum in the trailer."""
        async for batch in self._batches():
            for piece in await self._decode(batch):
                yield piece
        self._decoder.finish()
        trailer = self._claims.trailer
        if trailer is not None:
            self._trailing = (parse_trailer(trailer, self._decoder.trailer_value),)

    def expected_digests(self) -> Sequence[ExpectedDigest]:
        """As BodyStream."""
        return (*self._claims.digests, *self._trailing)

    async def _batches(self) -> AsyncIterator[bytes]:
        """The raw chunks; joined to runs worth a thread's while where there is hashing to do."""
        if not self._is_signed:
            async for chunk in self._chunks:
                yield chunk
            return
        batch: list[bytes] = []
        size_bytes = 0
        async for chunk in self._chunks:
            batch.append(chunk)
            size_bytes += len(chunk)
            if size_bytes >= _BATCH_BYTES:
                yield b"".join(batch)
                batch, size_bytes = [], 0
        yield b"".join(batch)

    async def _decode(self, batch: bytes) -> list[bytes]:
        is_long = self._is_signed and len(batch) > _INLINE_BYTES
        if is_long or batch.count(b"\r\n") > _INLINE_FRAMES:
            pieces = await asyncio.to_thread(self._decoder.feed, batch)
        else:
            pieces = self._decoder.feed(batch)
        return pieces if len(pieces) <= 8 else [b"".join(pieces)]
