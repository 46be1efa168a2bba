"""Owns compressed TARs as bytes that a thread reads forwards: gzip and LZ4 frames, in bounded memory."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, Protocol

import lz4.frame

from storage.shards.limits import ShardLimits
from storage.shards.source import Readable
from storage.shards.tar import BadArchive

_IN_BYTES = 32 * 1024
_OUT_BYTES = 256 * 1024


class Unpacker(Protocol):
    """Takes compressed bytes apart; of one gzip member or LZ4 frame."""

    @property
    def eof(self) -> bool:
        """Whether the end has come, its checksum right."""

    @property
    def unused_data(self) -> bytes:
        """What followed the end."""

    @property
    def has_more(self) -> bool:
        """Whether bytes may have been kept back, which come with the next call."""

    def unpack(self, data: bytes) -> bytes:
        """At most _OUT_BYTES. Raises BadArchive."""


class GzipUnpacker:
    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)
        self.has_more = False

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def unpack(self, data: bytes) -> bytes:
        try:
            out = self._inner.decompress(self._inner.unconsumed_tail + data, _OUT_BYTES)
        except zlib.error as error:
            raise BadArchive(f"the gzip data are damaged ({error})") from None
        self.has_more = len(out) == _OUT_BYTES
        return out


class Lz4Unpacker:
    def __init__(self) -> None:
        self._inner: Any = lz4.frame.LZ4FrameDecompressor()

    @property
    def eof(self) -> bool:
        return bool(self._inner.eof)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._inner.unused_data or b"")

    @property
    def has_more(self) -> bool:
        return not self._inner.needs_input

    def unpack(self, data: bytes) -> bytes:
        try:
            return bytes(self._inner.decompress(data, _OUT_BYTES))
        except (RuntimeError, EOFError) as error:
            raise BadArchive(f"the LZ4 data are damaged ({error})") from None


class Unpacked:
    """What comes out of a compressed object. Offsets are of that, and must not go back before the last one read at."""

    is_forward_only = True

    def __init__(
        self, source: Readable, unpacker: Callable[[], Unpacker], limits: ShardLimits
    ) -> None:
        self._source = source
        self._new = unpacker
        self._limits = limits
        self._unpacker: Unpacker | None = None
        self._at = 0
        self._pending = b""
        self._is_over = False
        self._kept = bytearray()
        self._kept_at = 0

    def read_at(self, offset: int, count: int) -> bytes:
        """The bytes [offset, offset + count), fewer only where they end. Raises BadArchive."""
        self._forget(offset)
        while self._end < offset + count and self._step():
            self._forget(offset)
        within = offset - self._kept_at
        return bytes(self._kept[within : within + count])

    def reaches(self, end: int) -> bool:
        """Whether so many bytes come out. Those before are passed."""
        if end <= self._kept_at:
            return True
        while self._end < end and self._step():
            self._forget(end)
        self._forget(end)
        return self._end >= end

    @property
    def _end(self) -> int:
        return self._kept_at + len(self._kept)

    def _forget(self, offset: int) -> None:
        """Keep nothing from before a place."""
        if offset < self._kept_at:
            raise AssertionError("unpacked bytes were asked for again")
        passed = min(offset - self._kept_at, len(self._kept))
        del self._kept[:passed]
        self._kept_at += passed

    def _step(self) -> bool:
        """Unpack a little more; False once all came out. Raises BadArchive for what ends too early."""
        while not self._is_over:
            if self._unpacker is None and not self._begin():
                break
            assert self._unpacker is not None
            out = self._unpacker.unpack(b"" if self._unpacker.has_more else self._fed())
            if self._unpacker.eof:
                self._pending = self._unpacker.unused_data
                self._unpacker = None
            if out:
                self._kept += out
                if self._limits.refuses(self._end, self._at):
                    raise BadArchive(f"{self._at} bytes of it unpack to {self._end} and more")
                return True
        return False

    def _begin(self) -> bool:
        """Start on the next of the members or frames that may follow one another, if there is one."""
        is_first = not self._at
        while not self._pending.strip(b"\0"):
            # Zeros between and behind are padding.
            self._pending = self._feed()
            if not self._pending:
                break
        if not self._pending:
            if is_first:
                raise BadArchive("it is empty")
            self._is_over = True
            return False
        self._unpacker = self._new()
        return True

    def _fed(self) -> bytes:
        data = self._pending or self._feed()
        self._pending = b""
        if not data:
            raise BadArchive("its compressed data are cut short")
        return data

    def _feed(self) -> bytes:
        data = self._source.read_at(self._at, _IN_BYTES)
        self._at += len(data)
        return data
