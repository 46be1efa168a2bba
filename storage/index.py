"""Owns the rows of objects: how current objects and other versions are found, written and moved, on any connection of
storage.database. What may become of a version is storage.versions' business.

Of a key, `idx.object` has the current object under vorder 0, and `idx.version` every other version and every delete
marker. A key that has no row in `idx.object` has a marker first in `idx.version`, or nothing at all.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence

from core.errors import Corrupt, NoSuchBucket
from core.names import ObjectKey
from core.types import NULL_VERSION, Bucket
from storage.records import (
    InlineSegment,
    Refs,
    StoredObject,
    decode_description,
    decode_record,
    encode_record,
    is_manifest,
    refs_of,
    summary_of,
)
from storage.transaction import Transaction
from storage.version_ids import order_of

_FIND = "SELECT record FROM idx.object WHERE bucket = ? AND key = ? AND vorder = 0"
_FIND_WITH_DATA = (
    "SELECT object.record, small.data FROM idx.object LEFT JOIN small ON small.id = object.small_id"
    " WHERE object.bucket = ? AND object.key = ? AND object.vorder = 0"
)
FIND_MANY = 16
"""Most keys that one statement looks up: a statement takes locks for 3 µs, and each more is 5 instead of 12."""
_OF_MANY = (
    " FROM (VALUES "
    + ", ".join(f"({number}, ?, ?)" for number in range(FIND_MANY))
    + ") AS wanted CROSS JOIN idx.object ON object.bucket = wanted.column2 AND object.key = wanted.column3"
    " AND object.vorder = 0"
)
_FIND_MANY = "SELECT wanted.column1, object.record" + _OF_MANY
_FIND_MANY_WITH_DATA = (
    "SELECT wanted.column1, object.record, small.data"
    + _OF_MANY
    + " LEFT JOIN small ON small.id = object.small_id"
)
_FIND_OTHER = "SELECT record FROM idx.version WHERE bucket = ? AND key = ? AND vorder = ?"
_FIND_OTHER_NULL = "SELECT record FROM idx.version WHERE bucket = ? AND key = ? AND is_null = 1"
_NEWEST_OTHER = (
    "SELECT vorder, is_marker, record FROM idx.version WHERE bucket = ? AND key = ?"
    " ORDER BY vorder LIMIT 1"
)
_STATE = (
    "SELECT EXISTS (SELECT 1 FROM idx.closed_bucket WHERE bucket = ?),"
    " EXISTS (SELECT 1 FROM idx.version WHERE bucket = ?)"
)

# --- finding -----------------------------------------------------------------------------------------------------


def find_object(
    connection: sqlite3.Connection, bucket_id: int, key: ObjectKey
) -> StoredObject | None:
    """The key's current object as the index has it: a summary if it is made of parts."""
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


def find_many_with_data(
    connection: sqlite3.Connection, names: Sequence[tuple[int, bytes]]
) -> list[tuple[bytes, bytes | None] | None]:
    """`find_with_data` of up to FIND_MANY keys (bucket id and key) in one statement, records as they are stored."""
    found: list[tuple[bytes, bytes | None] | None] = [None] * len(names)
    for number, record, data in connection.execute(_FIND_MANY_WITH_DATA, _many(names)):
        found[number] = record, data
    return found


def find_many(
    connection: sqlite3.Connection, names: Sequence[tuple[int, bytes]]
) -> list[bytes | None]:
    """The stored records of the current objects of any number of keys (bucket id and key)."""
    found: list[bytes | None] = [None] * len(names)
    for first in range(0, len(names), FIND_MANY):
        wanted = _many(names[first : first + FIND_MANY])
        for number, record in connection.execute(_FIND_MANY, wanted):
            found[first + number] = record
    return found


def _many(names: Sequence[tuple[int, bytes]]) -> list[int | bytes | None]:
    wanted: list[int | bytes | None] = [value for name in names for value in name]
    return wanted + [None] * (2 * FIND_MANY - len(wanted))


def find_version(
    connection: sqlite3.Connection, bucket_id: int, key: ObjectKey, version_id: str
) -> StoredObject | None:
    """The version or delete marker of that id, wherever it stands now: in one statement, as versions move."""
    other, place = _other(bucket_id, key, version_id)
    if not other:
        return None
    rows = connection.execute(f"{_FIND} UNION ALL {other}", (bucket_id, key.encode(), *place))
    return _of_id(version_id, (decode_record(row[0], key) for row in rows))


def find_other(
    connection: sqlite3.Connection, bucket_id: int, key: ObjectKey, version_id: str
) -> StoredObject | None:
    """The version or delete marker of that id, unless it is the current object."""
    other, place = _other(bucket_id, key, version_id)
    if not other:
        return None
    rows = connection.execute(other, place)
    return _of_id(version_id, (decode_record(row[0], key) for row in rows))


def find_newest_other(
    connection: sqlite3.Connection, bucket_id: int, key: ObjectKey
) -> StoredObject | None:
    """The newest version or delete marker beside the current object. If it is a marker and there is no current object,
    the key is deleted."""
    row = connection.execute(_NEWEST_OTHER, (bucket_id, key.encode())).fetchone()
    return None if row is None else decode_record(row[2], key)


def newest_other_order(connection: sqlite3.Connection, bucket_id: int, key: ObjectKey) -> int:
    """The order of `find_newest_other`; 0 if there is none."""
    row = connection.execute(_NEWEST_OTHER, (bucket_id, key.encode())).fetchone()
    return 0 if row is None else -row[0]


def others_after(
    connection: sqlite3.Connection, bucket_id: int, key: ObjectKey, order: int
) -> Iterator[StoredObject]:
    """The versions beside the current object that were made after that order, the oldest first."""
    rows = connection.execute(
        "SELECT record FROM idx.version WHERE bucket = ? AND key = ? AND vorder < ?"
        " ORDER BY vorder DESC",
        (bucket_id, key.encode(), -order),
    )
    for (record,) in rows:
        yield decode_record(record, key)


def _other(
    bucket_id: int, key: ObjectKey, version_id: str
) -> tuple[str, tuple[int, bytes] | tuple[int, bytes, int]]:
    """The statement that finds a version in `idx.version`, and its parameters; none for what is no id."""
    name = (bucket_id, key.encode())
    if version_id == NULL_VERSION:
        return _FIND_OTHER_NULL, name
    order = order_of(version_id)
    return ("", name) if order is None else (_FIND_OTHER, (*name, -order))


def _of_id(version_id: str, found: Iterator[StoredObject]) -> StoredObject | None:
    return next((stored for stored in found if stored.info.version_id == version_id), None)


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


def require_open(tx: Transaction, bucket: Bucket) -> bool:
    """Whether `idx.version` has anything of the bucket. Raises NoSuchBucket if the bucket is closed."""
    is_closed, has_versions = bucket_state(tx.connection, bucket.bucket_id)
    if is_closed:
        raise NoSuchBucket(bucket=bucket.name)
    return has_versions


def bucket_state(connection: sqlite3.Connection, bucket_id: int) -> tuple[bool, bool]:
    """Whether a bucket is closed, and whether `idx.version` has anything of it."""
    is_closed, has_versions = connection.execute(_STATE, (bucket_id, bucket_id)).fetchone()
    return bool(is_closed), bool(has_versions)


def refs_now(connection: sqlite3.Connection, stored: StoredObject) -> Refs:
    """All that a version names."""
    whole = load_whole(connection, stored)
    if whole is None:
        # The manifest is lost; what it named is for the space cleanup.
        return refs_of((), stored.sidecar_id)
    return refs_of(whole.segments, whole.sidecar_id)


# --- writing, moving, removing -----------------------------------------------------------------------------------


def put_current(connection: sqlite3.Connection, bucket_id: int, stored: StoredObject) -> None:
    """Write the row of a key's current object, given its whole record."""
    small_id, record = _row_of(stored)
    put_current_rows(connection, [(bucket_id, stored.info.key.encode(), small_id, record)])


def put_current_rows(
    connection: sqlite3.Connection, rows: Sequence[tuple[int, bytes, int | None, bytes]]
) -> None:
    """Write rows of keys' current objects: bucket id, key, the small row with all the bytes, the index's record."""
    connection.executemany(
        "INSERT OR REPLACE INTO idx.object (bucket, key, vorder, small_id, record) VALUES (?, ?, 0, ?, ?)",
        rows,
    )


def put_other(connection: sqlite3.Connection, bucket_id: int, stored: StoredObject) -> None:
    """Write the row of any other version or of a delete marker, given its whole record."""
    small_id, record = _row_of(stored)
    info = stored.info
    flags = (info.is_delete_marker, info.version_id == NULL_VERSION)
    connection.execute(
        "INSERT OR REPLACE INTO idx.version (bucket, key, vorder, is_marker, is_null, small_id, record)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (bucket_id, info.key.encode(), -stored.order, *flags, small_id, record),
    )


def _row_of(stored: StoredObject) -> tuple[int | None, bytes]:
    kept = summary_of(stored) if is_manifest(stored) else stored
    first = kept.segments[0] if kept.segments else None
    return first.small_id if isinstance(first, InlineSegment) else None, encode_record(kept)


def remove_current(connection: sqlite3.Connection, bucket_id: int, key: ObjectKey) -> None:
    """Leave the key without a current object; see `promote`."""
    connection.execute(
        "DELETE FROM idx.object WHERE bucket = ? AND key = ? AND vorder = 0",
        (bucket_id, key.encode()),
    )


def remove_other(connection: sqlite3.Connection, bucket_id: int, stored: StoredObject) -> None:
    connection.execute(
        "DELETE FROM idx.version WHERE bucket = ? AND key = ? AND vorder = ?",
        (bucket_id, stored.info.key.encode(), -stored.order),
    )


def demote(connection: sqlite3.Connection, bucket_id: int, current: StoredObject) -> None:
    """Move a key's current object to the other versions."""
    key = current.info.key
    connection.execute(
        "INSERT INTO idx.version (bucket, key, vorder, is_marker, is_null, small_id, record)"
        " SELECT bucket, key, ?, 0, ?, small_id, record FROM idx.object"
        " WHERE bucket = ? AND key = ? AND vorder = 0",
        (-current.order, current.info.version_id == NULL_VERSION, bucket_id, key.encode()),
    )
    remove_current(connection, bucket_id, key)


def promote(connection: sqlite3.Connection, bucket_id: int, key: ObjectKey) -> None:
    """Have the newest of the other versions be the current object of a key that has none, unless it is a marker."""
    name = (bucket_id, key.encode())
    row = connection.execute(_NEWEST_OTHER, name).fetchone()
    if row is None or row[1]:
        return
    place = (*name, row[0])
    connection.execute(
        "INSERT INTO idx.object (bucket, key, vorder, small_id, record)"
        " SELECT bucket, key, 0, small_id, record FROM idx.version"
        " WHERE bucket = ? AND key = ? AND vorder = ?",
        place,
    )
    connection.execute("DELETE FROM idx.version WHERE bucket = ? AND key = ? AND vorder = ?", place)
