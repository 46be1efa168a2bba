"""Owns the rules by which parts become an object: order, sizes, ETag, checksum; and the ids of uploads. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.checksums import combine_crcs, digest_sync
from core.errors import (
    DigestMismatch,
    EntityTooLarge,
    InvalidArgument,
    InvalidPart,
    InvalidPartOrder,
    PartTooSmall,
)
from core.names import UploadId
from core.types import (
    MAX_OBJECT_BYTES,
    MIN_PART_BYTES,
    Checksum,
    ChecksumType,
    ObjectPart,
)
from core.uploads import CompletedPart, Upload, UploadedPart


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """What a completer asks for: the parts, and what it claims of the whole."""

    parts: Sequence[CompletedPart]
    expected_checksum: Checksum | None = None
    expected_size_bytes: int | None = None
    allows_small_parts: bool = False


@dataclass(frozen=True, slots=True)
class CompletedObject:
    """The object that an upload's parts make. `parts` in order."""

    parts: Sequence[ObjectPart]
    size_bytes: int
    etag: str
    checksum: Checksum | None


def upload_id_of(created_ns: int, random_bytes: bytes) -> UploadId:
    """An upload id that sorts by creation, so that uploads of one key list in the order S3 promises."""
    return UploadId(f"{created_ns:016x}{random_bytes.hex()}")


def multipart_etag(etags: Sequence[str]) -> str:
    """The ETag of an object made of parts with these ETags: the MD5 of their MD5s, and how many there are."""
    joined = b"".join(bytes.fromhex(etag) for etag in etags)
    return f"{hashlib.md5(joined, usedforsecurity=False).hexdigest()}-{len(etags)}"


def names_same_parts(request: CompletionRequest, etag: str) -> bool:
    """Whether a repeated completion names the parts that made the object with this ETag."""
    try:
        return multipart_etag([part.etag for part in request.parts]) == etag
    except ValueError:
        return False


def complete(
    upload: Upload,
    stored: Mapping[int, UploadedPart],
    request: CompletionRequest,
    *,
    min_part_bytes: int = MIN_PART_BYTES,
) -> CompletedObject:
    """Decide a completion from the parts that the upload holds, by number.

    Raises InvalidArgument, InvalidPartOrder, InvalidPart, PartTooSmall, EntityTooLarge, DigestMismatch.
    """
    _check_order(upload, request.parts)
    chosen = [_choose(upload, stored, part) for part in request.parts]
    for part in chosen[:-1]:
        if part.size_bytes < min_part_bytes and not request.allows_small_parts:
            raise PartTooSmall(
                part_number=part.part_number,
                size_bytes=part.size_bytes,
                min_bytes=min_part_bytes,
                etag=part.etag,
            )
    size_bytes = sum(part.size_bytes for part in chosen)
    _check_size(size_bytes, request.expected_size_bytes)
    checksum = _whole_checksum(upload, chosen)
    _check_checksum(checksum, request.expected_checksum)
    return CompletedObject(
        parts=[ObjectPart(part.part_number, part.size_bytes, part.checksum) for part in chosen],
        size_bytes=size_bytes,
        etag=multipart_etag([part.etag for part in chosen]),
        checksum=checksum,
    )


def _check_order(upload: Upload, parts: Sequence[CompletedPart]) -> None:
    if not parts:
        raise InvalidArgument(name="parts", value="", reason="a completion names at least one part")
    previous = 0
    for part in parts:
        if part.part_number <= previous:
            raise InvalidPartOrder(upload_id=upload.upload_id)
        previous = part.part_number


def _choose(
    upload: Upload, stored: Mapping[int, UploadedPart], wanted: CompletedPart
) -> UploadedPart:
    part = stored.get(wanted.part_number)
    if part is None or part.etag != wanted.etag or not _has_checksums(part, wanted):
        raise InvalidPart(
            part_number=wanted.part_number, upload_id=upload.upload_id, etag=wanted.etag
        )
    return part


def _has_checksums(part: UploadedPart, wanted: CompletedPart) -> bool:
    kept = part.checksum
    return all(
        kept is not None and kept.algorithm is algorithm and kept.digest == digest
        for algorithm, digest in wanted.checksums.items()
    )


def _check_size(size_bytes: int, expected_size_bytes: int | None) -> None:
    if size_bytes > MAX_OBJECT_BYTES:
        raise EntityTooLarge(size_bytes=size_bytes, max_bytes=MAX_OBJECT_BYTES)
    if expected_size_bytes is not None and expected_size_bytes != size_bytes:
        raise InvalidArgument(
            name="x-amz-mp-object-size",
            value=str(expected_size_bytes),
            reason=f"the parts add up to {size_bytes} bytes",
        )


def _whole_checksum(upload: Upload, parts: Sequence[UploadedPart]) -> Checksum | None:
    algorithm = upload.checksum_algorithm
    if algorithm is None:
        return None
    digests: list[tuple[bytes, int]] = []
    for part in parts:
        if part.checksum is None or part.checksum.algorithm is not algorithm:
            raise InvalidPart(
                part_number=part.part_number, upload_id=upload.upload_id, etag=part.etag
            )
        digests.append((part.checksum.digest, part.size_bytes))
    if upload.checksum_type is ChecksumType.FULL_OBJECT:
        return Checksum(algorithm, combine_crcs(algorithm, digests))
    joined = b"".join(digest for digest, _ in digests)
    whole = digest_sync(algorithm.value.lower(), joined)
    return Checksum(algorithm, whole, ChecksumType.COMPOSITE, len(parts))


def _check_checksum(actual: Checksum | None, expected: Checksum | None) -> None:
    if expected is None or (
        actual is not None
        and actual.algorithm is expected.algorithm
        and actual.digest == expected.digest
        and expected.part_count in (0, actual.part_count)
    ):
        return
    raise DigestMismatch(
        source="checksum",
        algorithm=expected.algorithm.value.lower(),
        expected=expected.digest,
        actual=b"" if actual is None else actual.digest,
    )
