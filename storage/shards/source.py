"""Owns the random access of threads to one stored object version: Source.

The version is held whole from opening to closing, whatever becomes of its key meanwhile. Work on it is done in turns
(`Source.run`), each a bounded piece in a thread; a source that is closed while a turn is under way stays open until
the turn's next read, which fails, so that a cancelled request leaves no thread behind and closes no file under one.
"""

from __future__ import annotations

import asyncio
import bisect
import concurrent.futures
import itertools
import os
import sqlite3
import threading
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from core.cipher import HEADER_BYTES, SEALED_CHUNK_BYTES, DoesNotOpen, Opener, chunks_of, cut
from core.memory_reader import MemoryReader
from core.names import ObjectKey
from core.protocols import ObjectReader
from core.types import NO_CONDITIONS, Bucket, Conditions
from core.whole_objects import WholeObjects
from storage.reader import FileReader, load_inline, log_corrupt
from storage.records import FileSegment, InlineSegment, Segment
from storage.sealed import SealedReader, Span

T = TypeVar("T")


class SourceClosed(Exception):
    """The source was closed while a turn was under way: whoever waited for the turn is gone."""


class Readable(Protocol):
    """Bytes that a thread can read anywhere, or, if they are unpacked on the way, only forwards."""

    @property
    def is_forward_only(self) -> bool: ...

    def read_at(self, offset: int, count: int) -> bytes:
        """The bytes [offset, offset + count), fewer only where they end."""

    def reaches(self, end: int) -> bool:
        """Whether there are so many bytes at least. What lies before is then passed in one that only goes forwards."""


class _Stored(Protocol):
    """Where a source's bytes lie. Used by one thread at a time."""

    def read(self, offset: int, count: int) -> bytes:
        """Exactly those bytes, which there are."""

    def close(self) -> None: ...


class Source:
    """One object version, open. Its `run` belongs to the event loop, its reading to the turns that it runs."""

    is_forward_only = False

    def __init__(
        self, reader: MemoryReader | FileReader, executor: concurrent.futures.Executor
    ) -> None:
        self.info = reader.info
        self.size_bytes = reader.info.size_bytes
        self._reader: MemoryReader | FileReader | None = reader
        self._stored = _stored_of(reader)
        self._executor = executor
        self._lock = threading.Lock()
        self._turns = 0
        self._is_closed = False

    # --- for the event loop ---

    async def run(self, turn: Callable[[], T]) -> T:
        """Do a bounded piece of work in a thread. Turns must not overlap. Errors of the disk come back as ours."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, self._turn, turn)

    def release(self, first: int, length: int) -> ObjectReader:
        """A reader of the bytes [first, first + length), as offsets of the object, that holds the version in place of
        this source. No turn may be under way."""
        assert self._reader is not None
        reader, self._reader = self._reader, None
        self.close()
        if isinstance(reader, MemoryReader):
            return MemoryReader(reader.info, reader.data, first, length)
        reader.narrow(first, length)
        return reader

    def close(self) -> None:
        """Idempotent."""
        with self._lock:
            was_closed, self._is_closed = self._is_closed, True
            is_busy = self._turns > 0
        if not was_closed and not is_busy:
            self._give_back()

    def _turn(self, turn: Callable[[], T]) -> T:
        self._enter()
        try:
            return turn()
        except (OSError, sqlite3.Error) as error:
            raise self._translate(error) from error
        finally:
            self._leave()

    def _enter(self) -> None:
        with self._lock:
            if self._is_closed:
                raise SourceClosed
            self._turns += 1

    def _leave(self) -> None:
        with self._lock:
            self._turns -= 1
            is_left = self._is_closed and not self._turns
        if is_left:
            self._give_back()

    def _translate(self, error: Exception) -> Exception:
        reader = self._reader
        return reader.mountpath.translate(error) if isinstance(reader, FileReader) else error

    def _give_back(self) -> None:
        self._stored.close()
        reader, self._reader = self._reader, None
        if isinstance(reader, FileReader):
            reader.close_sync()

    # --- for its turns ---

    def read_at(self, offset: int, count: int) -> bytes:
        """The bytes [offset, offset + count), fewer only at the object's end. Raises Corrupt, SourceClosed, OSError."""
        if self._is_closed:
            raise SourceClosed
        count = min(count, self.size_bytes - offset)
        return self._stored.read(offset, count) if count > 0 else b""

    def reaches(self, end: int) -> bool:
        """Whether the object has so many bytes."""
        return end <= self.size_bytes


async def open_source(
    store: WholeObjects,
    bucket: Bucket,
    key: ObjectKey,
    executor: concurrent.futures.Executor,
    *,
    conditions: Conditions = NO_CONDITIONS,
) -> Source:
    """Open the key's current version for threads. Raises as ObjectStore.get."""
    reader = await store.get(bucket, key, conditions=conditions)
    try:
        return source_of(reader, executor)
    except BaseException:
        await reader.close()
        raise


def source_of(reader: ObjectReader, executor: concurrent.futures.Executor) -> Source:
    """A source in place of an open reader of a whole object; it has the reader from then on."""
    if isinstance(reader, MemoryReader | FileReader):
        return Source(reader, executor)
    if reader.data is None:
        raise TypeError(f"no random access to {type(reader).__name__}")
    return Source(MemoryReader(reader.info, reader.data, 0, len(reader.data)), executor)


def _stored_of(reader: MemoryReader | FileReader) -> _Stored:
    if isinstance(reader, MemoryReader):
        return _InMemory(reader.data)
    return _InSealedRuns(reader) if isinstance(reader, SealedReader) else _InSegments(reader)


class _InMemory:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def read(self, offset: int, count: int) -> bytes:
        return self._data[offset : offset + count]

    def close(self) -> None:
        self._data = b""


class _InSegments:
    """Bytes in blob files and small rows, as they are. One file is open beside the one that holds the object."""

    def __init__(self, reader: FileReader) -> None:
        self._reader = reader
        self.key: ObjectKey = reader.info.key
        self._segments = self._plan()
        sizes = [self._size_of(place) for place in range(len(self._segments))]
        self._starts = list(itertools.accumulate(sizes, initial=0))
        self._open = -1
        self._fd = -1
        self._inline = b""

    def read(self, offset: int, count: int) -> bytes:
        pieces: list[bytes] = []
        place = bisect.bisect_right(self._starts, offset) - 1
        while count:
            within = offset - self._starts[place]
            size = min(count, self._starts[place + 1] - offset)
            if size > 0:
                pieces.append(self._read_in(place, within, size))
                offset += size
                count -= size
            place += 1
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def close(self) -> None:
        fd, self._fd, self._open = self._fd, -1, -1
        if fd not in (-1, self._reader.held_fd):
            os.close(fd)

    def _plan(self) -> Sequence[Segment]:
        return self._reader.segments

    def _size_of(self, place: int) -> int:
        return self._segments[place].size_bytes

    def _read_in(self, place: int, offset: int, count: int) -> bytes:
        self._use(place)
        return self._take(offset, count)

    def _use(self, place: int) -> None:
        """Have the segment open."""
        if place == self._open:
            return
        self.close()
        segment = self._segments[place]
        if isinstance(segment, InlineSegment):
            connection = self._reader.mountpath.opened().thread_connection()
            data = load_inline(connection, segment, self.key)
            if data is None:
                raise log_corrupt("small row missing", self.key)
            self._inline = data
        else:
            self._fd = self._open_blob(segment)
        self._open = place

    def _open_blob(self, segment: FileSegment) -> int:
        if segment is self._reader.first_blob:
            return self._reader.held_fd
        try:
            return os.open(
                self._reader.mountpath.layout.blob(segment.blob_id), os.O_RDONLY | os.O_CLOEXEC
            )
        except FileNotFoundError:
            raise log_corrupt("blob missing", self.key) from None

    def _take(self, offset: int, count: int) -> bytes:
        """Bytes of the open segment, as they lie there."""
        if self._fd < 0:
            return self._inline[offset : offset + count]
        block = os.pread(self._fd, count, offset)
        while len(block) < count:
            more = os.pread(self._fd, count - len(block), offset + len(block))
            if not more:
                raise log_corrupt("blob shorter than its record", self.key)
            block += more
        return block


class _InSealedRuns(_InSegments):
    """Encrypted bytes: each segment is a sealed run. The chunk that was opened last is kept."""

    def __init__(self, reader: SealedReader) -> None:
        self._spans: Sequence[Span] = reader.spans()
        self._data_key = reader.data_key
        super().__init__(reader)
        self._opener: Opener | None = None
        self._last: tuple[int, bytes] = (-1, b"")

    def _plan(self) -> Sequence[Segment]:
        return [span.segment for span in self._spans]

    def _size_of(self, place: int) -> int:
        return self._spans[place].size_bytes

    def _use(self, place: int) -> None:
        if place == self._open:
            return
        super()._use(place)
        span = self._spans[place]
        self._last = (-1, b"")
        header = self._take(0, HEADER_BYTES)
        sealed_bytes = span.segment.size_bytes
        self._opener = Opener(self._data_key, span.part_number, header, sealed_bytes)

    def _read_in(self, place: int, offset: int, count: int) -> bytes:
        try:
            self._use(place)
            run = chunks_of(offset, count, self._segments[place].size_bytes)
            at, chunk, pieces = run.offset, run.first_chunk, []
            while at < run.offset + run.size_bytes:
                size = min(SEALED_CHUNK_BYTES, run.offset + run.size_bytes - at)
                pieces.append(self._opened(chunk, at, size))
                at += size
                chunk += 1
            return cut(pieces, run.skip, count)
        except DoesNotOpen:
            raise log_corrupt("sealed bytes", self.key) from None

    def _opened(self, chunk: int, at: int, size: int) -> bytes:
        if self._last[0] != chunk:
            assert self._opener is not None
            self._last = (chunk, b"".join(self._opener.open(chunk, self._take(at, size))))
        return self._last[1]
