"""Owns the archives that batches are sent as: members go in, in order, and blocks of the archive come out."""

from __future__ import annotations

import io
import time
import zipfile
import zlib
from collections.abc import Callable, Sequence
from typing import Protocol

import lz4.frame

from core import tar
from core.batches import ItemData
from core.names import ObjectKey
from core.shards import ShardFormat
from core.tar import Entry

_NS_PER_S = 10**9
_GZIP_BITS = 31
# Samples are mostly compressed already (JPEG, FLAC), so that higher levels cost time and give nothing.
_LEVEL = 1
_ZIP64_FROM_BYTES = 1 << 31
# Years that a ZIP can say: of 1980 to 2107.
_FIRST_ZIP_S, _LAST_ZIP_S = 315_619_200, 4_354_732_800


class ArchiveWriter(Protocol):
    """Each method gives the next bytes of the archive, b"" if there are none yet. Members are added whole, or begun,
    fed in pieces that add up to the size that was said, and ended."""

    content_type: bytes
    is_cheap: bool
    """Whether the event loop may call it; else it computes, and belongs in a thread."""

    def add(self, entries: Sequence[Entry]) -> Sequence[bytes]:
        """In pieces, which need no copy to be sent."""

    def add_objects(
        self, before: str, keys: Sequence[ObjectKey], found: Sequence[ItemData]
    ) -> Sequence[bytes]:
        """`add` whole objects, whose names are their keys with `before` (interned) before them."""

    def begin(self, name: str, modified_s: int, size_bytes: int) -> bytes: ...
    def feed(self, piece: bytes) -> bytes: ...
    def end(self) -> bytes: ...
    def finish(self) -> bytes: ...


class TarWriter:
    """Bytes pass through as they are."""

    content_type = b"application/x-tar"
    is_cheap = True

    def __init__(self) -> None:
        self._size_bytes = 0

    def add(self, entries: Sequence[Entry]) -> Sequence[bytes]:
        return tar.pieces(entries)

    def add_objects(
        self, before: str, keys: Sequence[ObjectKey], found: Sequence[ItemData]
    ) -> Sequence[bytes]:
        headings = [each.heading for each in found if each.heading_for is before]
        if len(headings) != len(found):
            headings = [_headed(before, *each) for each in zip(keys, found, strict=True)]
        bodies = [each.data for each in found]
        paddings = {size_bytes: tar.padding(size_bytes) for size_bytes in set(map(len, bodies))}
        columns = [headings, bodies]
        if any(paddings.values()):
            columns.append([paddings[len(body)] for body in bodies])
        parts = [b""] * (len(columns) * len(found))
        for number, column in enumerate(columns):
            parts[number :: len(columns)] = column
        return parts

    def begin(self, name: str, modified_s: int, size_bytes: int) -> bytes:
        self._size_bytes = size_bytes
        return tar.header(name, size_bytes, modified_s)

    def feed(self, piece: bytes) -> bytes:
        return piece

    def end(self) -> bytes:
        return tar.padding(self._size_bytes)

    def finish(self) -> bytes:
        return tar.END


def _headed(before: str, key: ObjectKey, item: ItemData) -> bytes:
    """The header of an object, which is kept with it."""
    if item.heading_for is not before:
        modified_s = item.modified_ns // _NS_PER_S
        item.heading = tar.header(before + key, len(item.data), modified_s)
        item.heading_for = before
    return item.heading


def entries_of(
    before: str, keys: Sequence[ObjectKey], found: Sequence[ItemData]
) -> Sequence[Entry]:
    """Objects as entries of any archive."""
    return [
        (before + key, each.modified_ns // _NS_PER_S, each.data)
        for key, each in zip(keys, found, strict=True)
    ]


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


class CompressedTarWriter:
    """A TAR, compressed on its way out."""

    is_cheap = False

    def __init__(self, content_type: bytes, compressor: _Compressor, head: bytes = b"") -> None:
        self.content_type = content_type
        self._tar = TarWriter()
        self._compressor = compressor
        self._head = head

    def _compress(self, data: bytes) -> bytes:
        head, self._head = self._head, b""
        return head + self._compressor.compress(data)

    def add(self, entries: Sequence[Entry]) -> Sequence[bytes]:
        return (self._compress(tar.members(entries)),)

    def add_objects(
        self, before: str, keys: Sequence[ObjectKey], found: Sequence[ItemData]
    ) -> Sequence[bytes]:
        return self.add(entries_of(before, keys, found))

    def begin(self, name: str, modified_s: int, size_bytes: int) -> bytes:
        return self._compress(self._tar.begin(name, modified_s, size_bytes))

    def feed(self, piece: bytes) -> bytes:
        return self._compress(piece)

    def end(self) -> bytes:
        return self._compress(self._tar.end())

    def finish(self) -> bytes:
        return self._compress(self._tar.finish()) + self._compressor.flush()


class ZipWriter:
    """Members are deflated; their sizes stand behind them and in the directory at the end, as nothing sent can be
    changed any more."""

    content_type = b"application/zip"
    is_cheap = False

    def __init__(self) -> None:
        self._sink = _Sink()
        self._zip = zipfile.ZipFile(
            self._sink, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL, strict_timestamps=False
        )
        self._open: io.BufferedIOBase | None = None

    def add(self, entries: Sequence[Entry]) -> Sequence[bytes]:
        for name, modified_s, data in entries:
            self._zip.writestr(_zip_info(name, modified_s), data)
            self._forget_name()
        return (self._sink.take(),)

    def add_objects(
        self, before: str, keys: Sequence[ObjectKey], found: Sequence[ItemData]
    ) -> Sequence[bytes]:
        return self.add(entries_of(before, keys, found))

    def begin(self, name: str, modified_s: int, size_bytes: int) -> bytes:
        info = _zip_info(name, modified_s)
        is_large = size_bytes >= _ZIP64_FROM_BYTES
        self._open = self._zip.open(info, "w", force_zip64=is_large)  # type: ignore[assignment]
        return self._sink.take()

    def feed(self, piece: bytes) -> bytes:
        assert self._open is not None
        self._open.write(piece)
        return self._sink.take()

    def end(self) -> bytes:
        assert self._open is not None
        self._open.close()
        self._forget_name()
        return self._sink.take()

    def finish(self) -> bytes:
        self._zip.close()
        return self._sink.take()

    def _forget_name(self) -> None:
        """An object may be wanted twice, of which ZipFile would warn; it looks names up for that alone."""
        self._zip.NameToInfo.clear()


def _zip_info(name: str, modified_s: int) -> zipfile.ZipInfo:
    when = time.gmtime(min(max(modified_s, _FIRST_ZIP_S), _LAST_ZIP_S))
    info = zipfile.ZipInfo(name, when[:6])
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o100644 << 16
    return info


class _Sink(io.RawIOBase):
    """Where ZipFile writes to: it cannot seek, and is emptied between writes."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        part = bytes(data)  # type: ignore[call-overload]  # any buffer
        self._parts.append(part)
        return len(part)

    def take(self) -> bytes:
        block = b"".join(self._parts)
        self._parts.clear()
        return block


def _tgz() -> ArchiveWriter:
    return CompressedTarWriter(
        b"application/gzip", zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP_BITS)
    )


def _tar_lz4() -> ArchiveWriter:
    compressor = lz4.frame.LZ4FrameCompressor()
    return CompressedTarWriter(b"application/x-lz4", compressor, compressor.begin())


WRITERS: dict[ShardFormat, Callable[[], ArchiveWriter]] = {
    ShardFormat.TAR: TarWriter,
    ShardFormat.TGZ: _tgz,
    ShardFormat.TAR_LZ4: _tar_lz4,
    ShardFormat.ZIP: ZipWriter,
}
"""A writer for each format."""
