"""Owns the question what names a blob or a small row: objects, uploads in progress and their parts. Blocking."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from core.errors import Corrupt
from core.names import ObjectKey
from storage.database import snapshot
from storage.index import find_object, load_whole
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


def objects(connection: sqlite3.Connection) -> Iterator[tuple[int, StoredObject]]:
    """Every object's bucket id and record as the index has it. Raises Corrupt at one that cannot be read."""
    rows = connection.execute("SELECT bucket, key, record FROM idx.object ORDER BY bucket, key")
    for bucket_id, key, record in rows:
        yield bucket_id, decode_record(record, ObjectKey(key.decode()))


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
    key = ObjectKey(description.key.decode())
    stored = find_object(connection, description.bucket_id, key)
    if stored is None:
        return False
    if stored.sidecar_id == own_id:
        return True
    whole = load_whole(connection, stored)
    if whole is None:
        raise Corrupt(what="manifest missing", where=key)
    return any(_id_of(segment) == own_id for segment in whole.segments)


def _is_parts(connection: sqlite3.Connection, description: Description, own_id: int | str) -> bool:
    described = decode_part(description.record)
    row = connection.execute(
        "SELECT record FROM idx.part WHERE upload_id = ? AND part_number = ?",
        (described.upload_id, described.part.part_number),
    ).fetchone()
    return row is not None and _id_of(decode_part(row[0]).segment) == own_id


def _id_of(segment: Segment) -> int | str:
    return segment.small_id if isinstance(segment, InlineSegment) else segment.blob_id
