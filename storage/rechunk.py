"""Owns the rewriting of a version into other pieces, or into one: new bytes beside the old ones, then one commit that
names them (storage.moves). Who reads the old pieces keeps them until the end.

What is encrypted is opened and sealed anew under its own key; with a customer's key, which is nowhere here, it stays.
"""

from __future__ import annotations

from dataclasses import dataclass

from core.chunks import ChunkRule
from core.cipher import DoesNotOpen, Sealer, opened_size
from core.errors import PreconditionFailed
from core.memory_reader import MemoryReader
from core.names import ObjectKey
from core.types import Bucket, ObjectInfo
from storage.blobs import BlobWriter
from storage.large_bodies import LargeBody
from storage.mountpaths import Mountpaths
from storage.moves import Move, name_bytes
from storage.objects import Objects
from storage.pieces import Cutting, Pieces, segment_of
from storage.publish import PiecesCommit, Publisher, is_durable
from storage.reader import FileReader
from storage.records import FileSegment, StoredObject
from storage.sealed import Seal, Seals, number_of_run

_MAX_ATTEMPTS = 3
_BLOCK_BYTES = 1024**2


@dataclass(frozen=True, slots=True)
class _Plan:
    """A version and the pieces it is to have; `piece_bytes` 0: one."""

    bucket: Bucket
    stored: StoredObject
    piece_bytes: int
    seal: Seal | None

    @property
    def count(self) -> int:
        """How many pieces there will be."""
        size_bytes = self.stored.info.size_bytes
        return -(-size_bytes // self.piece_bytes) if self.piece_bytes else 1

    def sealer(self, number: int) -> Sealer:
        assert self.seal is not None
        return self.seal.sealer(number_of_run(self.stored.info.parts, self.count, number))


class Rechunker:
    """Rewrites the layout of objects on a node's mountpaths."""

    def __init__(
        self, mountpaths: Mountpaths, objects: Objects, publisher: Publisher, seals: Seals
    ) -> None:
        self._mountpaths = mountpaths
        self._objects = objects
        self._publisher = publisher
        self._seals = seals

    async def rechunk(
        self, bucket: Bucket, key: ObjectKey, version_id: str, rule: ChunkRule
    ) -> bool:
        """Give a version the layout that a rule says; whether there was anything to do. What is written to it
        meanwhile wins, and is then what is looked at.

        Raises NotFound kinds, CustomerKeyRequired, Corrupt, OutOfSpace, MountpathUnavailable, WriteConflict kinds."""
        for attempt in range(_MAX_ATTEMPTS):
            try:
                return await self._rechunk(bucket, key, version_id, rule)
            except PreconditionFailed:
                if attempt + 1 == _MAX_ATTEMPTS:
                    raise
        raise AssertionError

    async def _rechunk(
        self, bucket: Bucket, key: ObjectKey, version_id: str, rule: ChunkRule
    ) -> bool:
        found = await self._objects.find(bucket, key, version_id, with_data=False)
        if _lies_so(found.stored, rule.piece_bytes(found.stored.info.size_bytes)):
            return False
        reader, stored = await self._objects.open_stored(bucket, key, version_id, _all)
        try:
            piece_bytes = rule.piece_bytes(stored.info.size_bytes)
            if _lies_so(stored, piece_bytes):
                return False
            if not piece_bytes and len(stored.segments) == 1:
                # Uploaded as one part: it is whole already, and need only be called so.
                await self._name(bucket, Move(stored, stored.info, stored.segments, is_whole=True))
                return True
            encryption = stored.info.encryption
            seal = None
            if encryption is not None:
                seal = await self._seals.open(bucket, key, encryption, None)
            plan = _Plan(bucket, stored, piece_bytes, seal)
            pieces = self._pieces(plan)
            blobs = await self._write(plan, pieces, reader)
        finally:
            await reader.close()
        segments = tuple(segment_of(blob) for blob in blobs)
        is_whole = len(segments) == 1 and bool(stored.info.parts)
        move = Move(stored, stored.info, segments, is_whole=is_whole)
        await self._publisher.commit_pieces(
            pieces.owner,
            PiecesCommit(blobs, pieces.is_durable, "rechunk"),
            lambda tx: name_bytes(tx, bucket, move),
        )
        return True

    async def _name(self, bucket: Bucket, move: Move) -> ObjectInfo:
        owner = self._mountpaths.owner(bucket, move.info.key)
        return await owner.commit(
            lambda tx: name_bytes(tx, bucket, move), is_durable=is_durable(bucket)
        )

    def _pieces(self, plan: _Plan) -> Pieces:
        bucket, info = plan.bucket, plan.stored.info
        disks = self._mountpaths.spread(bucket, info.key, info.attributes.storage_class)
        owner = self._mountpaths.owner(bucket, info.key)
        # Older than the version, whose record is looked for among those that came later.
        stamp = plan.stored.order - 1
        used = disks if plan.piece_bytes else disks[:1]
        return Pieces(owner, used, bucket, info.key, stamp, is_durable(bucket))

    async def _write(
        self, plan: _Plan, pieces: Pieces, reader: MemoryReader | FileReader
    ) -> list[BlobWriter]:
        """All bytes, into blobs that are durable then. Raises Corrupt, OutOfSpace; then nothing is left."""
        size_bytes = plan.stored.info.size_bytes
        piece_bytes = plan.piece_bytes or max(size_bytes, 1)
        new_sealer = None if plan.seal is None else plan.sealer
        cutting = Cutting(pieces, piece_bytes, piece_bytes, new_sealer)
        first_sealer = None if new_sealer is None else new_sealer(0)
        await pieces.disk(0).require_room(min(size_bytes, piece_bytes))
        large = LargeBody(pieces.owner, [], first_sealer, cutting)
        try:
            if isinstance(reader, FileReader):
                reader.verify()
            large.open_lanes(self._mountpaths.cpu)
            block: list[bytes] = []
            gathered = 0
            async for chunk in reader:
                block.append(chunk)
                gathered += len(chunk)
                if gathered >= _BLOCK_BYTES:
                    await large.push(block, gathered)
                    block, gathered = [], 0
            await large.push(block, gathered)
            await large.wait_below(0)
            await large.end()
            if not large.pieces:
                blob = large.blob
                await pieces.disk(0).run(lambda: pieces.finish(0, blob))
                return [blob]
        except BaseException:
            large.give_up()
            raise
        return list(large.pieces)


def _all(info: ObjectInfo) -> tuple[int, int]:
    return 0, info.size_bytes


def _lies_so(stored: StoredObject, piece_bytes: int) -> bool:
    """Whether a version's bytes lie in pieces of that size already, or in one."""
    segments = stored.segments
    if not piece_bytes:
        return len(segments) <= 1 and (stored.is_whole or not stored.info.parts)
    if not all(isinstance(each, FileSegment) for each in segments):
        return False
    measure = int if stored.info.encryption is None else opened_size
    try:
        sizes = [measure(each.size_bytes) for each in segments]
    except DoesNotOpen:
        return False
    return all(size == piece_bytes for size in sizes[:-1]) and sizes[-1] <= piece_bytes
