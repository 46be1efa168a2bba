"""Owns how this process follows a fetch of another one, by the page that it keeps (flight_page): one watcher, for all
readers of a key that are here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from backends.cache.flight_page import FlightPage, FlightState
from backends.cache.flights import Flights, Place
from backends.cache.pulse import Pulse
from backends.cache.told import Told, decode_told

_log = logging.getLogger(__name__)

_SHORT_S, _LONG_S = 0.001, 0.01
"""Between two looks at the page: while something comes, and after nothing did for a while."""

_IDLE_LOOKS = 50
_ALIVE_LOOKS = 16


class Followed:
    """A fetch of another process, as a Source."""

    early = b""

    def __init__(
        self, place: Place, page: FlightPage, flights: Flights, on_end: Callable[[], None]
    ) -> None:
        """Takes the page over. `on_end`: nobody can join any more."""
        self.state = FlightState.OPENING
        self.ready_bytes = 0
        self.told: Told | None = None
        self.data: bytes | None = None
        self._place = place
        self._page = page
        self._flights = flights
        self._on_end = on_end
        self._pulse = Pulse()
        self._readers = self._reading = 0
        self._task = asyncio.create_task(self._watch())
        self._task.add_done_callback(self._ended)

    @property
    def is_spoiled(self) -> bool:
        """See Source."""
        return self._page.is_spoiled

    async def wait(self) -> None:
        """See Source."""
        await self._pulse.wait()

    def join(self) -> None:
        """See Source."""
        self._readers += 1

    def leave(self) -> None:
        """See Source. Nobody watches for nobody."""
        self._readers -= 1
        if not self._readers:
            self._task.cancel()

    async def _watch(self) -> None:
        looks = idle = 0
        while not self.state.is_final:
            looks += 1
            changed = await self.look()
            if not changed and looks % _ALIVE_LOOKS == 0:
                changed = await self._mourn()
            idle = 0 if changed else idle + 1
            if changed:
                self._pulse.beat()
            if not self.state.is_final:
                await asyncio.sleep(_SHORT_S if idle < _IDLE_LOOKS else _LONG_S)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("following a fetch failed error=%r", error)
        if not self.state.is_final:
            self.state = FlightState.LOST
        self._on_end()
        self._close()
        self._pulse.beat()

    async def look(self) -> bool:
        """Take over what the page says. Whether that is something new."""
        if self.state.is_final:
            return False
        page = self._page
        state = page.state
        if self.told is None and page.is_told:
            told = await self._read()
            if self._is_over():
                return False
            if told is None:
                self.state = FlightState.LOST
                return True
            self.told = told
        ready_bytes = page.ready_bytes
        if (state, ready_bytes) == (self.state, self.ready_bytes):
            return False
        self.state, self.ready_bytes = state, ready_bytes
        return True

    async def _read(self) -> Told | None:
        """What was told. The page stays open as long as anybody reads it."""
        self._reading += 1
        try:
            return decode_told(await asyncio.to_thread(self._page.told_sync))
        finally:
            self._reading -= 1
            if self._is_over():
                self._close()

    def _is_over(self) -> bool:
        return self.state.is_final

    def _close(self) -> None:
        if not self._reading:
            self._page.close()

    async def _mourn(self) -> bool:
        """Whether the other process is gone without an end."""
        if self._flights.is_alive(self._place, self._page):
            return False
        if not await self.look() or not self.state.is_final:
            self.state = FlightState.LOST
        return True
