"""Owns which fetches this process carries out and which of others it follows: at most one of either for a key, however
many want it.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable

from backends.cache.blob_fetch import BlobFetch
from backends.cache.fetch import Fetch, Source, failure_of
from backends.cache.flight_page import FlightState
from backends.cache.flights import Flights, Place
from backends.cache.following import Followed
from backends.cache.views import Wanted
from core.blobs import BlobPlan
from core.nodes import StorageNode
from core.types import ObjectInfo

_RETRY_S = 0.002


class Overtaken(Exception):
    """There is a fetch, but a write has begun since it did: who comes now must read for itself."""


class Fetching:
    """Begins and joins fetches."""

    def __init__(self, node: StorageNode, flights: Flights) -> None:
        self._node = node
        self._flights = flights
        self._fetches: dict[str, Fetch] = {}
        self._followed: dict[str, Followed] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._running: dict[str, asyncio.Task[None]] = {}

    async def close(self) -> None:
        """End the fetches; what they have is given up."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def join(
        self,
        wanted: Wanted,
        outdated: ObjectInfo | None = None,
        plan: BlobPlan | None = None,
    ) -> Source | None:
        """The fetch of an object, by whichever process, once it is known what the object is; begun if there is none.
        None: look at the node again, it was there or has come. `leave` the source in the end. `plan`: that of a blob
        download, if it is begun as one.

        Raises as Backend.open, and Overtaken."""
        place = wanted.place
        if place.name not in self._fetches:
            followed = await self._follow(place)
            if followed is not None:
                return await _announced(followed)
        # Another may have begun meanwhile.
        fetch = self._fetches.get(place.name)
        if fetch is None:
            fetch = self._begin(place, wanted, outdated, plan)
        elif _is_over(fetch):
            await fetch.ended.wait()
            return None
        elif fetch.is_spoiled:
            raise Overtaken
        while not _is_over(fetch) and not _has_something(fetch):
            await fetch.wait()
        if fetch.is_elsewhere:
            await asyncio.sleep(_RETRY_S)
            return None
        if fetch.told is None and fetch.state is FlightState.KEPT:
            return None
        if fetch.told is None or (fetch.state is FlightState.FAILED and not fetch.ready_bytes):
            raise failure_of(fetch, wanted)
        fetch.join()
        return fetch

    async def under_way(self, place: Place) -> Source | None:
        """A fetch that is at work and has files, if there is one that may be joined. `leave` it in the end."""
        source: Source | None = self._fetches.get(place.name)
        if source is None:
            source = await self._follow_now(place)
            if source is None:
                return None
        else:
            source.join()
        is_at_work = not _is_over(source) and not source.is_spoiled
        if is_at_work and source.told is not None and source.told.files:
            return source
        source.leave()
        return None

    async def cancel(self, place: Place) -> None:
        """End this process's fetch at once, if there is one: its readers go on by themselves."""
        fetch, task = self._fetches.get(place.name), self._running.get(place.name)
        if fetch is not None and task is not None:
            task.cancel()
            await fetch.ended.wait()

    def _begin(
        self,
        place: Place,
        wanted: Wanted,
        outdated: ObjectInfo | None,
        plan: BlobPlan | None,
    ) -> Fetch:
        kind = Fetch if plan is None else functools.partial(BlobFetch, plan)
        fetch = self._fetches[place.name] = kind(wanted, self._node, self._flights, outdated)
        task = self._running[place.name] = asyncio.create_task(fetch.run())
        self._tasks.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            del self._fetches[place.name], self._running[place.name]
            fetch.ended.set()

        task.add_done_callback(ended)
        return fetch

    async def _follow(self, place: Place) -> Followed | None:
        followed = self._followed.get(place.name)
        if followed is None:
            page = await self._flights.follow(place)
            if page is None:
                return None
            followed = self._followed.get(place.name)
            if followed is not None:
                page.close()  # another reader was faster
            else:
                followed = Followed(place, page, self._flights, self._forgetting(place))
                self._followed[place.name] = followed
        followed.join()
        if followed.is_spoiled and not _is_over(followed):
            followed.leave()
            raise Overtaken
        return followed

    async def _follow_now(self, place: Place) -> Followed | None:
        """The same as it is at this moment."""
        try:
            followed = await self._follow(place)
        except Overtaken:
            return None
        if followed is not None and followed.told is None:
            try:
                await followed.look()
            except BaseException:
                followed.leave()
                raise
        return followed

    def _forgetting(self, place: Place) -> Callable[[], None]:
        def forget() -> None:
            self._followed.pop(place.name, None)

        return forget


def _is_over(source: Source) -> bool:
    return source.state.is_final


def _has_something(source: Source) -> bool:
    """Whether a reader can begin."""
    return source.data is not None or (source.told is not None and bool(source.told.files))


async def _announced(followed: Followed) -> Source | None:
    """A fetch of another process when it is known what its object is; None if it is of no use to a reader any more.
    What has no files comes out of the node when it is published, or must be fetched again."""
    try:
        while not _is_over(followed) and not _has_something(followed):
            await followed.wait()
    except BaseException:
        followed.leave()
        raise
    # One that is over is not forgotten at once; it is no way to go on.
    if not _is_over(followed):
        return followed
    followed.leave()
    await asyncio.sleep(_RETRY_S)
    return None
