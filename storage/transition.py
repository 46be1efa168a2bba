"""Owns the change of a version's storage class: its bytes are copied to where the class lies, then one commit names
them in place of the old ones. Its ETag, time, id and place among the versions stay as they are.

A crash before that commit leaves an unnamed blob, one after it a garbage row; the space cleanup sees to both.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

from core.conditions import check_unchanged
from core.errors import PreconditionFailed
from core.listing import ObjectVersion
from core.memory_reader import MemoryReader
from core.types import Bucket, ObjectInfo
from storage.blobs import BlobWriter
from storage.layout import host_name
from storage.lookup import Found
from storage.mountpath import Mountpath
from storage.mountpaths import Mountpaths
from storage.moves import Move, moved, name_bytes
from storage.objects import Objects
from storage.pieces import Pieces, segment_of
from storage.publish import BlobCommit, PiecesCommit, Publisher, is_durable
from storage.reader import BlobGone, FileReader, log_corrupt
from storage.records import (
    OBJECT,
    Description,
    FileSegment,
    Segment,
    StoredObject,
    encode_description,
    encode_record,
    is_manifest,
)


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
        move = Move(
            stored,
            replace(stored.info, attributes=attributes),
            stored.segments,
            is_whole=stored.is_whole,
        )
        owner = self._mountpaths.owner(bucket, key)
        disks = self._disks(bucket, stored, storage_class)
        durable = is_durable(bucket)
        if _lies_there(stored.segments, owner, disks):
            return await owner.commit(lambda tx: name_bytes(tx, bucket, move), is_durable=durable)
        # Pieces are older than the version, whose record is looked for among those that came later.
        writer = _Writer(Pieces(owner, disks, bucket, key, stored.order - 1, durable), move)
        await writer.require_room()
        try:
            await writer.write(await self._open(owner, found))
        except BaseException:
            await writer.abandon()
            raise
        return await self._commit(writer)

    def _disks(
        self, bucket: Bucket, stored: StoredObject, storage_class: str
    ) -> Sequence[Mountpath]:
        """Those on which the bytes of a class lie: of an object in pieces, all."""
        key = stored.info.key
        if len(stored.segments) > 1:
            return self._mountpaths.spread(bucket, key, storage_class)
        place = self._mountpaths.place(bucket, key, storage_class)
        return [place or self._mountpaths.owner(bucket, key)]

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
        move = replace(move, segments=writer.segments)
        durable = is_durable(bucket)
        if len(writer.made) > 1 or is_manifest(move.old):
            try:
                for made in writer.made:
                    await writer.finish(made)
            except BaseException:
                await writer.abandon()
                raise
            blobs = [made.blob for made in writer.made]
            pieces = PiecesCommit(blobs, durable, "transition")
            return await self._publisher.commit_pieces(
                owner, pieces, lambda tx: name_bytes(tx, bucket, move)
            )
        stamp = owner.opened().next_stamp()
        move = replace(move, stamp=stamp)
        record = encode_record(moved(move, stamp))
        description = Description(OBJECT, bucket.bucket_id, move.info.key.encode(), record)
        commit = BlobCommit(
            writer.made[0].blob, encode_description(description), durable, "transition"
        )
        return await self._publisher.commit_blob(
            owner, commit, lambda tx: name_bytes(tx, bucket, move)
        )


@dataclass(frozen=True, slots=True)
class _Made:
    """A blob that was written for the segment at a position of the record."""

    number: int
    blob: BlobWriter


class _Writer:
    """Writes a version's segments anew, each as a blob of its own; those without bytes stay as they are."""

    def __init__(self, pieces: Pieces, move: Move) -> None:
        self.owner = pieces.owner
        self.bucket = pieces.bucket
        self.move = move
        self.made: list[_Made] = []
        self.segments: Sequence[Segment] = move.old.segments
        self._pieces = pieces
        self._blobs: list[BlobWriter] = []

    async def require_room(self) -> None:
        """Raises OutOfSpace."""
        for number, segment in enumerate(self.segments):
            disk = self._pieces.disk(number)
            await disk.require_room(segment.size_bytes)
            disk.opened().capacity.took(segment.size_bytes, is_blob=True)

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
                blob = self._pieces.new_blob(number)
                disk = self._pieces.disk(number)
                self._blobs.append(blob)
                while blob.size_bytes < segment.size_bytes:
                    block = rest or await anext(blocks, b"")
                    if not block:
                        raise log_corrupt("bytes missing in a transition", self.move.info.key)
                    cut = segment.size_bytes - blob.size_bytes
                    block, rest = block[:cut], block[cut:]
                    await disk.run(functools.partial(blob.write, [block]))
                if blob.checksum != segment.checksum:
                    raise log_corrupt("checksum in a transition", self.move.info.key)
                self.made.append(_Made(number, blob))
                segments[number] = segment_of(blob)
        finally:
            await reader.close()
        self.segments = tuple(segments)

    async def finish(self, made: _Made) -> None:
        """Make one of several blobs durable."""
        disk = self._pieces.disk(made.number)
        await disk.run(functools.partial(self._pieces.finish, made.number, made.blob))

    async def abandon(self) -> None:
        for blob in self._blobs:
            await self.owner.run(blob.abandon)


def _lies_there(segments: Sequence[Segment], owner: Mountpath, disks: Sequence[Mountpath]) -> bool:
    """Whether all bytes lie on the disks on which they should."""
    names = {"" if disk is owner else host_name(disk.spec) for disk in disks}
    if not any(each.size_bytes for each in segments):
        return True
    if owner in disks and not all(isinstance(each, FileSegment) for each in segments):
        # What lies in the owner's index is where it should be.
        segments = [each for each in segments if isinstance(each, FileSegment)]
    return all(
        isinstance(each, FileSegment) and each.blob_id.partition("@")[2] in names
        for each in segments
    )
