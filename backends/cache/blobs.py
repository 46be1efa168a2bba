"""Owns blob downloads of buckets that live elsewhere (core.blobs.Blobs): fetches like others, which they share with all
who read the object meanwhile, begun as a BlobFetch.
"""

from __future__ import annotations

import asyncio
import contextlib

from backends.cache.fetch import Fetch, Source
from backends.cache.fetching import Overtaken
from backends.cache.flight_page import FlightState
from backends.cache.reading import Reading
from backends.cache.views import Views, Wanted, is_current
from core.backends import Backends
from core.blobs import BlobPlan, Progress
from core.errors import BackendDown, NoSuchKey, Unsupported
from core.names import ObjectKey
from core.nodes import StorageNode
from core.protocols import ObjectReader
from core.types import NO_CONDITIONS, Bucket, Conditions, ObjectInfo

_ROUNDS = 20
_RETRY_S = 0.25


class CachedBlobs:
    """core.blobs.Blobs of a process."""

    def __init__(self, node: StorageNode, backends: Backends, reading: Reading) -> None:
        self._node = node
        self._backends = backends
        self._reading = reading
        self._fetching = reading.fetching
        self._validation = reading.validation
        self._views = Views()

    async def download(
        self, bucket: Bucket, key: ObjectKey, plan: BlobPlan, progress: Progress
    ) -> ObjectInfo:
        """See Blobs. In rounds: another process may have fetched, and died over it, or written."""
        wanted = Wanted(self._views.of(bucket), key, self._backends)
        if not wanted.view.keeps:
            reason = "Nothing is kept of a bucket whose objects are to be encrypted here"
            raise Unsupported(what="blob-download", reason=reason)
        for _ in range(_ROUNDS):
            kept, is_good = await self._kept(wanted, plan)
            if kept is not None and is_good:
                return kept
            try:
                source = await self._fetching.join(wanted, kept, plan)
            except Overtaken:
                await asyncio.sleep(_RETRY_S)
                continue
            if source is not None:
                await self._follow(wanted, source, progress)
        raise BackendDown(
            provider=bucket.ref.provider,
            bucket=wanted.view.name,
            reason="the object is written to all the time",
            retry_after_s=1,
        )

    async def open(
        self,
        bucket: Bucket,
        key: ObjectKey,
        plan: BlobPlan,
        conditions: Conditions = NO_CONDITIONS,
    ) -> ObjectReader:
        """See Blobs: the fetch is begun, and then read as any."""
        if conditions not in (NO_CONDITIONS, Conditions(latest=True)):
            await self._reading.head(bucket, key, conditions=conditions)
        wanted = Wanted(self._views.of(bucket), key, self._backends)
        kept, is_good = await self._kept(wanted, plan)
        if not is_good and wanted.view.is_cold_served:
            with contextlib.suppress(Overtaken):
                source = await self._fetching.join(wanted, kept, plan)
                if source is not None:
                    source.leave()
        return await self._reading.get(bucket, key, conditions=conditions)

    async def _kept(self, wanted: Wanted, plan: BlobPlan) -> tuple[ObjectInfo | None, bool]:
        """The copy that is here, and whether it will do. Raises as Backend.head."""
        try:
            kept = await self._node.head(wanted.view.local, wanted.key)
        except NoSuchKey:
            return None, False
        is_in_doubt = kept.remote is not None and kept.remote.in_doubt
        if not plan.latest and not is_in_doubt:
            return kept, True
        now = await self._validation.compare(wanted, kept)
        return kept, is_current(kept, now)

    async def _follow(self, wanted: Wanted, source: Source, progress: Progress) -> None:
        """Until a fetch has ended. Raises what its own failed with; others' are looked after in the next round."""
        seen = 0
        try:
            while True:
                if source.told is not None and source.ready_bytes > seen:
                    more, seen = source.ready_bytes - seen, source.ready_bytes
                    progress(source.told.info, more)
                if source.state.is_final:
                    break
                await source.wait()
        except asyncio.CancelledError:
            await asyncio.shield(self._fetching.cancel(wanted.place))
            raise
        finally:
            source.leave()
        if isinstance(source, Fetch):
            await source.ended.wait()
            error = source.error if source.state is FlightState.FAILED else source.no_room
            if error is not None:
                raise error
