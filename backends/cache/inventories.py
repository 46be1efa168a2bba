"""Owns the reading of inventories: their directories and the chunks used last are kept in memory, within a bound, and
a page is a slice of the chunks around its place. No backend is asked.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from core.errors import Corrupt, NoSuchInventory, NotFound, PreconditionFailed
from core.inventories import (
    INVENTORY_BUCKET,
    Inventory,
    InventoryFacts,
    home_of,
    inventory_key,
)
from core.inventory_format import (
    FOOTER_BYTES,
    Chunk,
    ChunkPlace,
    Directory,
    decode_directory_sync,
    directory_bytes,
)
from core.listing import Detail, ListQuery
from core.names import BucketRef, ObjectKey
from core.protocols import ObjectStore
from core.types import BoundedRange, Bucket, Conditions, ObjectInfo

MEMORY_BYTES = 64 * 1024**2
"""About what the chunks in memory take, all together."""

_DIRECTORIES = 16
_RUN_BYTES = 1024**2
_TRIES = 5

FindBucket = Callable[[BucketRef], Bucket | None]
_Id = tuple[ObjectKey, str, int]


@dataclass(slots=True)
class OpenInventory:
    """One state of an inventory: the object as it was found, and its directory. What names it is all that its bytes
    hang on."""

    info: ObjectInfo
    directory: Directory

    @property
    def facts(self) -> InventoryFacts:
        return self.directory.facts

    @property
    def id(self) -> _Id:
        return _id_of(self.info)


class StoredInventories:
    """Finds and reads inventories. One a process."""

    def __init__(
        self, store: ObjectStore, find_bucket: FindBucket, *, memory_bytes: int = MEMORY_BYTES
    ) -> None:
        self._store = store
        self._find_bucket = find_bucket
        self._directories: OrderedDict[_Id, Directory] = OrderedDict()
        self._chunks = _ChunkMemory(memory_bytes)
        self._loading: dict[tuple[_Id, int], asyncio.Task[Sequence[Chunk]]] = {}

    async def find(self, bucket: Bucket, name: str = "") -> Sequence[Inventory]:
        """See Inventories.find."""
        found = []
        for info in await self._stored(bucket, name):
            try:
                opened = await self._open(info)
            except (Corrupt, NotFound):
                continue
            if opened.facts.is_of(bucket):
                chunks = len(opened.directory.places)
                found.append(Inventory(info.key, info.size_bytes, chunks, opened.facts))
        return found

    async def open(self, bucket: Bucket, name: str, prefix: str) -> OpenInventory:
        """The inventory that a listing of `prefix` is to be answered from: the one of that name; without one, the
        newest that has all of the prefix, or the only one. Raises NoSuchInventory, Corrupt."""
        found = []
        for info in await self._stored(bucket, name):
            try:
                opened = await self._open(info)
            except NotFound:
                continue
            if opened.facts.is_of(bucket):
                found.append(opened)
        fitting = [each for each in found if prefix.startswith(each.facts.prefix)]
        if fitting:
            return max(fitting, key=lambda each: each.facts.finished_ns)
        if len(found) == 1:
            return found[0]
        raise NoSuchInventory(bucket=bucket.name, inventory=name)

    async def chunks(self, opened: OpenInventory, first: int, wanted: int) -> Sequence[Chunk]:
        """The chunks from the one of that number on that have `wanted` entries, or fewer. Raises Corrupt, and
        PreconditionFailed or NotFound if the inventory is another by now."""
        places = opened.directory.places
        found: list[Chunk] = []
        number = first
        while number < len(places) and wanted > 0:
            chunk = self._chunks.find((opened.id, number))
            if chunk is None:
                break
            found.append(chunk)
            wanted -= places[number].count
            number += 1
        if found or number >= len(places):
            return found
        # Once for all that want it at the same time.
        name = (opened.id, number)
        loading = self._loading.get(name)
        if loading is None:
            run = _run(places, number, wanted)
            loading = asyncio.create_task(self._read_run(opened, number, run))
            self._loading[name] = loading
            loading.add_done_callback(lambda task: self._loaded(name, task))
        return await asyncio.shield(loading)

    def _loaded(self, name: tuple[_Id, int], task: asyncio.Task[Sequence[Chunk]]) -> None:
        self._loading.pop(name, None)
        if not task.cancelled():
            task.exception()  # seen, though nobody may have waited to the end

    async def _read_run(
        self, opened: OpenInventory, first: int, run: Sequence[ChunkPlace]
    ) -> Sequence[Chunk]:
        begin, end = run[0].offset, run[-1].offset + run[-1].size_bytes
        raw = await self._read(opened.info, begin, end)

        def decode() -> list[Chunk]:
            found = []
            for place in run:
                at = place.offset - begin
                chunk = Chunk(raw[at : at + place.size_bytes])
                if len(chunk.names) != place.count or len(chunk.sizes) != place.count:
                    raise Corrupt(what="chunk of an inventory", where=opened.info.key)
                found.append(chunk)
            return found

        chunks = await asyncio.to_thread(decode)
        for number, chunk in enumerate(chunks, first):
            self._chunks.keep((opened.id, number), chunk)
        return chunks

    async def _stored(self, bucket: Bucket, name: str) -> Sequence[ObjectInfo]:
        """The objects that are inventories of a bucket, or the one of that name."""
        home = self._find_bucket(INVENTORY_BUCKET)
        if home is None:
            return ()
        if name:
            try:
                return [await self._store.head(home, inventory_key(bucket.ref, name))]
            except NotFound:
                return ()
        query = ListQuery(home_of(bucket.ref), detail=Detail.SUMMARY)
        page = await self._store.list_objects(home, query)
        return page.entries

    async def _open(self, info: ObjectInfo) -> OpenInventory:
        directory = self._directories.get(_id_of(info))
        if directory is None:
            directory = await self._read_directory(info)
            self._directories[_id_of(info)] = directory
            while len(self._directories) > _DIRECTORIES:
                self._directories.popitem(last=False)
        else:
            self._directories.move_to_end(_id_of(info))
        return OpenInventory(info, directory)

    async def _read_directory(self, info: ObjectInfo) -> Directory:
        size_bytes = info.size_bytes
        if size_bytes < FOOTER_BYTES:
            raise Corrupt(what="inventory", where=info.key)
        try:
            footer = await self._read(info, size_bytes - FOOTER_BYTES, size_bytes)
            length = directory_bytes(footer, size_bytes)
            end = size_bytes - FOOTER_BYTES
            raw = await self._read(info, end - length, end)
        except PreconditionFailed:
            raise NotFound(key=info.key) from None  # replaced since it was listed
        return await asyncio.to_thread(decode_directory_sync, raw)

    async def _read(self, info: ObjectInfo, begin: int, end: int) -> bytes:
        home = self._find_bucket(INVENTORY_BUCKET)
        if home is None:
            raise NotFound(key=info.key)
        reader = await self._store.get(
            home,
            info.key,
            byte_range=BoundedRange(begin, end - 1),
            conditions=Conditions(if_match=(info.etag,)),
        )
        try:
            data = reader.data
            if data is None:
                data = b"".join([piece async for piece in reader])
        finally:
            await reader.close()
        if len(data) != end - begin:
            raise Corrupt(what="inventory", where=info.key)
        return data


@dataclass(slots=True)
class _ChunkMemory:
    """The chunks used last. The newest is kept whatever its size."""

    max_bytes: int
    _bytes: int = 0
    _kept: OrderedDict[tuple[_Id, int], Chunk] = field(default_factory=OrderedDict)

    def find(self, name: tuple[_Id, int]) -> Chunk | None:
        kept = self._kept.get(name)
        if kept is not None:
            self._kept.move_to_end(name)
        return kept

    def keep(self, name: tuple[_Id, int], chunk: Chunk) -> None:
        replaced = self._kept.pop(name, None)
        self._bytes += chunk.cost_bytes - (0 if replaced is None else replaced.cost_bytes)
        self._kept[name] = chunk
        while self._bytes > self.max_bytes and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._bytes -= dropped.cost_bytes


def _run(places: Sequence[ChunkPlace], first: int, wanted: int) -> Sequence[ChunkPlace]:
    """Chunks to be read at once: as many as are wanted, up to a size."""
    last, size_bytes = first, 0
    while last < len(places) and wanted > 0 and size_bytes < _RUN_BYTES:
        wanted -= places[last].count
        size_bytes += places[last].size_bytes
        last += 1
    return places[first:last]


def _id_of(info: ObjectInfo) -> _Id:
    return info.key, info.etag, info.modified_ns
