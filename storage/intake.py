"""Owns the way of a body into a mountpath: received, digested and, if it is large, written, all at once.

What comes out is complete but not published: inline bytes, a blob file without its trailer, or the finished pieces of
an object in chunks.
"""

from __future__ import annotations

import concurrent.futures
import functools
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

import xxhash

from core.cipher import Sealer
from core.digests import (
    MD5,
    check_claims,
    digest_all,
    kept_checksum,
    new_digest,
    wanted_algorithms,
)
from core.errors import EntityTooLarge, IncompleteBody
from core.light import light
from core.protocols import BodyStream
from core.types import MAX_PUT_BYTES, Checksum, ChecksumAlgorithm
from storage.blobs import BlobWriter
from storage.capacity import ROW_COST_BYTES
from storage.lanes import Lane
from storage.large_bodies import LargeBody, update_all
from storage.mountpath import Mountpath
from storage.pieces import Cutting

# All bodies being received share this much memory, three blocks each: one gathered, two on their way to disk.
_MEMORY_BYTES = 24 * 1024**2
_BLOCKS_EACH = 3
_MAX_BLOCK_BYTES = 1024**2
_MIN_BLOCK_BYTES = 64 * 1024
_READ_BYTES = 256 * 1024


@light
@dataclass(frozen=True, slots=True)
class Received:
    """A body that is here whole and as its sender claims. Either `data`, `blob` or `pieces` is set; the blob is the
    taker's to finish or abandon, the pieces are finished. Size and digests are of what came; `data`, `data_checksum`,
    `blob` and `pieces` of its sealed form, if it is to be encrypted."""

    size_bytes: int
    digests: Mapping[str, bytes]
    checksum: Checksum | None
    data: bytes | None
    data_checksum: int
    blob: BlobWriter | None
    pieces: Sequence[BlobWriter] = ()

    @property
    def blobs(self) -> Sequence[BlobWriter]:
        """All that there are."""
        return self.pieces if self.blob is None else (self.blob,)

    @property
    def etag(self) -> str:
        return self.digests[MD5].hex()


class Intake:
    """Receives bodies for the mountpaths of a node. `cpu` is where digests are computed; `cpu_apart` where those of a
    large body are that comes alone."""

    def __init__(
        self, cpu: concurrent.futures.Executor, cpu_apart: concurrent.futures.Executor
    ) -> None:
        self._cpu = cpu
        self._cpu_apart = cpu_apart
        self._active = 0

    async def receive(
        self,
        mountpath: Mountpath,
        body: BodyStream,
        wanted: ChecksumAlgorithm | None,
        sealer: Sealer | None = None,
        place: Mountpath | Cutting | None = None,
    ) -> Received:
        """Take a body in. `wanted` is the checksum to compute and keep; `sealer` encrypts what is kept; `place` is
        where its bytes are to lie, if not on the mountpath itself: then all but an empty body becomes a blob. Or it
        says how the body is cut into pieces, which `sealer` then seals the first of.

        Raises EntityTooLarge, IncompleteBody, DigestMismatch, OutOfSpace, what the body raises; then nothing is left.
        """
        declared = body.size_bytes
        if declared is not None and declared > MAX_PUT_BYTES:
            raise EntityTooLarge(size_bytes=declared, max_bytes=MAX_PUT_BYTES)
        small_limit = mountpath.options.small_limit_bytes if place is None else 0
        disk = mountpath
        if isinstance(place, Cutting):
            disk = place.pieces.disk(0)
            if disk is mountpath:
                small_limit = min(mountpath.options.small_limit_bytes, place.first_bytes)
        elif place is not None:
            disk = place
        await disk.require_room((declared or 0) + ROW_COST_BYTES)
        chunks: list[bytes] = []
        size_bytes = 0
        iterator = aiter(body)
        async for chunk in iterator:
            chunks.append(chunk)
            size_bytes += len(chunk)
            if size_bytes > small_limit:
                break
        else:
            mountpath.opened().capacity.took(size_bytes + ROW_COST_BYTES)
            return _receive_small(body, chunks, size_bytes, wanted, sealer)
        mountpath.opened().hot.drop_stale()
        self._active += 1
        try:
            large = LargeBody(mountpath, wanted_algorithms(body, wanted), sealer, place)
            return await self._receive_large(body, iterator, large, (chunks, size_bytes), wanted)
        finally:
            self._active -= 1

    async def digest(self, body: BodyStream, wanted: ChecksumAlgorithm | None) -> dict[str, bytes]:
        """Only the digests of a body, which is kept nowhere."""
        digests = {name: new_digest(name) for name in wanted_algorithms(body, wanted)}
        lane = Lane(self._cpu, functools.partial(update_all, list(digests.values())))
        async for chunk in body:
            lane.push((chunk,), len(chunk))
            await lane.wait_below(len(chunk))
        await lane.wait_below(0)
        return {name: digest.digest() for name, digest in digests.items()}

    async def _receive_large(
        self,
        body: BodyStream,
        rest: AsyncIterator[bytes],
        large: LargeBody,
        begun: tuple[list[bytes], int],
        wanted: ChecksumAlgorithm | None,
    ) -> Received:
        """Go on with a body of which `begun` (chunks and their size) came already."""
        block, block_size = begun
        size_bytes = block_size
        try:
            async for chunk in rest:
                block.append(chunk)
                block_size += len(chunk)
                size_bytes += len(chunk)
                del chunk  # or the last one would be kept while the next is waited for
                if size_bytes > MAX_PUT_BYTES:
                    raise EntityTooLarge(size_bytes=size_bytes, max_bytes=MAX_PUT_BYTES)
                if block_size >= self._block_bytes:
                    large.open_lanes(self._hashing)
                    await large.push(block, block_size)
                    block, block_size = [], 0
                    if self._is_crowded:
                        await large.wait_below(0)
            _check_size(body, size_bytes)
            large.open_lanes(self._hashing if large.is_cut(block_size) else None)
            await large.push(block, block_size)
            digests = await large.digests()
            check_claims(digests, body.expected_digests())
            await large.end()
        except BaseException:
            large.give_up()
            raise
        checksum = kept_checksum(digests, wanted)
        if large.pieces:
            return Received(size_bytes, digests, checksum, None, 0, None, large.pieces)
        return Received(size_bytes, digests, checksum, None, large.blob.checksum, large.blob)

    @property
    def _hashing(self) -> concurrent.futures.Executor:
        return self._cpu_apart if self._active == 1 else self._cpu

    @property
    def _is_crowded(self) -> bool:
        """Whether blocks are smaller than what one read of a socket brings, so that their size alone bounds nothing."""
        return self._block_bytes < _READ_BYTES

    @property
    def _block_bytes(self) -> int:
        """How much to gather before the next hop, given how many bodies share the memory now."""
        share = _MEMORY_BYTES // (_BLOCKS_EACH * max(self._active, 1))
        return max(_MIN_BLOCK_BYTES, min(_MAX_BLOCK_BYTES, share))


def _receive_small(
    body: BodyStream,
    chunks: list[bytes],
    size_bytes: int,
    wanted: ChecksumAlgorithm | None,
    sealer: Sealer | None,
) -> Received:
    _check_size(body, size_bytes)
    data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
    digests = digest_all(data, wanted_algorithms(body, wanted))
    check_claims(digests, body.expected_digests())
    checksum = kept_checksum(digests, wanted)
    if sealer is not None:
        data = sealer.seal(data)
    return Received(size_bytes, digests, checksum, data, xxhash.xxh3_64_intdigest(data), None)


def _check_size(body: BodyStream, size_bytes: int) -> None:
    declared = body.size_bytes
    if declared is not None and size_bytes != declared:
        raise IncompleteBody(expected_bytes=declared, actual_bytes=size_bytes)
