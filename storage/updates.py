"""Owns changes of what may change of a version after it was made: its tags, ACL, retention, legal hold and user
metadata."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from core.conditions import check_write
from core.errors import Corrupt
from core.events import Change
from core.locks import check_removable, check_retention_change
from core.names import ObjectKey
from core.types import (
    NO_CONDITIONS,
    Bucket,
    Conditions,
    ObjectAttributes,
    ObjectChanges,
    ObjectInfo,
)
from storage import crashpoints
from storage.index import (
    find_object,
    find_other,
    load_whole,
    put_current,
    put_other,
    require_open,
)
from storage.outbox import note_change
from storage.records import Refs
from storage.transaction import Transaction
from storage.versions import describe_version, missing, refuse_marker


@dataclass(frozen=True, slots=True)
class Update:
    """What ObjectStore.update_object is asked for."""

    key: ObjectKey
    changes: ObjectChanges
    now_ns: int
    version_id: str | None = None
    conditions: Conditions = NO_CONDITIONS
    bypasses_governance: bool = False


def update_object(tx: Transaction, bucket: Bucket, update: Update) -> ObjectInfo:
    """Change what may change of a version: a new sidecar row describes it, its bytes stay where they are.

    Raises NoSuchBucket, NoSuchKey, NoSuchVersion, VersionIsDeleteMarker, PreconditionFailed, ObjectLocked,
    Corrupt."""
    require_open(tx, bucket)
    connection, bucket_id = tx.connection, bucket.bucket_id
    current = find_object(connection, bucket_id, update.key)
    found, is_current = current, True
    if update.version_id is not None and not (
        current is not None and current.info.version_id == update.version_id
    ):
        found = find_other(connection, bucket_id, update.key, update.version_id)
        is_current = False
    if found is None:
        raise missing(connection, bucket_id, update.key, update.version_id)
    refuse_marker(found.info)
    check_write(found.info, update.key, update.conditions)
    changes = update.changes
    attributes = _changed(found.info.attributes, update)
    has_index = changes.has_shard_index
    if has_index is None:
        has_index = found.info.has_shard_index
    whole = load_whole(connection, found)
    if whole is None:
        raise Corrupt(what="manifest missing", where=update.key)
    stamp = tx.next_stamp(after=found.stamp)
    changed = replace(
        whole,
        info=replace(
            whole.info,
            attributes=attributes,
            has_shard_index=has_index,
            remote=None if changes.removes_remote else changes.remote or whole.info.remote,
            etag=changes.etag or whole.info.etag,
            modified_ns=changes.modified_ns or whole.info.modified_ns,
        ),
        stamp=stamp,
        sidecar_id=stamp,
        first_stamp=whole.order,
    )
    describe_version(tx, bucket_id, changed)
    if is_current:
        put_current(connection, bucket_id, changed)
    else:
        put_other(connection, bucket_id, changed)
    if whole.sidecar_id is not None:
        tx.add_garbage(Refs(small_ids=(whole.sidecar_id,)))
    if bucket.origin is not None:
        note_change(tx, bucket, Change.UPDATED, changed.info)
    crashpoints.reach("update:named")
    return changed.info


def _changed(old: ObjectAttributes, update: Update) -> ObjectAttributes:
    changes = update.changes
    retention = None if changes.removes_retention else (changes.retention or old.retention)
    if retention != old.retention:
        check_retention_change(
            old.retention, retention, update.now_ns, bypass_governance=update.bypasses_governance
        )
    return replace(
        old,
        tags=old.tags if changes.tags is None else changes.tags,
        user_metadata=_changed_metadata(old, update),
        acl=old.acl if changes.acl is None else changes.acl,
        retention=retention,
        legal_hold=old.legal_hold if changes.legal_hold is None else changes.legal_hold,
    )


def _changed_metadata(old: ObjectAttributes, update: Update) -> Mapping[str, str]:
    """Raises ObjectLocked."""
    changes = update.changes
    if changes.user_metadata is None:
        return old.user_metadata
    check_removable(old, update.now_ns, bypass_governance=update.bypasses_governance)
    if changes.keeps_other_metadata:
        return {**old.user_metadata, **changes.user_metadata}
    return changes.user_metadata
