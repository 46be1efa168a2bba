"""Owns the bytes of an inventory: chunks of entries in the order of their keys, then a directory of the chunks, then
where the directory is.

    chunk ...  chunk  directory  footer (magic, length of the directory)

A chunk is an array of columns, each packed and compressed by itself, so that whoever wants names and sizes leaves the
rest as it is. The directory has each chunk's first and last key, place and length: a page anywhere is a binary search
away. The
functions are pure, and want a thread where there is much.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any

import lz4.block
import msgpack

from core.errors import Corrupt
from core.inventories import InventoryFacts
from core.types import ObjectInfo

_MAGIC = b"WEIRINV1"
_FOOTER = struct.Struct(">8sQ")
FOOTER_BYTES = _FOOTER.size
MAX_DIRECTORY_BYTES = 256 * 1024**2
MAX_RAW_BYTES = 4 * 1024**2
"""A chunk ends with so many bytes of entries, however few names that is."""

MD5_IS_ETAG = b"="
_COLUMNS = 3
_UNPACKED_LIMIT = 64 * 1024**2


@dataclass(frozen=True, slots=True)
class ChunkPlace:
    """A chunk in the file: the first and last key it has, where it is, and how many entries it has."""

    first: str
    last: str
    offset: int
    size_bytes: int
    count: int


@dataclass(frozen=True, slots=True)
class Directory:
    """What stands behind the chunks. `lasts`: the last keys of all, for binary search."""

    facts: InventoryFacts
    places: Sequence[ChunkPlace]
    lasts: Sequence[str]


@dataclass(frozen=True, slots=True)
class Details:
    """What of an entry is neither name nor size: as clients see it (`etag`, empty where it is the backend's own), and
    as the backend says it. An MD5 may be MD5_IS_ETAG. Columns."""

    etags: Sequence[str]
    modified_ns: Sequence[int]
    classes: Sequence[str]
    remote_etags: Sequence[str]
    version_ids: Sequence[str]
    md5s: Sequence[bytes]


class Chunk:
    """A chunk's columns, unpacked as they are wanted. `cost_bytes`: about what they take in memory, all of them."""

    def __init__(self, raw: bytes) -> None:
        """Raises Corrupt."""
        columns = _unpacked(raw)
        if not isinstance(columns, list) or len(columns) != _COLUMNS:
            raise _corrupt("chunk")
        self._columns = columns
        self.cost_bytes = 4 * sum(int.from_bytes(each[:4], "little") for each in columns)

    @cached_property
    def names(self) -> list[str]:
        """In order. Raises Corrupt."""
        names: list[str] = _expanded(self._columns[0])
        return names

    @cached_property
    def sizes(self) -> list[int]:
        """Raises Corrupt."""
        sizes: list[int] = _expanded(self._columns[1])
        return sizes

    @cached_property
    def details(self) -> Details:
        """Raises Corrupt."""
        columns = _expanded(self._columns[2])
        if len(columns) != len(fields(Details)):
            raise _corrupt("chunk")
        return Details(*columns)


def encode_chunk_sync(entries: Sequence[ObjectInfo]) -> bytes:
    """The bytes of a chunk of entries as a backend listed them."""
    remotes = [each.remote for each in entries]
    theirs = ["" if remote is None else remote.etag for remote in remotes]
    details = [
        [
            "" if each.etag == their else each.etag
            for each, their in zip(entries, theirs, strict=True)
        ],
        [each.modified_ns for each in entries],
        [each.attributes.storage_class for each in entries],
        theirs,
        ["" if remote is None else remote.version_id for remote in remotes],
        [_md5_beside(each) for each in entries],
    ]
    columns = ([each.key for each in entries], [each.size_bytes for each in entries], details)
    packed: bytes = msgpack.packb([lz4.block.compress(msgpack.packb(each)) for each in columns])
    return packed


def encode_end_sync(facts: InventoryFacts, places: Sequence[ChunkPlace]) -> bytes:
    """What follows the last chunk."""
    columns = [
        [place.first for place in places],
        [place.last for place in places],
        [place.size_bytes for place in places],
        [place.count for place in places],
    ]
    directory = lz4.block.compress(msgpack.packb([asdict(facts), columns]))
    return bytes(directory) + _FOOTER.pack(_MAGIC, len(directory))


def directory_bytes(footer: bytes, size_bytes: int) -> int:
    """How long the directory before the footer is, in a file of that size. Raises Corrupt."""
    if len(footer) != FOOTER_BYTES:
        raise _corrupt("footer")
    magic, length = _FOOTER.unpack(footer)
    if magic != _MAGIC or length > min(size_bytes - FOOTER_BYTES, MAX_DIRECTORY_BYTES):
        raise _corrupt("footer")
    return int(length)


def decode_directory_sync(raw: bytes) -> Directory:
    """Raises Corrupt."""
    content = _expanded(raw, MAX_DIRECTORY_BYTES)
    try:
        said, (firsts, lasts, sizes, counts) = content
        known = {each.name for each in fields(InventoryFacts)}
        facts = InventoryFacts(**{name: said[name] for name in said if name in known})
        places, offset = [], 0
        for first, last, size_bytes, count in zip(firsts, lasts, sizes, counts, strict=True):
            places.append(ChunkPlace(first, last, offset, size_bytes, count))
            offset += size_bytes
    except (TypeError, ValueError, KeyError) as error:
        raise _corrupt("directory") from error
    return Directory(facts, places, lasts)


def raw_bytes_of(info: ObjectInfo) -> int:
    """About what an entry adds to a chunk."""
    return len(info.key) + len(info.etag) + 64


def _md5_beside(info: ObjectInfo) -> bytes:
    """An entry's MD5, or word that its ETag is that."""
    if info.remote is None or not info.remote.md5:
        return b""
    return MD5_IS_ETAG if info.remote.md5.hex() == info.etag else info.remote.md5


def _expanded(column: bytes, most: int = _UNPACKED_LIMIT) -> Any:
    if len(column) < 4 or int.from_bytes(column[:4], "little") > most:
        raise _corrupt("chunk")
    try:
        return _unpacked(lz4.block.decompress(column))
    except lz4.block.LZ4BlockError as error:
        raise _corrupt("chunk") from error


def _unpacked(raw: bytes) -> Any:
    try:
        return msgpack.unpackb(raw)
    except (ValueError, msgpack.UnpackException) as error:
        raise _corrupt("chunk") from error


def _corrupt(what: str) -> Corrupt:
    return Corrupt(what=f"{what} of an inventory", where="")
