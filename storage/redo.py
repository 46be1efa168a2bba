"""Owns what is made good when a mountpath opens after a power cut that left the index behind small.db, or ahead of it.

Behind: small objects were acknowledged while the index named them in memory only. The row of a small object tells all
that the index would say of it, so it is enough to have that on disk before the answer. Rows are looked at from where
the index last said that it has heard of all: which it does now and then, and whenever something else than such an
object is committed, a delete above all, so that nothing deleted comes back.

Ahead: the index reached the disk by itself before the rows that it names were synced. Nobody was told of those, and
they took the place of nothing, so it is enough to forget their names.
"""

from __future__ import annotations

import logging

from core.errors import Corrupt
from core.names import ObjectKey
from core.types import NULL_VERSION
from storage.index import bucket_state, find_object, put_current, refs_now
from storage.names import is_named
from storage.records import OBJECT, StoredObject, decode_description, decode_record
from storage.transaction import INDEXED, NAMED, Transaction

_log = logging.getLogger(__name__)

_CHUNK = 200


def redo(tx: Transaction) -> int:
    """Forget the names that lost their rows, and name the rows that lost their names; tells how many. The first to open
    a mountpath does so, before anything else is committed."""
    count = _forget_lost(tx)
    upto = tx.noted(INDEXED)
    if upto is None:
        return count  # a new index, or one that never was behind
    while rows := tx.connection.execute(
        "SELECT id, record FROM small WHERE id > ? AND data IS NOT NULL ORDER BY id LIMIT ?",
        (upto, _CHUNK),
    ).fetchall():
        for small_id, record in rows:
            try:
                count += _redo_one(tx, small_id, record)
            except Corrupt as error:
                _log.error("row left without a name id=%s error=%r", small_id, error)
        upto = rows[-1][0]
    if count:
        tx.note_indexed()
    return count


def _forget_lost(tx: Transaction) -> int:
    """Reads the whole index if there is anything to forget, 0.5 s from a disk for a million objects."""
    (last,) = tx.connection.execute("SELECT ifnull(max(id), 0) FROM small").fetchone()
    if (tx.noted(NAMED) or 0) <= last:
        return 0
    count = 0
    for table in ("object", "version"):
        count += tx.connection.execute(
            f"DELETE FROM idx.{table} WHERE small_id > ?", (last,)
        ).rowcount
    tx.note_named(0)
    return count


def _redo_one(tx: Transaction, small_id: int, record: bytes) -> bool:
    description = decode_description(record, f"small row {small_id}")
    if description.kind != OBJECT or is_named(tx.connection, description, small_id):
        return False
    bucket_id, key = description.bucket_id, ObjectKey(description.key.decode())
    stored = decode_record(description.record, key)
    is_closed, has_versions = bucket_state(tx.connection, bucket_id)
    if is_closed or has_versions or not _is_own(stored, small_id):
        return False  # never acknowledged so; it is the space cleanup's
    current = find_object(tx.connection, bucket_id, key)
    if current is not None:
        if current.stamp > stored.stamp or current.info.version_id != NULL_VERSION:
            return False
        tx.add_garbage(refs_now(tx.connection, current))
    put_current(tx.connection, bucket_id, stored)
    return True


def _is_own(stored: StoredObject, small_id: int) -> bool:
    """Whether a row is all that there is of a current object without versions."""
    info = stored.info
    return (
        stored.stamp == small_id
        and info.version_id == NULL_VERSION
        and not info.is_delete_marker
        and not stored.is_summary
    )
