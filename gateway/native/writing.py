"""Owns what all native writes of objects have in common: on whose behalf they are, what the object gets beside its
bytes, what its sender claims of them, and how a client over TLS is asked for them."""

from __future__ import annotations

import binascii
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

from core import access
from core.access import NO_FACTS, Decision, Resource
from core.acl import owner_of_new
from core.checksums import XXH64
from core.encryption import EncryptionRequest
from core.errors import EntityTooLarge, InvalidArgument
from core.events import with_origin
from core.names import BucketRef
from core.origin import Origin
from core.protocols import BodyStream
from core.types import (
    NOBODY,
    Bucket,
    CannedAcl,
    ChecksumAlgorithm,
    ExpectedDigest,
    ObjectAttributes,
    ObjectInfo,
)
from gateway.native.call import NativeCall, NativeResponse
from s3api.tokens import is_token

MAX_METADATA_BYTES = 2048
"""Names and values together, as in S3."""

_CONTENT_TYPE = {"content-type": "application/octet-stream"}
_CUSTOM = b"ais-custom-md"
# AIStore's names of checksums → ours, and how long each is.
_ALGORITHMS = {
    "xxhash": (XXH64, 8),
    "xxhash2": (XXH64, 8),
    "md5": ("md5", 16),
    "crc32c": ("crc32c", 4),
    "sha256": ("sha256", 32),
    "sha512": ("sha512", 64),
}
_SDK_AGENT = "ais/python/"


# --- whose ---------------------------------------------------------------------------------------------------------


def written_bucket(call: NativeCall, ref: BucketRef | None = None) -> Bucket:
    """The bucket of the path, or another, for a change that its notifications tell of. Raises NoSuchBucket."""
    bucket = call.bucket(ref)
    if not bucket.props.notification_rules:
        return bucket
    request = call.request.s3
    origin = Origin(
        operation=request.operation,
        requester=call.identity.user_id or "Anonymous",
        source_address=request.client_address,
        request_id=request.request_id,
        host_id="",
        region=bucket.region,
    )
    return with_origin(bucket, origin)


def check_owner(call: NativeCall, bucket: Bucket, info: ObjectInfo) -> None:
    """To be called with the object that is about to be shown: in one's own bucket it may be somebody else's.
    Raises Denied."""
    if info.attributes.owner_id == bucket.owner.user_id:
        return
    if not access.is_plain(call.identity, bucket):
        return  # then admission looked the object up
    resource = Resource(bucket, info.key, info)
    if access.authorize(call.identity, "s3:GetObject", resource, NO_FACTS) is not Decision.ALLOWED:
        raise access.denied("s3:GetObject", bucket)


def new_attributes(call: NativeCall, bucket: Bucket) -> ObjectAttributes:
    """What an object that is put gets. Raises InvalidArgument, EntityTooLarge for bad metadata."""
    owner_id = owner_of_new(bucket, call.identity.user_id or NOBODY, CannedAcl.PRIVATE)
    metadata: dict[str, str] = {}
    if "ais-custom-md" in call.request.headers:
        metadata = _metadata_of_headers(call.request.raw_headers)
    return ObjectAttributes(_CONTENT_TYPE, metadata, owner_id=owner_id)


def default_encryption(bucket: Bucket) -> EncryptionRequest | None:
    """How the bucket has new objects encrypted."""
    default = bucket.props.encryption
    return None if default is None else default.request()


# --- metadata ------------------------------------------------------------------------------------------------------


def _metadata_of_headers(raw_headers: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    lines = [value.strip().decode("latin-1") for name, value in raw_headers if name == _CUSTOM]
    pairs = [line.partition("=") for line in lines if line]
    return checked_metadata((name.strip(), value.strip()) for name, _, value in pairs)


def checked_metadata(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """User metadata as S3 readers can be shown it too. Raises InvalidArgument, EntityTooLarge."""
    found: dict[str, str] = {}
    for name, value in pairs:
        if not is_token(name):
            reason = "the name of custom metadata must be one that a header can have"
            raise InvalidArgument(name="custom metadata", value=name[:64], reason=reason)
        if any(char < " " or char == "\x7f" for char in value):
            reason = f"the value of custom metadata {name!r} has control characters"
            raise InvalidArgument(name="custom metadata", value=name[:64], reason=reason)
        found[name] = value
    check_metadata_size(found)
    return found


def check_metadata_size(metadata: Mapping[str, str]) -> None:
    """Raises EntityTooLarge."""
    size_bytes = sum(len(name) + len(value) for name, value in metadata.items())
    if size_bytes > MAX_METADATA_BYTES:
        raise EntityTooLarge(size_bytes=size_bytes, max_bytes=MAX_METADATA_BYTES)


# --- the body ------------------------------------------------------------------------------------------------------


def body_of(call: NativeCall, *, refuses_empty: bool = False) -> BodyStream:
    """The object's bytes as they come, held to what Ais-Checksum-* claims. Raises InvalidArgument."""
    body = call.open_body(call.request.body)
    headers = call.request.headers
    claim = _claim(headers) if "ais-checksum-value" in headers else None
    if claim is None and not refuses_empty:
        return body
    return _NativeBody(body, claim, refuses_empty=refuses_empty)


def _claim(headers: Mapping[str, str]) -> ExpectedDigest | None:
    kind, value = headers.get("ais-checksum-type", ""), headers["ais-checksum-value"]
    if kind in ("", "none") or not value:
        return None
    if kind not in _ALGORITHMS:
        reason = f"unknown checksum type; known are {', '.join(_ALGORITHMS)}"
        raise InvalidArgument(name="Ais-Checksum-Type", value=kind[:64], reason=reason)
    algorithm, size_bytes = _ALGORITHMS[kind]
    try:
        digest = binascii.unhexlify(value)
    except ValueError:
        digest = b""
    if len(digest) != size_bytes:
        reason = f"Ais-Checksum-Value is no {kind} in hexadecimal digits"
        raise InvalidArgument(name="Ais-Checksum-Value", value=value[:64], reason=reason)
    return ExpectedDigest(algorithm, digest, "checksum")


class _NativeBody:
    """A BodyStream with one claim more, or one that may not be empty."""

    def __init__(
        self, body: BodyStream, claim: ExpectedDigest | None, *, refuses_empty: bool
    ) -> None:
        self._body = body
        self._claims = () if claim is None else (claim,)
        self._refuses_empty = refuses_empty

    @property
    def size_bytes(self) -> int | None:
        """As BodyStream."""
        return self._body.size_bytes

    @property
    def wanted_checksum(self) -> ChecksumAlgorithm | None:
        """As BodyStream."""
        return self._body.wanted_checksum

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """As BodyStream. Raises InvalidArgument at the end of an empty one, if there may be none."""
        is_empty = True
        async for chunk in self._body:
            is_empty = False
            yield chunk
            del chunk
        if is_empty and self._refuses_empty:
            raise InvalidArgument(name="body", value="", reason="invalid size (0)")

    def expected_digests(self) -> Sequence[ExpectedDigest]:
        """As BodyStream."""
        return (*self._body.expected_digests(), *self._claims)

    def expected_algorithms(self) -> Sequence[str]:
        """As BodyStream."""
        return (*self._body.expected_algorithms(), *(claim.algorithm for claim in self._claims))


def redirect_for_body(call: NativeCall) -> NativeResponse | None:
    """Over TLS, AIStore's SDK sends the head of a request alone and its body only to where a redirect points: here,
    with a mark by which the second request is known."""
    request = call.request
    if request.s3.scheme != "https" or "pid" in request.query:
        return None
    if not request.headers.get("user-agent", "").startswith(_SDK_AGENT):
        return None
    query = request.s3.raw_query + b"&" if request.s3.raw_query else b""
    mark = f"pid={call.services.node.node_id}&utm={call.services.clock.now_ns()}".encode()
    here = b"https://%s%s?%s%s" % (
        request.s3.host.encode("latin-1"),
        request.s3.raw_path,
        query,
        mark,
    )
    return NativeResponse(307, [(b"location", here)])
