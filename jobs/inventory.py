"""Owns the job that takes an inventory: the listing of a bucket that lives elsewhere, written down as one object of the
system bucket of inventories.

The object appears whole, when the last page has been listed, in place of the one of its name; who reads the old one
goes on. A job that was interrupted begins anew: half an inventory is nobody's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from core.errors import InvalidArgument, InventoryExists, Unavailable
from core.inventories import (
    DEFAULT_NAMES,
    INVENTORY_BUCKET,
    MAX_NAMES,
    Inventories,
    InventoryFacts,
    inventory_key,
    source_of,
)
from core.inventory_format import (
    MAX_RAW_BYTES,
    ChunkPlace,
    encode_chunk_sync,
    encode_end_sync,
    raw_bytes_of,
)
from core.job_table import BUCKET, parse_ref, ref_text
from core.jobs import BYTES, OBJECTS
from core.listing import ListPage, ListQuery
from core.protocols import Clock, ObjectService
from core.types import (
    NO_CONDITIONS,
    Bucket,
    ChecksumAlgorithm,
    Conditions,
    ExpectedDigest,
    ObjectAttributes,
    ObjectInfo,
)
from jobs.lookup import Buckets, Listed, find_bucket
from jobs.queue import JobContext, OnDemand

CREATE_INVENTORY = "create-inventory"
BUCKET_ID = "bucket_id"
_TEXTS = ("name", "prefix", "props")
_NUMBERS = ("names_per_chunk", "refresh_s")
_FLAGS = ("force", "multi", "renew")

_PAGE = 1000
_TRIES = 5
_MOST_CHUNKS = 10_000
"""After so many chunks they get twice as large, so that the directory stays small."""


@dataclass(frozen=True, slots=True)
class InventoryOrder:
    """What is asked for. `name` "": the job's id. `force`: in place of what there is; else there may be none of the
    bucket yet, or with `multi`, where a bucket may have several, none of that name. `renew`: each one that there is
    (with a prefix: of that prefix) is made anew as it is, and one as usual if there is none."""

    name: str = ""
    prefix: str = ""
    props: str = ""
    names_per_chunk: int = DEFAULT_NAMES
    refresh_s: int = 0
    force: bool = False
    multi: bool = False
    renew: bool = False

    def arguments(self, bucket: Bucket) -> dict[str, str]:
        """Those of a job."""
        said = {BUCKET: ref_text(bucket.ref), BUCKET_ID: str(bucket.bucket_id)}
        said |= {name: str(getattr(self, name)) for name in (*_TEXTS, *_NUMBERS)}
        said |= {name: "true" for name in _FLAGS if getattr(self, name)}
        return said

    @classmethod
    def again(cls, facts: InventoryFacts) -> InventoryOrder:
        """For an inventory in the place of one that there is, whatever others the bucket has."""
        return cls(
            name=facts.name,
            prefix=facts.prefix,
            props=facts.props,
            names_per_chunk=facts.names_per_chunk,
            refresh_s=facts.refresh_s,
            force=True,
            multi=True,
        )

    @classmethod
    def read(cls, arguments: Mapping[str, str]) -> InventoryOrder:
        """From a job's arguments; what is not said is as usual."""
        usual = cls()
        return cls(
            name=arguments.get("name", usual.name),
            prefix=arguments.get("prefix", usual.prefix),
            props=arguments.get("props", usual.props),
            names_per_chunk=int(arguments.get("names_per_chunk", usual.names_per_chunk)),
            refresh_s=int(arguments.get("refresh_s", usual.refresh_s)),
            force=arguments.get("force") == "true",
            multi=arguments.get("multi") == "true",
            renew=arguments.get("renew") == "true",
        )


def check_room(found: Sequence[str], order: InventoryOrder, bucket: Bucket) -> None:
    """Whether an inventory may be made beside those of these names. Raises InventoryExists."""
    if order.force:
        return
    in_the_way = [name for name in found if not order.multi or name == order.name]
    if in_the_way:
        raise InventoryExists(bucket=bucket.name, inventory=in_the_way[0])


class CreateInventoryJob(OnDemand):
    """A JobKind."""

    name = CREATE_INVENTORY

    def __init__(
        self, service: ObjectService, inventories: Inventories, buckets: Buckets, clock: Clock
    ) -> None:
        self._service = service
        self._inventories = inventories
        self._buckets = buckets
        self._clock = clock

    async def run(self, context: JobContext) -> None:
        """As JobKind."""
        arguments = context.arguments
        ref = parse_ref(arguments.get(BUCKET, ""))
        bucket = find_bucket(self._buckets, ref, arguments.get(BUCKET_ID, ""))
        if bucket.props.backend is None:
            reason = "an inventory is of a bucket that lives elsewhere"
            raise InvalidArgument(name="bucket", value=bucket.name, reason=reason)
        order = InventoryOrder.read(arguments)
        context.say(f"{ref_text(ref)}, prefix {order.prefix!r}")
        # What an earlier run counted is counted again.
        before = context.progress.counters
        context.count(objects=-before.get(OBJECTS, 0), size_bytes=-before.get(BYTES, 0))
        found = [each.facts for each in await self._inventories.find(bucket)]
        for each in _orders(order, found, context.job_id):
            if not any((f.job_id, f.name) == (context.job_id, each.name) for f in found):
                check_room([facts.name for facts in found], each, bucket)
                context.say(f"{ref_text(ref)}, prefix {each.prefix!r}, inventory {each.name}")
                await self._write(context, bucket, each)
        if not (order.multi or order.renew):
            await self._remove_others(bucket, order.name or context.job_id)

    async def _write(self, context: JobContext, bucket: Bucket, order: InventoryOrder) -> None:
        facts = InventoryFacts(
            name=order.name,
            bucket_id=bucket.bucket_id,
            source=source_of(bucket),
            prefix=order.prefix,
            props=order.props,
            names_per_chunk=order.names_per_chunk,
            refresh_s=order.refresh_s,
            job_id=context.job_id,
            started_ns=self._clock.now_ns(),
        )
        home = await self._service.ensure_system_bucket(INVENTORY_BUCKET)
        attributes = ObjectAttributes(
            headers={"content-type": "application/octet-stream"}, owner_id=home.owner.user_id
        )
        conditions = NO_CONDITIONS if order.force else Conditions(if_none_match=("*",))
        await self._service.put(
            home,
            inventory_key(bucket.ref, order.name),
            _Snapshot(context, self._service, bucket, facts, self._clock),
            attributes=attributes,
            conditions=conditions,
        )

    async def _remove_others(self, bucket: Bucket, name: str) -> None:
        home = await self._service.ensure_system_bucket(INVENTORY_BUCKET)
        for each in await self._inventories.find(bucket):
            if each.facts.name != name:
                await self._service.delete(home, each.key)


def _orders(
    order: InventoryOrder, found: Sequence[InventoryFacts], job_id: str
) -> Sequence[InventoryOrder]:
    """What is to be made, each with its name."""
    if not order.renew:
        return [replace(order, name=order.name or job_id)]
    wanted = [facts for facts in found if order.prefix in ("", facts.prefix)]
    new = replace(order, name=job_id, force=True, multi=True)
    return [InventoryOrder.again(facts) for facts in wanted] or [new]


class _Progress(Protocol):
    """What writing an inventory asks of a JobContext."""

    def count(self, *, objects: int = 0, size_bytes: int = 0) -> None: ...
    async def throttle(self, operations: int = 1) -> None: ...
    async def pause(self, seconds: float) -> None: ...


@dataclass(slots=True)
class _Snapshot:
    """A BodyStream: the inventory's bytes, as the listing comes."""

    context: _Progress
    store: Listed
    bucket: Bucket
    facts: InventoryFacts
    clock: Clock
    size_bytes: int | None = None
    wanted_checksum: ChecksumAlgorithm | None = None
    _places: list[ChunkPlace] = field(default_factory=list)
    _written_bytes: int = 0

    def expected_digests(self) -> Sequence[ExpectedDigest]:
        """See BodyStream."""
        return ()

    def expected_algorithms(self) -> Sequence[str]:
        """See BodyStream."""
        return ()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        waiting: list[ObjectInfo] = []
        raw_bytes = count = 0
        async for page in self._pages():
            for info in page.entries:
                waiting.append(info)
                raw_bytes += raw_bytes_of(info)
                if len(waiting) >= self._most_names() or raw_bytes >= MAX_RAW_BYTES:
                    yield await self._chunk(waiting)
                    waiting, raw_bytes = [], 0
            count += len(page.entries)
            sizes = sum(info.size_bytes for info in page.entries)
            self.context.count(objects=len(page.entries), size_bytes=sizes)
        if waiting:
            yield await self._chunk(waiting)
        facts = replace(self.facts, finished_ns=self.clock.now_ns(), count=count)
        yield await asyncio.to_thread(encode_end_sync, facts, self._places)

    async def _pages(self) -> AsyncIterator[ListPage]:
        after = ""
        while True:
            await self.context.throttle()
            page = await self._page(ListQuery(self.facts.prefix, after=after, limit=_PAGE))
            yield page
            if not page.is_truncated:
                return
            after = page.next_after

    async def _page(self, query: ListQuery) -> ListPage:
        """A backend that is away for a moment does not cost what was listed before."""
        for tries in range(1, _TRIES):
            try:
                return await self.store.list_objects(self.bucket, query)
            except Unavailable as error:
                await self.context.pause(max(error.fields.get("retry_after_s") or 0, 2**tries / 2))
        return await self.store.list_objects(self.bucket, query)

    async def _chunk(self, entries: Sequence[ObjectInfo]) -> bytes:
        raw = await asyncio.to_thread(encode_chunk_sync, entries)
        self._places.append(
            ChunkPlace(entries[0].key, entries[-1].key, self._written_bytes, len(raw), len(entries))
        )
        self._written_bytes += len(raw)
        return raw

    def _most_names(self) -> int:
        doublings = min(len(self._places) // _MOST_CHUNKS, 20)
        return min(self.facts.names_per_chunk << doublings, MAX_NAMES)
