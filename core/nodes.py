"""Owns the seams below the service: what holds bytes (StorageNode), where they go (Placement), and what a remote bucket
offers (Backend).

Arguments and results are frozen types of core. Implementations raise core.errors only.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Protocol

from core.listing import ListPage, ListQuery
from core.names import BucketRef, ObjectKey
from core.protocols import BodyStream, ObjectStore
from core.types import Bucket, ByteRange, ObjectAttributes, ObjectInfo


class StorageNode(ObjectStore, Protocol):
    """A target: an ObjectStore on this machine's mountpaths, or another node over HTTP."""

    async def close_bucket(self, bucket: Bucket, *, even_if_full: bool = False) -> None:
        """Refuse every later write to the bucket with NoSuchBucket, provided that it holds no object now.

        Raises BucketNotEmpty and changes nothing otherwise, unless `even_if_full`. Idempotent; `reopen_bucket` undoes
        it."""

    async def reopen_bucket(self, bucket: Bucket) -> None:
        """Accept writes again, after a deletion that did not go through. Idempotent."""

    async def drop_bucket(self, bucket: Bucket) -> bool:
        """Forget what is left of a deleted bucket, which is closed: objects, uploads in progress and their parts. A
        bounded part of it at a time; whether all is gone. Idempotent."""

    async def health(self) -> Mapping[str, str]:
        """Per mountpath: "ok", or what is wrong with it."""


class Placement(Protocol):
    """Object → mountpath (and, with a cluster, object → targets), by highest random weight."""

    def mountpath_index(self, bucket_id: int, key: bytes) -> int:
        """Position of the mountpath that owns the object, stable while the set of mountpaths is."""


class Backend(Protocol):
    """A remote bucket in domain types. Adapters translate their library's errors into ours, once."""

    async def head(self, ref: BucketRef, key: ObjectKey) -> ObjectInfo: ...
    async def list_page(self, ref: BucketRef, query: ListQuery) -> ListPage: ...
    def get(
        self, ref: BucketRef, key: ObjectKey, byte_range: ByteRange | None = None
    ) -> AsyncIterator[bytes]: ...
    async def put(
        self, ref: BucketRef, key: ObjectKey, body: BodyStream, attributes: ObjectAttributes
    ) -> ObjectInfo: ...
    async def delete(self, ref: BucketRef, key: ObjectKey) -> None: ...
