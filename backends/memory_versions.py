"""Owns the versions and delete markers of a MemoryStore's buckets: what a write, a delete and a change make of them.

Source: AWS, How S3 Versioning works; Managing delete markers; Adding objects to versioning-suspended buckets.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from core.conditions import check_delete, check_unchanged, check_write
from core.configs.versioning import Versioning
from core.deletion import DeleteItem, DeleteResult
from core.errors import KeyIsDeleted, NoSuchKey, NoSuchVersion, VersionIsDeleteMarker
from core.locks import check_removable, check_retention_change, default_retention
from core.names import ObjectKey
from core.types import (
    NO_CONDITIONS,
    NULL_VERSION,
    BucketProps,
    Conditions,
    ObjectAttributes,
    ObjectChanges,
    ObjectInfo,
)

_ORDER_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Stored:
    """A version or delete marker. `order` says which came later, and is never given again."""

    info: ObjectInfo
    data: bytes
    order: int


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a version, as ObjectStore.update_object is asked for it."""

    changes: ObjectChanges
    version_id: str | None = None
    conditions: Conditions = NO_CONDITIONS
    bypass_governance: bool = False


def version_id_of(order: int) -> str:
    """An id that nobody can guess, and that tells a listing where its version was when it is there no more."""
    return f"{order:0{_ORDER_DIGITS}x}{os.urandom(8).hex()}"


def order_of(version_id: str) -> int | None:
    """The place among the versions that an id stands for; None for what is not one of ours."""
    try:
        return int(version_id[:_ORDER_DIGITS], 16)
    except ValueError:
        return None


class Versions:
    """All that one bucket holds, of each key the oldest first. The last is the key's latest."""

    def __init__(self) -> None:
        self._by_key: dict[ObjectKey, list[Stored]] = {}
        self._last_order = 0
        # A caller's idea of the bucket may be older than the versions that are there, which it must not harm.
        self._has_versions = False

    def __bool__(self) -> bool:
        return bool(self._by_key)

    def newest_first(self) -> Iterator[Sequence[Stored]]:
        """The versions of each key, in no order of keys."""
        return (versions[::-1] for versions in self._by_key.values())

    def latest(self, key: ObjectKey) -> Stored | None:
        versions = self._by_key.get(key)
        return versions[-1] if versions else None

    def current(self, key: ObjectKey) -> Stored | None:
        """The latest version, unless it is a delete marker."""
        latest = self.latest(key)
        return None if latest is None or latest.info.is_delete_marker else latest

    def read(self, key: ObjectKey, version_id: str | None) -> Stored:
        """Raises NoSuchKey, KeyIsDeleted, NoSuchVersion, VersionIsDeleteMarker."""
        found = self.latest(key) if version_id is None else self._named(key, version_id)
        if found is None:
            if version_id is None:
                raise NoSuchKey(key=key)
            raise NoSuchVersion(key=key, version_id=version_id)
        info = found.info
        if info.is_delete_marker:
            error = KeyIsDeleted if version_id is None else VersionIsDeleteMarker
            raise error(key=key, version_id=info.version_id, modified_ns=info.modified_ns)
        return found

    # --- writing ---

    def publish(
        self, props: BucketProps, info: ObjectInfo, data: bytes, conditions: Conditions
    ) -> Stored:
        """Make `info` the key's current object. Raises PreconditionFailed, NoSuchKey, ObjectLocked."""
        current = self.current(info.key)
        check_write(None if current is None else current.info, info.key, conditions)
        if info.attributes.retention is None:
            retention = default_retention(props.object_lock, info.modified_ns)
            info = replace(info, attributes=replace(info.attributes, retention=retention))
        if current is not None:
            info = replace(info, generation=current.info.generation + 1)
        return self._put_on_top(props, info, data)

    def delete(
        self,
        props: BucketProps,
        item: DeleteItem,
        marker: ObjectInfo,
        *,
        bypass_governance: bool = False,
    ) -> DeleteResult:
        """Delete as ObjectStore.delete does. Raises PreconditionFailed, NoSuchKey, ObjectLocked."""
        key = item.key
        if item.version_id is None:
            found = self.current(key)
        else:
            found = self._named(key, item.version_id)
        check_delete(None if found is None else found.info, key, item.conditions)
        if item.seen is not None:
            info = None if found is None else found.info
            check_unchanged(info, item.seen, is_latest=found is self.latest(key))
        if item.version_id is None and self._keeps_versions(props):
            made = self._put_on_top(props, marker, b"").info
            return DeleteResult(key, made.version_id, is_delete_marker=True)
        if found is None:
            return DeleteResult(key, item.version_id)
        # The bypass is for a version that is named.
        bypasses = bypass_governance and item.version_id is not None
        check_removable(found.info.attributes, marker.modified_ns, bypass_governance=bypasses)
        self._remove(found)
        return DeleteResult(key, item.version_id, found.info.is_delete_marker)

    def change(self, key: ObjectKey, change: Change, now_ns: int) -> ObjectInfo:
        """Change a version as ObjectStore.update_object does, where it stands."""
        old = self.read(key, change.version_id)
        check_write(old.info, key, change.conditions)
        attributes = _changed(old.info.attributes, change, now_ns)
        has_index = change.changes.has_shard_index
        if has_index is None:
            has_index = old.info.has_shard_index
        info = replace(
            old.info,
            attributes=attributes,
            has_shard_index=has_index,
            remote=change.changes.remote or old.info.remote,
        )
        new = replace(old, info=info)
        versions = self._by_key[key]
        versions[versions.index(old)] = new
        return new.info

    def _put_on_top(self, props: BucketProps, info: ObjectInfo, data: bytes) -> Stored:
        self._keeps_versions(props)
        order = self._last_order + 1
        if props.versioning is Versioning.ENABLED:
            info = replace(info, version_id=version_id_of(order))
        else:
            # The null version is replaced wherever it stands, and what replaces it is the latest.
            replaced = self._named(info.key, NULL_VERSION)
            if replaced is not None:
                check_removable(replaced.info.attributes, info.modified_ns, bypass_governance=False)
                self._remove(replaced)
        self._last_order = order
        stored = Stored(info, data, order)
        self._by_key.setdefault(info.key, []).append(stored)
        return stored

    def _keeps_versions(self, props: BucketProps) -> bool:
        self._has_versions |= props.versioning is not Versioning.OFF
        return self._has_versions

    def _named(self, key: ObjectKey, version_id: str) -> Stored | None:
        versions = self._by_key.get(key, ())
        return next((each for each in versions if each.info.version_id == version_id), None)

    def _remove(self, stored: Stored) -> None:
        key = stored.info.key
        self._by_key[key].remove(stored)
        if not self._by_key[key]:
            del self._by_key[key]


def _changed(old: ObjectAttributes, change: Change, now_ns: int) -> ObjectAttributes:
    """Raises ObjectLocked."""
    changes = change.changes
    new = old
    if changes.retention is not None or changes.removes_retention:
        retention = None if changes.removes_retention else changes.retention
        check_retention_change(
            old.retention, retention, now_ns, bypass_governance=change.bypass_governance
        )
        new = replace(new, retention=retention)
    if changes.legal_hold is not None:
        new = replace(new, legal_hold=changes.legal_hold)
    if changes.tags is not None:
        new = replace(new, tags=changes.tags)
    if changes.acl is not None:
        new = replace(new, acl=changes.acl)
    if changes.user_metadata is not None:
        check_removable(old, now_ns, bypass_governance=change.bypass_governance)
        kept = old.user_metadata if changes.keeps_other_metadata else {}
        new = replace(new, user_metadata={**kept, **changes.user_metadata})
    return new
