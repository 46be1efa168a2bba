"""Owns the reading and the making of encrypted objects' bytes: sealed runs (core.cipher), one for each segment.

What lies on disk is what segments, checksums and the doctor speak of; sizes and offsets of an encrypted object's
segments are of its sealed runs.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field

from core.cipher import (
    HEADER_BYTES,
    SEALED_CHUNK_BYTES,
    DoesNotOpen,
    Opener,
    Sealer,
    chunks_of,
    cut,
    hidden_etag,
    open_run,
    opened_size,
)
from core.control import KeyService
from core.digests import MD5
from core.encryption import CustomerKey, EncryptionMode, EncryptionRequest, ObjectEncryption
from core.light import light
from core.memory_reader import MemoryReader
from core.names import ObjectKey
from core.sealing import new_encryption, open_encryption
from core.types import Bucket, ObjectPart
from storage.intake import Received
from storage.mountpath import Mountpath
from storage.reader import FileReader, log_corrupt
from storage.records import Segment, StoredObject

_BLOCK_BYTES = 4 * SEALED_CHUNK_BYTES


@light
@dataclass(frozen=True, slots=True)
class Seal:
    """What an object or upload is encrypted with, and its data key."""

    encryption: ObjectEncryption
    data_key: bytes = field(repr=False)

    def sealer(self, part_number: int = 0) -> Sealer:
        """For a new run."""
        return Sealer(self.data_key, part_number)

    def etag(self, received: Received) -> str:
        """SSE-S3 keeps the MD5; the ETags of SSE-C and SSE-KMS are something else (AWS: PutObject, ETag)."""
        if self.encryption.mode is EncryptionMode.S3:
            return received.etag
        return hidden_etag(self.data_key, received.digests[MD5])


class Seals:
    """Makes and opens seals with a key service."""

    def __init__(self, keys: KeyService) -> None:
        self._keys = keys

    async def new(self, bucket: Bucket, key: ObjectKey, request: EncryptionRequest) -> Seal:
        """Raises as core.sealing.new_encryption."""
        return Seal(*await new_encryption(self._keys, bucket, key, request))

    async def open(
        self,
        bucket: Bucket,
        key: ObjectKey,
        encryption: ObjectEncryption,
        customer_key: CustomerKey | None,
    ) -> Seal:
        """Raises as core.sealing.open_encryption."""
        data_key = await open_encryption(self._keys, bucket, key, encryption, customer_key)
        return Seal(encryption, data_key)


@light
@dataclass(frozen=True, slots=True)
class Span:
    """A run of bytes of an object within one of its sealed runs. `offset` and `size_bytes` are of the plaintext."""

    segment: Segment
    part_number: int
    offset: int
    size_bytes: int


def number_of_run(parts: Sequence[ObjectPart], count: int, index: int) -> int:
    """The number that a sealed run is bound to, by its place among so many: its part's, if there is one for each."""
    return parts[index].part_number if len(parts) == count else index


def _spans(stored: StoredObject, first: int, length: int) -> Iterator[Span]:
    """Where the bytes [first, first + length) of an encrypted object lie. Raises Corrupt."""
    start, end = 0, first + length
    for index, segment in enumerate(stored.segments):
        if start >= end:
            return
        try:
            size_bytes = opened_size(segment.size_bytes)
        except DoesNotOpen:
            raise log_corrupt("size of a sealed run", stored.info.key) from None
        offset = max(first - start, 0)
        count = min(size_bytes, end - start) - offset
        if count > 0:
            number = number_of_run(stored.info.parts, len(stored.segments), index)
            yield Span(segment, number, offset, count)
        start += size_bytes


def open_inline(
    stored: StoredObject, data: bytes, data_key: bytes, first: int, length: int
) -> MemoryReader:
    """A reader of the plaintext of an object of which all sealed runs are in memory, one after another. Raises Corrupt.

    Only the chunks that the range needs are opened. An object without bytes still has a run, which must open.
    """
    info = stored.info
    places: dict[int, int] = {}
    at = 0
    for segment in stored.segments:
        places[id(segment)] = at
        at += segment.size_bytes
    if at != len(data):
        raise log_corrupt("length of sealed bytes", info.key)
    spans = list(_spans(stored, first, length))
    if not spans and info.size_bytes == 0 and not info.parts:
        spans = [Span(stored.segments[0], 0, 0, 0)]
    pieces = []
    for span in spans:
        place = places[id(span.segment)]
        run = data[place : place + span.segment.size_bytes]
        try:
            pieces.append(open_run(data_key, span.part_number, run, span.offset, span.size_bytes))
        except DoesNotOpen:
            raise log_corrupt("sealed bytes", info.key) from None
    opened = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    if len(opened) != length:
        raise log_corrupt("length of opened bytes", info.key)
    reader = MemoryReader(info, opened, 0, length)
    reader.first = first
    return reader


class SealedReader(FileReader):
    """An encrypted object whose bytes lie in blob files. Chunks are opened in threads as they are read, and nothing is
    handed out that did not open."""

    def __init__(
        self, mountpath: Mountpath, stored: StoredObject, first: int, length: int, data_key: bytes
    ) -> None:
        super().__init__(mountpath, stored, first, length)
        self._data_key = data_key
        self._stored = stored
        # Opening verifies more than the checksum does.
        self._verifies = False

    @property
    def has_slices(self) -> bool:
        return False

    @property
    def data_key(self) -> bytes:
        return self._data_key

    def read_cached(self) -> bytes | None:
        """Nothing: what lies in the file is sealed."""
        return None

    def spans(self) -> Sequence[Span]:
        """The object's sealed runs, but for empty ones. Raises Corrupt."""
        return list(_spans(self._stored, 0, self.info.size_bytes))

    def verify(self) -> None:
        """Every chunk is verified as it is."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for span in _spans(self._stored, self.first, self.length):
            fd = await self._open_file(span.segment)
            sealed_bytes = span.segment.size_bytes
            read = _SealedRead(fd, self._data_key, span.part_number, sealed_bytes)
            run = chunks_of(span.offset, span.size_bytes, sealed_bytes)
            offset, chunk, skip, left = run.offset, run.first_chunk, run.skip, span.size_bytes
            while left:
                count = min(run.offset + run.size_bytes - offset, _BLOCK_BYTES)
                try:
                    block = await self._mountpath.run(_Step(read, offset, count, chunk))
                except DoesNotOpen:
                    raise log_corrupt("sealed bytes", self.info.key) from None
                wanted = block if skip == 0 and len(block) <= left else cut([block], skip, left)
                offset += count
                chunk += count // SEALED_CHUNK_BYTES
                skip = 0
                left -= len(wanted)
                yield wanted


@dataclass(slots=True)
class _SealedRead:
    """Reads and opens blocks of one run, in threads, one after another."""

    fd: int
    data_key: bytes = field(repr=False)
    part_number: int
    sealed_bytes: int
    _opener: Opener | None = None

    def read(self, offset: int, count: int, chunk: int) -> bytes:
        if self._opener is None:
            header = os.pread(self.fd, HEADER_BYTES, 0)
            self._opener = Opener(self.data_key, self.part_number, header, self.sealed_bytes)
        sealed = os.pread(self.fd, count, offset)
        while len(sealed) < count:
            more = os.pread(self.fd, count - len(sealed), offset + len(sealed))
            if not more:
                raise DoesNotOpen
            sealed += more
        return b"".join(self._opener.open(chunk, sealed))


@dataclass(frozen=True, slots=True)
class _Step:
    """One block, as a call for a thread."""

    run: _SealedRead
    offset: int
    count: int
    chunk: int

    def __call__(self) -> bytes:
        return self.run.read(self.offset, self.count, self.chunk)
