"""Owns the walk over the headers of TAR archives: USTAR, GNU and PAX. Data are passed over unread.

Members are regular files of usable names (core.shards.member_path). Everything else is passed over: directories, links,
devices, sparse files (their bytes do not lie in the archive as they are). What contradicts itself is BadArchive.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from core.shards import Member, member_path
from storage.shards.limits import ShardLimits
from storage.shards.source import Readable

BLOCK_BYTES = 512
ZEROS = bytes(BLOCK_BYTES)

# Read at once where headers lie close together, and where they do not.
_NEAR_BYTES = 32 * 1024
_FAR_BYTES = BLOCK_BYTES
_MAX_DESCRIPTIONS = 8
# Of unpacked bytes, between two steps of the walk.
_PASSED_BYTES = 1024**2
_MAX_SIZE = 2**62
_BLANKS = b" " * 8
_MAX_SUM = 512 * 255 + 1
_ADLER_BASE = 65_521

_REGULAR = frozenset(b"0\x007")
_WITHOUT_DATA = frozenset(b"123456")
_PAX = frozenset(b"xX")
_PAX_GLOBAL = ord("g")
_LONG_NAME = ord("L")
_LONG_LINK = ord("K")
_GNU_SPARSE = ord("S")
_OLD_REGULAR = 0
_TIME = re.compile(rb"(-?[0-9]{1,12})(?:\.([0-9]{0,30}))?")


class BadArchive(Exception):
    """The archive contradicts itself or a limit. Its text says how, for the client."""


@dataclass(frozen=True, slots=True)
class TarEnd:
    """Where an archive's last member ends, with its padding: the end mark, or nothing, follows."""

    offset: int


@dataclass(slots=True)
class _Header:
    name: bytes
    size_bytes: int
    modified_s: int
    kind: int


@dataclass(slots=True)
class _Described:
    """What the headers before an entry's own say of it."""

    name: bytes | None = None
    size_bytes: int | None = None
    modified_ns: int | None = None
    is_sparse: bool = False
    count: int = 0


class TarWalk:
    """Iterates over an archive: a Member for each, None for each entry that is none. `end` is set after the last.

    One that goes over forward-only bytes must have a member's bytes read, if at all, before the next step.
    """

    def __init__(self, source: Readable, limits: ShardLimits) -> None:
        self.end: TarEnd | None = None
        self._source = source
        self._limits = limits
        self._window = b""
        self._window_at = 0
        self._last_at = 0

    def __iter__(self) -> Iterator[Member | None]:
        at, entries = 0, 0
        described = _Described()
        while True:
            block = self._block(at)
            if not block or block == ZEROS:
                self._finish(at, described)
                return
            header = _parse(block, at)
            at += BLOCK_BYTES
            entries += 1
            if entries > self._limits.max_members:
                raise BadArchive(f"more than {self._limits.max_members} entries")
            if header.kind in _PAX or header.kind in (_PAX_GLOBAL, _LONG_NAME, _LONG_LINK):
                self._describe(header, at, described)
                at = _padded(at + header.size_bytes)
                yield None
                continue
            if header.kind == _GNU_SPARSE:
                at = self._pass_sparse_map(block, at)
            member, size_bytes = _entry(header, described, at)
            yield from self._emit(member, at, at + size_bytes)
            at = _padded(at + size_bytes)
            described = _Described()

    def _emit(self, member: Member | None, at: int, end: int) -> Iterator[Member | None]:
        """What is cut short is never handed out as whole; of forward-only bytes that is seen only behind them, step by
        step."""
        if self._source.is_forward_only:
            yield member
            for place in range(at + _PASSED_BYTES, end, _PASSED_BYTES):
                if not self._source.reaches(place):
                    break
                yield None
        if not self._source.reaches(end):
            raise BadArchive(f"it ends before byte {end}, where an entry should")
        if not self._source.is_forward_only:
            yield member

    def _finish(self, at: int, described: _Described) -> None:
        if described.count:
            raise BadArchive(f"it ends at byte {at}, before an entry that is described")
        self.end = TarEnd(at)

    def _block(self, at: int) -> bytes:
        """The header block at a place; empty at the end of the bytes."""
        within = at - self._window_at
        if not 0 <= within <= len(self._window) - BLOCK_BYTES:
            is_near = at - self._last_at < _NEAR_BYTES
            self._window = self._source.read_at(at, _NEAR_BYTES if is_near else _FAR_BYTES)
            self._window_at, within = at, 0
        self._last_at = at
        block = self._window[within : within + BLOCK_BYTES]
        if block and len(block) < BLOCK_BYTES:
            # Nothing but zeros is a cut end mark.
            if block.strip(b"\0"):
                raise BadArchive(f"it ends within the header at byte {at}")
            return b""
        return block

    def _describe(self, header: _Header, at: int, described: _Described) -> None:
        """Take in a PAX header or a GNU long name."""
        described.count += 1
        if described.count > _MAX_DESCRIPTIONS:
            raise BadArchive(f"more than {_MAX_DESCRIPTIONS} descriptions of one entry")
        if header.size_bytes > self._limits.max_description_bytes:
            raise BadArchive(f"a description of {header.size_bytes} bytes")
        data = self._source.read_at(at, header.size_bytes)
        if len(data) < header.size_bytes:
            raise BadArchive(f"it ends within the description at byte {at}")
        if header.kind == _LONG_NAME:
            described.name = data.partition(b"\0")[0]
        elif header.kind == _PAX_GLOBAL:
            described.count -= 1
            _refuse_global(data, at)
        elif header.kind in _PAX:
            _apply_pax(data, at, described)

    def _pass_sparse_map(self, block: bytes, at: int) -> int:
        """The place behind the blocks that continue the map of a GNU sparse file."""
        is_continued = block[482] != 0
        while is_continued:
            more = self._source.read_at(at, BLOCK_BYTES)
            if len(more) < BLOCK_BYTES:
                raise BadArchive(f"it ends within the sparse map at byte {at}")
            is_continued = more[504] != 0
            at += BLOCK_BYTES
        return at


def _entry(header: _Header, described: _Described, at: int) -> tuple[Member | None, int]:
    """The member that a header and what describes it make, if any, and how many bytes follow."""
    if header.kind in _WITHOUT_DATA:
        return None, 0
    name = header.name if described.name is None else described.name
    if header.kind == _OLD_REGULAR and name.endswith(b"/"):
        return None, 0
    size_bytes = header.size_bytes if described.size_bytes is None else described.size_bytes
    if header.kind not in _REGULAR or described.is_sparse:
        return None, size_bytes
    path = member_path(decode_name(name))
    if path is None:
        return None, size_bytes
    modified_ns = described.modified_ns
    if modified_ns is None:
        modified_ns = header.modified_s * 1_000_000_000
    return Member(path, size_bytes, at, modified_ns), size_bytes


def decode_name(name: bytes) -> str:
    """A name as text. Bytes that are no UTF-8 are written as escapes, so that each name stays distinct."""
    return name.decode("utf-8", "backslashreplace")


def _padded(offset: int) -> int:
    return -(-offset // BLOCK_BYTES) * BLOCK_BYTES


# --- headers -----------------------------------------------------------------------------------------------------


def _parse(block: bytes, at: int) -> _Header:
    claimed = _octal(block[148:156])
    if claimed is None or not (_has_sum(block, claimed) or claimed == _signed_sum(block)):
        raise BadArchive(f"no TAR header at byte {at}")
    name = block[:100].partition(b"\0")[0]
    if block[257:263] == b"ustar\0" and block[345]:
        name = block[345:500].partition(b"\0")[0] + b"/" + name
    size_bytes = _number(block[124:136])
    if size_bytes is None or not 0 <= size_bytes < _MAX_SIZE:
        raise BadArchive(f"the header at byte {at} has no usable size")
    modified_s = _number(block[136:148])
    if modified_s is None or not 0 <= modified_s < 2**33:
        modified_s = 0
    return _Header(name, size_bytes, modified_s, block[156])


def is_header(block: bytes) -> bool:
    """Whether bytes begin with the header of a TAR entry, or are the end of an archive that is empty."""
    if len(block) < BLOCK_BYTES:
        return False
    if block[:BLOCK_BYTES] == ZEROS:
        return True
    try:
        _parse(block[:BLOCK_BYTES], 0)
    except BadArchive:
        return False
    return True


def _has_sum(block: bytes, claimed: int) -> bool:
    """Whether the bytes of a block, its checksum taken for blanks, have that sum. The lower half of their Adler-32 is
    the sum and 1, modulo 65,521, and is had in a tenth of the time."""
    blanked = block[:148] + _BLANKS + block[156:]
    return claimed < _MAX_SUM and zlib.adler32(blanked) & 0xFFFF == (claimed + 1) % _ADLER_BASE


def _signed_sum(block: bytes) -> int:
    """The checksum as some old programs made it."""
    rest = block[:148] + block[156:]
    return sum(rest) + 256 - 256 * sum(byte > 127 for byte in rest)


def _octal(field: bytes) -> int | None:
    digits = field.partition(b"\0")[0].strip(b" ")
    if not digits:
        return 0
    if not digits.isdigit():
        return None
    try:
        return int(digits, 8)
    except ValueError:
        return None


def _number(field: bytes) -> int | None:
    """An octal number, or one to base 256; None if it is neither."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    if field[0] == 0xFF:
        return int.from_bytes(field, "big", signed=True)
    return _octal(field)


# --- PAX ---------------------------------------------------------------------------------------------------------


def _records(data: bytes, at: int) -> Iterator[tuple[bytes, bytes]]:
    """The keyword and value of each record ("LENGTH KEYWORD=VALUE" and a newline)."""
    place = 0
    while place < len(data):
        space = data.find(b" ", place, place + 20)
        digits = data[place:space] if space > 0 else b""
        length = int(digits) if digits.isdigit() else 0
        end = place + length
        if end > len(data) or end < space + 3 or data[end - 1] != 0x0A:
            raise BadArchive(f"the PAX header at byte {at} is malformed")
        keyword, equals, value = data[space + 1 : end - 1].partition(b"=")
        if not equals or not keyword:
            raise BadArchive(f"the PAX header at byte {at} is malformed")
        yield keyword, value
        place = end


def _apply_pax(data: bytes, at: int, described: _Described) -> None:
    for keyword, value in _records(data, at):
        if keyword.startswith(b"GNU.sparse."):
            described.is_sparse = True
        elif keyword == b"path":
            described.name = value or None
        elif keyword == b"size":
            described.size_bytes = _pax_size(value, at)
        elif keyword == b"mtime":
            described.modified_ns = _pax_time(value)


def _refuse_global(data: bytes, at: int) -> None:
    """What programs write for all entries are comments and owners; a name or size for all can only mislead."""
    for keyword, _ in _records(data, at):
        if keyword in (b"path", b"size") or keyword.startswith(b"GNU.sparse."):
            raise BadArchive(f"the PAX header at byte {at} sets the {keyword.decode()} of all")


def _pax_size(value: bytes, at: int) -> int | None:
    if not value:
        return None
    if not value.isdigit() or len(value) > 19 or int(value) >= _MAX_SIZE:
        raise BadArchive(f"the PAX header at byte {at} has no usable size")
    return int(value)


def _pax_time(value: bytes) -> int | None:
    match = _TIME.fullmatch(value)
    if match is None or value.startswith(b"-"):
        return None
    fraction = (match[2] or b"")[:9].ljust(9, b"0")
    return int(match[1]) * 1_000_000_000 + int(fraction)
