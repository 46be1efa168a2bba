"""Owns the buckets of a MemoryStore, and what it knows of users."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from backends.memory_versions import Versions
from core.errors import (
    AmbiguousBucketName,
    BucketExists,
    BucketNotEmpty,
    BucketOwnedByYou,
    InvalidBucketState,
    NoSuchBucket,
    ObjectLocked,
)
from core.names import BucketName, BucketRef, UploadId, UserId
from core.protocols import Clock, ObjectStore
from core.types import Bucket, BucketProps, User
from core.uploads import Upload, UploadedPart

_ROOT = User(UserId("root"), "root", "root", is_root=True)


@dataclass(frozen=True, slots=True)
class StoredPart:
    part: UploadedPart
    data: bytes


@dataclass(slots=True)
class Uploading:
    upload: Upload
    parts: dict[int, StoredPart] = field(default_factory=dict)


@dataclass(slots=True)
class Contents:
    """What one bucket holds. `completed` remembers which version each finished upload made, by its order."""

    bucket: Bucket
    versions: Versions = field(default_factory=Versions)
    uploads: dict[UploadId, Uploading] = field(default_factory=dict)
    completed: dict[UploadId, int] = field(default_factory=dict)


class MemoryBuckets:
    """The part of ObjectService that knows buckets as a whole."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.known_users: Sequence[User] = ()
        self._buckets: dict[BucketRef, Contents] = {}
        self._last_bucket_id = 0

    @property
    def present(self) -> ObjectStore:
        """All there is."""
        return cast(ObjectStore, self)

    def get_bucket(self, ref: BucketRef) -> Bucket:
        try:
            return self._buckets[ref].bucket
        except KeyError:
            raise NoSuchBucket(bucket=ref.name) from None

    def find_bucket(self, name: BucketName) -> Bucket:
        if BucketRef(name) in self._buckets:
            return self._buckets[BucketRef(name)].bucket
        others = [ref for ref in self._buckets if ref.name == name and not name.startswith(".")]
        if len(others) > 1:
            raise AmbiguousBucketName(bucket=name)
        return self.get_bucket(others[0] if others else BucketRef(name))

    def user(self, user_id: UserId) -> User | None:
        return next((user for user in self.known_users if user.user_id == user_id), None)

    def users_with_email(self, email: str) -> Sequence[User]:
        wanted = email.casefold()
        return [user for user in self.known_users if wanted and user.email.casefold() == wanted]

    async def list_buckets(
        self, owner_id: UserId, *, prefix: str = "", after: str = "", limit: int | None = None
    ) -> Sequence[Bucket]:
        meant = {bucket.name: bucket for bucket in reversed(self.all_buckets())}
        wanted = [
            bucket
            for bucket in meant.values()
            if bucket.owner.user_id == owner_id
            and not bucket.name.startswith(".")
            and bucket.name.startswith(prefix)
            and bucket.name > after
        ]
        return sorted(wanted, key=lambda bucket: bucket.name)[:limit]

    def all_buckets(self) -> Sequence[Bucket]:
        buckets = (contents.bucket for contents in self._buckets.values())
        return sorted(buckets, key=lambda b: (b.ref.name, b.ref.provider, b.ref.namespace))

    async def create_bucket(
        self, ref: BucketRef, *, owner: User, region: str, props: BucketProps
    ) -> Bucket:
        existing = self._buckets.get(ref)
        if existing is not None:
            is_own = existing.bucket.owner.user_id == owner.user_id
            raise BucketOwnedByYou(bucket=ref.name) if is_own else BucketExists(bucket=ref.name)
        self._last_bucket_id += 1
        bucket = Bucket(ref, self._last_bucket_id, owner, self._clock.now_ns(), region, props)
        self._buckets[ref] = Contents(bucket)
        return bucket

    async def update_bucket_props(
        self, bucket: Bucket, change: Callable[[BucketProps], BucketProps]
    ) -> Bucket:
        contents = self._contents(bucket)
        contents.bucket = replace(contents.bucket, props=change(contents.bucket.props))
        return contents.bucket

    async def delete_bucket(self, bucket: Bucket) -> None:
        if self._contents(bucket).versions:
            raise BucketNotEmpty(bucket=bucket.name)
        del self._buckets[bucket.ref]

    async def destroy_bucket(self, bucket: Bucket) -> None:
        contents = self._contents(bucket)
        if contents.versions and contents.bucket.props.object_lock is not None:
            raise ObjectLocked(reason="the bucket has object lock and is not empty")
        del self._buckets[bucket.ref]

    async def bind_bucket(
        self, bucket: Bucket, change: Callable[[BucketProps], BucketProps]
    ) -> Bucket:
        contents = self._contents(bucket)
        if bucket.props.backend is None and contents.versions:
            raise InvalidBucketState(reason="the bucket has objects of its own")
        if any(_logs_into(other.bucket, bucket.ref) for other in self._buckets.values()):
            raise InvalidBucketState(reason="another bucket sends its access logs there")
        props = change(contents.bucket.props)
        self._last_bucket_id += 1
        bound = replace(contents.bucket, bucket_id=self._last_bucket_id, props=props)
        self._buckets[bucket.ref] = Contents(bound)
        return bound

    async def rename_bucket(self, bucket: Bucket, to: BucketRef) -> Bucket:
        contents = self._contents(bucket)
        if to in self._buckets:
            raise BucketExists(bucket=to.name, ref=to)
        if contents.bucket.props.policy:
            raise InvalidBucketState(reason="its policy names the bucket; remove that first")
        if any(_logs_into(other.bucket, bucket.ref) for other in self._buckets.values()):
            raise InvalidBucketState(reason="another bucket sends its access logs there")
        del self._buckets[bucket.ref]
        contents.bucket = replace(contents.bucket, ref=to)
        self._buckets[to] = contents
        return contents.bucket

    async def ensure_system_bucket(self, ref: BucketRef) -> Bucket:
        if ref in self._buckets:
            return self._buckets[ref].bucket
        root = next((user for user in self.known_users if user.is_root), _ROOT)
        return await self.create_bucket(ref, owner=root, region="", props=BucketProps())

    async def is_empty(self, bucket: Bucket) -> bool:
        return not self._contents(bucket).versions

    def _contents(self, bucket: Bucket) -> Contents:
        contents = self._buckets.get(bucket.ref)
        # A bucket made anew under the same name has another id, and none of the old one's callers.
        if contents is None or contents.bucket.bucket_id != bucket.bucket_id:
            raise NoSuchBucket(bucket=bucket.name)
        return contents


def _logs_into(bucket: Bucket, target: BucketRef) -> bool:
    logging = bucket.props.logging
    return logging is not None and BucketRef(BucketName(logging.target_bucket)) == target
