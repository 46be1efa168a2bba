"""Owns the ciphers: the wrapping of keys, and the sealed form of an object's bytes. Pure, and blocking for as long as
the bytes take.

A sealed run of bytes (an object, or one part of it) is a header and chunks:

    format (1) | salt (16) | nonce prefix (7) || chunk 0 || chunk 1 ...

Each chunk is up to 64 KiB of plaintext under AES-256-GCM, 16 bytes longer for its tag. The key is derived from the
data key, the salt and the number of the part, so that no two runs share one; the nonce is the prefix, the number of
the chunk and whether it is the last. Chunks that are changed, swapped, dropped or moved between runs do not open.
This is the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár: Online Authenticated-Encryption and its
Nonce-Reuse Misuse-Resistance, 2015).
"""

from __future__ import annotations

import hashlib
import hmac
import os
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from core.light import light

CHUNK_BYTES = 64 * 1024
TAG_BYTES = 16
SEALED_CHUNK_BYTES = CHUNK_BYTES + TAG_BYTES

_FORMAT = 1
_SALT_BYTES = 16
_PREFIX_BYTES = 7
_HEADER = struct.Struct(f"B{_SALT_BYTES}s{_PREFIX_BYTES}s")
HEADER_BYTES = _HEADER.size
_NONCE = struct.Struct(f">{_PREFIX_BYTES}sIB")
_ZERO_NONCE = bytes(12)
_MAX_CHUNKS = 2**32 - 1


class DoesNotOpen(Exception):
    """Sealed bytes or a wrapped key were changed, or belong to another key."""


# --- sizes -------------------------------------------------------------------------------------------------------


def sealed_size(size_bytes: int) -> int:
    """How long a run of so many bytes is when it is sealed. An empty one has one empty chunk."""
    return HEADER_BYTES + size_bytes + TAG_BYTES * max(1, -(-size_bytes // CHUNK_BYTES))


def opened_size(sealed_bytes: int) -> int:
    """The inverse of `sealed_size`. Raises DoesNotOpen for a length that no sealed run has."""
    chunks = -(-(sealed_bytes - HEADER_BYTES) // SEALED_CHUNK_BYTES)
    size_bytes = sealed_bytes - HEADER_BYTES - chunks * TAG_BYTES
    if chunks < 1 or size_bytes < 0 or sealed_size(size_bytes) != sealed_bytes:
        raise DoesNotOpen
    return size_bytes


@light
@dataclass(frozen=True, slots=True)
class ChunkRun:
    """The chunks that hold a range of bytes: their first number, where they lie in the sealed run, and how much of the
    first chunk's plaintext comes before the range."""

    first_chunk: int
    offset: int
    size_bytes: int
    skip: int


def chunks_of(first: int, length: int, sealed_bytes: int) -> ChunkRun:
    """What must be read of a sealed run for the bytes [first, first + length) of it, length not 0."""
    first_chunk = first // CHUNK_BYTES
    after_last = (first + length - 1) // CHUNK_BYTES + 1
    offset = HEADER_BYTES + first_chunk * SEALED_CHUNK_BYTES
    end = min(HEADER_BYTES + after_last * SEALED_CHUNK_BYTES, sealed_bytes)
    return ChunkRun(first_chunk, offset, end - offset, first - first_chunk * CHUNK_BYTES)


# --- keys --------------------------------------------------------------------------------------------------------


def new_key() -> bytes:
    """32 random bytes."""
    return os.urandom(32)


def wrap(wrapping_key: bytes, secret: bytes, binding: bytes) -> bytes:
    """Encrypt a key with another for keeping; only who has that and says the same `binding` gets it back.

    Each wrapping derives a key of its own from a random salt, so that one wrapping key serves any number of objects;
    random nonces under one key would be good for some 2**32 only (NIST SP 800-38D, 8.3).
    """
    salt = os.urandom(_SALT_BYTES)
    cipher = AESGCM(_derive(wrapping_key, salt, b"weir wrap"))
    return salt + cipher.encrypt(_ZERO_NONCE, secret, binding)


def unwrap(wrapping_key: bytes, wrapped: bytes, binding: bytes) -> bytes:
    """The inverse of `wrap`. Raises DoesNotOpen."""
    salt, sealed = wrapped[:_SALT_BYTES], wrapped[_SALT_BYTES:]
    try:
        return AESGCM(_derive(wrapping_key, salt, b"weir wrap")).decrypt(
            _ZERO_NONCE, sealed, binding
        )
    except (InvalidTag, ValueError):
        raise DoesNotOpen from None


def _derive(key: bytes, salt: bytes, purpose: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt, purpose).derive(key)


def hidden_etag(data_key: bytes, md5: bytes) -> str:
    """An ETag that tells nothing of the bytes to who has not the key, and is the same for the same bytes under it."""
    return hmac.digest(data_key, b"weir etag" + md5, hashlib.sha256)[:16].hex()


# --- runs --------------------------------------------------------------------------------------------------------


def _run_cipher(data_key: bytes, salt: bytes, part_number: int) -> AESGCM:
    return AESGCM(_derive(data_key, salt, b"weir run %d" % part_number))


@dataclass(slots=True)
class Sealer:
    """Seals one run as it comes. `part_number` is 0 for an object that is not made of parts.

    It holds back up to a chunk, because only the end tells which one is the last.
    """

    data_key: bytes = field(repr=False)
    part_number: int = 0
    _held: bytearray = field(default_factory=bytearray, repr=False)
    _chunk: int = 0
    _cipher: AESGCM | None = field(default=None, repr=False)
    _prefix: bytes = field(default=b"", repr=False)

    def update(self, blocks: Iterable[bytes]) -> list[bytes]:
        """The sealed bytes of all chunks that are complete and not the last."""
        sealed = self._begin()
        held = self._held
        for block in blocks:
            held += block
        complete = max(0, (len(held) - 1) // CHUNK_BYTES)
        if complete:
            view = memoryview(held)
            for number in range(complete):
                first = number * CHUNK_BYTES
                sealed.append(self._seal(view[first : first + CHUNK_BYTES], is_last=False))
            view.release()
            del held[: complete * CHUNK_BYTES]
        return sealed

    def finish(self) -> list[bytes]:
        """The rest. The sealer is of no use afterwards."""
        sealed = self._begin()
        sealed.append(self._seal(self._held, is_last=True))
        self._held = bytearray()
        return sealed

    def seal(self, data: bytes) -> bytes:
        """A whole run at once."""
        return b"".join([*self.update((data,)), *self.finish()])

    def _begin(self) -> list[bytes]:
        if self._cipher is not None:
            return []
        random = os.urandom(_SALT_BYTES + _PREFIX_BYTES)
        salt, self._prefix = random[:_SALT_BYTES], random[_SALT_BYTES:]
        self._cipher = _run_cipher(self.data_key, salt, self.part_number)
        return [_HEADER.pack(_FORMAT, salt, self._prefix)]

    def _seal(self, chunk: bytes | bytearray | memoryview, *, is_last: bool) -> bytes:
        assert self._cipher is not None
        if self._chunk > _MAX_CHUNKS:
            raise OverflowError
        nonce = _NONCE.pack(self._prefix, self._chunk, is_last)
        self._chunk += 1
        return self._cipher.encrypt(nonce, chunk, None)


class Opener:
    """Opens chunks of one sealed run, in any order and from any thread."""

    __slots__ = ("_cipher", "_last_chunk", "_prefix")

    def __init__(self, data_key: bytes, part_number: int, header: bytes, sealed_bytes: int) -> None:
        """`header` is what the run begins with. Raises DoesNotOpen."""
        if len(header) != HEADER_BYTES or header[0] != _FORMAT:
            raise DoesNotOpen
        _, salt, self._prefix = _HEADER.unpack(header)
        self._cipher = _run_cipher(data_key, salt, part_number)
        self._last_chunk = max(0, opened_size(sealed_bytes) - 1) // CHUNK_BYTES

    def open(self, first_chunk: int, sealed: bytes) -> list[bytes]:
        """The plaintext of consecutive whole chunks. Raises DoesNotOpen."""
        view = memoryview(sealed)
        return [
            self._open(first_chunk + number, view[start : start + SEALED_CHUNK_BYTES])
            for number, start in enumerate(range(0, len(sealed), SEALED_CHUNK_BYTES))
        ]

    def _open(self, number: int, chunk: memoryview) -> bytes:
        nonce = _NONCE.pack(self._prefix, number, number == self._last_chunk)
        try:
            return self._cipher.decrypt(nonce, chunk, None)
        except (InvalidTag, ValueError):
            raise DoesNotOpen from None


def open_run(data_key: bytes, part_number: int, sealed: bytes, first: int, length: int) -> bytes:
    """The bytes [first, first + length) of a sealed run in memory. Raises DoesNotOpen.

    Only the chunks that hold them are opened; of an empty range, the first, so that damage is seen.
    """
    opener = Opener(data_key, part_number, sealed[:HEADER_BYTES], len(sealed))
    run = chunks_of(first, max(length, 1), len(sealed))
    opened = opener.open(run.first_chunk, sealed[run.offset : run.offset + run.size_bytes])
    return cut(opened, run.skip, length)


def cut(blocks: Sequence[bytes], skip: int, length: int) -> bytes:
    """So many bytes of some blocks, after those to skip."""
    whole = blocks[0] if len(blocks) == 1 else b"".join(blocks)
    return whole if skip == 0 and length == len(whole) else whole[skip : skip + length]
