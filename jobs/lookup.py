"""Owns the looking up of what jobs work on: the bucket that was meant when a job was asked for, and its objects."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from core.backends import Backends, remote_name
from core.errors import NoSuchBucket
from core.listing import ListPage, ListQuery
from core.names import BucketRef
from core.types import Bucket, ObjectInfo


class Buckets(Protocol):
    """What jobs ask of the control store. Never blocks for long."""

    def bucket(self, ref: BucketRef) -> Bucket | None: ...


class Listed(Protocol):
    """What jobs that look through a bucket ask of an ObjectStore."""

    async def list_objects(self, bucket: Bucket, query: ListQuery) -> ListPage: ...


def find_bucket(buckets: Buckets, ref: BucketRef, bucket_id: str) -> Bucket:
    """Raises NoSuchBucket, also for a bucket of that name that is another one by now; "" takes any."""
    bucket = buckets.bucket(ref)
    if bucket is None or (bucket_id and bucket_id != str(bucket.bucket_id)):
        raise NoSuchBucket(bucket=ref.name)
    return bucket


async def objects_of(
    store: Listed, bucket: Bucket, prefix: str, after: str, *, delimiter: str = ""
) -> AsyncIterator[ObjectInfo]:
    """The objects from behind `after` on, in order of their keys; with a delimiter, those directly under the prefix."""
    while True:
        page = await store.list_objects(bucket, ListQuery(prefix, delimiter, after))
        for info in page.entries:
            yield info
        if not page.is_truncated:
            return
        after = page.next_after


async def missing_from(
    there: AsyncIterator[ObjectInfo], here: AsyncIterator[ObjectInfo]
) -> AsyncIterator[ObjectInfo]:
    """What is `here` and not `there`; both come in order of their keys."""
    other = await anext(there, None)
    async for info in here:
        while other is not None and other.key < info.key:
            other = await anext(there, None)
        if other is None or other.key != info.key:
            yield info


class AtBackend:
    """Listings of what a backend has, whatever is here."""

    def __init__(self, backends: Backends) -> None:
        self._backends = backends

    async def list_objects(self, bucket: Bucket, query: ListQuery) -> ListPage:
        """See Backend.list_page."""
        return await self._backends.of(bucket).list_page(remote_name(bucket), query)
