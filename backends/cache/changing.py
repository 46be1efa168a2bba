"""Owns what objects that live elsewhere have beside their bytes, and its changes.

Tags go to the provider where it has tags, and user metadata always; ACLs are ours alone and stay with the copy, as tags
do where the provider has none. Nothing is taken that would be lost: what only a copy could keep is refused where there
is none, and locks are the provider's business.
"""

from __future__ import annotations

from dataclasses import replace

from backends.cache.copies import Copies, is_same, local_view
from backends.cache.copying import Copying, Source, Wish
from backends.cache.sending import Target, check_version, has_terms
from backends.cache.writing import Writing
from core.conditions import check_write
from core.errors import NoSuchKey, StoreError, Unsupported
from core.events import Change
from core.names import ObjectKey
from core.nodes import StorageNode
from core.told_attributes import sayable
from core.types import NO_CONDITIONS, Bucket, Conditions, ObjectChanges, ObjectInfo


class Changing:
    """`update_object`."""

    def __init__(self, node: StorageNode, writing: Writing, copying: Copying) -> None:
        self._node = node
        self._writing = writing
        self._copying = copying
        self._copies: Copies = writing.copies

    async def head_with_tags(
        self, bucket: Bucket, key: ObjectKey, *, version_id: str | None = None
    ) -> ObjectInfo:
        """See ObjectStore.head_with_tags."""
        source = Source(bucket, key, version_id)
        info = await self._copying.head(source)
        tags = await self._copying.tags_of(source, info)
        return replace(info, attributes=replace(info.attributes, tags=tags))

    async def update_object(
        self,
        bucket: Bucket,
        key: ObjectKey,
        changes: ObjectChanges,
        *,
        version_id: str | None = None,
        conditions: Conditions = NO_CONDITIONS,
        bypass_governance: bool = False,
    ) -> ObjectInfo:
        """See ObjectStore.update_object."""
        if changes.remote is not None or changes.has_shard_index is not None:
            # What is known of a copy is no news to the backend.
            return await self._node.update_object(
                local_view(bucket), key, changes, conditions=conditions
            )
        _check(changes, version_id)
        target = self._writing.target(bucket, key)
        if changes.user_metadata is not None:
            await self._change_metadata(target, changes, conditions)
            if changes.tags is None and changes.acl is None:
                return await self._node_or_backend(target)
            conditions = NO_CONDITIONS
        async with self._writing.flights.writing(bucket, key):
            return await self._change(target, changes, conditions)

    async def _node_or_backend(self, target: Target) -> ObjectInfo:
        try:
            return await self._node.head(local_view(target.bucket), target.key)
        except NoSuchKey:
            return sayable(await target.backend.head(target.name, target.key))

    async def _change_metadata(
        self, target: Target, changes: ObjectChanges, conditions: Conditions
    ) -> None:
        """The provider copies the object onto itself: it has no other way."""
        if not target.features.can_copy:
            reason = "The bucket's provider can't change the metadata of an object"
            raise Unsupported(what="metadata", reason=reason)
        info = await self._node_or_backend(target)
        there = sayable(await target.backend.head(target.name, target.key))
        metadata = dict(changes.user_metadata or {})
        if changes.keeps_other_metadata:
            metadata = {**there.attributes.user_metadata, **metadata}
        source = Source(target.bucket, target.key)
        attributes = replace(
            info.attributes,
            headers=there.attributes.headers,
            user_metadata=metadata,
            tags=await self._copying.tags_of(source, info),
        )
        await self._copying.copy_there(source, target, Wish(attributes, conditions=conditions))

    async def _change(
        self, target: Target, changes: ObjectChanges, conditions: Conditions
    ) -> ObjectInfo:
        """Tags and ACL, while other writers wait."""
        there = sayable(await target.backend.head(target.name, target.key))
        if has_terms(conditions):
            check_write(there, target.key, conditions)
        has_copy = await self._has_copy(target, there)
        has_tags = target.features.has_tags
        if not has_copy and (changes.acl is not None or not (changes.tags is None or has_tags)):
            reason = "Objects that are not in the cluster have no ACL or tags of their own here"
            raise Unsupported(what="acl", reason=reason)
        if changes.tags is not None and has_tags:
            await target.backend.set_tags(target.name, target.key, changes.tags)
        if has_copy:
            try:
                return await self._node.update_object(
                    local_view(target.bucket, announces=True),
                    target.key,
                    ObjectChanges(tags=changes.tags, acl=changes.acl),
                )
            except StoreError:
                # The backend has the tags; a copy with others must not stay.
                await self._copies.drop(target.bucket, target.key)
                if changes.acl is not None:
                    raise
        tags = there.attributes.tags if changes.tags is None else changes.tags
        changed = replace(there, attributes=replace(there.attributes, tags=tags), is_cached=False)
        await self._copies.tell(target.bucket, Change.UPDATED, changed)
        return changed

    async def _has_copy(self, target: Target, there: ObjectInfo) -> bool:
        """Whether a copy of what is there is here; one of something else goes."""
        try:
            here = await self._node.head(local_view(target.bucket), target.key)
        except NoSuchKey:
            return False
        if here.remote and there.remote and is_same(here.remote, there.remote):
            return True
        await self._copies.drop(target.bucket, target.key)
        return False


def _check(changes: ObjectChanges, version_id: str | None) -> None:
    if changes.retention or changes.removes_retention or changes.legal_hold is not None:
        reason = "Objects of a bucket that lives elsewhere can be locked by its provider only"
        raise Unsupported(what="object lock", reason=reason)
    if check_version(version_id):
        reason = "Versions of a bucket that lives elsewhere can be changed at its provider only"
        raise Unsupported(what="versions", reason=reason)
