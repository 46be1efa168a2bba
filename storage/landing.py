"""Owns objects that come into a mountpath in pieces (core.landing): each piece a blob of its own, or small bytes in
memory, and their publication as one object.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import xxhash

from core.digests import Digest, new_digest
from core.errors import MountpathUnavailable
from core.names import ObjectKey
from core.types import NO_CONDITIONS, Bucket, Conditions, ObjectInfo
from storage.blobs import BlobWriter
from storage.capacity import ROW_COST_BYTES
from storage.lanes import Block, Lane
from storage.mountpath import Mountpath
from storage.publish import BlobCommit, Publisher, is_durable
from storage.records import FileSegment, encode_description
from storage.upload_records import part_of_nothing
from storage.versions import Publication, publish_object

_WAITING_BYTES = 1024**2
"""How much of a piece may wait for the disk before its writer does."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an object lands: its bucket and key, the mountpath that gets the record, and those that get the pieces, one
    after the other (the first alone, if there is one piece)."""

    bucket: Bucket
    key: ObjectKey
    owner: Mountpath
    disks: Sequence[Mountpath]


class MemoryPiece:
    """The one piece of an object that goes into the index."""

    def __init__(self, size_bytes: int, digests: Mapping[str, Digest]) -> None:
        self.size_bytes = size_bytes
        self.written_bytes = 0
        self.chunks: list[bytes] = []
        self._digests = digests

    async def write(self, chunk: bytes) -> None:
        """See Piece."""
        _check_room(self, len(chunk))
        self.chunks.append(chunk)
        self.written_bytes += len(chunk)
        for digest in self._digests.values():
            digest.update(chunk)

    async def flush(self) -> None:
        """See Piece."""


class FilePiece:
    """A piece that is a blob file; it is written, and digested, in threads."""

    def __init__(
        self, disk: Mountpath, blob: BlobWriter, size_bytes: int, digests: Mapping[str, Digest]
    ) -> None:
        self.size_bytes = size_bytes
        self.blob = blob
        self.disk = disk
        self._digests = digests
        self._given_bytes = 0
        self._lane = Lane(disk.executor, self._work)

    @property
    def written_bytes(self) -> int:
        """See Piece."""
        return self.blob.size_bytes

    async def write(self, chunk: bytes) -> None:
        """See Piece."""
        _check_room(self, len(chunk), self._given_bytes)
        capacity = self.disk.opened().capacity
        if capacity.is_stale or not capacity.has_room(len(chunk)):
            await self.disk.require_room(len(chunk))
        capacity.took(len(chunk), is_blob=True)
        self._given_bytes += len(chunk)
        self._lane.push((chunk,), len(chunk))
        await self._wait(_WAITING_BYTES)

    async def flush(self) -> None:
        """See Piece."""
        await self._wait(0)

    def give_up(self) -> None:
        """Remove the file, behind a write that is under way."""
        self._lane.give_up(self.blob.abandon)

    async def _wait(self, limit_bytes: int) -> None:
        try:
            await self._lane.wait_below(limit_bytes)
        except OSError as error:
            raise self.disk.translate(error) from error

    def _work(self, block: Block) -> None:
        self.blob.write(block)
        for digest in self._digests.values():
            for chunk in block:
                digest.update(chunk)


def _check_room(piece: MemoryPiece | FilePiece, size_bytes: int, given: int | None = None) -> None:
    """Raises ValueError: the caller promised fewer bytes."""
    before = piece.written_bytes if given is None else given
    if before + size_bytes > piece.size_bytes:
        raise ValueError(f"a piece of {piece.size_bytes} bytes got {before + size_bytes}")


class LocalLanding:
    """core.landing.Landing on this node's mountpaths."""

    def __init__(
        self,
        place: Place,
        publisher: Publisher,
        sizes: tuple[int, int, int],
        digests: Sequence[str] = (),
    ) -> None:
        """`sizes`: of the whole, of each piece, and up to which the whole goes into the index."""
        size_bytes, self.piece_bytes, small_limit_bytes = sizes
        self._place = place
        self._publisher = publisher
        self._digests = {name: new_digest(name) for name in digests}
        self._is_over = False
        self.pieces: Sequence[MemoryPiece | FilePiece]
        if size_bytes <= small_limit_bytes:
            self.pieces = [MemoryPiece(size_bytes, self._digests)]
            self.files: Sequence[str] = ()
        else:
            self.pieces = [
                self._piece(number, min(self.piece_bytes, size_bytes - first))
                for number, first in enumerate(range(0, size_bytes, self.piece_bytes))
            ]
            self.files = [str(piece.blob.path) for piece in self._blobs]

    def _piece(self, number: int, size_bytes: int) -> FilePiece:
        owner = self._place.owner
        disk = self._place.disks[number % len(self._place.disks)]
        blob = owner.opened().new_blob(None if disk is owner else disk.spec)
        return FilePiece(disk, blob, size_bytes, self._digests)

    @property
    def _blobs(self) -> list[FilePiece]:
        return [piece for piece in self.pieces if isinstance(piece, FilePiece)]

    def digests(self) -> Mapping[str, bytes]:
        """See Landing."""
        if any(piece.written_bytes != piece.size_bytes for piece in self.pieces):
            raise ValueError("digests of an object that is not whole")
        return {name: digest.digest() for name, digest in self._digests.items()}

    async def publish(
        self, info: ObjectInfo, *, conditions: Conditions = NO_CONDITIONS
    ) -> ObjectInfo:
        """See Landing."""
        for piece in self.pieces:
            await piece.flush()
            if piece.written_bytes != piece.size_bytes:
                raise ValueError("publishing an object that is not whole")
        self._is_over = True
        info = replace(info, key=self._place.key)
        if isinstance(self.pieces[0], MemoryPiece):
            return await self._publish_small(info, self.pieces[0], conditions)
        blobs = self._blobs
        if len(blobs) == 1:
            made = (info, blobs[0].blob, blobs[0].blob.checksum)
            place = self._place
            return await self._publisher.publish_blob(
                place.owner, place.bucket, made, conditions, "landing"
            )
        return await self._publisher.shield(self._publish_pieces(info, blobs, conditions))

    async def abandon(self) -> None:
        """See Landing."""
        if not self._is_over:
            self._is_over = True
            for piece in self._blobs:
                piece.give_up()

    async def _publish_small(
        self, info: ObjectInfo, piece: MemoryPiece, conditions: Conditions
    ) -> ObjectInfo:
        data = b"".join(piece.chunks)
        self._place.owner.opened().capacity.took(len(data) + ROW_COST_BYTES)
        publication = Publication(info, data, xxhash.xxh3_64_intdigest(data))
        return await self._publisher.publish_inline(
            self._place.owner, self._place.bucket, publication, conditions
        )

    async def _publish_pieces(
        self, info: ObjectInfo, blobs: Sequence[FilePiece], conditions: Conditions
    ) -> ObjectInfo:
        """Several blobs are named by a manifest; each alone is a part of nothing, if that should not come about."""
        place = self._place
        durable = is_durable(place.bucket)
        segments = tuple(
            FileSegment(piece.blob.blob_id, piece.size_bytes, piece.blob.checksum)
            for piece in blobs
        )
        stamp = place.owner.opened().next_stamp()
        described = [
            encode_description(
                part_of_nothing(place.bucket.bucket_id, place.key, number, segment, stamp)
            )
            for number, segment in enumerate(segments, 1)
        ]
        *first, last = zip(blobs, described, strict=True)
        try:
            for piece, description in first:
                await piece.disk.run(
                    functools.partial(piece.blob.finish, description, is_durable=durable)
                )
            publication = Publication(info, segments=segments)
            stored = await self._publisher.commit_blob(
                place.owner,
                BlobCommit(last[0].blob, last[1], durable, "landing"),
                lambda tx: publish_object(tx, place.bucket, publication, conditions),
            )
        except MountpathUnavailable:
            # Whether the disk took the commit is unknown; the space cleanup will see.
            raise
        except BaseException:
            for piece in blobs:
                piece.give_up()
            raise
        return stored.info
