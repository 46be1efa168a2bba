"""Owns a body on its way into blob files, through lanes for the disks and the digests.

It begins as one blob. If it is to be cut and grows beyond the first piece, each piece is finished as soon as it is
full, beside the writing of the next, so that no more than a few files are open.
"""

from __future__ import annotations

import collections
import concurrent.futures
import functools
from collections.abc import Sequence
from dataclasses import dataclass

from core.cipher import Sealer
from core.digests import MD5, Digest, new_digest
from storage.blobs import BlobWriter
from storage.lanes import Block, Lane
from storage.mountpath import Mountpath
from storage.pieces import Cutting

# Says that a piece of a body ends, to what seals it; and that the file is to be made durable.
_END: Block = (b"",)
_FINISH: Block = (b"", b"")
_MAX_FINISHING = 2


@dataclass(slots=True)
class _Piece:
    """A blob that is written; its lane is opened with the first block."""

    disk: Mountpath
    blob: BlobWriter
    number: int
    sealer: Sealer | None
    cutting: Cutting | None
    lane: Lane | None = None

    def write(self, block: Block) -> None:
        """In the lane's thread."""
        if block is _FINISH:
            assert self.cutting is not None
            self.cutting.pieces.finish(self.number, self.blob)
        elif self.sealer is None:
            self.blob.write(block)
        else:
            sealed = self.sealer.finish() if block is _END else self.sealer.update(block)
            if sealed:
                self.blob.write(sealed)

    def finish(self) -> None:
        """Have the rest written, and the file made durable, behind all blocks."""
        assert self.lane is not None
        if self.sealer is not None:
            self.lane.push(_END, 1)
        self.lane.push(_FINISH, 1)

    async def wait_below(self, limit_bytes: int) -> None:
        """Until no more than so many bytes wait."""
        if self.lane is None:
            return
        try:
            await self.lane.wait_below(limit_bytes)
        except OSError as error:
            raise self.disk.translate(error) from error

    def give_up(self) -> None:
        """Remove the file, behind a write that is under way."""
        if self.lane is not None:
            self.lane.give_up(self.blob.abandon)


class LargeBody:
    """A body of which a part has come. `pieces`: its blobs, if they are several and it has ended."""

    def __init__(
        self,
        mountpath: Mountpath,
        algorithms: list[str],
        sealer: Sealer | None,
        place: Mountpath | Cutting | None,
    ) -> None:
        self._digests = {algorithm: new_digest(algorithm) for algorithm in algorithms}
        self._digest_lanes: list[Lane] = []
        self._cutting = place if isinstance(place, Cutting) else None
        self._full: list[_Piece] = []
        self._finishing: collections.deque[_Piece] = collections.deque()
        self._piece_left = 0
        if isinstance(place, Cutting):
            disk, blob = place.pieces.disk(0), place.pieces.new_blob(0)
            self._piece_left = place.first_bytes
        else:
            disk = place or mountpath
            blob = mountpath.opened().new_blob(None if place is None else place.spec)
        self._piece = _Piece(disk, blob, 0, sealer, self._cutting)

    @property
    def blob(self) -> BlobWriter:
        """The only one, or the last."""
        return self._piece.blob

    @property
    def pieces(self) -> Sequence[BlobWriter]:
        return [each.blob for each in (*self._full, self._piece)] if self._full else ()

    def is_cut(self, more_bytes: int) -> bool:
        """Whether with so much more it is more than one piece."""
        return self._cutting is not None and more_bytes > self._piece_left

    def open_lanes(self, cpu: concurrent.futures.Executor | None) -> None:
        """Before the first block: side by side if there are threads for computing; a body of a single block goes
        through one lane instead, for there the changes of thread would cost more than they save."""
        if self._piece.lane is not None:
            return
        if cpu is None:
            self._piece.lane = Lane(self._piece.disk.executor, self._write_and_update)
            return
        self._piece.lane = Lane(self._piece.disk.executor, self._piece.write)
        # MD5 is the slowest by far and has a lane to itself.
        for has_md5 in (True, False):
            some = [each for name, each in self._digests.items() if (name == MD5) is has_md5]
            if some:
                update = functools.partial(update_all, some)
                self._digest_lanes.append(Lane(cpu, update))

    def _write_and_update(self, block: Block) -> None:
        self._piece.write(block)
        if block is not _END:
            update_all(list(self._digests.values()), block)

    async def push(self, block: Block, size_bytes: int) -> None:
        """Hand a block to every lane; waits until it is the only one waiting behind the one at work."""
        if self._cutting is not None:
            while size_bytes > self._piece_left:
                head, block = split(block, self._piece_left)
                size_bytes -= self._piece_left
                if self._piece_left:
                    await self._push(head, self._piece_left)
                await self._next_piece(self._cutting)
            self._piece_left -= size_bytes
        await self._push(block, size_bytes)

    async def _push(self, block: Block, size_bytes: int) -> None:
        piece = self._piece
        capacity = piece.disk.opened().capacity
        if capacity.is_stale or not capacity.has_room(size_bytes):
            await piece.disk.require_room(size_bytes)
        capacity.took(size_bytes, is_blob=True)
        assert piece.lane is not None
        for lane in (piece.lane, *self._digest_lanes):
            lane.push(block, size_bytes)
        await self.wait_below(size_bytes)

    async def _next_piece(self, cutting: Cutting) -> None:
        """Have the full piece finished, and begin the next."""
        full = self._piece
        full.finish()
        self._full.append(full)
        self._finishing.append(full)
        if len(self._finishing) > _MAX_FINISHING:
            await self._finishing.popleft().wait_below(0)
        number = full.number + 1
        disk = cutting.pieces.disk(number)
        sealer = None if cutting.new_sealer is None else cutting.new_sealer(number)
        piece = _Piece(disk, cutting.pieces.new_blob(number), number, sealer, cutting)
        piece.lane = Lane(disk.executor, piece.write)
        self._piece = piece
        self._piece_left = cutting.chunk_bytes

    async def digests(self) -> dict[str, bytes]:
        """All of them, once every byte is digested and written."""
        await self.wait_below(0)
        return {algorithm: digest.digest() for algorithm, digest in self._digests.items()}

    async def end(self) -> None:
        """Have the rest of a sealed body written, behind all blocks, and pieces finished. `digests` comes before."""
        if self._full:
            self._piece.finish()
        elif self._piece.sealer is not None:
            assert self._piece.lane is not None
            self._piece.lane.push(_END, 1)
        while self._finishing:
            await self._finishing.popleft().wait_below(0)
        await self._piece.wait_below(0)

    async def wait_below(self, limit_bytes: int) -> None:
        """Until no more than so many bytes wait for any lane."""
        await self._piece.wait_below(limit_bytes)
        for lane in self._digest_lanes:
            await lane.wait_below(limit_bytes)

    def give_up(self) -> None:
        """Forget the body and remove what was written of it, behind a write that is under way."""
        for lane in self._digest_lanes:
            lane.give_up(_do_nothing)
        for piece in (*self._full, self._piece):
            piece.give_up()


def split(block: Block, at: int) -> tuple[Block, Block]:
    """A block in two, the first of so many bytes."""
    head: list[bytes] = []
    for number, chunk in enumerate(block):
        if len(chunk) > at:
            return [*head, chunk[:at]] if at else head, [chunk[at:], *block[number + 1 :]]
        head.append(chunk)
        at -= len(chunk)
    return head, []


def update_all(digests: Sequence[Digest], block: Block) -> None:
    """Add a block to all of the digests."""
    for digest in digests:
        for chunk in block:
            digest.update(chunk)


def _do_nothing() -> None:
    return
