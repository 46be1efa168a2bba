"""Owns objects that come into a mountpath in pieces (core.landing): each piece a blob of its own, or small bytes in
memory, and their publication as one object.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import xxhash

from core.digests import Digest, new_digest
from core.names import ObjectKey
from core.types import NO_CONDITIONS, Bucket, Conditions, ObjectInfo
from storage.blobs import BlobWriter
from storage.capacity import ROW_COST_BYTES
from storage.lanes import Block, Lane
from storage.mountpath import Mountpath
from storage.pieces import Pieces
from storage.publish import Publisher, is_durable
from storage.versions import Publication

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
        self,
        disk: Mountpath,
        blob: BlobWriter,
        size_bytes: int,
        digests: Mapping[str, Digest],
        finish: Callable[[BlobWriter], None] | None,
    ) -> None:
        """`finish`: makes the file durable as soon as it is whole, beside the writing of others; None leaves that to
        whoever publishes it."""
        self.size_bytes = size_bytes
        self.blob = blob
        self.disk = disk
        self._digests = digests
        self._finish = finish
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
        if self._finish is not None and self.blob.size_bytes == self.size_bytes:
            self._finish(self.blob)


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
        owner, bucket = place.owner, place.bucket
        stamp = owner.opened().next_stamp()
        durable = is_durable(bucket)
        self._pieces = Pieces(owner, place.disks, bucket, place.key, stamp, durable)
        self.pieces: Sequence[MemoryPiece | FilePiece]
        if size_bytes <= small_limit_bytes:
            self.pieces = [MemoryPiece(size_bytes, self._digests)]
            self.files: Sequence[str] = ()
        else:
            self.pieces = [
                self._piece(
                    number,
                    min(self.piece_bytes, size_bytes - first),
                    is_only=size_bytes <= self.piece_bytes,
                )
                for number, first in enumerate(range(0, size_bytes or 1, self.piece_bytes))
            ]
            self.files = [str(piece.blob.path) for piece in self._blobs]

    def _piece(self, number: int, size_bytes: int, *, is_only: bool) -> FilePiece:
        pieces = self._pieces
        finish = None if is_only else functools.partial(pieces.finish, number)
        blob = pieces.new_blob(number)
        return FilePiece(pieces.disk(number), blob, size_bytes, self._digests, finish)

    @property
    def _blobs(self) -> list[FilePiece]:
        return [piece for piece in self.pieces if isinstance(piece, FilePiece)]

    def digests(self) -> Mapping[str, bytes]:
        """See Landing."""
        if any(piece.written_bytes != piece.size_bytes for piece in self.pieces):
            raise ValueError("digests of an object that is not whole")
        return {name: digest.digest() for name, digest in self._digests.items()}

    async def publish(
        self, info: ObjectInfo, *, conditions: Conditions = NO_CONDITIONS, must_last: bool = True
    ) -> ObjectInfo:
        """See Landing."""
        for piece in self.pieces:
            await piece.flush()
            if piece.written_bytes != piece.size_bytes:
                raise ValueError("publishing an object that is not whole")
        self._is_over = True
        info = replace(info, key=self._place.key)
        if isinstance(self.pieces[0], MemoryPiece):
            return await self._publish_small(info, self.pieces[0], conditions, must_last)
        blobs = self._blobs
        if len(blobs) == 1:
            made = (info, blobs[0].blob, blobs[0].blob.checksum)
            place = self._place
            return await self._publisher.publish_blob(
                place.owner, place.bucket, made, conditions, "landing"
            )
        place, pieces = self._place, [piece.blob for piece in blobs]
        return await self._publisher.publish_pieces(
            place.owner, place.bucket, (info, pieces), conditions, "landing"
        )

    async def abandon(self) -> None:
        """See Landing."""
        if not self._is_over:
            self._is_over = True
            for piece in self._blobs:
                piece.give_up()

    async def _publish_small(
        self, info: ObjectInfo, piece: MemoryPiece, conditions: Conditions, must_last: bool
    ) -> ObjectInfo:
        # What lies in files is synced in any case: of a file that was not, nobody would notice that bytes are missing.
        data = b"".join(piece.chunks)
        self._place.owner.opened().capacity.took(len(data) + ROW_COST_BYTES)
        publication = Publication(info, data, xxhash.xxh3_64_intdigest(data))
        return await self._publisher.publish_inline(
            self._place.owner, self._place.bucket, publication, conditions, must_last=must_last
        )
