"""Owns the stored forms of uploads in progress and their parts; msgpack with a version field.

Each has one form, which the index and the description beside the bytes share, so that a lost index can be made again:
an upload's description is a small row without data, a part's the trailer of its blob or its inline row.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgpack

from core.errors import Corrupt
from core.names import ObjectKey, UploadId, UserId
from core.types import ChecksumAlgorithm, ChecksumType, User
from core.uploads import Upload, UploadedPart
from storage.record_values import (
    decode_attributes,
    decode_checksum,
    decode_encryption,
    encode_attributes,
    encode_checksum,
    encode_encryption,
)
from storage.records import Description, Segment, pack_segment, unpack_segment

VERSION = 1

UPLOAD = "upload"
PART = "part"
"""The kinds of descriptions."""


@dataclass(frozen=True, slots=True)
class StoredUpload:
    """An upload's record. `small_id` is the row that describes it."""

    upload: Upload
    small_id: int


@dataclass(frozen=True, slots=True)
class StoredPart:
    """A part's record. Of two for the same number, the one with the greater `stamp` is in force."""

    upload_id: UploadId
    part: UploadedPart
    segment: Segment
    stamp: int


def encode_upload(stored: StoredUpload) -> bytes:
    upload, initiator = stored.upload, stored.upload.initiator
    encryption = upload.encryption
    return _pack(
        VERSION,
        upload.upload_id,
        stored.small_id,
        upload.created_ns,
        encode_attributes(upload.attributes),
        (
            initiator.user_id,
            initiator.name,
            initiator.display_name,
            initiator.email,
            initiator.is_root,
        ),
        None if upload.checksum_algorithm is None else upload.checksum_algorithm.value,
        None if upload.checksum_type is None else upload.checksum_type.value,
        *(() if encryption is None else (encode_encryption(encryption),)),
    )


def decode_upload(raw: bytes, key: bytes) -> StoredUpload:
    """Raises Corrupt."""
    try:
        version, upload_id, small_id, created_ns, attributes, user, algorithm, kind, *rest = (
            msgpack.unpackb(raw)
        )
        if version != VERSION:
            raise Corrupt(what=f"upload record of version {version}", where=key)
        upload = Upload(
            UploadId(upload_id),
            ObjectKey(key.decode()),
            created_ns,
            decode_attributes(attributes),
            User(UserId(user[0]), *user[1:]),
            None if algorithm is None else ChecksumAlgorithm(algorithm),
            None if kind is None else ChecksumType(kind),
            decode_encryption(rest[0]) if rest else None,
        )
        return StoredUpload(upload, small_id)
    except (ValueError, TypeError, IndexError, KeyError, msgpack.UnpackException) as error:
        raise Corrupt(what="upload record", where=key) from error


def encode_part(stored: StoredPart) -> bytes:
    part = stored.part
    return _pack(
        VERSION,
        stored.upload_id,
        part.part_number,
        stored.stamp,
        part.size_bytes,
        part.etag,
        part.modified_ns,
        encode_checksum(part.checksum),
        pack_segment(stored.segment),
    )


def decode_part(raw: bytes) -> StoredPart:
    """Raises Corrupt."""
    try:
        version, upload_id, number, stamp, size_bytes, etag, modified_ns, checksum, segment = (
            msgpack.unpackb(raw)
        )
        if version != VERSION:
            raise Corrupt(what=f"part record of version {version}", where=upload_id)
        part = UploadedPart(number, size_bytes, etag, modified_ns, decode_checksum(checksum))
        return StoredPart(UploadId(upload_id), part, unpack_segment(segment), stamp)
    except (ValueError, TypeError, KeyError, msgpack.UnpackException) as error:
        raise Corrupt(what="part record", where="index") from error


def _pack(*fields: object) -> bytes:
    packed: bytes = msgpack.packb(fields)
    return packed


def part_of_nothing(
    bucket_id: int, key: ObjectKey, number: int, segment: Segment, stamp: int
) -> Description:
    """What one of several blobs of an object says of itself, where a manifest names them all: a part of an upload that
    never was, and alone nobody's. The manifest's own stamp is later."""
    part = UploadedPart(number, segment.size_bytes, "", stamp)
    stored = StoredPart(UploadId(""), part, segment, stamp)
    return Description(PART, bucket_id, key.encode(), encode_part(stored))
