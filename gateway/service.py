"""Owns the ObjectService of a cluster of one node: buckets from the control store, objects from the local node.

Routing to other nodes joins here, behind the same protocol; a call to the local node is a plain method call. Buckets
that live elsewhere have a store of their own, the cache in front of their backend.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from backends.cache.store import CachedStore
from core.accounts import AccountStore, FixedAccounts
from core.backends import BackendCounts
from core.blobs import Blobs
from core.control import ControlStore
from core.errors import (
    AmbiguousBucketName,
    BucketExists,
    BucketNotEmpty,
    BucketOwnedByYou,
    InvalidBucketState,
    NoSuchBucket,
    ObjectLocked,
    StoreError,
)
from core.inventories import Inventories, NoInventories
from core.names import BucketName, BucketRef, ObjectKey, UserId
from core.nodes import StorageNode
from core.protocols import Clock, ObjectStore
from core.types import Bucket, BucketProps, User


def _routed(name: str) -> Any:
    """The operation of that name, by the store that a bucket has. A plain function, which costs 0.3 µs a call."""

    def operation(self: SingleNodeService, bucket: Bucket, *args: Any, **options: Any) -> Any:
        store = self.present if bucket.props.backend is None else self.cached
        return getattr(store, name)(bucket, *args, **options)

    return operation


def _routed_pair(name: str) -> Any:
    """The same for what has a source: where either bucket lives elsewhere, the cache sees to both."""

    def operation(  # the source's bucket and key come first
        self: SingleNodeService,
        source: Bucket,
        source_key: ObjectKey,
        bucket: Bucket,
        *args: Any,
        **options: Any,
    ) -> Any:
        is_local = source.props.backend is None and bucket.props.backend is None
        store = self.present if is_local else self.cached
        return getattr(store, name)(source, source_key, bucket, *args, **options)

    return operation


class SingleNodeService:
    """ObjectService over one StorageNode, `present`, and the cache of what lives elsewhere, `cached`."""

    def __init__(
        self,
        control: ControlStore,
        node: StorageNode,
        clock: Clock,
        cached: CachedStore | None = None,
        inventories: Inventories | None = None,
    ) -> None:
        """Without `cached`, buckets that live elsewhere are what of them is here; without `inventories` they have
        none."""
        self._control = control
        self._node = node
        self._clock = clock
        self.present: StorageNode = node
        self.cached: ObjectStore = node if cached is None else cached
        self.backends = None if cached is None else cached.backends
        self.accounts: AccountStore = FixedAccounts()
        self.resend = None if cached is None else cached.resend
        self.blobs: Blobs | None = None if cached is None else cached.blobs
        self.backend_counts: BackendCounts | None = None
        self.bring = None if cached is None else cached.bring
        self.inventories: Inventories = inventories or NoInventories()
        self.usage = None if cached is None else cached.usage

    head = _routed("head")
    head_with_tags = _routed("head_with_tags")
    get = _routed("get")
    put = _routed("put")
    delete = _routed("delete")
    delete_many = _routed("delete_many")
    copy = _routed_pair("copy")
    update_object = _routed("update_object")
    announce = _routed("announce")
    list_objects = _routed("list_objects")
    list_versions = _routed("list_versions")
    is_empty = _routed("is_empty")
    create_upload = _routed("create_upload")
    get_upload = _routed("get_upload")
    upload_part = _routed("upload_part")
    upload_part_copy = _routed_pair("upload_part_copy")
    list_parts = _routed("list_parts")
    list_uploads = _routed("list_uploads")
    complete_upload = _routed("complete_upload")
    abort_upload = _routed("abort_upload")

    def get_bucket(self, ref: BucketRef) -> Bucket:
        bucket = self._control.bucket(ref)
        if bucket is None:
            raise NoSuchBucket(bucket=ref.name)
        return bucket

    def find_bucket(self, name: BucketName) -> Bucket:
        bucket = self._control.bucket(BucketRef(name))
        return self._other_bucket(name) if bucket is None else bucket

    def _other_bucket(self, name: BucketName) -> Bucket:
        others = self._control.other_buckets(name)
        if not others:
            raise NoSuchBucket(bucket=name)
        if len(others) > 1:
            raise AmbiguousBucketName(bucket=name)
        return others[0]

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
            if bucket.name > after
            and bucket.name.startswith(prefix)
            and not bucket.name.startswith(".")
            and (bucket.ref.is_plain or self._is_found(bucket))
        ]
        return found if limit is None else found[:limit]

    def _is_found(self, bucket: Bucket) -> bool:
        """Whether a bare name may mean it, so that it is listed: of several that it may mean, the first."""
        name = bucket.ref.name
        if self._control.bucket(BucketRef(name)) is not None:
            return False
        return self._control.other_buckets(name)[0].ref == bucket.ref

    def all_buckets(self) -> Sequence[Bucket]:
        return self._control.buckets()

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

    async def destroy_bucket(self, bucket: Bucket) -> None:
        """As a deletion, but that the bucket may be full when it is closed. The job worker drops what is too much to
        be dropped here."""
        try:
            await self._node.close_bucket(bucket, even_if_full=bucket.props.object_lock is None)
        except BucketNotEmpty:
            raise ObjectLocked(reason="the bucket has object lock and is not empty") from None
        await asyncio.shield(self._finish_delete(bucket))

    async def bind_bucket(
        self, bucket: Bucket, change: Callable[[BucketProps], BucketProps]
    ) -> Bucket:
        """The job worker drops what the former id has, once requests that know the bucket by it should have ended."""
        if bucket.props.backend is not None:
            return await self._bind(bucket, change)
        self._check_gets_no_logs(bucket)
        try:
            await self._node.close_bucket(bucket)
        except BucketNotEmpty:
            reason = "the bucket has objects, which are nowhere else; bind an empty one"
            raise InvalidBucketState(reason=reason) from None
        try:
            return await asyncio.shield(self._bind(bucket, change))
        except StoreError:
            await self._node.reopen_bucket(bucket)
            raise

    async def _bind(self, bucket: Bucket, change: Callable[[BucketProps], BucketProps]) -> Bucket:
        now_ns = self._clock.now_ns()
        return await asyncio.to_thread(self._control.bind_bucket_sync, bucket, change, now_ns)

    async def rename_bucket(self, bucket: Bucket, to: BucketRef) -> Bucket:
        self._check_gets_no_logs(bucket)
        return await asyncio.to_thread(self._control.rename_bucket_sync, bucket, to)

    def _check_gets_no_logs(self, bucket: Bucket) -> None:
        """Raises InvalidBucketState."""
        for other in self._control.buckets():
            logging = other.props.logging
            if logging is not None and bucket.ref == BucketRef(BucketName(logging.target_bucket)):
                raise InvalidBucketState(reason=f"bucket {other.name} sends its access logs there")

    async def ensure_system_bucket(self, ref: BucketRef) -> Bucket:
        bucket = self._control.bucket(ref)
        if bucket is not None:
            return bucket
        root = next(user for user in self._control.users() if user.is_root)
        try:
            return await self.create_bucket(ref, owner=root, region="", props=BucketProps())
        except (BucketExists, BucketOwnedByYou):
            return self.get_bucket(ref)

    async def _finish_delete(self, bucket: Bucket) -> None:
        try:
            await asyncio.to_thread(self._control.delete_bucket_sync, bucket.ref)
        except NoSuchBucket:
            raise
        except BaseException:
            await self._node.reopen_bucket(bucket)
            raise
        await self._node.drop_bucket(bucket)  # a part at most; the job worker sees to the rest
