"""Owns the order of a publication: blob whole and synced, then the transaction that names it, then the answer.

Once the bytes are here, a caller that is cancelled no longer stops it: the object is published or its blob removed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from core.errors import MountpathUnavailable
from core.types import Bucket, Conditions, ObjectInfo
from storage import crashpoints
from storage.blobs import BlobWriter
from storage.intake import Received
from storage.mountpath import Mountpath
from storage.pieces import segment_of
from storage.publish_many import InlinePublication, publish_many
from storage.records import (
    OBJECT,
    Description,
    FileSegment,
    StoredObject,
    encode_description,
    encode_record,
)
from storage.transaction import Operation, Transaction
from storage.versions import Publication, as_version, publish_object

T = TypeVar("T")

_RELAXED = "relaxed"


def is_durable(bucket: Bucket) -> bool:
    """Whether the bucket's writes are synced before they are acknowledged."""
    return bucket.props.durability != _RELAXED


@dataclass(frozen=True, slots=True)
class BlobCommit:
    """A blob with all its data, the description its trailer gets, and the crash points on its way."""

    blob: BlobWriter
    description: bytes
    is_durable: bool
    point: str


@dataclass(frozen=True, slots=True)
class PiecesCommit:
    """The pieces of an object, all on their disks already (storage.pieces), and the crash points on their way."""

    blobs: Sequence[BlobWriter]
    is_durable: bool
    point: str

    def step(self, name: str) -> str:
        """The name of a crash point."""
        return f"{self.point}:{name}"


class Publisher:
    """Publishes for the callers of one event loop."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    async def shield(self, work: Coroutine[Any, Any, T]) -> T:
        """Run to the end whatever happens to the caller."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def drain(self) -> None:
        """Wait for what goes on behind cancelled callers."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def publish_inline(
        self,
        mountpath: Mountpath,
        bucket: Bucket,
        publication: Publication,
        conditions: Conditions,
        *,
        must_last: bool = True,
    ) -> ObjectInfo:
        """Publish an object whose bytes go into its small row: one transaction does it all. `must_last` False: it is
        not synced, whatever the bucket says."""

        info = await mountpath.commit(
            InlinePublication(bucket, publication, conditions),
            is_durable=must_last and is_durable(bucket),
            together=publish_many,
        )
        crashpoints.reach("put:small-committed")
        return info

    async def publish_blob(
        self,
        mountpath: Mountpath,
        bucket: Bucket,
        made: tuple[ObjectInfo, BlobWriter, int],
        conditions: Conditions,
        point: str = "put",
    ) -> ObjectInfo:
        """Publish a plain object (its info, blob and xxh3_64), or remove the blob."""
        made_info, blob, checksum = made
        stamp = mountpath.opened().next_stamp()
        info = as_version(bucket, made_info, stamp)
        segments = (FileSegment(blob.blob_id, blob.size_bytes, checksum),)
        record = encode_record(StoredObject(info, stamp, segments))
        description = Description(OBJECT, bucket.bucket_id, info.key.encode(), record)
        publication = Publication(info, segments=segments, stamp=stamp)
        commit = BlobCommit(blob, encode_description(description), is_durable(bucket), point)
        stored = await self.commit_blob(
            mountpath, commit, lambda tx: publish_object(tx, bucket, publication, conditions)
        )
        return stored.info

    async def publish_received(
        self,
        mountpath: Mountpath,
        bucket: Bucket,
        made: tuple[ObjectInfo, Received],
        conditions: Conditions,
        point: str = "put",
    ) -> ObjectInfo:
        """Publish a plain object of which the bytes are here, in whatever form."""
        info, received = made
        if received.blob is not None:
            blob = (info, received.blob, received.data_checksum)
            return await self.publish_blob(mountpath, bucket, blob, conditions, point)
        if received.pieces:
            return await self.publish_pieces(mountpath, bucket, (info, received.pieces), conditions)
        publication = Publication(info, received.data, received.data_checksum)
        return await self.publish_inline(mountpath, bucket, publication, conditions)

    async def publish_pieces(
        self,
        mountpath: Mountpath,
        bucket: Bucket,
        made: tuple[ObjectInfo, Sequence[BlobWriter]],
        conditions: Conditions,
        point: str = "chunks",
    ) -> ObjectInfo:
        """Publish an object in pieces that are all on their disks, or remove them."""
        info, blobs = made
        publication = Publication(info, segments=tuple(segment_of(blob) for blob in blobs))
        stored = await self.commit_pieces(
            mountpath,
            PiecesCommit(blobs, is_durable(bucket), point),
            lambda tx: publish_object(tx, bucket, publication, conditions),
        )
        return stored.info

    async def commit_pieces(
        self, mountpath: Mountpath, commit: PiecesCommit, operation: Operation[T]
    ) -> T:
        """Run the operation that names the pieces; if it fails, they are removed."""
        return await self.shield(_commit_pieces(mountpath, commit, operation))

    async def commit_blob(
        self, mountpath: Mountpath, commit: BlobCommit, operation: Operation[T]
    ) -> T:
        """Finish a blob and run the operation that names it; if that fails, the blob is removed."""
        return await self.shield(_commit_blob(mountpath, commit, operation))


async def _commit_blob(mountpath: Mountpath, commit: BlobCommit, operation: Operation[T]) -> T:
    blob, point = commit.blob, commit.point

    def finish() -> None:
        crashpoints.reach(f"{point}:blob-written")
        blob.finish(commit.description, is_durable=commit.is_durable)
        crashpoints.reach(f"{point}:blob-synced")

    def run(tx: Transaction) -> T:
        value = operation(tx)
        crashpoints.reach(f"{point}:named")
        return value

    try:
        await mountpath.run(finish)
        value = await mountpath.commit(run, is_durable=commit.is_durable)
    except MountpathUnavailable:
        # Whether the disk took the commit is unknown; the space cleanup will see.
        blob.close()
        raise
    except BaseException:
        await mountpath.run(blob.abandon)
        raise
    crashpoints.reach(f"{point}:committed")
    return value


async def _commit_pieces(mountpath: Mountpath, commit: PiecesCommit, operation: Operation[T]) -> T:
    def run(tx: Transaction) -> T:
        value = operation(tx)
        crashpoints.reach(commit.step("named"))
        return value

    def give_up() -> None:
        for blob in commit.blobs:
            blob.abandon()

    crashpoints.reach(commit.step("blob-synced"))
    try:
        value = await mountpath.commit(run, is_durable=commit.is_durable)
    except MountpathUnavailable:
        # Whether the disk took the commit is unknown; the space cleanup will see.
        raise
    except BaseException:
        await mountpath.run(give_up)
        raise
    crashpoints.reach(commit.step("committed"))
    return value
