"""Owns LocalBatchSender: core.batches.BatchSender over this machine's mountpaths.

A run of small objects costs one trip to a thread for each mountpath, one statement for 16 of them and a decoding of
what of a record their bytes need; that is a tenth of what as many single reads cost.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Sequence

import xxhash

from core.batches import BatchItem, ItemData, Outcome
from core.errors import Corrupt, InvalidRange, NoSuchKey
from core.protocols import ObjectReader, ObjectStore
from core.shards import Shards
from storage.index import FIND_MANY, find_many
from storage.layout import Layout
from storage.mountpath import Mountpath
from storage.mountpaths import Mountpaths
from storage.reader import log_corrupt
from storage.records import InlineSegment, Segment, decode_plain

MAX_RUN_OBJECT_BYTES = 512 * 1024
"""Larger objects are not read in runs, as a run is held in memory whole."""


class LocalBatchSender:
    """For one event loop, as its mountpaths are."""

    def __init__(self, mountpaths: Mountpaths, store: ObjectStore, shards: Shards) -> None:
        self._mountpaths = mountpaths
        self._store = store
        self._shards = shards

    async def read(self, items: Sequence[BatchItem], max_bytes: int) -> Sequence[Outcome]:
        shares: dict[Mountpath, list[int]] = {}
        for number, item in enumerate(items):
            if not item.member:
                owner = self._mountpaths.owner(item.bucket, item.key)
                shares.setdefault(owner, []).append(number)
        outcomes: list[Outcome] = [None] * len(items)

        async def read_share(mountpath: Mountpath, share: list[int]) -> None:
            opened = mountpath.opened()
            wanted = [items[number] for number in share]
            room = max_bytes // len(shares)

            def run() -> list[Outcome]:
                return _Run(opened.thread_connection(), opened.layout, room).read(wanted)

            for number, outcome in zip(share, await mountpath.run(run), strict=True):
                outcomes[number] = outcome

        if len(shares) == 1:
            await read_share(*next(iter(shares.items())))
        else:
            await asyncio.gather(*(read_share(*share) for share in shares.items()))
        return outcomes

    async def open(self, item: BatchItem) -> ObjectReader:
        byte_range = item.byte_range
        if item.member:
            reader = await self._shards.open_member(
                item.bucket, item.key, item.member, byte_range=byte_range
            )
        else:
            reader = await self._store.get(item.bucket, item.key, byte_range=byte_range)
        try:
            item.reach(reader.info.size_bytes)
        except BaseException:
            await reader.close()
            raise
        return reader


class _Run:
    """Reads objects of one mountpath, in one of its threads, until there is no room for more."""

    def __init__(self, connection: sqlite3.Connection, layout: Layout, room: int) -> None:
        self._connection = connection
        self._layout = layout
        self._room = room

    def read(self, items: Sequence[BatchItem]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for start in range(0, len(items), FIND_MANY):
            if self._room <= 0:
                break
            group = items[start : start + FIND_MANY]
            names = [(item.bucket.bucket_id, item.key.encode()) for item in group]
            for item, row in zip(group, find_many(self._connection, names), strict=True):
                outcomes.append(self._outcome(item, row))
        return outcomes + [None] * (len(items) - len(outcomes))

    def _outcome(self, item: BatchItem, row: tuple[bytes, bytes | None] | None) -> Outcome:
        if row is None:
            return NoSuchKey(key=item.key)
        try:
            plain = decode_plain(row[0], item.key)
            if plain is None:
                return None
            modified_ns, segment = plain
            data = row[1] if isinstance(segment, InlineSegment) else self._read_blob(segment)
            if data is None:
                return None
            if xxhash.xxh3_64_intdigest(data) != segment.checksum:
                return log_corrupt("bytes read for a batch", item.key)
            if item.first or item.length:
                first, length = item.reach(len(data))
                data = data[first : first + length]
        except (Corrupt, InvalidRange) as error:
            return error
        self._room -= len(data)
        return ItemData(data, modified_ns)

    def _read_blob(self, segment: Segment) -> bytes | None:
        """A whole blob; None if it is large, or gone as its object was replaced (who opens it alone looks again)."""
        assert not isinstance(segment, InlineSegment)
        if segment.size_bytes > MAX_RUN_OBJECT_BYTES or segment.size_bytes > self._room:
            return None
        try:
            fd = os.open(self._layout.blob(segment.blob_id), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            data = os.pread(fd, segment.size_bytes, 0)
        finally:
            os.close(fd)
        # A file that is shorter than its record has another checksum too.
        return data
