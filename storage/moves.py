"""Owns the naming of new bytes of a version in place of its old ones, in one commit: its ETag, time, id and place among
the versions stay as they are.

A crash before that commit leaves unnamed blobs, one after it a garbage row; the space cleanup sees to both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.errors import PreconditionFailed
from core.events import Change
from core.types import Bucket, ObjectInfo
from storage.index import (
    find_object,
    find_other,
    load_whole,
    put_current,
    put_other,
    refs_now,
    require_open,
)
from storage.outbox import note_change
from storage.records import (
    OBJECT,
    Description,
    Segment,
    StoredObject,
    encode_description,
    encode_record,
    is_manifest,
    refs_of,
)
from storage.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Move:
    """A version as it was read, as it shall be, and the stamp in its only new blob's trailer (0: that is none, or its
    bytes stay)."""

    old: StoredObject
    info: ObjectInfo
    segments: Sequence[Segment]
    stamp: int = 0
    is_whole: bool = False


def moved(move: Move, stamp: int, sidecar_id: int | None = None) -> StoredObject:
    """The record of the version when it has moved."""
    return StoredObject(
        move.info,
        stamp,
        move.segments,
        sidecar_id=sidecar_id,
        first_stamp=move.old.order,
        is_whole=move.is_whole,
    )


def name_bytes(tx: Transaction, bucket: Bucket, move: Move) -> ObjectInfo:
    """Have the version's record name the new bytes, if it is still the one that was read. Raises PreconditionFailed."""
    require_open(tx, bucket)
    connection, bucket_id, key = tx.connection, bucket.bucket_id, move.info.key
    current = find_object(connection, bucket_id, key)
    is_current = current is not None and current.info.version_id == move.info.version_id
    found = current if is_current else find_other(connection, bucket_id, key, move.info.version_id)
    if found is None or found.stamp != move.old.stamp:
        raise PreconditionFailed(condition="unchanged")
    if load_whole(connection, found) is None:
        raise PreconditionFailed(condition="unchanged")
    stored = moved(move, move.stamp)
    if move.stamp <= found.stamp or is_manifest(stored):
        # The trailer alone would not do: it is older than the record in force, or the index keeps only a summary.
        stamp = tx.next_stamp(after=max(found.stamp, move.stamp))
        stored = moved(move, stamp, stamp)
        description = Description(OBJECT, bucket_id, key.encode(), encode_record(stored))
        tx.add_small((stamp, encode_description(description), None))
    (put_current if is_current else put_other)(connection, bucket_id, stored)
    tx.add_garbage(refs_now(connection, found).without(refs_of(stored.segments, stored.sidecar_id)))
    if bucket.origin is not None:
        note_change(tx, bucket, Change.UPDATED, stored.info)
    return stored.info
