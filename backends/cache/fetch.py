"""Owns one fetch: an object's way from its backend into the node, while any number of readers have it.

It is a task of its own: it goes on when all readers have left, and ends early only with its process. Readers may have
what is in the files, but for the last bytes, which they get when the whole was verified and its copy published: who has
read an object to its end has read what the backend calls it by.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from backends.cache.batches import batches_of
from backends.cache.flight_page import FlightState
from backends.cache.flights import Flight, Flights
from backends.cache.pulse import Pulse
from backends.cache.remote_stream import RemoteStream, broken, check_digests, promised
from backends.cache.told import Told, encode_told
from backends.cache.views import Wanted, is_current
from core.errors import (
    BackendDown,
    MountpathUnavailable,
    NoSuchBucket,
    NoSuchKey,
    OutOfSpace,
    StoreError,
)
from core.landing import Landing, Piece
from core.nodes import StorageNode
from core.types import ObjectInfo

_log = logging.getLogger(__name__)

HELD_BACK_BYTES = 16 * 1024
_EARLY_BYTES = 16 * 1024
_TURNS = 3
_NO_ROOM = (OutOfSpace, MountpathUnavailable)


class Source(Protocol):
    """A fetch as its readers see it, of this process or another."""

    state: FlightState
    ready_bytes: int

    @property
    def told(self) -> Told | None:
        """What the object is; None until the backend has answered (or, in another process, of a small object)."""

    @property
    def data(self) -> bytes | None:
        """The bytes of an object so small that it never has files, once all are verified and it is published."""

    @property
    def early(self) -> bytes:
        """The object's first bytes as long as they are in no file; empty if it is of another process."""

    @property
    def is_spoiled(self) -> bool:
        """Whether a write may have overtaken it: nobody may join any more, who might know of that write."""

    async def wait(self) -> None:
        """Until something has changed."""

    def join(self) -> None:
        """There is one reader more."""

    def leave(self) -> None:
        """There is one less."""


class Fetch:
    """A fetch of this process. `is_elsewhere`: another process is at it; `error`: how it failed; `no_room`: why there
    is no copy of what is good; `ended`: nothing of it is under way any more, and another may begin."""

    def __init__(
        self, wanted: Wanted, node: StorageNode, flights: Flights, outdated: ObjectInfo | None
    ) -> None:
        """`outdated`: the copy that is here, but is not what the backend has."""
        self.state = FlightState.OPENING
        self.ready_bytes = 0
        self.early = b""
        self.told: Told | None = None
        self.data: bytes | None = None
        self.error: StoreError | None = None
        self.no_room: StoreError | None = None
        self.is_elsewhere = False
        self.ended = asyncio.Event()
        self._wanted = wanted
        self._node = node
        self._flights = flights
        self._outdated = outdated
        self._pulse = Pulse()
        self._flight: Flight | None = None

    @property
    def is_spoiled(self) -> bool:
        """See Source."""
        return self._flight is not None and self._flight.is_spoiled

    async def wait(self) -> None:
        """See Source."""
        await self._pulse.wait()

    def join(self) -> None:
        """See Source: it does not depend on its readers."""

    def leave(self) -> None:
        """See Source."""

    async def run(self) -> None:
        """Fetch. What goes wrong is for the readers to hear of."""
        try:
            flight = self._flight = self._flights.take_off(self._wanted.place)
        except BaseException:
            self._end(FlightState.FAILED)
            raise
        if flight is None:
            self.is_elsewhere = True
            self._end(FlightState.UNKEPT)
            return
        state = FlightState.FAILED
        try:
            state = await self._fetch(flight)
        except StoreError as error:
            self.error = error
            _log.info("fetch failed bucket=%s error=%r", self._wanted.view.name, error)
        except asyncio.CancelledError:
            # The process stops. Readers in others go on by themselves.
            state = FlightState.UNKEPT
            raise
        except Exception:
            _log.exception("fetch failed bucket=%s", self._wanted.view.name)
            self.error = broken(self._wanted, "it could not be fetched")
        finally:
            self._end(state)
            await asyncio.shield(self._flights.land(flight, state))

    def _end(self, state: FlightState) -> None:
        self.state = state
        self._pulse.beat()

    async def _fetch(self, flight: Flight) -> FlightState:
        if await self._is_here():
            return FlightState.KEPT
        return await self._bring(flight)

    async def _bring(self, flight: Flight) -> FlightState:
        """By one read."""
        self._node.expect(self._wanted.view.local, self._wanted.key)
        stream = await RemoteStream.open(self._wanted)
        try:
            info = stream.info
            if stream.length != info.size_bytes:
                raise broken(self._wanted, "it sends another size than the object's")
            landing = await self._land(info, digests=tuple(promised(self._wanted, info)))
            if landing is None:
                return FlightState.UNKEPT

            async def copy() -> bytes | None:
                return await self._copy(flight, stream, landing)

            return await self._take(flight, info, landing, copy)
        finally:
            await stream.close()

    async def _is_here(self) -> bool:
        """Whether another has fetched it since the reader looked."""
        try:
            kept = await self._node.head(self._wanted.view.local, self._wanted.key)
        except NoSuchKey:
            return False
        if kept.remote is not None and kept.remote.in_doubt:
            return False
        return self._outdated is None or not is_current(self._outdated, kept)

    async def _land(
        self, info: ObjectInfo, *, piece_bytes: int = 0, digests: Sequence[str] = ()
    ) -> Landing | None:
        """None if there is no room for it, or nothing may be kept, so that readers must read for themselves."""
        if not self._wanted.view.keeps:
            self.told = Told(info, (), 0)
            return None
        try:
            return await self._node.land(
                self._wanted.view.local,
                self._wanted.key,
                info.size_bytes,
                piece_bytes=piece_bytes,
                digests=digests,
            )
        except _NO_ROOM as error:
            self.no_room = error
            self.told = Told(info, (), 0)
            return None

    async def _take(
        self,
        flight: Flight,
        info: ObjectInfo,
        landing: Landing,
        copy: Callable[[], Awaitable[bytes | None]],
    ) -> FlightState:
        """Have a landing filled by `copy`, which gives the bytes of an object that has no files, and kept."""
        try:
            return await self._fill(flight, info, landing, copy)
        finally:
            await asyncio.shield(landing.abandon())

    async def _fill(
        self,
        flight: Flight,
        info: ObjectInfo,
        landing: Landing,
        copy: Callable[[], Awaitable[bytes | None]],
    ) -> FlightState:
        await flight.is_ready()
        self.told = told = Told(info, landing.files, landing.piece_bytes)
        self.state = FlightState.FLOWING
        self._pulse.beat()
        telling = asyncio.create_task(_tell(flight, told))
        await _let_readers_in()
        try:
            small = await copy()
        except _NO_ROOM as error:
            self.no_room = error
            return FlightState.UNKEPT
        finally:
            await asyncio.shield(telling)
        check_digests(self._wanted, promised(self._wanted, info), self._digests(landing))
        state = await self._keep(flight, info, landing)
        self.data = small
        self._advance(flight, info.size_bytes)
        self._pulse.beat()
        return state

    def _digests(self, landing: Landing) -> Mapping[str, bytes]:
        """Of the whole, of all that was promised."""
        return landing.digests()

    async def _copy(self, flight: Flight, stream: RemoteStream, landing: Landing) -> bytes | None:
        """All bytes into the pieces; gives those of an object that has no files. Reading and writing overlap."""
        size_bytes = stream.info.size_bytes
        shown_bytes = max(size_bytes - HELD_BACK_BYTES, 0) if landing.files else 0
        small: list[bytes] | None = None if landing.files else []
        pieces = _Pieces(landing)
        async with contextlib.aclosing(batches_of(stream, self._flights.room)) as batches:
            async for batch in batches:
                if small is not None:
                    small += batch
                if not pieces.written_bytes:
                    await self._show_early(batch[0][: min(_EARLY_BYTES, shown_bytes)])
                await pieces.write(batch)
                self._advance(flight, min(pieces.written_bytes, shown_bytes))
                self.early = b""
        return None if small is None else b"".join(small)

    async def _show_early(self, early: bytes) -> None:
        """Readers have the first bytes half a millisecond sooner where they need not wait for the file."""
        if early:
            self.early = early
            self._pulse.beat()
            await _let_readers_in()

    def _advance(self, flight: Flight, ready_bytes: int) -> None:
        if ready_bytes > self.ready_bytes:
            self.ready_bytes = ready_bytes
            if flight.page is not None:
                flight.page.ready_bytes = ready_bytes
            self._pulse.beat()

    async def _keep(self, flight: Flight, info: ObjectInfo, landing: Landing) -> FlightState:
        async with self._flights.keeping(flight) as may_keep:
            if not may_keep:
                return FlightState.UNKEPT
            try:
                # Power loss may cost a copy, but not bring an older one back. Small ones are told of half a
                # millisecond sooner without a sync; a record without its bytes is damaged, and fetched anew.
                await landing.publish(info, must_last=self._outdated is not None)
            except _NO_ROOM as error:
                self.no_room = error
                return FlightState.UNKEPT
            except NoSuchBucket:
                return FlightState.UNKEPT
        return FlightState.KEPT


async def _let_readers_in() -> None:
    """Have those who were woken come to where they send, before the loop is busy with what comes next."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)


async def _tell(flight: Flight, told: Told) -> None:
    """For other processes; they can't follow if the disk is full."""
    if flight.page is not None and told.files:
        with contextlib.suppress(OSError):
            await asyncio.to_thread(flight.page.tell_sync, encode_told(told))


class _Pieces:
    """Writes the pieces of a landing one after the other."""

    def __init__(self, landing: Landing) -> None:
        self._landing = landing
        self._number = 0
        self._left = landing.pieces[0].size_bytes
        self.written_bytes = 0

    async def write(self, chunks: Sequence[bytes]) -> None:
        """Returns when they are in the files."""
        for chunk in chunks:
            rest = memoryview(chunk)
            while rest:
                while not self._left:
                    await self._next()
                part = rest[: self._left]
                whole = len(part) == len(chunk)
                await self._piece.write(chunk if whole else bytes(part))
                self._left -= len(part)
                rest = rest[len(part) :]
        await self._piece.flush()
        self.written_bytes += sum(map(len, chunks))

    @property
    def _piece(self) -> Piece:
        return self._landing.pieces[self._number]

    async def _next(self) -> None:
        await self._piece.flush()
        self._number += 1
        self._left = self._piece.size_bytes


def failure_of(fetch: Fetch, wanted: Wanted) -> StoreError:
    """What readers are told of a fetch that failed."""
    if fetch.error is not None:
        return fetch.error
    return BackendDown(
        provider=wanted.view.bucket.ref.provider,
        bucket=wanted.view.name,
        reason="the fetch was ended",
        retry_after_s=1,
    )
