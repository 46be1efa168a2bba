"""Owns the change of a version's storage class: its bytes are copied to where the class lies, then one commit names
them in place of the old ones. Its ETag, time, id and place among the versions stay as they are.

A crash before that commit leaves an unnamed blob, one after it a garbage row; the space cleanup sees to both.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

from core.conditions import check_unchanged
from core.errors import MountpathUnavailable, PreconditionFailed
from core.events import Change
from core.listing import ObjectVersion
from core.types import Bucket, ObjectInfo
from storage.blobs import BlobWriter
from storage.commit import Transaction
from storage.index import (
    find_object,
    find_other,
    load_whole,
    put_current,
    put_other,
    refs_now,
    require_open,
)
from storage.layout import Layout, host_name
from storage.lookup import Found
from storage.mountpath import Mountpath
from storage.mountpaths import Mountpaths
from storage.objects import Objects
from storage.outbox import note_change
from storage.publish import BlobCommit, Publisher, is_durable
from storage.reader import BlobGone, FileReader, MemoryReader, log_corrupt
from storage.records import (
    OBJECT,
    Description,
    FileSegment,
    Segment,
    StoredObject,
    encode_description,
    encode_record,
    is_manifest,
    refs_of,
)
from storage.upload_records import part_of_nothing


@dataclass(frozen=True, slots=True)
class _Move:
    """A version as it was read, as it shall be, and the stamp in its new blob's trailer (0: its bytes stay)."""

    old: StoredObject
    info: ObjectInfo
    segments: Sequence[Segment]
    stamp: int


class Transitions:
    """Changes storage classes on a node's mountpaths. Bytes are moved as they lie, so encrypted ones stay sealed."""

    def __init__(self, mountpaths: Mountpaths, objects: Objects, publisher: Publisher) -> None:
        self._mountpaths = mountpaths
        self._objects = objects
        self._publisher = publisher

    async def change_class(
        self, bucket: Bucket, seen: ObjectVersion, storage_class: str
    ) -> ObjectInfo:
        """Give a version another storage class, if it is as it was `seen`. A caller that is cancelled does not stop it.

        Raises PreconditionFailed, NotFound kinds, Corrupt, OutOfSpace, MountpathUnavailable."""
        return await self._publisher.shield(self._change(bucket, seen, storage_class))

    async def _change(self, bucket: Bucket, seen: ObjectVersion, storage_class: str) -> ObjectInfo:
        key = seen.info.key
        found = await self._objects.find(bucket, key, seen.info.version_id)
        stored = found.stored
        check_unchanged(stored.info, seen, is_latest=seen.is_latest)
        attributes = replace(stored.info.attributes, storage_class=storage_class)
        move = _Move(stored, replace(stored.info, attributes=attributes), stored.segments, 0)
        owner = self._mountpaths.owner(bucket, key)
        place = self._mountpaths.place(bucket, key, storage_class)
        if _lies_there(stored.segments, place):
            return await owner.commit(
                lambda tx: _rename(tx, bucket, move), is_durable=is_durable(bucket)
            )
        writer = _Writer(owner, place, bucket, move)
        await writer.require_room()
        try:
            await writer.write(await self._open(owner, found))
        except BaseException:
            await writer.abandon()
            raise
        return await self._commit(writer)

    async def _open(self, owner: Mountpath, found: Found) -> MemoryReader | FileReader:
        """The stored bytes, all segments one after another. Raises PreconditionFailed if they are gone by now."""
        stored = found.stored
        size_bytes = sum(each.size_bytes for each in stored.segments)
        if found.data is not None:
            return MemoryReader(stored.info, found.data, 0, size_bytes)
        try:
            reader = await FileReader.open(owner, stored, 0, size_bytes)
        except BlobGone:
            await owner.run(owner.watch_sync)
            owner.opened()
            await self._mountpaths.check_hosts(stored.segments)
            raise PreconditionFailed(condition="unchanged") from None
        reader.verify()
        return reader

    async def _commit(self, writer: _Writer) -> ObjectInfo:
        owner, bucket, move = writer.owner, writer.bucket, writer.move
        *first, last = writer.made
        if not first and not is_manifest(move.old):
            stamp = owner.opened().next_stamp()
            move = replace(move, segments=writer.segments, stamp=stamp)
            record = encode_record(_moved(move, stamp))
            description = Description(OBJECT, bucket.bucket_id, move.info.key.encode(), record)
        else:
            # What names them all is the sidecar row; each alone is a part of nothing, if that should not come about.
            move = replace(move, segments=writer.segments)
            try:
                for made in first:
                    await writer.finish(made)
            except BaseException:
                await writer.abandon()
                raise
            description = writer.describe(last)
        commit = BlobCommit(
            last.blob, encode_description(description), is_durable(bucket), "transition"
        )
        try:
            return await self._publisher.commit_blob(
                owner, commit, lambda tx: _rename(tx, bucket, move)
            )
        except MountpathUnavailable:
            # Whether the disk took the commit is unknown; the space cleanup will see.
            raise
        except Exception:
            await writer.abandon()
            raise


@dataclass(frozen=True, slots=True)
class _Made:
    """A blob that was written for the segment at a position of the record."""

    number: int
    blob: BlobWriter
    segment: FileSegment


class _Writer:
    """Writes a version's segments anew, each as a blob of its own; those without bytes stay as they are."""

    def __init__(
        self, owner: Mountpath, place: Mountpath | None, bucket: Bucket, move: _Move
    ) -> None:
        self.owner = owner
        self.bucket = bucket
        self.move = move
        self.made: list[_Made] = []
        self.segments: Sequence[Segment] = move.old.segments
        self._disk = place or owner
        self._host = None if place is None else place.spec
        self._blobs: list[BlobWriter] = []

    async def require_room(self) -> None:
        """Raises OutOfSpace."""
        size_bytes = sum(each.size_bytes for each in self.segments)
        await self._disk.require_room(size_bytes)
        self._disk.opened().capacity.took(size_bytes, is_blob=True)

    async def write(self, reader: MemoryReader | FileReader) -> None:
        """All that the reader offers; it is closed before anything is committed, for a reader of several blobs keeps
        them from being removed. Raises Corrupt."""
        segments = list(self.segments)
        try:
            blocks = aiter(reader)
            rest = b""
            for number, segment in enumerate(segments):
                if segment.size_bytes == 0:
                    continue
                blob = self.owner.opened().new_blob(self._host)
                self._blobs.append(blob)
                while blob.size_bytes < segment.size_bytes:
                    block = rest or await anext(blocks, b"")
                    if not block:
                        raise log_corrupt("bytes missing in a transition", self.move.info.key)
                    cut = segment.size_bytes - blob.size_bytes
                    block, rest = block[:cut], block[cut:]
                    await self._disk.run(functools.partial(blob.write, [block]))
                if blob.checksum != segment.checksum:
                    raise log_corrupt("checksum in a transition", self.move.info.key)
                made = FileSegment(blob.blob_id, segment.size_bytes, segment.checksum)
                self.made.append(_Made(number, blob, made))
                segments[number] = made
        finally:
            await reader.close()
        self.segments = tuple(segments)

    def describe(self, made: _Made) -> Description:
        """One of several blobs: alone it is nobody's."""
        # Older than the version, whose record is looked for among those that came later.
        return part_of_nothing(
            self.bucket.bucket_id,
            self.move.info.key,
            made.number + 1,
            made.segment,
            self.move.old.order - 1,
        )

    async def finish(self, made: _Made) -> None:
        """Make one of several blobs durable."""
        description = encode_description(self.describe(made))
        is_synced = is_durable(self.bucket)
        await self._disk.run(lambda: made.blob.finish(description, is_durable=is_synced))

    async def abandon(self) -> None:
        for blob in self._blobs:
            await self._disk.run(blob.abandon)


def _lies_there(segments: Sequence[Segment], place: Mountpath | None) -> bool:
    """Whether all bytes lie where they should: on `place`, or on the owner's disk if it is None."""
    blob_ids = [each.blob_id for each in segments if isinstance(each, FileSegment)]
    if place is None:
        return all(Layout.is_own(blob_id) for blob_id in blob_ids)
    name = f"@{host_name(place.spec)}"
    size_bytes = sum(each.size_bytes for each in segments)
    return size_bytes == 0 or (
        len(blob_ids) == len(segments) and all(blob_id.endswith(name) for blob_id in blob_ids)
    )


def _moved(move: _Move, stamp: int, sidecar_id: int | None = None) -> StoredObject:
    return StoredObject(
        move.info, stamp, move.segments, sidecar_id=sidecar_id, first_stamp=move.old.order
    )


def _rename(tx: Transaction, bucket: Bucket, move: _Move) -> ObjectInfo:
    """Have the version's record name the new bytes, if it is still the one that was read. Raises PreconditionFailed."""
    require_open(tx, bucket)
    connection, bucket_id, key = tx.connection, bucket.bucket_id, move.info.key
    current = find_object(connection, bucket_id, key)
    is_current = current is not None and current.info.version_id == move.info.version_id
    found = current if is_current else find_other(connection, bucket_id, key, move.info.version_id)
    if found is None or found.stamp != move.old.stamp:
        raise PreconditionFailed(condition="unchanged")
    if load_whole(connection, found) is None:
        raise PreconditionFailed(condition="unchanged")
    moved = _moved(move, move.stamp)
    if move.stamp <= found.stamp or is_manifest(moved):
        # The trailer alone would not do: it is older than the record in force, or the index keeps only a summary.
        stamp = tx.next_stamp(after=max(found.stamp, move.stamp))
        moved = _moved(move, stamp, stamp)
        description = Description(OBJECT, bucket_id, key.encode(), encode_record(moved))
        tx.add_small(stamp, encode_description(description), None)
    (put_current if is_current else put_other)(connection, bucket_id, moved)
    tx.add_garbage(refs_now(connection, found).without(refs_of(moved.segments, moved.sidecar_id)))
    if bucket.origin is not None:
        note_change(tx, bucket, Change.UPDATED, moved.info)
    return moved.info
