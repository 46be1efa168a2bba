"""Owns the ObjectService of a cluster of one node: buckets from the control store, objects from the local node.

Routing to other nodes joins here, behind the same protocol; a call to the local node is a plain method call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from core.control import ControlStore
from core.errors import NoSuchBucket
from core.names import BucketRef, UserId
from core.protocols import Clock, StorageNode
from core.types import Bucket, BucketProps, User


class SingleNodeService:
    """ObjectService over one StorageNode. Object operations are the node's own bound methods, with no wrapper."""

    def __init__(self, control: ControlStore, node: StorageNode, clock: Clock) -> None:
        self._control = control
        self._node = node
        self._clock = clock
        self.head = node.head
        self.get = node.get
        self.put = node.put
        self.delete = node.delete
        self.delete_many = node.delete_many
        self.copy = node.copy
        self.update_object = node.update_object
        self.announce = node.announce
        self.list_objects = node.list_objects
        self.list_versions = node.list_versions
        self.is_empty = node.is_empty
        self.create_upload = node.create_upload
        self.get_upload = node.get_upload
        self.upload_part = node.upload_part
        self.upload_part_copy = node.upload_part_copy
        self.list_parts = node.list_parts
        self.list_uploads = node.list_uploads
        self.complete_upload = node.complete_upload
        self.abort_upload = node.abort_upload

    def get_bucket(self, ref: BucketRef) -> Bucket:
        bucket = self._control.bucket(ref)
        if bucket is None:
            raise NoSuchBucket(bucket=ref.name)
        return bucket

    def user(self, user_id: UserId) -> User | None:
        return self._control.user(user_id)

    def users_with_email(self, email: str) -> Sequence[User]:
        wanted = email.casefold()
        return [
            user for user in self._control.users() if wanted and user.email.casefold() == wanted
        ]

    async def list_buckets(
        self, owner_id: UserId, *, prefix: str = "", after: str = "", limit: int | None = None
    ) -> Sequence[Bucket]:
        """Root, who administers every bucket, sees them all."""
        user = self._control.user(owner_id)
        sees_all = user is not None and user.is_root
        found = [
            bucket
            for bucket in self._control.buckets(None if sees_all else owner_id)
            if bucket.name > after and bucket.name.startswith(prefix)
        ]
        return found if limit is None else found[:limit]

    async def create_bucket(
        self, ref: BucketRef, *, owner: User, region: str, props: BucketProps
    ) -> Bucket:
        return await asyncio.to_thread(
            self._control.create_bucket_sync, ref, owner, region, props, self._clock.now_ns()
        )

    async def update_bucket_props(
        self, bucket: Bucket, change: Callable[[BucketProps], BucketProps]
    ) -> Bucket:
        return await asyncio.to_thread(self._control.update_bucket_props_sync, bucket, change)

    async def delete_bucket(self, bucket: Bucket) -> None:
        """Close to writes, forget the name, then drop what is left; a crash in between leaves a closed bucket, which
        the job worker reopens while the control store still names it."""
        await self._node.close_bucket(bucket)
        await asyncio.shield(self._finish_delete(bucket))

    async def _finish_delete(self, bucket: Bucket) -> None:
        try:
            await asyncio.to_thread(self._control.delete_bucket_sync, bucket.ref)
        except NoSuchBucket:
            raise
        except BaseException:
            await self._node.reopen_bucket(bucket)
            raise
        await self._node.drop_bucket(bucket)
