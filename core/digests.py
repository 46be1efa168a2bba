"""Owns digests of bodies as they stream: MD5 for the ETag, and what the sender claims or asks for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import xxhash
from awscrt import checksums as crt

from core.checksums import XXH64, digest_sync
from core.errors import DigestMismatch
from core.protocols import BodyStream
from core.types import Checksum, ChecksumAlgorithm, ExpectedDigest

MD5 = "md5"


class Digest(Protocol):
    """hashlib's shape."""

    def update(self, data: bytes, /) -> None: ...
    def digest(self) -> bytes: ...


class _Crc:
    def __init__(self, compute: Callable[[bytes, int], int], width: int) -> None:
        self._compute = compute
        self._width = width
        self._value = 0

    def update(self, data: bytes, /) -> None:
        self._value = self._compute(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._width, "big")


_CRCS: dict[str, tuple[Callable[[bytes, int], int], int]] = {
    "crc32": (crt.crc32, 4),
    "crc32c": (crt.crc32c, 4),
    "crc64nvme": (crt.crc64nvme, 8),
}


def new_digest(algorithm: str) -> Digest:
    """A running digest by its name in ExpectedDigest."""
    crc = _CRCS.get(algorithm)
    if crc is not None:
        return _Crc(*crc)
    if algorithm == XXH64:
        return xxhash.xxh64()
    return hashlib.new(algorithm, usedforsecurity=False)


def wanted_algorithms(body: BodyStream, wanted: ChecksumAlgorithm | None) -> list[str]:
    """All that must be computed of a body, MD5 first. `wanted` is the checksum to keep."""
    names = dict.fromkeys((MD5, *body.expected_algorithms()))
    if wanted is not None:
        names[wanted.value.lower()] = None
    return list(names)


def digest_all(data: bytes, algorithms: Iterable[str]) -> dict[str, bytes]:
    """The digests of a small body."""
    return {algorithm: digest_sync(algorithm, data) for algorithm in algorithms}


def check_claims(digests: Mapping[str, bytes], claims: Sequence[ExpectedDigest]) -> None:
    """Raises DigestMismatch for the first claim that does not hold."""
    for claim in claims:
        actual = digests[claim.algorithm]
        if actual != claim.digest:
            raise DigestMismatch(
                source=claim.source,
                algorithm=claim.algorithm,
                expected=claim.digest,
                actual=actual,
            )


def kept_checksum(
    digests: Mapping[str, bytes], algorithm: ChecksumAlgorithm | None
) -> Checksum | None:
    """The S3 checksum that stays with the object."""
    if algorithm is None:
        return None
    return Checksum(algorithm, digests[algorithm.value.lower()])
