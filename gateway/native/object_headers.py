"""Owns what native clients are told of an object in response headers, and which property of it has which header.

On the way of every native GET: plain appends, no copies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from core.encryption import EncryptionMode
from core.errors import InvalidArgument
from core.types import Bucket, ChecksumType, ObjectInfo
from s3api.timestamps import http_date

HeaderList = list[tuple[bytes, bytes]]

OCTETS = (b"content-type", b"application/octet-stream")
ACCEPT_RANGES = (b"accept-ranges", b"bytes")
PRESENT = (b"ais-present", b"true")
"""Whether the object is in the cluster: what lies in a bucket of our own always is."""

_ABSENT = (b"ais-present", b"false")

_MD5_TYPE = (b"ais-checksum-type", b"md5")


def checksum_headers(info: ObjectInfo) -> HeaderList:
    """A checksum of the whole object: its MD5 where it is known, else the one that is kept with it, if any. Of what has
    a backend, only that tells whether the ETag is an MD5."""
    etag = info.etag
    if info.remote is not None:
        etag = info.remote.md5.hex()
        if not etag and info.remote.crc32c:
            crc32c = info.remote.crc32c.hex().encode()
            return [(b"ais-checksum-type", b"crc32c"), (b"ais-checksum-value", crc32c)]
    if len(etag) == 32 and (info.encryption is None or info.encryption.mode is EncryptionMode.S3):
        return [_MD5_TYPE, (b"ais-checksum-value", etag.encode())]
    kept = info.checksum
    if kept is None or kept.type is not ChecksumType.FULL_OBJECT:
        return []
    return [
        (b"ais-checksum-type", kept.algorithm.value.lower().encode()),
        (b"ais-checksum-value", kept.digest.hex().encode()),
    ]


def atime_headers(info: ObjectInfo) -> HeaderList:
    """The time of the last write: reads are not written down."""
    return [(b"ais-atime", b"%d" % info.modified_ns)]


def version_headers(info: ObjectInfo) -> HeaderList:
    return [_version(info)]


def _version(info: ObjectInfo) -> tuple[bytes, bytes]:
    """The provider's, where it has any."""
    if info.remote is not None and info.remote.version_id:
        return (b"ais-version", info.remote.version_id.encode("latin-1", "replace"))
    return (b"ais-version", b"%d" % info.generation)


def present_header(info: ObjectInfo) -> tuple[bytes, bytes]:
    """Whether the object was in the cluster when it was asked for."""
    return PRESENT if info.is_cached else _ABSENT


def custom_headers(info: ObjectInfo) -> HeaderList:
    """The user metadata, one line for each pair."""
    return [
        (b"ais-custom-md", f"{name}={value}".encode("latin-1", "replace"))
        for name, value in info.attributes.user_metadata.items()
    ]


def etag_headers(info: ObjectInfo) -> HeaderList:
    return [(b"etag", b'"%s"' % info.etag.encode())]


def modified_headers(info: ObjectInfo) -> HeaderList:
    return [(b"last-modified", http_date(info.modified_ns))]


def chunk_headers(info: ObjectInfo) -> HeaderList:
    """How many pieces an object lies in, and the largest one's size; nothing for one that is whole."""
    if info.chunks is None:
        return []
    return [
        (b"ais-chunks-count", b"%d" % info.chunks.count),
        (b"ais-chunks-max-chunk-size", b"%d" % info.chunks.max_bytes),
    ]


def written_headers(info: ObjectInfo) -> HeaderList:
    """What a write answers."""
    return checksum_headers(info) + version_headers(info) + atime_headers(info) + etag_headers(info)


def read_headers(info: ObjectInfo, *, is_whole: bool) -> HeaderList:
    """What the answer to a GET says of an object that it sends, whole or in part. A checksum is the whole's alone."""
    headers = checksum_headers(info) if is_whole else []
    headers += (
        (b"ais-atime", b"%d" % info.modified_ns),
        _version(info),
        present_header(info),
        (b"etag", b'"%s"' % info.etag.encode()),
        (b"last-modified", http_date(info.modified_ns)),
        ACCEPT_RANGES,
        OCTETS,
    )
    if info.attributes.user_metadata:
        headers += custom_headers(info)
    return headers


# --- selected properties -----------------------------------------------------------------------------------------


def _copies(_: ObjectInfo) -> HeaderList:
    return [(b"ais-mirror-copies", b"1"), (b"ais-mirror-paths", b"[]")]


def _nothing(_: ObjectInfo) -> HeaderList:
    return []


_BY_PROPERTY: Mapping[str, Callable[[ObjectInfo], HeaderList]] = {
    "name": _nothing,
    "size": _nothing,
    "": _nothing,
    "checksum": checksum_headers,
    "atime": atime_headers,
    "version": version_headers,
    "copies": _copies,
    "ec": _nothing,
    "custom": custom_headers,
    "location": _nothing,
    "chunked": chunk_headers,
    "last-modified": modified_headers,
    "etag": etag_headers,
}
_EVERY = tuple(_BY_PROPERTY)


def head_headers(bucket: Bucket, info: ObjectInfo, props: str | None, node_id: str) -> HeaderList:
    """What a HEAD answers: the properties that `props` names, or all of them where it is None.

    Raises InvalidArgument for a property that there is not.
    """
    wanted: Sequence[str] = _EVERY if props is None else [each.strip() for each in props.split(",")]
    headers: HeaderList = [
        (b"content-length", b"%d" % info.size_bytes),
        present_header(info),
        (b"ais-name", info.key.encode()),
    ]
    for name in wanted:
        say = _BY_PROPERTY.get(name)
        if say is None:
            reason = f'invalid property "{name}"'
            raise InvalidArgument(name="props", value=name, reason=reason)
        headers += say(info)
        if name == "location":
            headers.append((b"ais-location", f"t[{node_id}]".encode()))
    if props is None:
        headers += (
            (b"ais-bucket-name", bucket.name.encode()),
            (b"ais-bucket-provider", bucket.ref.provider.encode()),
            ACCEPT_RANGES,
            OCTETS,
        )
    return headers
