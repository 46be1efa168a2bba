"""Owns what a request claims of its body: Content-MD5, x-amz-content-sha256, x-amz-checksum-* in headers or trailers.

Claims are checked by whoever stores the bytes (core.types.ExpectedDigest); here they are only read.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass

from core.light import light
from core.types import ChecksumAlgorithm, ExpectedDigest
from s3api.auth.errors import BadDigest, InvalidDigest, MalformedTrailer
from s3api.protocol_errors import InvalidRequest

CHECKSUM_PREFIX = "x-amz-checksum-"
_DIGEST_BYTES = {
    ChecksumAlgorithm.CRC32: 4,
    ChecksumAlgorithm.CRC32C: 4,
    ChecksumAlgorithm.CRC64NVME: 8,
    ChecksumAlgorithm.SHA1: 20,
    ChecksumAlgorithm.SHA256: 32,
}
_BY_HEADER = {f"{CHECKSUM_PREFIX}{a.value.lower()}": a for a in ChecksumAlgorithm}
_is_unpadded = re.compile(r"[A-Za-z0-9+/]+").fullmatch
# Headers of the same prefix that say something else.
_NOT_DIGESTS = frozenset({f"{CHECKSUM_PREFIX}{name}" for name in ("algorithm", "type", "mode")})


@light
@dataclass(frozen=True, slots=True)
class Claims:
    """What the headers claim of the body. `trailer` is the checksum whose value follows the body, if one does."""

    digests: tuple[ExpectedDigest, ...] = ()
    wanted: ChecksumAlgorithm | None = None
    trailer: ChecksumAlgorithm | None = None

    def algorithms(self) -> tuple[str, ...]:
        """The names of all digests that will be claimed once the body is over."""
        names = [digest.algorithm for digest in self.digests]
        if self.trailer is not None:
            names.append(self.trailer.value.lower())
        return tuple(dict.fromkeys(names))


def parse_checksum(header: str, value: str) -> ExpectedDigest:
    """A checksum by its header's (or trailer's or form field's) name. Raises InvalidRequest, BadDigest."""
    algorithm = _BY_HEADER.get(header)
    if algorithm is None:
        raise InvalidRequest(
            reason="The algorithm type you specified in x-amz-checksum- header is invalid."
        )
    digest = _decode(value)
    if digest is None and _is_unpadded(value):
        # AWS calls this value invalid too; ceph/s3-tests asks for BadDigest.
        raise BadDigest(
            f"The {algorithm} you specified did not match the calculated checksum.", value=value
        )
    if digest is None or len(digest) != _DIGEST_BYTES[algorithm]:
        raise InvalidRequest(reason=f"Value for {header} header is invalid.")
    return ExpectedDigest(algorithm.value.lower(), digest, "checksum")


def parse_trailer(algorithm: ChecksumAlgorithm, value: str | None) -> ExpectedDigest:
    """The checksum that came after the body. Raises MalformedTrailer if it did not come, InvalidRequest."""
    if value is None:
        raise MalformedTrailer
    return parse_checksum(f"{CHECKSUM_PREFIX}{algorithm.value.lower()}", value)


def trailer_header(algorithm: ChecksumAlgorithm | None) -> str:
    """The name of the trailer that carries a checksum; empty for none."""
    return "" if algorithm is None else f"{CHECKSUM_PREFIX}{algorithm.value.lower()}"


def read_checksum(headers: Mapping[str, str]) -> ExpectedDigest | None:
    """The one x-amz-checksum-<algorithm> among headers or form fields. Raises InvalidRequest."""
    names = [
        name for name in headers if name.startswith(CHECKSUM_PREFIX) and name not in _NOT_DIGESTS
    ]
    if not names:
        return None
    if len(names) > 1:
        raise _too_many_checksums()
    return parse_checksum(names[0], headers[names[0]])


def read_claims(
    headers: Mapping[str, str], payload_sha256: str | None, *, is_of_body: bool, has_trailer: bool
) -> Claims:
    """What `headers` claim. `payload_sha256` is the signed hash of the body, if there is one.

    `is_of_body` False: the checksum headers speak of an object, not of this body (CompleteMultipartUpload).
    Raises InvalidDigest, InvalidRequest.
    """
    digests: list[ExpectedDigest] = []
    if payload_sha256 is not None:
        digests.append(ExpectedDigest("sha256", bytes.fromhex(payload_sha256), "payload"))
    content_md5 = headers.get("content-md5")
    if content_md5 is not None:
        digests.append(read_content_md5(content_md5))
    if not is_of_body:
        return Claims(tuple(digests))
    checksum = read_checksum(headers)
    trailer = _read_trailer(headers) if has_trailer else None
    if checksum is not None and trailer is not None:
        raise _too_many_checksums()
    wanted = trailer
    if checksum is not None:
        digests.append(checksum)
        wanted = ChecksumAlgorithm(checksum.algorithm.upper())
    _check_sdk_algorithm(headers.get("x-amz-sdk-checksum-algorithm"), wanted)
    return Claims(tuple(digests), wanted, trailer)


def read_content_md5(value: str) -> ExpectedDigest:
    """Raises InvalidDigest."""
    digest = _decode(value)
    if digest is None or len(digest) != 16:
        raise InvalidDigest(content_md5=value)
    return ExpectedDigest("md5", digest, "content-md5")


def _read_trailer(headers: Mapping[str, str]) -> ChecksumAlgorithm | None:
    names = [name.strip().lower() for name in headers.get("x-amz-trailer", "").split(",")]
    names = [name for name in names if name]
    if not names:
        return None
    if len(names) > 1:
        raise _too_many_checksums()
    algorithm = _BY_HEADER.get(names[0])
    if algorithm is None:
        raise InvalidRequest(
            reason="The value specified in the x-amz-trailer header is not supported"
        )
    return algorithm


def _check_sdk_algorithm(named: str | None, wanted: ChecksumAlgorithm | None) -> None:
    if named is None:
        return
    if wanted is None:
        raise InvalidRequest(
            reason="x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* "
            "or x-amz-trailer headers were found."
        )
    if named.upper() != wanted.value:
        raise InvalidRequest(reason="Value for x-amz-sdk-checksum-algorithm header is invalid.")


def _too_many_checksums() -> InvalidRequest:
    return InvalidRequest(
        reason="Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
    )


def _decode(value: str) -> bytes | None:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return None
