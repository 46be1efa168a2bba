"""Owns the decoding of `aws-chunked` bodies: frames, the chain of chunk signatures, trailers. No I/O.

Source: AWS, "Signature calculations for the Authorization header: Transferring a payload in multiple chunks" and
"Including trailing headers". Memory is bounded whatever the size of a chunk: its bytes are handed on before its
signature is checked, and the error at its end is what keeps a writer from storing them.
"""

from __future__ import annotations

import hashlib
import re
from enum import Enum, auto

from core.errors import IncompleteBody
from s3api.auth.errors import (
    InvalidChunkSizeError,
    MalformedChunk,
    MalformedTrailer,
    SignatureDoesNotMatch,
)
from s3api.auth.sigv4 import Verified, is_same, sign

_EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
_MAX_LINE_BYTES = 1024
"""A size line holds 16 digits and a signature, a trailer a name and a digest: each well under 200 bytes."""
_MIN_SIGNED_CHUNK_BYTES = 8192
_SIGNATURE_TRAILER = "x-amz-trailer-signature"

_parse_size_line = re.compile(
    rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[ \t]*chunk-signature=([0-9a-fA-F]{64}))?[ \t]*"
).fullmatch


class ChunkVerifier:
    """The chain of signatures: each chunk's is computed over the one before, the first over the request's own."""

    def __init__(self, signed: Verified) -> None:
        self._key = signed.signing_key
        self._head = f"{signed.timestamp}\n{signed.scope}\n"
        self._previous = signed.signature
        self._digest = hashlib.sha256()

    def update(self, data: bytes) -> None:
        """Take in bytes of the present chunk."""
        self._digest.update(data)

    def end_chunk(self, signature: str) -> None:
        """Raises SignatureDoesNotMatch for a chunk that is not what was signed."""
        self._check(
            f"AWS4-HMAC-SHA256-PAYLOAD\n{self._head}{self._previous}\n{_EMPTY_SHA256}\n"
            f"{self._digest.hexdigest()}",
            signature,
        )
        self._digest = hashlib.sha256()

    def end_trailers(self, trailers: list[tuple[str, str]], signature: str) -> None:
        """Raises SignatureDoesNotMatch for trailers that are not what was signed."""
        content = "".join(f"{name}:{value}\n" for name, value in trailers).encode("latin-1")
        digest = hashlib.sha256(content).hexdigest()
        self._check(f"AWS4-HMAC-SHA256-TRAILER\n{self._head}{self._previous}\n{digest}", signature)

    def _check(self, text: str, signature: str) -> None:
        expected = sign(self._key, text)
        if not is_same(expected, signature.lower()):
            raise SignatureDoesNotMatch(string_to_sign=text, signature_provided=signature)
        self._previous = expected


class _State(Enum):
    SIZE = auto()
    DATA = auto()
    DATA_END = auto()
    TRAILERS = auto()
    DONE = auto()


class ChunkDecoder:
    """Frames in, payload out, in any pieces. `trailer` names the trailer that must come, if one must.

    `verifier` checks chunk signatures, and `signs_trailer` says that the trailers are signed as well.
    """

    def __init__(
        self,
        size_bytes: int,
        *,
        trailer: str = "",
        verifier: ChunkVerifier | None = None,
        signs_trailer: bool = False,
    ) -> None:
        self._size_bytes = size_bytes
        self._trailer = trailer
        self._verifier = verifier
        self._signs_trailer = signs_trailer
        self._state = _State.SIZE
        self._line = b""  # the beginning of a line whose end has not come yet
        self._remaining = 0  # of the present chunk
        self._received = 0
        self._chunk_number = 0
        self._chunk_bytes = _MIN_SIGNED_CHUNK_BYTES
        self._signature = ""
        self._trailers: list[tuple[str, str]] = []
        self._trailer_signature: str | None = None

    @property
    def trailer_value(self) -> str | None:
        """The value of the awaited trailer, once the body is over."""
        return next((value for name, value in self._trailers if name == self._trailer), None)

    def feed(self, data: bytes) -> list[bytes]:
        """The payload in `data`. Raises IncompleteBody, SignatureDoesNotMatch, and the errors of malformed frames."""
        if self._line:
            data, self._line = self._line + data, b""
        payload: list[bytes] = []
        position, end = 0, len(data)
        while position < end:
            if self._state is _State.DATA:
                piece = data[position : position + self._remaining]
                position += len(piece)
                self._take(piece)
                payload.append(piece)
                continue
            if self._state is _State.DONE:
                if data[position:].strip(b"\r\n"):
                    raise MalformedChunk
                break
            line_end = data.find(b"\r\n", position)
            if (end if line_end < 0 else line_end) - position > _MAX_LINE_BYTES:
                raise MalformedChunk
            if line_end < 0:
                self._line = data[position:]
                break
            self._read_line(data[position:line_end])
            position = line_end + 2
        return payload

    def finish(self) -> None:
        """The body is over. Raises IncompleteBody, MalformedTrailer, SignatureDoesNotMatch."""
        if self._state is _State.TRAILERS and self._line:
            self._read_trailer(self._line)  # some clients leave out the last line end
        if self._state not in (_State.TRAILERS, _State.DONE):
            raise self._incomplete()
        if self._trailer and self.trailer_value is None:
            raise MalformedTrailer
        if self._verifier is not None and self._signs_trailer:
            if self._trailer_signature is None:
                raise MalformedTrailer
            self._verifier.end_trailers(self._trailers, self._trailer_signature)

    def _take(self, piece: bytes) -> None:
        self._remaining -= len(piece)
        self._received += len(piece)
        if self._verifier is not None:
            self._verifier.update(piece)
        if self._remaining == 0:
            self._end_chunk()
            self._state = _State.DATA_END

    def _end_chunk(self) -> None:
        if self._verifier is not None:
            self._verifier.end_chunk(self._signature)

    def _read_line(self, line: bytes) -> None:
        if self._state is _State.SIZE:
            self._begin_chunk(line)
        elif self._state is _State.DATA_END:
            if line:
                raise MalformedChunk
            self._state = _State.SIZE
        elif line:
            self._read_trailer(line)
        elif not self._signs_trailer or self._trailer_signature is not None:
            self._state = _State.DONE

    def _begin_chunk(self, line: bytes) -> None:
        match = _parse_size_line(line)
        if match is None:
            raise MalformedChunk
        size_bytes = int(match[1], 16)
        if self._verifier is not None:
            if match[2] is None:
                raise MalformedChunk("A chunk of a signed upload came without its chunk-signature.")
            self._signature = match[2].decode("ascii")
            if size_bytes and self._chunk_bytes < _MIN_SIGNED_CHUNK_BYTES:
                raise InvalidChunkSizeError(
                    chunk=self._chunk_number, bad_chunk_size=self._chunk_bytes
                )
        if self._received + size_bytes > self._size_bytes:
            raise self._incomplete(size_bytes)
        if size_bytes:
            self._chunk_number += 1
            self._chunk_bytes = self._remaining = size_bytes
            self._state = _State.DATA
            return
        self._end_chunk()
        if self._received != self._size_bytes:
            raise self._incomplete()
        self._state = _State.TRAILERS

    def _read_trailer(self, line: bytes) -> None:
        name, colon, value = line.decode("latin-1").partition(":")
        # AWS's own example ends a trailer's value with a line feed before the line's end.
        name, value = name.strip().lower(), value.strip()
        if not colon:
            raise MalformedTrailer
        if name == _SIGNATURE_TRAILER:
            self._trailer_signature = value
        elif name == self._trailer and self.trailer_value is None:
            self._trailers.append((name, value))
        else:
            raise MalformedTrailer

    def _incomplete(self, more_bytes: int = 0) -> IncompleteBody:
        return IncompleteBody(
            expected_bytes=self._size_bytes, actual_bytes=self._received + more_bytes
        )
