"""Owns the stored forms: records of objects, self-descriptions, and lists of references; msgpack with a version field.

A record says what an object is and where its bytes lie; its key is not in it (the index has it as a column, a
description beside it). An object made of parts has two forms of its record: the summary in the index, so that a
listing stays dense, and the whole, with segments and parts, in its sidecar row (the manifest).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import msgpack
import msgspec

from core.cipher import DoesNotOpen, opened_size
from core.errors import Corrupt
from core.light import light
from core.listing import Detail
from core.names import ObjectKey, UserId
from core.types import ChunkLayout, ObjectAttributes, ObjectInfo, ObjectPart, RemoteFacts
from storage.record_values import (
    decode_attributes,
    decode_checksum,
    decode_encryption,
    decode_remote,
    encode_attributes,
    encode_checksum,
    encode_encryption,
    encode_remote,
)

VERSION = 1


@light
@dataclass(frozen=True, slots=True)
class InlineSegment:
    """Bytes in a small row. `checksum` is their xxh3_64."""

    small_id: int
    size_bytes: int
    checksum: int


@light
@dataclass(frozen=True, slots=True)
class FileSegment:
    """Bytes of a blob file, from its start. `checksum` is their xxh3_64."""

    blob_id: str
    size_bytes: int
    checksum: int


Segment = InlineSegment | FileSegment


@light
@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object's record.

    `stamp` orders the records of a mountpath: of two that describe the same version, the greater one is in force.
    `sidecar_id` is the small row that describes the object beyond its blobs' own trailers, if there is one.
    `is_summary`: `segments` and `info.parts` are left out here and stand in the sidecar row.
    `first_stamp` is the one with which the version was made, if its record was changed since; else 0.
    `is_whole`: it was uploaded in parts, but its bytes were put into one piece since.
    """

    info: ObjectInfo
    stamp: int
    segments: Sequence[Segment] = ()
    sidecar_id: int | None = None
    is_summary: bool = False
    first_stamp: int = 0
    is_whole: bool = False

    @property
    def order(self) -> int:
        """The version's place among those of its key: the greater, the newer."""
        return self.first_stamp or self.stamp


@light
@dataclass(frozen=True, slots=True)
class Description:
    """What a blob's trailer or a small row says of itself. `record` is in the form that `kind` has."""

    kind: str
    bucket_id: int
    key: bytes
    record: bytes


OBJECT = "object"
"""The kind of a description whose `record` is an object's, or a delete marker's."""


@dataclass(frozen=True, slots=True)
class Refs:
    """Blobs and small rows that a record names."""

    blob_ids: Sequence[str] = ()
    small_ids: Sequence[int] = ()

    def __bool__(self) -> bool:
        return bool(self.blob_ids or self.small_ids)

    def without(self, others: Refs) -> Refs:
        """These but for those that `others` has too."""
        kept_blobs, kept_rows = set(others.blob_ids), set(others.small_ids)
        return Refs(
            [blob_id for blob_id in self.blob_ids if blob_id not in kept_blobs],
            [small_id for small_id in self.small_ids if small_id not in kept_rows],
        )


def refs_of(segments: Sequence[Segment], sidecar_id: int | None = None) -> Refs:
    """All that an object's record names, its blobs in order."""
    blob_ids = [part.blob_id for part in segments if isinstance(part, FileSegment)]
    small_ids = [part.small_id for part in segments if isinstance(part, InlineSegment)]
    if sidecar_id is not None:
        small_ids.append(sidecar_id)
    return Refs(blob_ids, small_ids)


# Half the time of msgpack's own, which makes a packer for each call: 0.3 µs against 0.6, and a write packs two.
_pack = msgspec.msgpack.Encoder().encode


# --- records -----------------------------------------------------------------------------------------------------

_FIELDS = 11
# What few records have stands behind the fields that all have, by these names.
_FIRST_STAMP = "first"
_IS_MARKER = "marker"
_ENCRYPTION = "encryption"
_GENERATION = "generation"
_SHARD_INDEX = "shardidx"
_REMOTE = "remote"
_IN_DOUBT = "doubt"
_IS_WHOLE = "whole"
_UNPLAIN_EXTRAS = frozenset({_IS_MARKER, _ENCRYPTION, _IN_DOUBT})
_NO_EXTRAS: dict[str, Any] = {}


def encode_record(stored: StoredObject) -> bytes:
    """The record as it is; `summary_of` first for the index's form."""
    info = stored.info
    attributes = info.attributes
    fields = (
        VERSION,
        stored.stamp,
        info.size_bytes,
        info.etag,
        info.modified_ns,
        encode_attributes(attributes),
        encode_checksum(info.checksum),
        info.version_id,
        stored.sidecar_id,
        None if stored.is_summary else [pack_segment(part) for part in stored.segments],
        None
        if stored.is_summary
        else [
            (part.part_number, part.size_bytes, encode_checksum(part.checksum))
            for part in info.parts
        ],
    )
    extras: dict[str, Any] = {}
    if stored.first_stamp:
        extras[_FIRST_STAMP] = stored.first_stamp
    if stored.is_whole:
        extras[_IS_WHOLE] = True
    if info.is_delete_marker:
        extras[_IS_MARKER] = True
    if info.encryption is not None:
        extras[_ENCRYPTION] = encode_encryption(info.encryption)
    if info.generation > 1:
        extras[_GENERATION] = info.generation
    if info.has_shard_index:
        extras[_SHARD_INDEX] = True
    if info.remote is not None:
        extras[_REMOTE] = encode_remote(info.remote)
        if info.remote.in_doubt:
            extras[_IN_DOUBT] = True
    return _pack((*fields, extras) if extras else fields)


def decode_record(raw: bytes, key: ObjectKey) -> StoredObject:
    """Raises Corrupt for what is no record, or one of a version this code does not know."""
    try:
        fields = msgpack.unpackb(raw, strict_map_key=False)
        if fields[0] != VERSION:
            raise Corrupt(what=f"record of version {fields[0]}", where=key)
        extras = fields.pop() if len(fields) > _FIELDS else _NO_EXTRAS
        _, stamp, size, etag, modified, attributes, checksum, version, sidecar, body, parts = fields
        about = (
            key,
            size,
            etag,
            modified,
            decode_attributes(attributes),
            None if checksum is None else decode_checksum(checksum),
            version,
            [ObjectPart(number, length, decode_checksum(kept)) for number, length, kept in parts]
            if parts
            else (),
        )
        segments = () if body is None else [unpack_segment(part) for part in body]
        where = stamp, segments, sidecar, body is None
        is_plain = body is not None and len(body) <= 1 and not parts
        if is_plain and not extras:
            return StoredObject(ObjectInfo(*about), *where)
        encryption = extras.get(_ENCRYPTION)
        is_whole = extras.get(_IS_WHOLE, False)
        info = ObjectInfo(
            *about,
            extras.get(_IS_MARKER, False),
            None if encryption is None else decode_encryption(encryption),
            extras.get(_GENERATION, 1),
            extras.get(_SHARD_INDEX, False),
            _remote_of(extras),
            True,
            None if is_plain or is_whole else _chunks_of(segments, encryption is not None),
        )
        return StoredObject(info, *where, extras.get(_FIRST_STAMP, 0), is_whole)
    except (ValueError, TypeError, IndexError, KeyError, msgpack.UnpackException) as error:
        raise Corrupt(what="record", where=key) from error


def _chunks_of(segments: Sequence[Segment], is_sealed: bool) -> ChunkLayout:
    """Of an object in pieces; nothing more is known where its record is a summary."""
    largest = max((segment.size_bytes for segment in segments), default=0)
    if is_sealed and largest:
        with suppress(DoesNotOpen):  # who reads it will say so
            largest = opened_size(largest)
    return ChunkLayout(len(segments), largest)


def decode_listed(key: bytes, raw: bytes) -> ObjectInfo:
    """What a listing shows of a record, in half the time: no segments, and of the attributes only class and owner.

    Raises as decode_record.
    """
    try:
        fields = msgpack.unpackb(raw)
        if fields[0] != VERSION:
            raise Corrupt(what=f"record of version {fields[0]}", where=key)
        attributes, checksum = fields[5], fields[6]
        info = ObjectInfo(
            ObjectKey(key.decode()),
            fields[2],
            fields[3],
            fields[4],
            _listed_attributes(attributes[2], attributes[3]),
            None if checksum is None else decode_checksum(checksum),
            fields[7],
        )
        extras = fields[_FIELDS] if len(fields) > _FIELDS else _NO_EXTRAS
        in_pieces = fields[9] is None and not extras.get(_IS_WHOLE)
        if extras or in_pieces:
            return replace(
                info,
                generation=extras.get(_GENERATION, 1),
                has_shard_index=extras.get(_SHARD_INDEX, False),
                remote=_remote_of(extras),
                chunks=_IN_PIECES if in_pieces else None,
            )
        return info
    except (ValueError, TypeError, IndexError, KeyError, msgpack.UnpackException) as error:
        raise Corrupt(what="record", where=key) from error


def decode_plain(raw: bytes, key: ObjectKey) -> tuple[int, Segment, str] | None:
    """When an object was written, its one segment and its ETag: all that sending its bytes takes. None for one of
    several segments or none, made of parts, or encrypted, which want the whole record. Raises as decode_record."""
    try:
        fields = msgpack.unpackb(raw, strict_map_key=False)
        if fields[0] != VERSION:
            raise Corrupt(what=f"record of version {fields[0]}", where=key)
        body = fields[9]
        if body is None or len(body) != 1:
            return None
        if len(fields) > _FIELDS and not _UNPLAIN_EXTRAS.isdisjoint(fields[_FIELDS]):
            return None
        return fields[4], unpack_segment(body[0]), fields[3]
    except (ValueError, TypeError, IndexError, KeyError, msgpack.UnpackException) as error:
        raise Corrupt(what="record", where=key) from error


def _remote_of(extras: dict[str, Any]) -> RemoteFacts | None:
    fields = extras.get(_REMOTE)
    return None if fields is None else decode_remote(fields, in_doubt=extras.get(_IN_DOUBT, False))


_NO_ATTRIBUTES = ObjectAttributes()
_IN_PIECES = ChunkLayout()
# Array head, version 1, and the head of a stamp of eight bytes; then come the stamp and the size.
_SIZE_AT = 11
_SHORT_HEADS = (b"\x9b\x01\xcf", b"\x9c\x01\xcf")


def decode_sized(key: bytes, raw: bytes) -> ObjectInfo:
    """Key and size alone, in a third of the time of decode_listed: they stand at the record's beginning.

    Raises as decode_record.
    """
    if raw[:3] not in _SHORT_HEADS or len(raw) <= _SIZE_AT:
        return decode_listed(key, raw)
    size = raw[_SIZE_AT]
    if size >= 0x80:
        # uint 8 to uint 64, by their heads.
        if not 0xCC <= size <= 0xCF:
            return decode_listed(key, raw)
        size = int.from_bytes(raw[_SIZE_AT + 1 : _SIZE_AT + 1 + (1 << (size - 0xCC))], "big")
    return ObjectInfo(ObjectKey(key.decode()), size, "", 0, _NO_ATTRIBUTES)


def decode_named(key: bytes, _: bytes) -> ObjectInfo:
    """The key alone."""
    return ObjectInfo(ObjectKey(key.decode()), 0, "", 0, _NO_ATTRIBUTES)


def decode_whole(key: bytes, raw: bytes) -> ObjectInfo:
    """All that the index has of an object. Raises as decode_record."""
    return decode_record(raw, ObjectKey(key.decode())).info


LISTED = {
    Detail.NAME: decode_named,
    Detail.SIZE: decode_sized,
    Detail.SUMMARY: decode_listed,
    Detail.WHOLE: decode_whole,
}
"""How what a listing tells is made of a record."""


@lru_cache(maxsize=1024)
def _listed_attributes(storage_class: str, owner_id: UserId) -> ObjectAttributes:
    return ObjectAttributes(storage_class=storage_class, owner_id=owner_id)


def is_manifest(stored: StoredObject) -> bool:
    """Whether the index keeps only a summary of this whole record."""
    return bool(stored.info.parts) or len(stored.segments) > 1


def summary_of(stored: StoredObject) -> StoredObject:
    """What the index keeps of an object whose whole record stands in its sidecar row."""
    return replace(stored, info=replace(stored.info, parts=()), segments=(), is_summary=True)


def pack_segment(segment: Segment) -> tuple[int | str, int, int]:
    """As msgpack values."""
    # The type of the id tells the two apart: numbers are small rows, text is blobs.
    if isinstance(segment, InlineSegment):
        return segment.small_id, segment.size_bytes, segment.checksum
    return segment.blob_id, segment.size_bytes, segment.checksum


def unpack_segment(fields: Any) -> Segment:
    """The inverse of pack_segment."""
    where, size_bytes, checksum = fields
    if isinstance(where, int):
        return InlineSegment(where, size_bytes, checksum)
    return FileSegment(where, size_bytes, checksum)


# --- descriptions and references ---------------------------------------------------------------------------------


def encode_description(description: Description) -> bytes:
    return _pack(
        (
            VERSION,
            description.kind,
            description.bucket_id,
            description.key,
            description.record,
        )
    )


def decode_description(raw: bytes, where: str) -> Description:
    """Raises Corrupt, naming `where` it was found."""
    try:
        # Those of the first stores have one field more, always 0.
        version, kind, bucket_id, key, record, *_ = msgpack.unpackb(raw)
        if version != VERSION:
            raise Corrupt(what=f"description of version {version}", where=where)
        return Description(kind, bucket_id, key, record)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise Corrupt(what="description", where=where) from error


def encode_refs(refs: Refs) -> bytes:
    return _pack((VERSION, list(refs.blob_ids), list(refs.small_ids)))


def decode_refs(raw: bytes) -> Refs:
    """Raises Corrupt."""
    try:
        version, blob_ids, small_ids = msgpack.unpackb(raw)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise Corrupt(what="garbage row", where="index") from error
    if version != VERSION:
        raise Corrupt(what=f"garbage row of version {version}", where="index")
    return Refs(blob_ids, small_ids)
