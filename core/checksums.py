"""Owns the arithmetic of digests: of bytes in memory, of parts combined, and which kinds S3 allows. Pure.

Algorithms go by the names of ExpectedDigest: "md5", a ChecksumAlgorithm's value in lower case, or one of those that
only native clients claim ("xxh64", "sha512").
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import xxhash
from awscrt import checksums as crt

from core.errors import InvalidArgument
from core.types import ChecksumAlgorithm, ChecksumType

XXH64 = "xxh64"

_CRC: dict[str, tuple[Callable[[bytes], int], Callable[[int, int, int], int], int]] = {
    "crc32": (crt.crc32, crt.combine_crc32, 4),
    "crc32c": (crt.crc32c, crt.combine_crc32c, 4),
    "crc64nvme": (crt.crc64nvme, crt.combine_crc64nvme, 8),
}


# hashlib gives up the interpreter for more than this at once. For a small body, getting it back from another thread
# takes longer than the hash: without that a busy server takes 8 µs less for a PUT of 4 KiB.
_HELD_BYTES = 2047
_SMALL_BYTES = 16 * 1024


def digest_sync(algorithm: str, data: bytes) -> bytes:
    """The raw digest of bytes in memory; CRCs big-endian."""
    crc = _CRC.get(algorithm)
    if crc is None:
        if algorithm == XXH64:
            return xxhash.xxh64_digest(data)
        if not _HELD_BYTES < len(data) <= _SMALL_BYTES:
            return hashlib.new(algorithm, data, usedforsecurity=False).digest()
        running = hashlib.new(algorithm, usedforsecurity=False)
        view = memoryview(data)
        for first in range(0, len(data), _HELD_BYTES):
            running.update(view[first : first + _HELD_BYTES])
        return running.digest()
    compute, _, width = crc
    return compute(data).to_bytes(width, "big")


def combine_crcs(algorithm: ChecksumAlgorithm, parts: Sequence[tuple[bytes, int]]) -> bytes:
    """The CRC of a whole from the (CRC, size) of its parts, without the bytes."""
    compute, combine, width = _CRC[algorithm.value.lower()]
    crc = compute(b"")
    for digest, size_bytes in parts:
        crc = combine(crc, int.from_bytes(digest, "big"), size_bytes)
    return crc.to_bytes(width, "big")


def upload_checksum_type(
    algorithm: ChecksumAlgorithm | None, wanted: ChecksumType | None
) -> ChecksumType | None:
    """The checksum type of a new upload, S3's default where the creator named none.

    Raises InvalidArgument for a pair that S3 does not offer (AWS: Checking object integrity for uploads): SHA hashes of
    a whole cannot be had from its parts, and CRC64NVME exists for whole objects only.
    """
    if algorithm is None:
        if wanted is not None:
            raise _bad_type(wanted, "a checksum type needs a checksum algorithm")
        return None
    if wanted is None:
        is_full = algorithm is ChecksumAlgorithm.CRC64NVME
        return ChecksumType.FULL_OBJECT if is_full else ChecksumType.COMPOSITE
    is_sha = algorithm in (ChecksumAlgorithm.SHA1, ChecksumAlgorithm.SHA256)
    if is_sha and wanted is ChecksumType.FULL_OBJECT:
        raise _bad_type(wanted, f"{algorithm} checksums of multipart uploads are COMPOSITE only")
    if algorithm is ChecksumAlgorithm.CRC64NVME and wanted is ChecksumType.COMPOSITE:
        raise _bad_type(wanted, "CRC64NVME checksums of multipart uploads are FULL_OBJECT only")
    return wanted


def _bad_type(wanted: ChecksumType, reason: str) -> InvalidArgument:
    return InvalidArgument(name="x-amz-checksum-type", value=wanted.value, reason=reason)
