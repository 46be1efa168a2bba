"""Owns the values of multipart uploads: uploads in progress, their parts, and pages of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from core.encryption import ObjectEncryption
from core.names import ObjectKey, UploadId
from core.types import Checksum, ChecksumAlgorithm, ChecksumType, ObjectAttributes, User


@dataclass(frozen=True, slots=True)
class Upload:
    """A multipart upload in progress.

    `checksum_algorithm` is None when the creator asked for none. `initiator` differs from the owner only with
    cross-account grants.
    """

    upload_id: UploadId
    key: ObjectKey
    created_ns: int
    attributes: ObjectAttributes
    initiator: User
    checksum_algorithm: ChecksumAlgorithm | None = None
    checksum_type: ChecksumType | None = None
    encryption: ObjectEncryption | None = None


@dataclass(frozen=True, slots=True)
class UploadedPart:
    """A part that an upload holds now. `encryption` is its upload's, told to who just wrote the part."""

    part_number: int
    size_bytes: int
    etag: str
    modified_ns: int
    checksum: Checksum | None = None
    encryption: ObjectEncryption | None = None


@dataclass(frozen=True, slots=True)
class CompletedPart:
    """A part as the completer names it. `checksum_digest` is raw bytes, in the upload's algorithm."""

    part_number: int
    etag: str
    checksums: Mapping[ChecksumAlgorithm, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UploadListQuery:
    """A page of the uploads in progress, in order of key, then of creation.

    Uploads after (`key_marker`, `upload_id_marker`); without an id marker, after every upload of that key.
    """

    prefix: str = ""
    delimiter: str = ""
    key_marker: str = ""
    upload_id_marker: str = ""
    limit: int = 1000


@dataclass(frozen=True, slots=True)
class UploadListPage:
    """Uploads in order, and the markers that continue when `is_truncated`."""

    uploads: Sequence[Upload]
    common_prefixes: Sequence[str]
    is_truncated: bool
    next_key_marker: str = ""
    next_upload_id_marker: str = ""


@dataclass(frozen=True, slots=True)
class PartListPage:
    """Parts after a marker, ascending, with the upload they belong to."""

    upload: Upload
    parts: Sequence[UploadedPart]
    is_truncated: bool
    next_part_number_marker: int = 0
