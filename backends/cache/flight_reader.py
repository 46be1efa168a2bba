"""Owns readers of objects that are still on their way: they read the growing files of a fetch, and where the fetch ends
without them they go on by themselves, in the same state of the object or not at all.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Protocol

from backends.cache.fetch import Source
from backends.cache.flight_page import FlightState
from backends.cache.remote_stream import RemoteStream, broken, reopened
from backends.cache.views import Wanted, etag_of, is_current
from core.protocols import FileSlice, ObjectReader, Slice
from core.types import BoundedRange, ByteRange, ObjectInfo

_BLOCK_BYTES = 256 * 1024


class Origin(Protocol):
    """Where else the bytes of an object may come from than from the fetch that was joined."""

    async def rejoin(self, wanted: Wanted) -> Source | None:
        """The fetch that takes the place of one that was lost."""

    async def kept_part(
        self, wanted: Wanted, info: ObjectInfo, byte_range: ByteRange
    ) -> ObjectReader | None:
        """A part of the copy that is here, if it is of that state of the object."""


class StreamReader:
    """An ObjectReader over a read of its own at the backend; nothing of it is kept."""

    data = None
    has_slices = False

    def __init__(self, stream: RemoteStream) -> None:
        self.info = stream.info
        self.first = stream.first
        self.length = stream.length
        self._stream = stream

    async def next_slice(self) -> Slice | None:
        """See ObjectReader."""
        return None

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._stream.proven()

    async def close(self) -> None:
        """See ObjectReader."""
        await self._stream.close()


class FlightReader:
    """An ObjectReader over a fetch."""

    data = None
    has_slices = True

    def __init__(
        self, wanted: Wanted, source: Source, offered: tuple[int, int], origin: Origin
    ) -> None:
        """Leaves the source when it is closed."""
        assert source.told is not None
        self.info: ObjectInfo = source.told.info
        self.first, self.length = offered
        self._wanted = wanted
        self._source: Source | None = source
        self._origin = origin
        self._position = self.first
        self._end = self.first + self.length
        self._fd = -1
        self._piece = -1
        self._alone: AsyncIterator[bytes] | None = None
        self._other: RemoteStream | ObjectReader | None = None

    async def next_slice(self) -> Slice | None:
        """See ObjectReader: what is there of the next file. Raises BackendBroken, BackendDown, BackendBusy."""
        while self._position < self._end:
            if self._alone is not None:
                chunk = await anext(self._alone, b"")
                self._position += len(chunk)
                return chunk or None
            found = await self._next_of_source(self._end)
            if found is not None:
                self._position += len(found) if isinstance(found, bytes) else found.size_bytes
                return found
        return None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while self._position < self._end:
            if self._alone is not None:
                async for chunk in self._alone:
                    self._position += len(chunk)
                    yield chunk
                return
            part = await self._next_of_source(min(self._end, self._position + _BLOCK_BYTES))
            if part is None:
                continue
            if isinstance(part, bytes):
                self._position += len(part)
                yield part
                continue
            block = await asyncio.to_thread(os.pread, part.fd, part.size_bytes, part.offset)
            if not block:
                raise broken(self._wanted, "its copy ended while it was read")
            self._position += len(block)
            yield block

    async def close(self) -> None:
        """See ObjectReader."""
        self._leave()
        other, self._other = self._other, None
        if other is not None:
            await other.close()
        self._position = self._end

    async def _next_of_source(self, end: int) -> Slice | None:
        """What the fetch has of the bytes up to `end`, once it has any. None: look again, whence they come now."""
        source = self._source
        assert source is not None
        assert source.told is not None
        if source.ready_bytes > self._position:
            piece_bytes = source.told.piece_bytes
            number, offset = divmod(self._position, piece_bytes)
            try:
                self._open(source.told.files[number], number)
            except OSError:
                # It was published and has been replaced, or is being given up: which of them is told in a moment.
                while not source.state.is_final:
                    await source.wait()
                if source.state is FlightState.FAILED:
                    raise broken(self._wanted, "it could not be fetched to its end") from None
                await self._go_alone()
                return None
            ready = min(source.ready_bytes, end, (number + 1) * piece_bytes)
            return FileSlice(self._fd, offset, ready - self._position)
        if early := source.early[self._position : end]:
            return early
        match source.state:
            case FlightState.FAILED:
                raise broken(self._wanted, "it could not be fetched to its end")
            case FlightState.LOST:
                await self._go_with_another()
            case FlightState.UNKEPT | FlightState.KEPT:
                await self._go_alone()
            case _:
                await source.wait()
        return None

    def _open(self, path: str, number: int) -> None:
        if self._piece != number:
            self._close_file()
            # On the loop: it was made a moment ago, so that the kernel need not ask the disk.
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            self._piece = number

    def _close_file(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = self._piece = -1

    async def _go_with_another(self) -> None:
        """Follow the next fetch, if it is of the same state of the object."""
        self._leave()
        source = await self._origin.rejoin(self._wanted)
        if source is not None and source.told is not None:
            if source.told.files and is_current(self.info, source.told.info):
                self._source = source
                return
            source.leave()
        await self._go_alone()

    async def _go_alone(self) -> None:
        """Read the rest from the copy, if there is one by now, or from the backend. Raises BackendBroken if what was
        sent can't be gone on with."""
        self._leave()
        if not etag_of(self.info):
            raise broken(self._wanted, "nothing tells whether the rest is of the same object")
        rest = BoundedRange(self._position, self._end - 1)
        kept = await self._origin.kept_part(self._wanted, self.info, rest)
        if kept is not None:
            self._other = kept
            self._alone = aiter(kept)
        else:
            reader = await reopened(self._wanted, self.info, self._position, self._end)
            self._other = stream = RemoteStream(self._wanted, reader)
            self._alone = stream.proven()

    def _leave(self) -> None:
        """Let go of the fetch and its files."""
        self._close_file()
        source, self._source = self._source, None
        if source is not None:
            source.leave()
