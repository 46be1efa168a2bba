"""Owns Run: the reading of some items of a batch from one mountpath, by its index, its blobs, and open shards."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence

import xxhash

from core.batches import BatchItem, ItemData, Outcome
from core.errors import Corrupt, InvalidRange, NoSuchKey
from core.names import ObjectKey
from core.shards import Located, Member, NoSuchMember
from core.types import ObjectInfo
from storage.index import FIND_MANY, find_many_with_data
from storage.layout import Layout
from storage.reader import log_corrupt
from storage.records import FileSegment, InlineSegment, Segment, decode_plain

MAX_RUN_OBJECT_BYTES = 512 * 1024
"""Larger objects are not read in runs, as a run is held in memory whole."""


def cut(item: BatchItem, whole: ItemData) -> Outcome:
    """What an item wants of the whole object."""
    try:
        first, length = item.reach(len(whole.data))
    except InvalidRange as error:
        return error
    return ItemData(whole.data[first : first + length], whole.modified_ns)


class Run:
    """Reads items of one mountpath and puts down their outcomes, until there is no room for more."""

    def __init__(
        self, layout: Layout, items: Sequence[BatchItem], outcomes: list[Outcome], room: int
    ) -> None:
        self.blobs: list[tuple[int, int, FileSegment]] = []
        self.plain: list[tuple[tuple[int, ObjectKey], ItemData]] = []
        self._layout = layout
        self._items = items
        self._outcomes = outcomes
        self._room = room

    def find_all(self, connection: sqlite3.Connection, numbers: Sequence[int]) -> None:
        """`find`, any number."""
        for start in range(0, len(numbers), FIND_MANY):
            self.find(connection, numbers[start : start + FIND_MANY])

    def find(self, connection: sqlite3.Connection, numbers: Sequence[int]) -> None:
        """Look up to FIND_MANY objects up; those that lie in blobs are for `read_blobs`."""
        if self._room <= 0:
            return
        items = self._items
        names = [(items[number].bucket.bucket_id, items[number].key.encode()) for number in numbers]
        for number, row in zip(numbers, find_many_with_data(connection, names), strict=True):
            item = items[number]
            if row is None:
                if item.bucket.props.backend is None:
                    self._outcomes[number] = NoSuchKey(key=item.key)
                continue
            try:
                plain = decode_plain(row[0], item.key)
            except Corrupt as error:
                self._outcomes[number] = error
                continue
            if plain is None:
                continue
            modified_ns, segment, _ = plain
            if isinstance(segment, FileSegment):
                self.blobs.append((number, modified_ns, segment))
            elif row[1] is not None:
                self._put_down(number, modified_ns, segment, row[1])

    def _put_down(self, number: int, modified_ns: int, segment: Segment, data: bytes) -> None:
        item = self._items[number]
        if xxhash.xxh3_64_intdigest(data) != segment.checksum:
            self._outcomes[number] = log_corrupt("bytes read for a batch", item.key)
            return
        self._room -= len(data)
        whole = ItemData(data, modified_ns)
        if item.first or item.length:
            self._outcomes[number] = cut(item, whole)
            return
        self._outcomes[number] = whole
        if isinstance(segment, InlineSegment):
            self.plain.append(((item.bucket.bucket_id, item.key), whole))

    def read_blobs(self) -> None:
        """Read what `find` found to lie in blobs, unless it is large, or gone as its object was replaced (who opens
        that alone looks again)."""
        for number, modified_ns, segment in self.blobs:
            if segment.size_bytes > min(MAX_RUN_OBJECT_BYTES, self._room):
                continue
            fd = self._open(segment)
            if fd is None:
                continue
            try:
                data = os.pread(fd, segment.size_bytes, 0)
            finally:
                os.close(fd)
            # A file that is shorter than its record has another checksum too.
            self._put_down(number, modified_ns, segment, data)

    def _open(self, segment: FileSegment) -> int | None:
        try:
            return os.open(self._layout.blob(segment.blob_id), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None

    def read_members(
        self, connection: sqlite3.Connection, numbers: Sequence[int], located: Located
    ) -> None:
        """Read members of one shard, unless it was replaced since they were located, is encrypted or made of parts."""
        first, info = self._items[numbers[0]], located.info
        (row,) = find_many_with_data(connection, [(first.bucket.bucket_id, first.key.encode())])
        plain = None if row is None else decode_plain(row[0], first.key)
        if row is None or plain is None or (plain[0], plain[2]) != (info.modified_ns, info.etag):
            return
        segment = plain[1]
        shard: bytes | int | None = row[1]
        if isinstance(segment, FileSegment):
            shard = self._open(segment)
        elif shard is not None and xxhash.xxh3_64_intdigest(row[1] or b"") != segment.checksum:
            raise log_corrupt("bytes read for a batch", first.key)
        if shard is None:
            return
        try:
            for number, member in zip(numbers, located.members, strict=True):
                self._outcomes[number] = self._slice(self._items[number], member, info, shard)
        finally:
            if isinstance(shard, int):
                os.close(shard)

    def _slice(
        self, item: BatchItem, member: Member | None, info: ObjectInfo, shard: bytes | int
    ) -> Outcome:
        """A member's bytes, of the shard's or its open file's."""
        if member is None:
            return NoSuchMember(key=item.key, member=item.member)
        if member.offset is None:
            return None
        try:
            first, length = item.reach(member.size_bytes)
        except InvalidRange as error:
            return error
        if length > min(MAX_RUN_OBJECT_BYTES, self._room):
            return None
        start = member.offset + first
        if isinstance(shard, int):
            data = os.pread(shard, length, start)
        else:
            data = shard[start : start + length]
        if len(data) != length:
            return log_corrupt("shard shorter than its members", item.key)
        self._room -= length
        return ItemData(data, info.modified_ns)
