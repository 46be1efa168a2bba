"""Owns the stored forms of the values that records of objects, uploads and parts have in common."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from core.configs.versioning import Retention, RetentionMode
from core.encryption import EncryptionMode, ObjectEncryption
from core.names import UserId
from core.types import (
    Acl,
    CannedAcl,
    Checksum,
    ChecksumAlgorithm,
    ChecksumType,
    Grant,
    Group,
    ObjectAttributes,
    Permission,
    RemoteFacts,
)


def encode_checksum(checksum: Checksum | None) -> Any:
    """As msgpack values."""
    if checksum is None:
        return None
    if checksum.type is ChecksumType.FULL_OBJECT:
        return checksum.algorithm.value, checksum.digest
    return checksum.algorithm.value, checksum.digest, checksum.part_count


_ALGORITHMS = {algorithm.value: algorithm for algorithm in ChecksumAlgorithm}
_ACLS = {acl.value: acl for acl in CannedAcl}


def decode_checksum(fields: Any) -> Checksum | None:
    """The inverse of encode_checksum."""
    if fields is None:
        return None
    if len(fields) == 2:
        return Checksum(_ALGORITHMS[fields[0]], fields[1])
    return Checksum(_ALGORITHMS[fields[0]], fields[1], ChecksumType.COMPOSITE, fields[2])


def encode_encryption(encryption: ObjectEncryption) -> Any:
    """As msgpack values."""
    return (
        encryption.mode.value,
        encryption.wrapped_key,
        encryption.kms_key_id,
        encryption.context,
        encryption.uses_bucket_key,
    )


_MODES = {mode.value: mode for mode in EncryptionMode}


def decode_encryption(fields: Any) -> ObjectEncryption:
    """The inverse of encode_encryption."""
    mode, *others = fields
    return ObjectEncryption(_MODES[mode], *others)


def encode_remote(remote: RemoteFacts) -> Any:
    """As msgpack values, but for the doubt."""
    return remote.provider, remote.etag, remote.version_id, remote.md5, remote.crc32c


def decode_remote(fields: Any, *, in_doubt: bool) -> RemoteFacts:
    """The inverse of encode_remote."""
    provider, etag, version_id, md5, crc32c = fields
    return RemoteFacts(provider, etag, version_id, md5, crc32c, in_doubt)


def encode_attributes(attributes: ObjectAttributes) -> Any:
    """As msgpack values."""
    fields = (
        dict(attributes.headers),
        dict(attributes.user_metadata),
        attributes.storage_class,
        attributes.owner_id,
        _encode_acl(attributes.acl),
    )
    retention = attributes.retention
    if not attributes.tags and retention is None and attributes.legal_hold is None:
        return fields
    return (
        *fields,
        dict(attributes.tags),
        None if retention is None else (retention.mode.value, retention.until_ns),
        attributes.legal_hold,
    )


def decode_attributes(fields: Any) -> ObjectAttributes:
    """The inverse of encode_attributes."""
    headers, user_metadata, storage_class, owner_id, acl = fields[:5]
    canned = _ACLS.get(acl) if isinstance(acl, str) else None
    plain = ObjectAttributes(
        headers,
        user_metadata,
        storage_class,
        UserId(owner_id),
        _decode_acl(acl) if canned is None else canned,
    )
    if len(fields) == 5:
        return plain
    tags, retention, legal_hold = fields[5:]
    kept = None if retention is None else Retention(RetentionMode(retention[0]), retention[1])
    return replace(plain, tags=tags, retention=kept, legal_hold=legal_hold)


def _encode_acl(acl: Acl) -> Any:
    if isinstance(acl, CannedAcl):
        return acl.value
    return [
        (grant.permission.value, grant.user_id, None if grant.group is None else grant.group.value)
        for grant in acl
    ]


def _decode_acl(grants: Any) -> Acl:
    return tuple(
        Grant(Permission(permission), UserId(user_id), None if group is None else Group(group))
        for permission, user_id, group in grants
    )
