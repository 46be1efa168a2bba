"""Owns the notes that eviction goes by: when a copy was read last, and whether it is read right now."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence

from backends.cache.access_times import FLUSH_S, AccessTimes
from backends.cache.flights import Flights, Place, place_of
from core.names import ObjectKey
from core.protocols import ObjectReader, Slice
from core.types import Bucket, ObjectInfo


class Usage:
    """Notes the reads of one process. `lag_s`: how long it takes until all processes know of one."""

    lag_s = FLUSH_S + 0.5

    def __init__(self, flights: Flights, times: AccessTimes) -> None:
        self._flights = flights
        self._times = times

    def begin(self, bucket: Bucket, key: ObjectKey, reader: ObjectReader) -> ObjectReader:
        """An object is read by way of what is given back. Whoever reads from a file is known to all processes until
        that is closed."""
        self._times.note(bucket.bucket_id, key)
        if reader.data is not None:
            return reader
        return _Held(reader, self._flights, place_of(bucket, key))

    async def times(self, bucket: Bucket, keys: Sequence[ObjectKey]) -> Mapping[ObjectKey, int]:
        """When those of some keys, in order, were read last that were, in seconds since the epoch."""
        if not keys:
            return {}
        return await self._times.times(bucket.bucket_id, keys[0], keys[-1])

    def in_use(self, bucket: Bucket, keys: Sequence[ObjectKey]) -> Collection[ObjectKey]:
        """Those whose copies are read from files, written, or fetched, by any process."""
        return [key for key in keys if self._flights.is_in_use(place_of(bucket, key))]

    async def forget(self, bucket: Bucket, keys: Sequence[ObjectKey]) -> None:
        """The copies are gone."""
        await self._times.forget(bucket.bucket_id, list(keys))


class _Held:
    """A reader whose object is marked as being read until it is closed."""

    __slots__ = ("_flights", "_is_open", "_place", "_reader")

    def __init__(self, reader: ObjectReader, flights: Flights, place: Place) -> None:
        self._reader = reader
        self._flights = flights
        self._place = place
        self._is_open = True
        flights.begin_reading(place)

    @property
    def info(self) -> ObjectInfo:
        return self._reader.info

    @property
    def first(self) -> int:
        return self._reader.first

    @property
    def length(self) -> int:
        return self._reader.length

    @property
    def data(self) -> bytes | None:
        return None

    @property
    def has_slices(self) -> bool:
        return self._reader.has_slices

    async def next_slice(self) -> Slice | None:
        return await self._reader.next_slice()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self._reader)

    async def close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._flights.end_reading(self._place)
        await self._reader.close()
