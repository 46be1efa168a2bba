"""Owns who is at work on a key of a bucket that lives elsewhere, over all processes of a node: one writer at a time,
one fetcher at a time, those who follow a fetch, and those who read the file of a copy.

All is locks on single bytes of one file, so that nothing is left over when a process dies, whatever it was doing: of
each key one byte for who writes, one for who fetches and one that readers share, at a place that a hash of bucket id
and key gives. (Keys that share a place wait for each other, and nothing worse.) A fetch has a page beside that file
(flight_page), named by a longer hash.

Who fetches takes its byte first and looks for a writer then; who writes takes its byte first and looks for a fetcher
then, whose page it waits for. So one of them sees the other, and a fetch that a write may have overtaken is spoiled: it
is not published.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import logging
import os
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from backends.cache.batches import Room
from backends.cache.flight_page import NEW_PAGE, FlightPage, FlightState
from core.names import ObjectKey
from core.types import Bucket

T = TypeVar("T")

_log = logging.getLogger(__name__)

# struct flock of Linux: type, whence, start, length, pid.
_LOCK = struct.Struct("@hhqqi0q")
_WRITER, _FETCHER, _READER = 0, 1, 2
_BYTES_EACH = 4
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.001, 0.02
_LOCKS_FILE, _PAGE = "locks", ".flight"


@dataclass(frozen=True, slots=True)
class Place:
    """Of a key of a bucket: the number of its lock bytes, and its page's name."""

    number: int
    name: str


def place_of(bucket: Bucket, key: ObjectKey) -> Place:
    """By the bucket's id, which is never used again."""
    digest = hashlib.blake2b(b"%d/%b" % (bucket.bucket_id, key.encode()), digest_size=16).digest()
    return _place(digest)


def _place(digest: bytes) -> Place:
    return Place(int.from_bytes(digest[:8], "big") >> 4, digest.hex())


class Flight:
    """A fetch that this process carries out. Its page is there once `is_ready` has been waited for, unless none could
    be made: then nobody can follow, and nothing is kept."""

    def __init__(self, place: Place, making: Coroutine[Any, Any, FlightPage | None]) -> None:
        self.place = place
        self.page: FlightPage | None = None
        self._is_spoiled = False
        self._making = asyncio.create_task(self._make(making))

    async def is_ready(self) -> None:
        """Until the page has been made, or could not be."""
        await asyncio.shield(self._making)

    async def _make(self, making: Coroutine[Any, Any, FlightPage | None]) -> None:
        self.page = await making
        if self.page is None or self._is_spoiled:
            self.spoil()

    @property
    def is_spoiled(self) -> bool:
        """Whether a write has begun meanwhile, so that what is fetched must not be kept."""
        return self._is_spoiled if self.page is None else self.page.is_spoiled

    def spoil(self) -> None:
        """A write has begun."""
        self._is_spoiled = True
        if self.page is not None:
            self.page.spoil()


class _Turn:
    """Who of this process is, or waits to be, the writer of a key."""

    __slots__ = ("lock", "users")

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.users = 0


class Flights:
    """One a process; all of a node have the same directory."""

    def __init__(self, directory: Path) -> None:
        """What dead processes left in the directory is removed. Raises OSError."""
        self._directory = directory
        directory.mkdir(mode=0o700, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._fd = os.open(directory / _LOCKS_FILE, flags, 0o600)
        # One thread: what it does is a system call or two.
        self._thread = ThreadPoolExecutor(1, "flights")
        self._turns: dict[int, _Turn] = {}
        self._flights: dict[int, Flight] = {}
        self._readers: dict[int, int] = {}
        self.room = Room()
        """Of the bytes that the fetches of this process hold."""
        self._clean_sync()

    def close(self) -> None:
        """Idempotent. What this process held is free afterwards."""
        self._thread.shutdown()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    # --- writing ---

    @contextlib.asynccontextmanager
    async def writing(self, bucket: Bucket, key: ObjectKey) -> AsyncIterator[None]:
        """Held by who changes the backend's object and then the local copy: waits for other writers, and spoils a
        fetch under way. Cancelled while it waits, it leaves nothing; when a holder dies it is free. Not reentrant."""
        place = place_of(bucket, key)
        turn = self._turns.setdefault(place.number, _Turn())
        async with self._taking(place, turn):
            wait_s = _FIRST_WAIT_S
            while not self._try_lock(place, _WRITER):
                await asyncio.sleep(wait_s)
                wait_s = min(wait_s * 1.5, _LONGEST_WAIT_S)
            try:
                await self._spoil(place)
                yield
            finally:
                self._unlock(place, _WRITER)

    @contextlib.asynccontextmanager
    async def settling(self, place: Place) -> AsyncIterator[bool]:
        """Keeps writers out for the moment in which a copy is changed that no client changed. Gives whether that may
        be: not while anybody writes, who will see to the copy."""
        if place.number in self._turns or not self._try_lock(place, _WRITER):
            yield False
            return
        turn = self._turns[place.number] = _Turn()
        try:
            async with self._taking(place, turn):
                yield True
        finally:
            self._unlock(place, _WRITER)

    @contextlib.asynccontextmanager
    async def keeping(self, flight: Flight) -> AsyncIterator[bool]:
        """Keeps writers out while a fetch publishes what it has. Gives whether it may."""
        while not flight.is_spoiled:
            async with self.settling(flight.place) as may_settle:
                if may_settle:
                    yield self._may_keep(flight)
                    return
            await asyncio.sleep(_FIRST_WAIT_S)
        yield False

    def is_written(self, place: Place) -> bool:
        """Whether anybody is changing the key's object just now, or waits to."""
        return place.number in self._turns or self._is_locked(place, _WRITER)

    @contextlib.asynccontextmanager
    async def _taking(self, place: Place, turn: _Turn) -> AsyncIterator[None]:
        """Locks of one open file don't exclude one another, so the tasks of a process take turns."""
        turn.users += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.users -= 1
            if not turn.users:
                del self._turns[place.number]

    async def _spoil(self, place: Place) -> None:
        own = self._flights.get(place.number)
        if own is not None:
            own.spoil()
            return
        # Who fetches makes the page while it waits for the backend already.
        while self._is_locked(place, _FETCHER):
            page = await self._in_thread(FlightPage.open_sync, self._path(place))
            if page is not None:
                page.spoil()
                page.close()
                return
            await asyncio.sleep(_FIRST_WAIT_S)

    # --- fetching ---

    def take_off(self, place: Place) -> Flight | None:
        """Become the one who fetches. None if somebody is already. `land` ends it. Its page is made meanwhile: a cold
        read would wait 0.4 ms for it."""
        if place.number in self._flights or not self._try_lock(place, _FETCHER):
            return None
        # Of a process that died: who looks for the page must not take that one for this fetch's.
        with contextlib.suppress(OSError):
            self._path(place).unlink()
        flight = self._flights[place.number] = Flight(place, self._make_page(place))
        if self.is_written(place):
            flight.spoil()
        return flight

    async def _make_page(self, place: Place) -> FlightPage | None:
        try:
            return await self._in_thread(FlightPage.create_sync, self._path(place))
        except OSError as error:
            _log.warning("no page for a fetch directory=%s error=%r", self._directory, error)
            self._leave(place)
            return None
        except BaseException:
            self._leave(place)
            raise

    async def land(self, flight: Flight, state: FlightState) -> None:
        """The fetch is over, for all to see."""
        await flight.is_ready()
        page = flight.page
        if page is None:
            return
        page.state = state
        try:
            await self._in_thread(page.remove_sync)
        finally:
            self._leave(flight.place)
            page.close()

    async def follow(self, place: Place) -> FlightPage | None:
        """The page of a fetch that another process carries out; None if there is no such. Close it."""
        if not self._is_locked(place, _FETCHER):
            return None
        return await self._in_thread(FlightPage.open_sync, self._path(place))

    def is_alive(self, place: Place, page: FlightPage) -> bool:
        """Whether who fetches for the page still does. Look at the page's state after a no: it may have ended well."""
        return self._is_locked(place, _FETCHER) and page.is_in_place

    def _leave(self, place: Place) -> None:
        del self._flights[place.number]
        self._unlock(place, _FETCHER)

    def _may_keep(self, flight: Flight) -> bool:
        """Not if writers might not have found the page: who couldn't has not spoiled it."""
        page = flight.page
        return page is not None and not page.is_spoiled and page.is_in_place

    # --- reading ---

    def begin_reading(self, place: Place) -> None:
        """Have all processes know that the file of the copy is read, until as many calls of `end_reading`. Never
        blocks."""
        count = self._readers.get(place.number, 0)
        if not count:
            self._control(fcntl.F_OFD_SETLK, fcntl.F_RDLCK, place, _READER)
        self._readers[place.number] = count + 1

    def end_reading(self, place: Place) -> None:
        """See `begin_reading`."""
        self._readers[place.number] -= 1
        if not self._readers[place.number]:
            del self._readers[place.number]
            self._unlock(place, _READER)

    def is_in_use(self, place: Place) -> bool:
        """Whether anybody reads the file of the key's copy, or changes its object, or fetches it."""
        return (
            place.number in self._readers
            or place.number in self._flights
            or self._is_locked(place, _READER)
            or self._is_locked(place, _FETCHER)
            or self.is_written(place)
        )

    # --- the files ---

    def _path(self, place: Place) -> Path:
        return self._directory / f"{place.name}{_PAGE}"

    async def _in_thread(self, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    def _try_lock(self, place: Place, role: int) -> bool:
        try:
            self._control(fcntl.F_OFD_SETLK, fcntl.F_WRLCK, place, role)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def _unlock(self, place: Place, role: int) -> None:
        if self._fd >= 0:
            self._control(fcntl.F_OFD_SETLK, fcntl.F_UNLCK, place, role)

    def _is_locked(self, place: Place, role: int) -> bool:
        """By another process, that is."""
        found = self._control(fcntl.F_OFD_GETLK, fcntl.F_WRLCK, place, role)
        return bool(_LOCK.unpack(found)[0] != fcntl.F_UNLCK)

    def _control(self, command: int, kind: int, place: Place, role: int) -> bytes:
        wanted = _LOCK.pack(kind, os.SEEK_SET, place.number * _BYTES_EACH + role, 1, 0)
        return fcntl.fcntl(self._fd, command, wanted)

    def _clean_sync(self) -> None:
        for path in self._directory.iterdir():
            if path.suffix not in (_PAGE, NEW_PAGE):
                continue
            place = _place(bytes.fromhex(path.stem))
            if self._try_lock(place, _FETCHER):
                path.unlink(missing_ok=True)
                self._unlock(place, _FETCHER)
