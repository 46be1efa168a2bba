"""Owns open objects: ObjectReader over bytes in memory and over runs of blob files."""

from __future__ import annotations

import fcntl
import logging
import os
import random
import sqlite3
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import xxhash

from core.errors import Corrupt
from core.light import light
from core.names import ObjectKey
from core.protocols import FileSlice
from storage.blobs import open_cached, pread_cached
from storage.mountpath import Mountpath
from storage.records import FileSegment, InlineSegment, Segment, StoredObject

_log = logging.getLogger(__name__)

_BLOCK_BYTES = 256 * 1024


def load_inline(
    connection: sqlite3.Connection, segment: InlineSegment, key: ObjectKey
) -> bytes | None:
    """The bytes of an inline segment, verified; None if they are gone. Raises Corrupt."""
    row = connection.execute("SELECT data FROM small WHERE id = ?", (segment.small_id,)).fetchone()
    if row is None:
        return None
    data: bytes = row[0]
    verify_inline(data, segment, key)
    return data


def verify_inline(data: bytes, segment: Segment, key: ObjectKey) -> None:
    if xxhash.xxh3_64_intdigest(data) != segment.checksum:
        raise log_corrupt(f"small row {_id_of(segment)}", key)


def log_corrupt(what: str, key: ObjectKey) -> Corrupt:
    """The error for bad stored bytes, which the log must know of whatever becomes of it."""
    _log.error("corrupt what=%s key=%r", what, key)
    return Corrupt(what=what, where=key)


def _id_of(segment: Segment) -> int | str:
    return segment.blob_id if isinstance(segment, FileSegment) else segment.small_id


@light
@dataclass(frozen=True, slots=True)
class _Piece:
    """A run of one segment's bytes."""

    segment: Segment
    offset: int
    size_bytes: int


class BlobGone(Exception):
    """The blobs of a record that was looked up are gone: the object was replaced meanwhile, look again."""


class FileReader:
    """An object whose bytes lie in blob files, several for one made of parts.

    It holds the object's first blob open and, if there are more, locks it against storage.reclaim.
    """

    data = None

    def __init__(self, mountpath: Mountpath, stored: StoredObject, first: int, length: int) -> None:
        self.info = stored.info
        self.first = first
        self.length = length
        self._mountpath = mountpath
        self._segments = stored.segments
        # Made with the first piece that is taken: of an object of many parts, most readers want a few bytes.
        self._pieces: list[_Piece] | None = None
        self._next_piece = 0
        self._first_blob = next(
            (part for part in stored.segments if isinstance(part, FileSegment)), None
        )
        self._is_only_blob = len(stored.segments) == 1
        self._held_fd = -1
        self._piece_fd = -1
        self._is_closed = False
        is_whole = first == 0 and length == stored.info.size_bytes
        self._verifies = is_whole and random.random() < mountpath.options.verify_rate

    @classmethod
    async def open(
        cls, mountpath: Mountpath, stored: StoredObject, first: int, length: int
    ) -> FileReader:
        """Raises BlobGone if the object was replaced since it was looked up."""
        reader = cls(mountpath, stored, first, length)
        await reader.hold()
        return reader

    async def hold(self) -> None:
        """Keep the blobs from being removed until the reader is closed. Raises BlobGone; then it is closed."""
        try:
            if not self.hold_cached():
                await self._mountpath.run(self.hold_sync)
        except BaseException:
            await self.close()
            raise

    @property
    def has_slices(self) -> bool:
        return not self._verifies

    @property
    def held_fd(self) -> int:
        """The object's first blob, open."""
        return self._held_fd

    @property
    def first_blob(self) -> FileSegment | None:
        """The segment that `held_fd` has."""
        return self._first_blob

    @property
    def mountpath(self) -> Mountpath:
        return self._mountpath

    @property
    def segments(self) -> Sequence[Segment]:
        """Where the offered bytes lie; for a reader of the whole, all of the object's segments that are not empty."""
        return [piece.segment for piece in self._planned()]

    def narrow(self, first: int, length: int) -> None:
        """Offer a part of what is offered, by its place in the object. Only for a reader of the whole that has not
        begun."""
        self._pieces = None
        self.first = first
        self.length = length
        self._verifies = False

    def read_cached(self) -> bytes | None:
        """All that is offered, if it lies in one file and the kernel has it in memory; None says nothing. Never blocks,
        and leaves the reader as it was."""
        pieces = self._planned()
        if len(pieces) != 1 or self._verifies:
            return b"" if not pieces else None
        segment, offset, size_bytes = pieces[0].segment, pieces[0].offset, pieces[0].size_bytes
        if not isinstance(segment, FileSegment):
            return None
        is_held = segment is self._first_blob
        try:
            fd = self._held_fd if is_held else open_cached(self._path_of(segment))
        except OSError:
            return None
        try:
            return pread_cached(fd, offset, size_bytes)
        finally:
            if not is_held:
                os.close(fd)

    def verify(self) -> None:
        """Check the bytes on their way. Only for a reader of the whole that has not begun."""
        self._verifies = True

    def hold_cached(self) -> bool:
        """`hold_sync` if that needs no disk, which saves the way to a thread and back. Raises as that."""
        if self._first_blob is None:
            return True
        try:
            fd = open_cached(self._path_of(self._first_blob))
        except BlockingIOError:
            return False
        except FileNotFoundError:
            raise BlobGone from None
        except OSError as error:
            raise self._mountpath.translate(error) from error
        self._hold(fd)
        return True

    def _path_of(self, segment: FileSegment) -> str:
        return self._mountpath.layout.blob(segment.blob_id)

    def hold_sync(self) -> None:
        """Keep the blobs from being removed. Raises BlobGone."""
        assert self._first_blob is not None
        try:
            fd = os.open(self._path_of(self._first_blob), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise BlobGone from None
        self._hold(fd)

    def _hold(self, fd: int) -> None:
        assert self._first_blob is not None
        self._held_fd = fd
        if self._is_closed:
            self._give_back()
            return
        self._check_size(fd, self._first_blob)
        if self._is_only_blob:
            return
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BlobGone from None
        if os.fstat(fd).st_nlink == 0:
            raise BlobGone

    async def next_slice(self) -> FileSlice | None:
        """One slice for each segment; inline bytes among blobs come as a memory file."""
        piece = self._take_piece()
        if piece is None:
            return None
        fd, offset = await self._open_piece(piece)
        return FileSlice(fd, offset, piece.size_bytes)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (piece := self._take_piece()) is not None:
            fd, offset = await self._open_piece(piece)
            running = xxhash.xxh3_64() if self._verifies else None
            left = piece.size_bytes
            while left:
                count = min(left, _BLOCK_BYTES)
                block = await self._mountpath.run(BlockRead(fd, offset, count, running))
                if len(block) < count:
                    raise log_corrupt("blob shorter than its record", self.info.key)
                offset += count
                left -= count
                if not left and running is not None:
                    self._check(piece.segment, running.intdigest())
                yield block

    async def close(self) -> None:
        self.close_sync()

    def close_sync(self) -> None:
        """`close`, which never blocks."""
        self._is_closed = True
        self._give_back()

    def _give_back(self) -> None:
        for fd in {self._piece_fd, self._held_fd} - {-1}:
            os.close(fd)
        self._piece_fd = self._held_fd = -1

    def _take_piece(self) -> _Piece | None:
        pieces = self._planned()
        if self._next_piece == len(pieces):
            return None
        self._next_piece += 1
        return pieces[self._next_piece - 1]

    def _planned(self) -> list[_Piece]:
        if self._pieces is None:
            self._pieces = _pieces_of(self._segments, self.first, self.length)
        return self._pieces

    async def _open_piece(self, piece: _Piece) -> tuple[int, int]:
        """The open file that has the piece, valid until the next call, and the piece's offset in it."""
        return await self._open_file(piece.segment), piece.offset

    async def _open_file(self, segment: Segment) -> int:
        """The open file that has the segment, valid until the next call."""
        if self._piece_fd not in (-1, self._held_fd):
            os.close(self._piece_fd)
        self._piece_fd = -1
        if segment is self._first_blob:
            self._piece_fd = self._held_fd
        else:
            self._piece_fd = self._open_cached(segment)
            if self._piece_fd == -1:
                # Assigned in the thread, so that a cancelled wait does not lose the descriptor.
                await self._mountpath.run(lambda: self._open_segment(segment))
        return self._piece_fd

    def _open_cached(self, segment: Segment) -> int:
        """The segment's file, if opening it needs no disk; else -1, for a thread to open it or to say what is wrong."""
        try:
            fd = open_cached(self._path_of(segment)) if isinstance(segment, FileSegment) else -1
        except OSError:
            return -1
        if fd >= 0 and os.fstat(fd).st_size < segment.size_bytes:
            os.close(fd)
            return -1
        return fd

    def _open_segment(self, segment: Segment) -> None:
        try:
            if isinstance(segment, FileSegment):
                self._piece_fd = os.open(self._path_of(segment), os.O_RDONLY | os.O_CLOEXEC)
                self._check_size(self._piece_fd, segment)
            else:
                self._piece_fd = self._inline_file(segment)
        except FileNotFoundError:
            raise log_corrupt("blob missing", self.info.key) from None
        if self._is_closed:
            # The waiter was cancelled and the reader closed while this thread was at it.
            self._give_back()

    def _check_size(self, fd: int, segment: FileSegment) -> None:
        if os.fstat(fd).st_size < segment.size_bytes:
            raise log_corrupt("blob shorter than its record", self.info.key)

    def _inline_file(self, segment: InlineSegment) -> int:
        connection = self._mountpath.opened().thread_connection()
        data = load_inline(connection, segment, self.info.key)
        if data is None:
            raise log_corrupt("small row missing", self.info.key)
        fd = os.memfd_create("inline", os.MFD_CLOEXEC)
        os.write(fd, data)
        return fd

    def _check(self, segment: Segment, actual: int) -> None:
        if actual != segment.checksum:
            raise log_corrupt(f"checksum of {_id_of(segment)}", self.info.key)


@dataclass(frozen=True, slots=True)
class BlockRead:
    """Reads a block and digests it, in a thread."""

    fd: int
    offset: int
    size_bytes: int
    running: xxhash.xxh3_64 | None

    def __call__(self) -> bytes:
        block = os.pread(self.fd, self.size_bytes, self.offset)
        while 0 < len(block) < self.size_bytes:
            more = os.pread(self.fd, self.size_bytes - len(block), self.offset + len(block))
            if not more:
                break
            block += more
        if self.running is not None:
            self.running.update(block)
        return block


def _pieces_of(segments: Sequence[Segment], first: int, length: int) -> list[_Piece]:
    """The runs of segments that make up the bytes [first, first + length)."""
    pieces = []
    start, end = 0, first + length
    for segment in segments:
        if start + segment.size_bytes <= first:
            start += segment.size_bytes
            continue
        if start >= end:
            break
        offset = max(first - start, 0)
        count = min(segment.size_bytes, end - start) - offset
        if count > 0:
            pieces.append(_Piece(segment, offset, count))
        start += segment.size_bytes
    return pieces
