"""Owns the form in which a fetch tells the other processes of the node what its object is, and where its bytes are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgpack

from core.names import ObjectKey, UserId
from core.types import (
    Checksum,
    ChecksumAlgorithm,
    ChecksumType,
    ObjectAttributes,
    ObjectInfo,
    ObjectPart,
    RemoteFacts,
)

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Told:
    """`files` is empty for an object so small that there is nothing to see of it until it is published."""

    info: ObjectInfo
    files: Sequence[str]
    piece_bytes: int


def encode_told(told: Told) -> bytes:
    """As msgpack."""
    info = told.info
    attributes, remote = info.attributes, info.remote
    packed: bytes = msgpack.packb(
        {
            "format": _FORMAT,
            "key": info.key,
            "size": info.size_bytes,
            "etag": info.etag,
            "modified": info.modified_ns,
            "headers": dict(attributes.headers),
            "metadata": dict(attributes.user_metadata),
            "class": attributes.storage_class,
            "owner": attributes.owner_id,
            "checksum": _checksum(info.checksum),
            "parts": [(p.part_number, p.size_bytes, _checksum(p.checksum)) for p in info.parts],
            "version": info.version_id,
            "remote": None
            if remote is None
            else (remote.provider, remote.etag, remote.version_id, remote.md5, remote.crc32c),
            "files": list(told.files),
            "piece": told.piece_bytes,
        }
    )
    return packed


def decode_told(packed: bytes) -> Told | None:
    """The inverse of encode_told; None for another format, as a process of another version may write."""
    fields = msgpack.unpackb(packed)
    if fields["format"] != _FORMAT:
        return None
    remote = fields["remote"]
    info = ObjectInfo(
        key=ObjectKey(fields["key"]),
        size_bytes=fields["size"],
        etag=fields["etag"],
        modified_ns=fields["modified"],
        attributes=ObjectAttributes(
            headers=fields["headers"],
            user_metadata=fields["metadata"],
            storage_class=fields["class"],
            owner_id=UserId(fields["owner"]),
        ),
        checksum=_decode_checksum(fields["checksum"]),
        version_id=fields["version"],
        parts=tuple(
            ObjectPart(number, size_bytes, _decode_checksum(checksum))
            for number, size_bytes, checksum in fields["parts"]
        ),
        remote=None if remote is None else RemoteFacts(*remote),
        is_cached=False,
    )
    return Told(info, fields["files"], fields["piece"])


def _checksum(checksum: Checksum | None) -> Any:
    if checksum is None:
        return None
    return checksum.algorithm.value, checksum.digest, checksum.type.value, checksum.part_count


def _decode_checksum(fields: Any) -> Checksum | None:
    if fields is None:
        return None
    algorithm, digest, kind, part_count = fields
    return Checksum(ChecksumAlgorithm(algorithm), digest, ChecksumType(kind), part_count)
