"""Owns the question what names a blob or a small row: objects, uploads in progress and their parts. Blocking."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from core.errors import Corrupt
from core.names import ObjectKey
from storage.database import snapshot
from storage.index import find_object, find_version, load_whole, others_after
from storage.records import (
    OBJECT,
    Description,
    FileSegment,
    InlineSegment,
    Segment,
    StoredObject,
    decode_record,
)
from storage.upload_records import PART, UPLOAD, decode_part, decode_upload

_CHUNK = 500


def objects(connection: sqlite3.Connection) -> Iterator[tuple[int, StoredObject]]:
    """Every key's current object, its bucket id and record as the index has it, then every other version and delete
    marker. Raises Corrupt at one that cannot be read."""
    for table in ("object", "version"):
        rows = connection.execute(
            f"SELECT bucket, key, record FROM idx.{table} ORDER BY bucket, key, vorder"
        )
        for bucket_id, key, record in rows:
            yield bucket_id, decode_record(record, ObjectKey(key.decode()))


def small_rows(connection: sqlite3.Connection) -> Iterator[tuple[int, bytes]]:
    """Every small row's id and description, in chunks, so that no long read holds up the folding of the write-ahead
    log."""
    last_id = 0
    while rows := connection.execute(
        "SELECT id, record FROM small WHERE id > ? ORDER BY id LIMIT ?", (last_id, _CHUNK)
    ).fetchall():
        last_id = rows[-1][0]
        yield from rows


def named_blobs(connection: sqlite3.Connection) -> Iterator[str]:
    """The ids of all blobs that anything names, as of one moment.

    Raises Corrupt if a record or manifest cannot be read: whoever removes the others must not do so then. Nor when a
    manifest is younger than the snapshot of small.db; trying again later helps.
    """
    with snapshot(connection):
        for _, stored in objects(connection):
            whole = load_whole(connection, stored)
            if whole is None:
                raise Corrupt(what="manifest missing", where=stored.info.key)
            for segment in whole.segments:
                if isinstance(segment, FileSegment):
                    yield segment.blob_id
        for (record,) in connection.execute("SELECT record FROM idx.part"):
            segment = decode_part(record).segment
            if isinstance(segment, FileSegment):
                yield segment.blob_id


def is_named(connection: sqlite3.Connection, description: Description, own_id: int | str) -> bool:
    """Whether the index names the small row (by number) or blob (by text) that describes itself so. Raises Corrupt."""
    if description.kind == UPLOAD:
        upload = decode_upload(description.record, description.key)
        row = connection.execute(
            "SELECT 1 FROM idx.upload WHERE bucket = ? AND key = ? AND upload_id = ?",
            (description.bucket_id, description.key, upload.upload.upload_id),
        ).fetchone()
        return row is not None
    if description.kind == PART and _is_parts(connection, description, own_id):
        return True
    if description.kind not in (OBJECT, PART):
        raise Corrupt(what=f"description of kind {description.kind}", where=str(own_id))
    return any(
        _names(connection, stored, own_id)
        for stored in _candidates(connection, description, own_id)
    )


def _candidates(
    connection: sqlite3.Connection, description: Description, own_id: int | str
) -> Iterator[StoredObject]:
    """The versions that may name what describes itself so."""
    bucket_id, key = description.bucket_id, ObjectKey(description.key.decode())
    if description.kind == OBJECT:
        described = decode_record(description.record, key)
        stored = find_version(connection, bucket_id, key, described.info.version_id)
        if stored is not None:
            yield stored
        if isinstance(own_id, int):
            return
        # A blob's trailer was written before the version had its place, see versions.publish_object.
        made_at = described.stamp
    else:
        # A part does not say of which version it became a part, but it is older.
        made_at = decode_part(description.record).stamp
    current = find_object(connection, bucket_id, key)
    if current is not None:
        yield current
    yield from others_after(connection, bucket_id, key, made_at)


def _names(connection: sqlite3.Connection, stored: StoredObject, own_id: int | str) -> bool:
    if stored.sidecar_id == own_id:
        return True
    whole = load_whole(connection, stored)
    if whole is None:
        raise Corrupt(what="manifest missing", where=stored.info.key)
    return any(id_of(segment) == own_id for segment in whole.segments)


def _is_parts(connection: sqlite3.Connection, description: Description, own_id: int | str) -> bool:
    described = decode_part(description.record)
    row = connection.execute(
        "SELECT record FROM idx.part WHERE upload_id = ? AND part_number = ?",
        (described.upload_id, described.part.part_number),
    ).fetchone()
    return row is not None and id_of(decode_part(row[0]).segment) == own_id


def id_of(segment: Segment) -> int | str:
    """What names the bytes: the small row or the blob."""
    return segment.small_id if isinstance(segment, InlineSegment) else segment.blob_id
