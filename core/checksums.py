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


def digest_sync(algorithm: str, data: bytes) -> bytes:
    """The raw digest of bytes in memory; CRCs big-endian."""
    crc = _CRC.get(algorithm)
    if crc is None:
        if algorithm == XXH64:
            return xxhash.xxh64_digest(data)
        return hashlib.new(algorithm, data, usedforsecurity=False).digest()
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
