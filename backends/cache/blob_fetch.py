"""Owns BlobFetch: a fetch by ranged reads side by side, each worker filling one piece of the landing after the other.

Readers follow it as any fetch: they may have what is there from the object's beginning on without a gap. A piece is
several reads long, so that files are few and later reads long; a read that fails goes on where it broke off.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence

from backends.cache.fetch import HELD_BACK_BYTES, Fetch
from backends.cache.flight_page import FlightState
from backends.cache.flights import Flight, Flights
from backends.cache.pulse import Pulse
from backends.cache.remote_stream import RemoteStream, broken, promised
from backends.cache.views import Wanted, etag_of, is_current
from core.blobs import DEFAULT_READ_TIMEOUT_S, MIN_BLOB_BYTES, BlobPlan
from core.chunks import MAX_CHUNKS
from core.digests import new_digest
from core.errors import (
    BackendBroken,
    BackendBusy,
    BackendDown,
    InvalidRange,
    NoSuchKey,
    PreconditionFailed,
)
from core.landing import Landing, Piece
from core.nodes import StorageNode
from core.types import BoundedRange, ObjectInfo

_READS_A_PIECE = 4
_TRIES = 4
"""How often in a row a read may fail without a byte having come."""

_FIRST_WAIT_S = 0.1
_DIGESTED_BYTES = 1024**2


class BlobFetch(Fetch):
    """A Fetch that reads side by side, if the object is worth it and can be told from its later states."""

    def __init__(
        self,
        plan: BlobPlan,
        wanted: Wanted,
        node: StorageNode,
        flights: Flights,
        outdated: ObjectInfo | None,
    ) -> None:
        super().__init__(wanted, node, flights, outdated)
        self._plan = plan
        self._actual: Mapping[str, bytes] | None = None

    async def _bring(self, flight: Flight) -> FlightState:
        wanted = self._wanted
        info = wanted.seen(await wanted.backend.head(wanted.view.name, wanted.key))
        least = max(MIN_BLOB_BYTES, self._plan.threshold_bytes)
        if info.size_bytes < least or not etag_of(info):
            return await super()._bring(flight)
        landing = await self._land(info, piece_bytes=self._piece_bytes(info.size_bytes))
        if landing is None:
            return FlightState.UNKEPT

        async def copy() -> bytes | None:
            await self._copy_pieces(flight, info, landing)
            return None

        return await self._take(flight, info, landing, copy)

    def _piece_bytes(self, size_bytes: int) -> int:
        """Whole reads, and no more pieces than an object may have."""
        read_bytes = self._plan.read_bytes(size_bytes)
        return read_bytes * max(_READS_A_PIECE, -(-size_bytes // (MAX_CHUNKS * read_bytes)))

    def _digests(self, landing: Landing) -> Mapping[str, bytes]:
        return super()._digests(landing) if self._actual is None else self._actual

    async def _copy_pieces(self, flight: Flight, info: ObjectInfo, landing: Landing) -> None:
        """Fill all pieces. The first that fails ends the others."""
        work = _Work(landing)
        numbers = iter(range(len(landing.pieces)))
        try:
            async with asyncio.TaskGroup() as group:
                digesting = group.create_task(
                    work.digest(info, tuple(promised(self._wanted, info)))
                )
                for _ in range(self._plan.worker_count(info.size_bytes)):
                    group.create_task(self._fill_pieces(flight, info, work, numbers))
        except BaseExceptionGroup as failures:
            raise _first(failures) from None
        self._actual = digesting.result()

    async def _fill_pieces(
        self, flight: Flight, info: ObjectInfo, work: _Work, numbers: Iterator[int]
    ) -> None:
        """One worker."""
        shown_bytes = max(info.size_bytes - HELD_BACK_BYTES, 0)
        landing, read_bytes = work.landing, self._plan.read_bytes(info.size_bytes)
        for number in numbers:
            piece = landing.pieces[number]
            first = number * landing.piece_bytes
            end = first + piece.size_bytes
            for start in range(first, end, read_bytes):
                blocks = self._read(info, start, min(start + read_bytes, end))
                async with contextlib.aclosing(blocks):
                    async for block in blocks:
                        await piece.write(block)
                        self._advance(flight, min(work.ready_bytes, shown_bytes))
            await piece.flush()
            work.done()
            self._advance(flight, min(work.ready_bytes, shown_bytes))

    async def _read(self, info: ObjectInfo, start: int, end: int) -> AsyncGenerator[bytes]:
        """The bytes [start, end), by as many reads as it takes. Raises BackendDown, BackendBusy, BackendBroken."""
        position, failures = start, 0
        while position < end:
            before = position
            try:
                async with contextlib.aclosing(self._read_once(info, position, end)) as blocks:
                    async for block in blocks:
                        position += len(block)
                        yield block
            except _Replaced:
                raise
            except (BackendDown, BackendBusy, BackendBroken) as error:
                failures = 1 if position > before else failures + 1
                if failures >= _TRIES:
                    raise
                wait_s = _FIRST_WAIT_S * 2 ** (failures - 1)
                await asyncio.sleep(max(wait_s, min(error.fields.get("retry_after_s") or 0, 2)))

    async def _read_once(self, info: ObjectInfo, position: int, end: int) -> AsyncGenerator[bytes]:
        wanted = self._wanted
        deadline = asyncio.get_running_loop().time() + self._timeout_s
        stream: RemoteStream | None = None
        try:
            async with self._until(deadline):
                stream = await self._open(info, position, end)
            blocks = aiter(stream)
            while position < end:
                async with self._until(deadline):
                    block = await anext(blocks, b"")
                if not block:
                    raise broken(wanted, "it sends less than it promised")
                position += len(block)
                yield block
        finally:
            if stream is not None:
                await stream.close()

    @property
    def _timeout_s(self) -> float:
        return self._plan.read_timeout_s or DEFAULT_READ_TIMEOUT_S

    @contextlib.asynccontextmanager
    async def _until(self, deadline: float) -> AsyncGenerator[None]:
        """Raises BackendDown."""
        try:
            async with asyncio.timeout_at(deadline):
                yield
        except TimeoutError:
            view = self._wanted.view
            raise BackendDown(
                provider=view.bucket.ref.provider,
                bucket=view.name,
                reason=f"a read took longer than {self._timeout_s} s",
                retry_after_s=1,
            ) from None

    async def _open(self, info: ObjectInfo, position: int, end: int) -> RemoteStream:
        """A part of that state of the object. Raises BackendBroken if there is another by now, or none."""
        wanted = self._wanted
        wanted_range = BoundedRange(position, end - 1)
        try:
            stream = await RemoteStream.open(wanted, wanted_range, if_match=etag_of(info))
        except (PreconditionFailed, NoSuchKey, InvalidRange) as error:
            raise _replaced(wanted) from error
        is_same = is_current(info, stream.info)
        if is_same and (stream.first, stream.length) == (position, end - position):
            return stream
        await stream.close()
        if not is_same:
            raise _replaced(wanted)
        raise broken(wanted, "it offers another range than was asked for")


class _Replaced(BackendBroken):
    """The object is another one by now, or gone, so that nothing can be gone on with."""


def _replaced(wanted: Wanted) -> BackendBroken:
    return _Replaced(**broken(wanted, "it was replaced or deleted while it was read").fields)


class _Work:
    """What workers have filled, and the digesting of it, which goes on behind them."""

    def __init__(self, landing: Landing) -> None:
        self.landing = landing
        self._front = 0
        self._pulse = Pulse()

    @property
    def ready_bytes(self) -> int:
        """How much there is from the beginning on without a gap."""
        pieces = self.landing.pieces
        while self._front < len(pieces) and _is_whole(pieces[self._front]):
            self._front += 1
        ready = self._front * self.landing.piece_bytes
        if self._front < len(pieces):
            return ready + pieces[self._front].written_bytes
        return sum(piece.size_bytes for piece in pieces)

    def done(self) -> None:
        """A piece is whole."""
        self._pulse.beat()

    async def digest(self, info: ObjectInfo, names: Sequence[str]) -> Mapping[str, bytes]:
        """Of the whole, in threads, from the files in order; each piece when it is whole."""
        if not names:
            return {}
        digests = [new_digest(name) for name in names]

        def update(path: str, size_bytes: int) -> None:
            with open(path, "rb", buffering=0) as file:
                left = size_bytes
                while left:
                    block = os.read(file.fileno(), min(left, _DIGESTED_BYTES))
                    if not block:
                        raise OSError(f"{path} is shorter than it was")
                    left -= len(block)
                    for digest in digests:
                        digest.update(block)

        for path, piece in zip(self.landing.files, self.landing.pieces, strict=True):
            while not _is_whole(piece):
                await self._pulse.wait()
            await asyncio.to_thread(update, path, piece.size_bytes)
        return {name: digest.digest() for name, digest in zip(names, digests, strict=True)}


def _is_whole(piece: Piece) -> bool:
    return piece.written_bytes == piece.size_bytes


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that ended a task group."""
    error: BaseException = failures
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
