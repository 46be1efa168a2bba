"""Owns how this process follows a fetch of another one, by the page that it keeps (flight_page): one watcher, for all
readers of a key that are here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from backends.cache.flight_page import FlightPage, FlightState
from backends.cache.flights import Flights, Place
from backends.cache.pulse import Pulse
from backends.cache.told import Told, decode_told

_SHORT_S, _LONG_S = 0.001, 0.01
"""Between two looks at the page: while something comes, and after nothing did for a while."""

_IDLE_LOOKS = 50
_ALIVE_LOOKS = 16


class Followed:
    """A fetch of another process, as a Source."""

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
        self._readers = 0
        self._task = asyncio.create_task(self._watch())

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
        try:
            looks = idle = 0
            while not self.state.is_final:
                looks += 1
                changed = await self._look()
                if not changed and looks % _ALIVE_LOOKS == 0:
                    changed = await self._mourn()
                idle = 0 if changed else idle + 1
                if changed:
                    self._pulse.beat()
                if not self.state.is_final:
                    await asyncio.sleep(_SHORT_S if idle < _IDLE_LOOKS else _LONG_S)
        finally:
            if not self.state.is_final:
                self.state = FlightState.LOST
            self._on_end()
            self._page.close()
            self._pulse.beat()

    async def _look(self) -> bool:
        """Take over what the page says. Whether that is something new."""
        page = self._page
        state = page.state
        if self.told is None and (state is FlightState.FLOWING or page.is_told):
            told = decode_told(await asyncio.to_thread(page.told_sync))
            if told is None:
                self.state = FlightState.LOST
                return True
            self.told = told
        ready_bytes = page.ready_bytes
        if (state, ready_bytes) == (self.state, self.ready_bytes):
            return False
        self.state, self.ready_bytes = state, ready_bytes
        return True

    async def _mourn(self) -> bool:
        """Whether the other process is gone without an end."""
        if self._flights.is_alive(self._place, self._page):
            return False
        if not await self._look() or not self.state.is_final:
            self.state = FlightState.LOST
        return True
