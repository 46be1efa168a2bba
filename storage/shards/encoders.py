"""Owns the making of archives as bytes: encoders that are told of members and their data, and give what comes next.

They do no I/O but for the directory of a large ZIP, which waits in a temporary file. Each is for one archive; the same
members make the same bytes.
"""

from __future__ import annotations

import datetime
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Any, Protocol

import lz4.frame

from core import tar
from core.shards import ShardFormat

# What training data are packed for is one name for many files; they are compressed by their own formats, if at all.
_GZIP_LEVEL = 1


class Encoder(Protocol):
    """Of one archive. For each member `begin`, all its data, `end`; then what `finish` gives, block by block. What an
    archive has already that is to be gone on with comes first, to `resume`: of a packed one, unpacked."""

    def resume(self, chunk: bytes) -> bytes: ...
    def begin(self, path: str, size_bytes: int, modified_ns: int) -> bytes: ...
    def data(self, chunk: bytes) -> bytes: ...
    def end(self) -> bytes: ...
    def finish(self) -> Iterator[bytes]: ...
    def close(self) -> None:
        """Give up whatever is still held. Idempotent."""


def new_encoder(shard_format: ShardFormat) -> Encoder:
    """An encoder of an archive that is new."""
    match shard_format:
        case ShardFormat.TAR:
            return TarEncoder()
        case ShardFormat.TGZ:
            inner = zlib.compressobj(_GZIP_LEVEL, wbits=31)
            return PackedEncoder(b"", inner.compress, inner.flush)
        case ShardFormat.TAR_LZ4:
            packer: Any = lz4.frame.LZ4FrameCompressor(content_checksum=True)
            return PackedEncoder(packer.begin(), packer.compress, packer.flush)
        case ShardFormat.ZIP:
            return ZipEncoder()


class TarEncoder:
    """USTAR, with PAX headers for what does not fit."""

    def __init__(self) -> None:
        self._padding = 0

    def resume(self, chunk: bytes) -> bytes:
        return chunk

    def begin(self, path: str, size_bytes: int, modified_ns: int) -> bytes:
        self._padding = -size_bytes % tar.BLOCK_BYTES
        return tar.header(path, size_bytes, modified_ns // 1_000_000_000)

    def data(self, chunk: bytes) -> bytes:
        return chunk

    def end(self) -> bytes:
        return bytes(self._padding)

    def finish(self) -> Iterator[bytes]:
        yield tar.END

    def close(self) -> None:
        return


class PackedEncoder:
    """A TAR, compressed as it comes."""

    def __init__(
        self, start: bytes, pack: Callable[[bytes], bytes], flush: Callable[[], bytes]
    ) -> None:
        self._start = start
        self._pack = pack
        self._flush = flush
        self._tar = TarEncoder()

    def begin(self, path: str, size_bytes: int, modified_ns: int) -> bytes:
        return self.data(self._tar.begin(path, size_bytes, modified_ns))

    def resume(self, chunk: bytes) -> bytes:
        return self.data(chunk)

    def data(self, chunk: bytes) -> bytes:
        start, self._start = self._start, b""
        return start + self._pack(chunk)

    def end(self) -> bytes:
        return self.data(self._tar.end())

    def finish(self) -> Iterator[bytes]:
        yield self.data(tar.END)
        yield self._flush()

    def close(self) -> None:
        return


# --- ZIP ---------------------------------------------------------------------------------------------------------

_LOCAL = struct.Struct("<4s5H3L2H")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64 = struct.Struct("<4sLQL")
_VERSION = 20
_VERSION_64 = 45
_MADE_BY_UNIX = 3 << 8 | _VERSION_64
_IS_UTF8 = 0x0800
_SIZES_FOLLOW = 0x0008
_FILE_MODE = 0o100644 << 16
_MAX_32 = 0xFFFFFFFF
_MAX_16 = 0xFFFF
_BLOCK_BYTES = 256 * 1024
_DIRECTORY_IN_MEMORY_BYTES = 1024**2


class ZipEncoder:
    """Members are stored as they are, so that they can be read in place. Those of up to `_HELD_BYTES` have their
    checksum in front, which is what programs like best that read a ZIP from its beginning; larger ones behind."""

    _HELD_BYTES = 1024**2

    def __init__(
        self,
        at: int = 0,
        shift: int = 0,
        count: int = 0,
        directory: Iterator[bytes] | None = None,
    ) -> None:
        """To go on with an archive: at which byte, how far its offsets are shifted, and its directory so far."""
        self._at = at
        self._shift = shift
        self._count = count
        self._old_directory = directory or iter(())
        self._directory: IO[bytes] = tempfile.SpooledTemporaryFile(  # noqa: SIM115  # see close
            _DIRECTORY_IN_MEMORY_BYTES
        )
        self._name = b""
        self._when = (0, 0)
        self._crc = 0
        self._size_bytes = 0
        self._header_at = 0
        self._held: list[bytes] | None = None

    def resume(self, chunk: bytes) -> bytes:
        return chunk

    def begin(self, path: str, size_bytes: int, modified_ns: int) -> bytes:
        self._name = path.encode("utf-8", "backslashreplace")
        self._when = _dos_time(modified_ns)
        self._crc, self._size_bytes = 0, size_bytes
        self._header_at = self._at - self._shift
        self._held = [] if size_bytes <= self._HELD_BYTES else None
        return b"" if self._held is not None else self._passed(self._local_header())

    def data(self, chunk: bytes) -> bytes:
        self._crc = zlib.crc32(chunk, self._crc)
        if self._held is None:
            return self._passed(chunk)
        self._held.append(chunk)
        return b""

    def end(self) -> bytes:
        self._count += 1
        self._directory.write(self._entry())
        if self._held is not None:
            held, self._held = self._held, None
            return self._passed(b"".join([self._local_header(self._crc), *held]))
        sizes = "<4sL2Q" if self._size_bytes >= _MAX_32 else "<4s3L"
        size_bytes = self._size_bytes
        return self._passed(struct.pack(sizes, b"PK\7\10", self._crc, size_bytes, size_bytes))

    def finish(self) -> Iterator[bytes]:
        start, at = self._at, self._at
        for block in self._old_directory:
            at += len(block)
            yield block
        self._directory.seek(0)
        while block := self._directory.read(_BLOCK_BYTES):
            at += len(block)
            yield block
        self.close()
        yield self._end_records(start, at)

    def close(self) -> None:
        self._directory.close()

    def _passed(self, data: bytes) -> bytes:
        self._at += len(data)
        return data

    def _local_header(self, crc: int | None = None) -> bytes:
        is_wide = self._size_bytes >= _MAX_32
        flags = _IS_UTF8 | (_SIZES_FOLLOW if crc is None else 0)
        size_bytes = 0 if crc is None else self._size_bytes
        extra = struct.pack("<HH2Q", 1, 16, 0, 0) if is_wide else b""
        shown = _MAX_32 if is_wide else size_bytes
        version = _VERSION_64 if is_wide else _VERSION
        sizes = (crc or 0, shown, shown, len(self._name), len(extra))
        return _LOCAL.pack(b"PK\3\4", version, flags, 0, *self._when, *sizes) + self._name + extra

    def _entry(self) -> bytes:
        size_bytes, header_at = self._size_bytes, self._header_at
        wide = []
        if size_bytes >= _MAX_32:
            wide += [size_bytes, size_bytes]
        if header_at >= _MAX_32:
            wide.append(header_at)
        extra = struct.pack(f"<HH{len(wide)}Q", 1, 8 * len(wide), *wide) if wide else b""
        flags = _IS_UTF8 | (_SIZES_FOLLOW if self._held is None else 0)
        shown = min(size_bytes, _MAX_32)
        version = _VERSION_64 if wide else _VERSION
        fields = (_MADE_BY_UNIX, version, flags, 0, *self._when, self._crc, shown, shown)
        lengths = (len(self._name), len(extra), 0, 0, 0)
        place = (_FILE_MODE, min(header_at, _MAX_32))
        return _ENTRY.pack(b"PK\1\2", *fields, *lengths, *place) + self._name + extra

    def _end_records(self, start: int, end: int) -> bytes:
        size_bytes, offset, count = end - start, start - self._shift, self._count
        records = b""
        if count >= _MAX_16 or size_bytes >= _MAX_32 or offset >= _MAX_32:
            records = _END_64.pack(
                *(b"PK\6\6", _END_64.size - 12, _MADE_BY_UNIX, _VERSION_64, 0, 0),
                *(count, count, size_bytes, offset),
            ) + _LOCATOR_64.pack(b"PK\6\7", 0, offset + size_bytes, 1)
        shown = min(count, _MAX_16)
        sizes = (min(size_bytes, _MAX_32), min(offset, _MAX_32))
        return records + _END.pack(b"PK\5\6", 0, 0, shown, shown, *sizes, 0)


def _dos_time(modified_ns: int) -> tuple[int, int]:
    """A time as ZIP has it: from 1980 to 2107, every other second."""
    seconds = min(max(modified_ns // 1_000_000_000, 315_532_800), 4_354_819_198)
    when = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    moment = when.hour << 11 | when.minute << 5 | when.second // 2
    return moment, (when.year - 1980) << 9 | when.month << 5 | when.day
