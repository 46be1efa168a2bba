"""Owns the reading of ZIP archives: the walk over the central directory, and what a member's bytes are.

The directory is read in windows and never held whole, so that a million members cost no memory. Its claims are held
against each other, against the local headers and against the bytes that come out; what does not fit is BadArchive.
"""

from __future__ import annotations

import datetime
import stat
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from core.shards import Member, member_path
from storage.shards.limits import ShardLimits
from storage.shards.source import Readable
from storage.shards.tar import BadArchive

_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64 = struct.Struct("<4sLQL")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_MAX_COMMENT_BYTES = 65535
_WINDOW_BYTES = 64 * 1024
_BLOCK_BYTES = 256 * 1024
_ALL_ONES = 0xFFFFFFFF
_IS_ENCRYPTED = 0x0041
_IS_UTF8 = 0x0800
_UNIX = 3
_EPOCH = datetime.datetime(1970, 1, 1)
STORED = 0
DEFLATED = 8


@dataclass(frozen=True, slots=True)
class ZipMember(Member):
    """What the central directory says of a member. `offset` is not known before its local header is read."""

    name: bytes = b""
    header_at: int = 0
    packed_bytes: int = 0
    method: int = STORED
    crc: int = 0
    is_encrypted: bool = False


@dataclass(frozen=True, slots=True)
class Directory:
    """Where the central directory lies. `shift` is added to the offsets in it: something was put before the archive."""

    at: int
    size_bytes: int
    count: int
    shift: int


class ZipWalk:
    """Iterates over the central directory: a ZipMember for each member, None for each entry that is none."""

    def __init__(self, source: Readable, size_bytes: int, limits: ShardLimits) -> None:
        self._source = source
        self._size_bytes = size_bytes
        self._limits = limits
        self._window = b""
        self._window_at = 0

    def __iter__(self) -> Iterator[Member | None]:
        directory = find_directory(self._source, self._size_bytes)
        if directory.count > self._limits.max_members:
            raise BadArchive(f"more than {self._limits.max_members} entries")
        at, packed_bytes = directory.at, 0
        end = at + directory.size_bytes
        for _ in range(directory.count):
            fields = _ENTRY.unpack(self._take(at, _ENTRY.size, end))
            if fields[0] != b"PK\1\2":
                raise BadArchive(f"no directory entry at byte {at}")
            sizes = fields[10:13]
            rest = self._take(at + _ENTRY.size, sum(sizes), end)
            at += _ENTRY.size + sum(sizes)
            member = _member(fields, rest, directory)
            if member is not None:
                # Entries that share bytes unpack to more than an honest archive of this size could hold.
                packed_bytes += member.packed_bytes + _LOCAL.size + len(member.name)
                if packed_bytes > directory.at:
                    raise BadArchive("its entries overlap")
                self._check_place(member, directory)
            yield member if member is not None and member.path else None

    def _check_place(self, member: ZipMember, directory: Directory) -> None:
        if member.header_at + _LOCAL.size + member.packed_bytes > directory.at:
            raise BadArchive(f"the entry at byte {member.header_at} reaches past the entries")
        if self._limits.refuses(member.size_bytes, member.packed_bytes):
            raise BadArchive(
                f"{member.packed_bytes} bytes of it unpack to {member.size_bytes} bytes"
            )

    def _take(self, at: int, count: int, end: int) -> bytes:
        if at + count > end:
            raise BadArchive("its directory is cut short")
        within = at - self._window_at
        if within + count > len(self._window):
            self._window = self._source.read_at(at, max(_WINDOW_BYTES, count))
            self._window_at, within = at, 0
        return self._window[within : within + count]


def find_directory(source: Readable, size_bytes: int) -> Directory:
    """By the record at the archive's end."""
    tail_at = max(0, size_bytes - _END.size - _MAX_COMMENT_BYTES)
    tail = source.read_at(tail_at, size_bytes - tail_at)
    place = len(tail)
    while True:
        place = tail.rfind(b"PK\5\6", 0, place)
        if place < 0:
            raise BadArchive("it has no end of a ZIP directory")
        if len(tail) - place < _END.size:
            continue
        end = _END.unpack_from(tail, place)
        # What follows is the comment, of the length that is said; else these are the bytes of something else.
        if place + _END.size + end[7] == len(tail):
            break
    _, disk, directory_disk, count_here, count, directory_bytes, directory_at, _ = end
    end_at = tail_at + place
    wide = _find_wide_end(source, end_at)
    if wide is not None:
        end_at -= _LOCATOR_64.size + _END_64.size
        _, _, _, _, disk, directory_disk, count_here, count, directory_bytes, directory_at = wide
    if disk or directory_disk or count_here != count:
        raise BadArchive("it is split over several disks")
    at = end_at - directory_bytes
    shift = at - directory_at
    if at < 0 or shift < 0 or count * _ENTRY.size > directory_bytes:
        raise BadArchive("its directory cannot be where it says")
    return Directory(at, directory_bytes, count, shift)


def _find_wide_end(source: Readable, end_at: int) -> tuple[int, ...] | None:
    """The end record of ZIP64, if there is one."""
    wide_at = end_at - _LOCATOR_64.size - _END_64.size
    if wide_at < 0:
        return None
    raw = source.read_at(wide_at, _LOCATOR_64.size + _END_64.size)
    if raw[_END_64.size : _END_64.size + 4] != b"PK\6\7" or raw[:4] != b"PK\6\6":
        return None
    return _END_64.unpack_from(raw)


def _member(fields: tuple[int, ...], rest: bytes, directory: Directory) -> ZipMember | None:
    """The member of a directory entry, with an empty path if it can have none; None for what is no file."""
    (_, made_by, _, flags, method, at_time, at_date, crc, packed, size) = fields[:10]
    name_bytes, extra_bytes, _, _, _, mode, header_at = fields[10:]
    name = rest[:name_bytes]
    extra = rest[name_bytes : name_bytes + extra_bytes]
    if _ALL_ONES in (packed, size, header_at):
        size, packed, header_at = _wide_fields(extra, (size, packed, header_at))
    if name.endswith(b"/"):
        return None
    if made_by >> 8 == _UNIX and stat.S_IFMT(mode >> 16) not in (0, stat.S_IFREG):
        return None
    text = name.decode("utf-8", "backslashreplace") if flags & _IS_UTF8 else name.decode("cp437")
    return ZipMember(
        member_path(text) or "",
        size,
        None,
        _modified_ns(at_date, at_time),
        name,
        header_at + directory.shift,
        packed,
        method,
        crc,
        bool(flags & _IS_ENCRYPTED),
    )


def _wide_fields(extra: bytes, fields: tuple[int, int, int]) -> list[int]:
    """Those of the fields that did not fit into 32 bits, from the extra field of ZIP64."""
    place = 0
    while place + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, place)
        if kind == 1:
            data = extra[place + 4 : place + 4 + length]
            wide, used = [], 0
            for field in fields:
                if field != _ALL_ONES:
                    wide.append(field)
                    continue
                if used + 8 > len(data):
                    raise BadArchive("an extra field of ZIP64 is cut short")
                wide.append(int.from_bytes(data[used : used + 8], "little"))
                used += 8
            return wide
        place += 4 + length
    return list(fields)


def _modified_ns(day: int, moment: int) -> int:
    """The time of an entry, which has no zone and is taken for UTC; 0 if it is none."""
    try:
        time = datetime.datetime(
            1980 + (day >> 9), day >> 5 & 15, day & 31, moment >> 11, moment >> 5 & 63
        )
    except ValueError:
        return 0
    since = time - _EPOCH
    return (since.days * 86_400 + since.seconds + (moment & 31) * 2) * 1_000_000_000


# --- members' bytes ----------------------------------------------------------------------------------------------


def data_offset(source: Readable, member: ZipMember) -> int:
    """Where a member's bytes begin, packed or not, by its local header, which must be of the same member."""
    if member.is_encrypted:
        raise BadArchive(f"{member.path!r} is encrypted")
    if member.method not in (STORED, DEFLATED):
        raise BadArchive(
            f"{member.path!r} is compressed by method {member.method}, which is unknown"
        )
    if member.method == STORED and member.size_bytes != member.packed_bytes:
        raise BadArchive(f"{member.path!r} has two sizes")
    raw = source.read_at(member.header_at, _LOCAL.size + len(member.name))
    if len(raw) < _LOCAL.size + len(member.name):
        raise BadArchive(f"it ends within the header of {member.path!r}")
    signature, _, _, method, *_, name_bytes, extra_bytes = _LOCAL.unpack_from(raw)
    if signature != b"PK\3\4" or method != member.method:
        raise BadArchive(f"no header of {member.path!r} at byte {member.header_at}")
    if name_bytes != len(member.name) or raw[_LOCAL.size :] != member.name:
        raise BadArchive(
            f"the header at byte {member.header_at} is of another than {member.path!r}"
        )
    at = member.header_at + _LOCAL.size + name_bytes + extra_bytes
    if not source.reaches(at + member.packed_bytes):
        raise BadArchive(f"it ends within {member.path!r}")
    return int(at)


def unpacked(source: Readable, member: ZipMember) -> Iterator[bytes]:
    """A member's bytes, in blocks; the last comes only if the whole has the checksum and size that it should."""
    at = data_offset(source, member)
    left, size_bytes, crc, held = member.packed_bytes, 0, 0, b""
    for block in _raw_blocks(source, at, left, member):
        size_bytes += len(block)
        if size_bytes > member.size_bytes:
            raise BadArchive(f"{member.path!r} is longer than it says")
        crc = zlib.crc32(block, crc)
        if held:
            yield held
        held = block
    if size_bytes != member.size_bytes or crc != member.crc:
        raise BadArchive(f"{member.path!r} has not the size and checksum that it says")
    if held:
        yield held


def _raw_blocks(source: Readable, at: int, left: int, member: ZipMember) -> Iterator[bytes]:
    if member.method == STORED:
        for place in range(at, at + left, _BLOCK_BYTES):
            yield source.read_at(place, min(_BLOCK_BYTES, at + left - place))
        return
    inner = zlib.decompressobj(-zlib.MAX_WBITS)
    while not inner.eof:
        data = inner.unconsumed_tail
        if not data:
            data = source.read_at(at, min(_BLOCK_BYTES // 4, left))
            at += len(data)
            left -= len(data)
        try:
            block = inner.decompress(data, _BLOCK_BYTES)
        except zlib.error as error:
            raise BadArchive(f"{member.path!r} is damaged ({error})") from None
        if not data and not block:
            raise BadArchive(f"{member.path!r} is cut short")
        if block:
            yield block
