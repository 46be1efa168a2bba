"""Owns reads of buckets that live elsewhere: from the copy that is here, or from the backend, keeping a copy.

A copy that need not be compared is served as any local object. Else the backend is asked first. What is not here is
fetched whole by who reads it from its beginning on, and streams while it is stored; other ranges are read as such, or
taken from a fetch that has them. Versions of the provider are read there, and not kept.
"""

from __future__ import annotations

import contextlib
import logging

from backends.cache.asked import Asked, check_served_cold, leads, without_part
from backends.cache.fetch import Fetch, Source, failure_of
from backends.cache.fetching import Fetching, Overtaken
from backends.cache.flight_page import FlightState
from backends.cache.flight_reader import FlightReader, StreamReader
from backends.cache.flights import Flights
from backends.cache.remote_stream import RemoteStream, broken
from backends.cache.usage import Usage
from backends.cache.validation import Validation
from backends.cache.views import View, Views, Wanted, etag_of, is_current
from core.backends import Backends
from core.conditions import check_read
from core.encryption import CustomerKey
from core.errors import (
    Corrupt,
    InvalidPartNumber,
    InvalidRange,
    NoSuchKey,
    NotModified,
    OutOfSpace,
    PreconditionFailed,
)
from core.memory_reader import MemoryReader
from core.names import ObjectKey
from core.nodes import StorageNode
from core.protocols import ObjectReader
from core.ranges import resolve_range
from core.types import (
    NO_CONDITIONS,
    Bucket,
    ByteRange,
    Conditions,
    ObjectInfo,
)

_log = logging.getLogger(__name__)

_NEAR_BYTES = 8 * 1024**2
"""How far a fetch may be from a range that waits for it in place of a read of its own."""

_ROUNDS = 50
_NO_ROOM_S = 10.0
_UNKEPT_ROUNDS = 3
"""So often an object is fetched that is not kept in the end: writers may have come between, or there is no room."""
_DECIDED = (PreconditionFailed, NotModified, InvalidRange, InvalidPartNumber)


class Reading:
    """HEAD and GET."""

    def __init__(
        self, node: StorageNode, backends: Backends, flights: Flights, usage: Usage
    ) -> None:
        self._node = node
        self._flights = flights
        self._usage = usage
        self._backends = backends
        self._views = Views()
        self.fetching = self._fetching = Fetching(node, flights)
        self.validation = self._validation = Validation(node, flights)

    async def close(self) -> None:
        """End the fetches."""
        await self._fetching.close()

    # --- HEAD ---

    async def head(
        self,
        bucket: Bucket,
        key: ObjectKey,
        *,
        version_id: str | None = None,
        conditions: Conditions = NO_CONDITIONS,
    ) -> ObjectInfo:
        """See ObjectStore.head. What is not here has `is_cached` False."""
        view = self._views.of(bucket)
        wanted = Wanted(view, key, self._backends, version_id or "")
        if version_id is not None:
            info = await _head_version(wanted)
        else:
            info = await self._head_current(wanted, conditions)
        check_read(info, conditions)
        return info

    async def _head_current(self, wanted: Wanted, conditions: Conditions) -> ObjectInfo:
        kept = await self._kept(wanted)
        if kept is None:
            return await self._validation.ask(wanted)
        if not _must_ask(wanted.view, kept, conditions):
            return kept
        now = await self._validation.compare(wanted, kept)
        return kept if is_current(kept, now) else now

    async def _kept(self, wanted: Wanted) -> ObjectInfo | None:
        """The copy that is here."""
        try:
            return await self._node.head(wanted.view.local, wanted.key)
        except NoSuchKey:
            return None

    # --- GET ---

    async def get(
        self,
        bucket: Bucket,
        key: ObjectKey,
        *,
        version_id: str | None = None,
        byte_range: ByteRange | None = None,
        conditions: Conditions = NO_CONDITIONS,
        customer_key: CustomerKey | None = None,
    ) -> ObjectReader:
        """See ObjectStore.get. Also raises BackendBroken, BackendDown, BackendBusy, BackendDenied."""
        view = self._views.of(bucket)
        is_absent = False
        if version_id is None and not view.validates and not conditions.latest:
            try:
                reader = await self._node.get(
                    view.local,
                    key,
                    byte_range=byte_range,
                    conditions=conditions,
                    customer_key=customer_key,
                )
            except NoSuchKey:
                is_absent = True
            except Corrupt as error:
                await self._give_up(Wanted(view, key, self._backends), error)
            except _DECIDED:
                # By a copy that counts?
                kept = await self._kept(Wanted(view, key, self._backends))
                if kept is not None and not _must_ask(view, kept, conditions):
                    raise
            else:
                remote = reader.info.remote
                if remote is None or not remote.in_doubt:
                    return self._usage.begin(bucket, key, reader)
                await reader.close()
        asked = Asked(byte_range, conditions, customer_key)
        wanted = Wanted(view, key, self._backends, version_id or "")
        if version_id is not None:
            return await self._get_version(wanted, asked)
        reader = await self._get_compared(wanted, asked, is_absent=is_absent)
        return self._usage.begin(bucket, key, reader)

    async def _get_compared(
        self, wanted: Wanted, asked: Asked, *, is_absent: bool = False
    ) -> ObjectReader:
        """In rounds: what was found may have changed before it could be opened. `is_absent`: there was no copy just
        now."""
        for number in range(_ROUNDS):
            kept = None if is_absent and not number else await self._kept(wanted)
            now: ObjectInfo | None = None
            if kept is not None:
                if _must_ask(wanted.view, kept, asked.conditions):
                    now = await self._validation.compare(wanted, kept)
                if now is None or is_current(kept, now):
                    reader = await self._open_kept(wanted, asked, kept)
                    if reader is not None:
                        return reader
                    continue
            reader = await self._get_cold(wanted, asked, now, kept)
            if reader is not None:
                return reader
        return StreamReader(await RemoteStream.open(wanted, asked.byte_range))

    async def _open_kept(
        self, wanted: Wanted, asked: Asked, kept: ObjectInfo
    ) -> ObjectReader | None:
        """The copy that was compared; None if it is another one now."""
        try:
            reader = await self._node.get(
                wanted.view.local,
                wanted.key,
                byte_range=asked.byte_range,
                conditions=asked.conditions,
                customer_key=asked.customer_key,
            )
        except NoSuchKey:
            return None
        except Corrupt as error:
            await self._give_up(wanted, error)
            return None
        if kept.remote is None or is_current(reader.info, kept):
            return reader
        await reader.close()
        return None

    async def _give_up(self, wanted: Wanted, error: Corrupt) -> None:
        """A copy whose bytes are damaged goes, for the backend has the object. What is only here stays: raises
        `error`."""
        kept = await self._kept(wanted)
        if kept is None:
            return
        if kept.remote is None:
            raise error
        _log.warning("a damaged copy is fetched anew bucket=%s error=%r", wanted.view.name, error)
        async with self._flights.settling(wanted.place) as may_settle:
            if may_settle:
                unchanged = Conditions(if_match=(kept.etag,))
                with contextlib.suppress(NoSuchKey, PreconditionFailed):
                    await self._node.delete(wanted.view.local, wanted.key, conditions=unchanged)

    async def _get_cold(
        self, wanted: Wanted, asked: Asked, now: ObjectInfo | None, outdated: ObjectInfo | None
    ) -> ObjectReader | None:
        """What the backend has. None: something has changed, look again."""
        check_served_cold(wanted, asked)
        byte_range = asked.byte_range
        if asked.is_conditional:
            now = now or await self._validation.ask(wanted)
            check_read(now, asked.conditions)
            byte_range = without_part(now, byte_range)
        if not wanted.view.keeps:
            return await _read_through(wanted, byte_range, now)
        if not leads(byte_range):
            return await self._get_range(wanted, byte_range, now)
        try:
            source = await self._fetching.join(wanted, outdated)
        except Overtaken:
            return await _read_through(wanted, byte_range, now)
        if source is None:
            return None
        if now is not None and source.told is not None and not is_current(source.told.info, now):
            # It began before the object became what it is now.
            source.leave()
            return await _read_through(wanted, byte_range, now)
        return self._reader_of(wanted, source, byte_range)

    async def _get_range(
        self, wanted: Wanted, byte_range: ByteRange | None, now: ObjectInfo | None
    ) -> ObjectReader | None:
        """A part of an object that is not here, without waiting for the rest."""
        source = await self._fetching.under_way(wanted.place)
        if source is not None and source.told is not None:
            info = source.told.info
            try:
                first, _ = resolve_range(info, byte_range)
            except BaseException:
                source.leave()
                raise
            is_near = first <= source.ready_bytes + _NEAR_BYTES
            if is_near and (now is None or is_current(info, now)):
                return self._reader_of(wanted, source, byte_range)
            source.leave()
        return await _read_through(wanted, byte_range, now)

    def _reader_of(
        self, wanted: Wanted, source: Source, byte_range: ByteRange | None
    ) -> ObjectReader:
        """Leaves the source in the end, whatever happens."""
        try:
            assert source.told is not None
            info = source.told.info
            first, length = resolve_range(info, byte_range)
            if source.data is None:
                return FlightReader(wanted, source, (first, length), self)
            data = source.data
        except BaseException:
            source.leave()
            raise
        source.leave()
        return MemoryReader(info, data, first, length)

    # --- for nobody's reading ---

    async def bring(self, bucket: Bucket, key: ObjectKey, latest: bool = False) -> ObjectInfo:
        """Have a copy here, as for a reader that reads nothing; `latest`: of what the backend has now. Shares the fetch
        of whoever reads the object meanwhile. Raises as Backend.open, and OutOfSpace."""
        wanted = Wanted(self._views.of(bucket), key, self._backends)
        latest = latest or wanted.view.validates
        unkept = 0
        while unkept < _UNKEPT_ROUNDS:
            kept = await self._kept(wanted)
            if kept is not None and not latest and not _is_doubtful(kept):
                return kept
            if kept is not None and is_current(kept, await self._validation.compare(wanted, kept)):
                return kept
            source = await self._fetching.join(wanted, kept)
            if source is None:
                continue
            try:
                while not source.state.is_final:
                    await source.wait()
                if source.state is FlightState.KEPT and source.told is not None:
                    return source.told.info
                if source.state is FlightState.FAILED and isinstance(source, Fetch):
                    raise failure_of(source, wanted)
                unkept += 1
            finally:
                source.leave()
        raise OutOfSpace(mountpath="", retry_after_s=_NO_ROOM_S)

    async def get_now(self, bucket: Bucket, key: ObjectKey) -> ObjectReader:
        """What the backend has now: from the copy that is here if it is of that, else read through. A copy that is of
        something older stays as it is. Raises as Backend.open."""
        wanted = Wanted(self._views.of(bucket), key, self._backends)
        kept = await self._kept(wanted)
        if kept is not None and is_current(kept, await self._validation.compare(wanted, kept)):
            reader = await self._open_kept(wanted, Asked(None, NO_CONDITIONS, None), kept)
            if reader is not None:
                return reader
        return StreamReader(await RemoteStream.open(wanted))

    # --- for readers that lost their fetch (flight_reader.Origin) ---

    async def rejoin(self, wanted: Wanted) -> Source | None:
        """See Origin."""
        try:
            for _ in range(_ROUNDS):
                source = await self._fetching.join(wanted)
                if source is not None or await self._kept(wanted) is not None:
                    return source
        except Overtaken:
            pass
        return None

    async def kept_part(
        self, wanted: Wanted, info: ObjectInfo, byte_range: ByteRange
    ) -> ObjectReader | None:
        """See Origin."""
        asked = Asked(byte_range, NO_CONDITIONS, None)
        return await self._open_kept(wanted, asked, info)

    # --- versions ---

    async def _get_version(self, wanted: Wanted, asked: Asked) -> ObjectReader:
        """A version of the provider's, which is not kept."""
        check_served_cold(wanted, asked)
        byte_range = asked.byte_range
        if asked.is_conditional:
            now = await _head_version(wanted)
            check_read(now, asked.conditions)
            byte_range = without_part(now, byte_range)
        return StreamReader(await RemoteStream.open(wanted, byte_range))


def _must_ask(view: View, kept: ObjectInfo, conditions: Conditions) -> bool:
    """Whether a copy may only be used once the backend has said that it is current."""
    return view.validates or conditions.latest or _is_doubtful(kept)


def _is_doubtful(kept: ObjectInfo) -> bool:
    return kept.remote is not None and kept.remote.in_doubt


async def _read_through(
    wanted: Wanted, byte_range: ByteRange | None, now: ObjectInfo | None
) -> ObjectReader | None:
    """From the backend, keeping nothing. None if it is another object than `now` said."""
    if_match = "" if now is None else etag_of(now)
    try:
        stream = await RemoteStream.open(wanted, byte_range, if_match=if_match)
    except PreconditionFailed:
        return None
    if now is not None and if_match and stream.info.size_bytes != now.size_bytes:
        await stream.close()
        raise broken(wanted, "it says two sizes of one object")
    return StreamReader(stream)


async def _head_version(wanted: Wanted) -> ObjectInfo:
    return wanted.seen(
        await wanted.backend.head(wanted.view.name, wanted.key, version_id=wanted.version_id)
    )
