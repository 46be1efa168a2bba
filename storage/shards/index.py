"""Owns the form of a shard's index: which members a shard has and where their bytes lie, to be searched as it is.

    magic | xxh3_64 of the rest || shard size, count, length of ETag, length of names | ETag, padded to 8
    | ends of names (u32), padded to 8 | data offsets (u64) | sizes (u64) | times, ns (i64) | names

Numbers are in the machine's byte order (an index of the other order fails its checksum). Names are paths of members
(core.shards.member_path) in byte order, each once. A look-up is a binary search over the raw bytes, so that an index
costs its checksum and every 32nd name when it is read, and nothing more. An index is of one content: what its shard's
record says must be what the index was made of.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left
from collections.abc import Iterator

import xxhash

from core.shards import Member
from core.types import ObjectInfo

MAX_MEMBERS = 2**20
MAX_NAMES_BYTES = 64 * 1024**2
MAX_INDEX_BYTES = MAX_NAMES_BYTES + MAX_MEMBERS * 28 + 4096

_PREAMBLE = struct.Struct("=8sQ")
_MAGIC = b"weirtar\x01"
_HEAD = struct.Struct("=QIIQ")
_MAX_ETAG_BYTES = 256
_WIDTH = 8
_FENCE_STEP = 32


class BadIndexError(Exception):
    """The bytes are no index, or a damaged one."""


class TooManyMembersError(Exception):
    """The shard has more members, or longer names, than an index takes."""


class IndexWriter:
    """Gathers members in the shard's order. Of those with the same path, the first counts."""

    def __init__(self) -> None:
        self._names: list[bytes] = []
        self._names_bytes = 0
        self._offsets = array("Q")
        self._sizes = array("Q")
        self._times = array("q")

    def add(self, member: Member) -> None:
        """Raises TooManyMembersError."""
        name = member.path.encode()
        self._names_bytes += len(name)
        if len(self._names) == MAX_MEMBERS or self._names_bytes > MAX_NAMES_BYTES:
            raise TooManyMembersError
        self._names.append(name)
        self._offsets.append(member.offset or 0)
        self._sizes.append(member.size_bytes)
        self._times.append(member.modified_ns)

    @property
    def count(self) -> int:
        """How many were added."""
        return len(self._names)

    def finish(self, etag: str, shard_bytes: int) -> bytes:
        """The index of a shard with this ETag and size."""
        names = self._names
        # Sorting is stable: of equal names the first stays in front.
        order = sorted(range(len(names)), key=names.__getitem__)
        kept = [
            here
            for place, here in enumerate(order)
            if not place or names[order[place - 1]] != names[here]
        ]
        ends, total = array("I"), 0
        for here in kept:
            total += len(names[here])
            ends.append(total)
        identity = etag.encode()
        pieces = [
            _HEAD.pack(shard_bytes, len(kept), len(identity), total),
            _padded(identity),
            _padded(ends.tobytes()),
        ]
        pieces += [
            array(column.typecode, [column[here] for here in kept]).tobytes()
            for column in (self._offsets, self._sizes, self._times)
        ]
        pieces += [names[here] for here in kept]
        payload = b"".join(pieces)
        return _PREAMBLE.pack(_MAGIC, xxhash.xxh3_64_intdigest(payload)) + payload


class ShardIndex:
    """An index as read. Whatever its bytes say, a look-up stays inside of them and of the shard."""

    __slots__ = (
        "_ends",
        "_fence",
        "_names",
        "_offsets",
        "_sizes",
        "_times",
        "count",
        "etag",
        "raw_bytes",
        "shard_bytes",
    )

    def __init__(self, raw: bytes) -> None:
        """Raises BadIndexError. Digests all of `raw`, so large ones belong in a thread."""
        view = memoryview(raw)
        at = _PREAMBLE.size + _HEAD.size
        if len(view) < at:
            raise BadIndexError("shorter than its head")
        magic, checksum = _PREAMBLE.unpack_from(view)
        if magic != _MAGIC:
            raise BadIndexError("of another format")
        if xxhash.xxh3_64_intdigest(view[_PREAMBLE.size :]) != checksum:
            raise BadIndexError("checksum")
        head = _HEAD.unpack_from(view, _PREAMBLE.size)
        self.shard_bytes, self.count, etag_length, names_length = head
        self.raw_bytes = len(raw)
        ends_at = at + _padded_length(etag_length)
        columns_at = ends_at + _padded_length(self.count * 4)
        width = self.count * _WIDTH
        names_at = columns_at + 3 * width
        if (
            etag_length > _MAX_ETAG_BYTES
            or self.count > MAX_MEMBERS
            or names_at + names_length != len(view)
        ):
            raise BadIndexError("lengths do not fit")
        self.etag = bytes(view[at : at + etag_length]).decode("latin-1")
        self._ends = view[ends_at : ends_at + self.count * 4].cast("I")
        self._offsets = view[columns_at : columns_at + width].cast("Q")
        self._sizes = view[columns_at + width : columns_at + 2 * width].cast("Q")
        self._times = view[columns_at + 2 * width : names_at].cast("q")
        self._names = view[names_at:]
        self._fence = [self._name(place) for place in range(0, self.count, _FENCE_STEP)]

    def is_of(self, info: ObjectInfo) -> bool:
        """Whether it was made of what the shard's record says now."""
        return self.etag == info.etag and self.shard_bytes == info.size_bytes

    def find(self, path: str) -> Member | None:
        """The member of that path. Raises BadIndexError for one that would lie outside of the shard."""
        name = path.encode(errors="replace")
        place = self._lower_bound(name)
        if place == self.count or self._name(place) != name:
            return None
        return self._member(place)

    def page(self, prefix: str, after: str, limit: int) -> tuple[list[Member], bool]:
        """Members in byte order of their paths: those with the prefix, after a path, up to `limit`; and whether there
        are more. Raises BadIndexError."""
        first, last = prefix.encode(errors="replace"), after.encode(errors="replace")
        place = self._lower_bound(max(first, last))
        if last and place < self.count and self._name(place) == last:
            place += 1
        found: list[Member] = []
        while place < self.count and self._name(place).startswith(first):
            if len(found) >= limit:
                return found, True
            found.append(self._member(place))
            place += 1
        return found, False

    def in_order(self) -> Iterator[Member]:
        """All members as they follow one another in the shard. Raises BadIndexError."""
        for place in sorted(range(self.count), key=self._offsets.__getitem__):
            yield self._member(place)

    def total_bytes(self) -> int:
        """The sizes of all members together."""
        return sum(self._sizes)

    def _lower_bound(self, name: bytes) -> int:
        # Among names that are objects already a step costs a twentieth of one among the raw bytes.
        last = bisect_left(self._fence, name) * _FENCE_STEP
        first = max(0, last - _FENCE_STEP)
        places = range(first, min(last, self.count))
        return first + bisect_left(places, name, key=self._name)

    def _name(self, place: int) -> bytes:
        return bytes(self._names[self._ends[place - 1] if place else 0 : self._ends[place]])

    def _member(self, place: int) -> Member:
        offset, size_bytes = self._offsets[place], self._sizes[place]
        if offset + size_bytes > self.shard_bytes:
            raise BadIndexError("a member outside of the shard")
        return Member(
            self._name(place).decode(errors="replace"), size_bytes, offset, self._times[place]
        )


def _padded_length(length: int) -> int:
    return (length + 7) & ~7


def _padded(raw: bytes) -> bytes:
    return raw.ljust(_padded_length(len(raw)), b"\0")
