"""Owns the rows of objects: how they are found, published and removed, on any connection of storage.database."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from core.conditions import check_delete, check_write
from core.errors import Corrupt, NoSuchBucket
from core.names import ObjectKey
from core.types import Bucket, Conditions, ObjectInfo
from storage.commit import Transaction
from storage.records import (
    OBJECT,
    Description,
    InlineSegment,
    Refs,
    Segment,
    StoredObject,
    decode_description,
    decode_record,
    encode_description,
    encode_record,
    is_manifest,
    refs_of,
    summary_of,
)

_FIND = "SELECT record FROM idx.object WHERE bucket = ? AND key = ? AND vorder = 0"
_FIND_WITH_DATA = (
    "SELECT object.record, small.data FROM idx.object LEFT JOIN small ON small.id = object.small_id"
    " WHERE object.bucket = ? AND object.key = ? AND object.vorder = 0"
)


def find_object(
    connection: sqlite3.Connection, bucket_id: int, key: ObjectKey
) -> StoredObject | None:
    """The key's present object as the index has it: a summary if it is made of parts."""
    row = connection.execute(_FIND, (bucket_id, key.encode())).fetchone()
    return None if row is None else decode_record(row[0], key)


def find_with_data(
    connection: sqlite3.Connection, bucket_id: int, key: ObjectKey
) -> tuple[StoredObject, bytes | None] | None:
    """`find_object` and, if one small row has all the object's bytes, those, not verified: in one statement, as each
    takes locks for 3 µs.

    No bytes says nothing: SQLite may see small.db as it was before the row came, or the row is gone already.
    """
    row = connection.execute(_FIND_WITH_DATA, (bucket_id, key.encode())).fetchone()
    return None if row is None else (decode_record(row[0], key), row[1])


def load_whole(connection: sqlite3.Connection, stored: StoredObject) -> StoredObject | None:
    """The object with its segments and parts; None if it was removed since the summary was read."""
    if not stored.is_summary:
        return stored
    row = connection.execute(
        "SELECT record FROM small WHERE id = ?", (stored.sidecar_id,)
    ).fetchone()
    if row is None:
        return None
    description = decode_description(row[0], f"small row {stored.sidecar_id}")
    whole = decode_record(description.record, stored.info.key)
    if whole.is_summary:
        raise Corrupt(what="manifest", where=stored.info.key)
    return whole


def require_open(tx: Transaction, bucket: Bucket) -> None:
    """Raises NoSuchBucket if the bucket is closed."""
    closed = tx.connection.execute(
        "SELECT 1 FROM idx.closed_bucket WHERE bucket = ?", (bucket.bucket_id,)
    ).fetchone()
    if closed is not None:
        raise NoSuchBucket(bucket=bucket.name)


@dataclass(frozen=True, slots=True)
class Publication:
    """An object about to be published.

    `data`: its bytes, if they go inline; else they lie in `segments` already. `stamp`: the one in the trailer of its
    only blob, which then describes the object; 0 if no trailer does, so that a sidecar row must.
    """

    info: ObjectInfo
    data: bytes | None = None
    data_checksum: int = 0
    segments: tuple[Segment, ...] = ()
    stamp: int = 0


def publish_object(
    tx: Transaction, bucket: Bucket, publication: Publication, conditions: Conditions
) -> StoredObject:
    """Make an object the key's present one, if the conditions hold; what it replaces becomes garbage.

    Segments that the old object and the new one share are kept. Raises NoSuchBucket, PreconditionFailed, NoSuchKey.
    """
    require_open(tx, bucket)
    key = publication.info.key
    current = find_object(tx.connection, bucket.bucket_id, key)
    check_write(None if current is None else current.info, key, conditions)
    return replace_object(tx, bucket, publication, current)


def replace_object(
    tx: Transaction, bucket: Bucket, publication: Publication, current: StoredObject | None
) -> StoredObject:
    """The unconditional end of `publish_object`; `current` is what this same transaction found."""
    stored = _with_description(tx, bucket, publication, 0 if current is None else current.stamp)
    put_row(tx.connection, bucket.bucket_id, stored)
    if current is not None:
        old = _refs(tx, current)
        tx.add_garbage(old.without(refs_of(stored.segments, stored.sidecar_id)))
    return stored


def put_row(
    connection: sqlite3.Connection, bucket_id: int, stored: StoredObject, vorder: int = 0
) -> None:
    """Write an object's row, given its whole record."""
    kept = summary_of(stored) if is_manifest(stored) else stored
    first = kept.segments[0] if kept.segments else None
    small_id = first.small_id if isinstance(first, InlineSegment) else None
    connection.execute(
        "INSERT OR REPLACE INTO idx.object (bucket, key, vorder, small_id, record) VALUES (?, ?, ?, ?, ?)",
        (bucket_id, stored.info.key.encode(), vorder, small_id, encode_record(kept)),
    )


def remove_object(
    tx: Transaction, bucket: Bucket, key: ObjectKey, conditions: Conditions
) -> StoredObject | None:
    """Remove the key's present object, if the conditions hold. Raises PreconditionFailed, NoSuchKey."""
    current = find_object(tx.connection, bucket.bucket_id, key)
    check_delete(None if current is None else current.info, key, conditions)
    if current is None:
        return None
    tx.connection.execute(
        "DELETE FROM idx.object WHERE bucket = ? AND key = ? AND vorder = 0",
        (bucket.bucket_id, key.encode()),
    )
    tx.add_garbage(_refs(tx, current))
    return current


def _refs(tx: Transaction, stored: StoredObject) -> Refs:
    whole = load_whole(tx.connection, stored)
    if whole is None:
        # The manifest is lost; what it named is for the space cleanup.
        return refs_of((), stored.sidecar_id)
    return refs_of(whole.segments, whole.sidecar_id)


def _with_description(
    tx: Transaction, bucket: Bucket, publication: Publication, previous_stamp: int
) -> StoredObject:
    """The record, described durably outside the index: by its inline row, its blob's trailer, or a sidecar row."""
    info = publication.info
    if publication.data is None and publication.stamp > previous_stamp:
        return StoredObject(info, publication.stamp, publication.segments)
    # A trailer written before the present object's would lose to it in a rebuild, so it takes a sidecar to overrule.
    stamp = tx.next_stamp(after=previous_stamp)
    if publication.data is not None:
        inline = InlineSegment(stamp, len(publication.data), publication.data_checksum)
        stored = StoredObject(info, stamp, (inline,))
    else:
        stored = StoredObject(info, stamp, publication.segments, sidecar_id=stamp)
    description = Description(OBJECT, bucket.bucket_id, info.key.encode(), encode_record(stored))
    tx.add_small(stamp, encode_description(description), publication.data)
    return stored
