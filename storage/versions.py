"""Owns what becomes of a key's versions in a transaction: how an object is published, marked deleted, removed. How
one is changed is storage.updates' business.

All checks of an operation come before its first write. With versions, what was current becomes one of the others; else
the null version is replaced, wherever it stands. Whatever is taken away for good becomes garbage, and is never locked.

Source: AWS, How S3 Versioning works; Managing delete markers; Adding objects to versioning-suspended buckets.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, replace

from core.conditions import check_delete, check_unchanged, check_write
from core.configs.versioning import Versioning
from core.deletion import DeleteItem, DeleteResult
from core.errors import (
    KeyIsDeleted,
    NoSuchKey,
    NoSuchVersion,
    NotFound,
    VersionIsDeleteMarker,
)
from core.events import Change
from core.light import light
from core.locks import check_removable, default_retention
from core.names import ObjectKey
from core.shard_indexes import is_tar_key
from core.types import (
    NULL_VERSION,
    Bucket,
    Conditions,
    ObjectAttributes,
    ObjectInfo,
)
from storage import crashpoints
from storage.index import (
    demote,
    find_newest_other,
    find_object,
    find_other,
    newest_other_order,
    promote,
    put_current,
    put_other,
    refs_now,
    remove_current,
    remove_other,
    require_open,
)
from storage.outbox import note_change, note_shard
from storage.records import (
    OBJECT,
    Description,
    InlineSegment,
    Segment,
    StoredObject,
    encode_description,
    encode_record,
    refs_of,
)
from storage.transaction import Transaction
from storage.version_ids import new_version_id


def as_version(bucket: Bucket, info: ObjectInfo, stamp: int) -> ObjectInfo:
    """An object about to be published under a stamp, with what its bucket gives a version: an id and a retention."""
    props = bucket.props
    if props.versioning is Versioning.ENABLED:
        info = replace(info, version_id=new_version_id(stamp))
    if props.object_lock is not None and info.attributes.retention is None:
        retention = default_retention(props.object_lock, info.modified_ns)
        info = replace(info, attributes=replace(info.attributes, retention=retention))
    return info


# --- publishing --------------------------------------------------------------------------------------------------


@light
@dataclass(frozen=True, slots=True)
class Publication:
    """An object about to be published.

    `data`: its bytes, if they go inline; else they lie in `segments` already. `stamp`: the one in the trailer of its
    only blob, which then describes the object (its `info` went through `as_version`); 0 if no trailer does, so that a
    sidecar row must.
    """

    info: ObjectInfo
    data: bytes | None = None
    data_checksum: int = 0
    segments: tuple[Segment, ...] = ()
    stamp: int = 0


def publish_object(
    tx: Transaction, bucket: Bucket, publication: Publication, conditions: Conditions
) -> StoredObject:
    """Make an object the key's current one, if the conditions hold; what it replaces becomes garbage.

    Raises NoSuchBucket, PreconditionFailed, NoSuchKey, ObjectLocked.
    """
    has_versions = require_open(tx, bucket)
    key = publication.info.key
    current = find_object(tx.connection, bucket.bucket_id, key)
    check_write(None if current is None else current.info, key, conditions)
    if is_plain(bucket, has_versions, current):
        return replace_object(tx, bucket, publication, current)
    previous = _make_way(tx, bucket, key, current, publication.info.modified_ns)
    return _put_published(tx, bucket, publication, previous, _next_generation(current))


def replace_object(
    tx: Transaction, bucket: Bucket, publication: Publication, current: StoredObject | None
) -> StoredObject:
    """Publish in place of `current`, the null version, which this same transaction found to be the current object.

    Segments that the old object and the new one share are kept. Raises ObjectLocked."""
    if current is not None:
        check_replaceable(current, publication.info.modified_ns)
    previous = 0 if current is None else current.stamp
    stored = _put_published(tx, bucket, publication, previous, _next_generation(current))
    if current is not None:
        _forget_index(tx, bucket, current)
        old = refs_now(tx.connection, current)
        tx.add_garbage(old.without(refs_of(stored.segments, stored.sidecar_id)))
    return stored


def _next_generation(current: StoredObject | None) -> int:
    return 1 if current is None else current.info.generation + 1


def _put_published(
    tx: Transaction,
    bucket: Bucket,
    publication: Publication,
    previous_stamp: int,
    generation: int,
) -> StoredObject:
    stored = _with_description(tx, bucket, publication, previous_stamp, generation)
    put_current(tx.connection, bucket.bucket_id, stored)
    if bucket.origin is not None:
        note_change(tx, bucket, Change.CREATED, stored.info)
    if bucket.props.native.index_shards and is_tar_key(stored.info.key):
        note_shard(tx, bucket, stored.info.key)
    return stored


def is_plain(bucket: Bucket, has_versions: bool, current: StoredObject | None) -> bool:
    """Whether a write finds no version but the null one. The caller's idea of the bucket may be older than the
    versions that are there, which it must not harm."""
    return (
        bucket.props.versioning is Versioning.OFF
        and not has_versions
        and (current is None or _is_null(current))
    )


def _make_way(
    tx: Transaction, bucket: Bucket, key: ObjectKey, current: StoredObject | None, now_ns: int
) -> int:
    """Take a key's current object from its place, so that a new version or marker can be the latest; gives the stamp
    that the new one's must exceed. Raises ObjectLocked."""
    connection, bucket_id = tx.connection, bucket.bucket_id
    previous = max(
        0 if current is None else current.stamp, newest_other_order(connection, bucket_id, key)
    )
    replaced: StoredObject | None = None
    if bucket.props.versioning is not Versioning.ENABLED:
        if current is not None and _is_null(current):
            replaced = current
        else:
            replaced = find_other(connection, bucket_id, key, NULL_VERSION)
        if replaced is not None:
            check_replaceable(replaced, now_ns)
            previous = max(previous, replaced.stamp)
    if replaced is not None:
        _forget_index(tx, bucket, replaced)
        tx.add_garbage(refs_now(connection, replaced))
    if current is not None and current is replaced:
        remove_current(connection, bucket_id, key)
    else:
        if current is not None:
            _forget_index(tx, bucket, current)
            demote(connection, bucket_id, current)
        if replaced is not None:
            remove_other(connection, bucket_id, replaced)
    crashpoints.reach("version:displaced")
    return previous


def _forget_index(tx: Transaction, bucket: Bucket, gone: StoredObject) -> None:
    """The index of a shard goes after the shard."""
    if gone.info.has_shard_index:
        note_shard(tx, bucket, gone.info.key)


def _is_null(stored: StoredObject) -> bool:
    return stored.info.version_id == NULL_VERSION


def check_replaceable(stored: StoredObject, now_ns: int) -> None:
    """Whether a locked version stands in the way of a new one. Raises ObjectLocked."""
    attributes = stored.info.attributes
    if attributes.retention is not None or attributes.legal_hold:
        check_removable(attributes, now_ns, bypass_governance=False)


def _with_description(
    tx: Transaction,
    bucket: Bucket,
    publication: Publication,
    previous_stamp: int,
    generation: int,
) -> StoredObject:
    """The record, described durably outside the index: by its inline row, its blob's trailer, or a sidecar row.

    A trailer was written before anybody could know the generation, which is then in the index alone."""
    info = publication.info
    if generation > 1:
        info = replace(info, generation=generation)
    if publication.data is None and publication.stamp > previous_stamp:
        return StoredObject(info, publication.stamp, publication.segments)
    # A trailer written before the latest version's would lose to it in a rebuild, so it takes a sidecar to overrule.
    stamp = tx.next_stamp(after=previous_stamp)
    info = as_version(bucket, info, stamp)
    if publication.data is not None:
        stored = inline_object(info, stamp, publication)
    else:
        stored = StoredObject(info, stamp, publication.segments, sidecar_id=stamp)
    describe_version(tx, bucket.bucket_id, stored, publication.data)
    return stored


def inline_object(info: ObjectInfo, stamp: int, publication: Publication) -> StoredObject:
    """The record of an object whose bytes are in the small row that has its stamp for a name."""
    assert publication.data is not None
    inline = InlineSegment(stamp, len(publication.data), publication.data_checksum)
    return StoredObject(info, stamp, (inline,))


def describe_version(
    tx: Transaction, bucket_id: int, stored: StoredObject, data: bytes | None = None
) -> None:
    """Keep a record in the small row that has its stamp for a name."""
    tx.add_small(small_row(bucket_id, stored, encode_record(stored), data))


def small_row(
    bucket_id: int, stored: StoredObject, record: bytes, data: bytes | None
) -> tuple[int, bytes, bytes | None]:
    """The row that has an object's stamp for a name and describes it by its record, for Transaction.add_small."""
    description = Description(OBJECT, bucket_id, stored.info.key.encode(), record)
    return stored.stamp, encode_description(description), data


# --- deleting ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Deletion:
    """What all deletes of one call have in common."""

    bucket: Bucket
    now_ns: int
    bypasses_governance: bool = False


def delete_object(tx: Transaction, deletion: Deletion, item: DeleteItem) -> DeleteResult:
    """Delete as ObjectStore.delete. Raises PreconditionFailed, NoSuchKey, ObjectLocked, NoSuchBucket; then nothing was
    written."""
    bucket_id = deletion.bucket.bucket_id
    current = find_object(tx.connection, bucket_id, item.key)
    if item.version_id is not None:
        return _remove_named(tx, deletion, item, current)
    check_delete(None if current is None else current.info, item.key, item.conditions)
    if item.seen is not None:
        check_unchanged(None if current is None else current.info, item.seen, is_latest=True)
    if not is_plain(deletion.bucket, require_open(tx, deletion.bucket), current):
        return _mark_deleted(tx, deletion, item.key, current)
    if current is not None:
        check_replaceable(current, deletion.now_ns)
        _forget_index(tx, deletion.bucket, current)
        tx.add_garbage(refs_now(tx.connection, current))
        remove_current(tx.connection, bucket_id, item.key)
        if deletion.bucket.origin is not None:
            note_change(tx, deletion.bucket, Change.REMOVED, current.info)
    return DeleteResult(item.key)


def _mark_deleted(
    tx: Transaction, deletion: Deletion, key: ObjectKey, current: StoredObject | None
) -> DeleteResult:
    bucket = deletion.bucket
    previous = _make_way(tx, bucket, key, current, deletion.now_ns)
    stamp = tx.next_stamp(after=previous)
    is_null = bucket.props.versioning is not Versioning.ENABLED
    info = ObjectInfo(
        key,
        0,
        "",
        deletion.now_ns,
        ObjectAttributes(owner_id=bucket.owner.user_id),
        version_id=NULL_VERSION if is_null else new_version_id(stamp),
        is_delete_marker=True,
    )
    marker = StoredObject(info, stamp, sidecar_id=stamp)
    describe_version(tx, bucket.bucket_id, marker)
    put_other(tx.connection, bucket.bucket_id, marker)
    if bucket.origin is not None:
        note_change(tx, bucket, Change.MARKED, info)
    crashpoints.reach("version:marked")
    return DeleteResult(key, info.version_id, is_delete_marker=True)


def _remove_named(
    tx: Transaction, deletion: Deletion, item: DeleteItem, current: StoredObject | None
) -> DeleteResult:
    connection, bucket_id = tx.connection, deletion.bucket.bucket_id
    assert item.version_id is not None
    is_current = current is not None and current.info.version_id == item.version_id
    found = current if is_current else find_other(connection, bucket_id, item.key, item.version_id)
    check_delete(None if found is None else found.info, item.key, item.conditions)
    if item.seen is not None:
        is_latest = is_current or (
            current is None
            and found is not None
            and found.order == newest_other_order(connection, bucket_id, item.key)
        )
        check_unchanged(None if found is None else found.info, item.seen, is_latest=is_latest)
    if found is None:
        return DeleteResult(item.key, item.version_id)
    check_removable(
        found.info.attributes, deletion.now_ns, bypass_governance=deletion.bypasses_governance
    )
    _forget_index(tx, deletion.bucket, found)
    tx.add_garbage(refs_now(connection, found))
    if is_current:
        remove_current(connection, bucket_id, item.key)
    else:
        remove_other(connection, bucket_id, found)
    if deletion.bucket.origin is not None:
        note_change(tx, deletion.bucket, Change.REMOVED, found.info)
    crashpoints.reach("version:removed")
    if is_current or (current is None and found.info.is_delete_marker):
        promote(connection, bucket_id, item.key)
    return DeleteResult(item.key, item.version_id, found.info.is_delete_marker)


# --- what is not there -------------------------------------------------------------------------------------------


def missing(
    connection: sqlite3.Connection, bucket_id: int, key: ObjectKey, version_id: str | None
) -> NotFound:
    """The error for what was not found."""
    if version_id is not None:
        return NoSuchVersion(key=key, version_id=version_id)
    newest = find_newest_other(connection, bucket_id, key)
    if newest is None or not newest.info.is_delete_marker:
        return NoSuchKey(key=key)
    info = newest.info
    return KeyIsDeleted(key=key, version_id=info.version_id, modified_ns=info.modified_ns)


def refuse_marker(info: ObjectInfo) -> None:
    """Raises VersionIsDeleteMarker."""
    if info.is_delete_marker:
        raise VersionIsDeleteMarker(
            key=info.key, version_id=info.version_id, modified_ns=info.modified_ns
        )
