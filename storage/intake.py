"""Owns the way of a body into a mountpath: received, digested and, if it is large, written, all at once.

What comes out is complete but not published: inline bytes, or a blob file without its trailer.
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
    Digest,
    check_claims,
    digest_all,
    kept_checksum,
    new_digest,
    wanted_algorithms,
)
from core.errors import EntityTooLarge, IncompleteBody
from core.protocols import BodyStream
from core.types import MAX_PUT_BYTES, Checksum, ChecksumAlgorithm
from storage.blobs import BlobWriter
from storage.capacity import ROW_COST_BYTES
from storage.lanes import Block, Lane
from storage.mountpath import Mountpath

# All bodies being received share this much memory, three blocks each: one gathered, two on their way to disk.
_MEMORY_BYTES = 24 * 1024**2
_BLOCKS_EACH = 3
_MAX_BLOCK_BYTES = 1024**2
_MIN_BLOCK_BYTES = 64 * 1024
_READ_BYTES = 256 * 1024
# Says that a body ends, to what seals it.
_END: Block = (b"",)


@dataclass(frozen=True, slots=True)
class Received:
    """A body that is here whole and as its sender claims. Either `data` or `blob` is set; the blob is the taker's to
    finish or abandon. Size and digests are of what came; `data`, `data_checksum` and `blob` of its sealed form, if it
    is to be encrypted."""

    size_bytes: int
    digests: Mapping[str, bytes]
    checksum: Checksum | None
    data: bytes | None
    data_checksum: int
    blob: BlobWriter | None

    @property
    def etag(self) -> str:
        return self.digests[MD5].hex()


class Intake:
    """Receives bodies for the mountpaths of a node. `cpu` is where digests are computed."""

    def __init__(self, cpu: concurrent.futures.Executor) -> None:
        self._cpu = cpu
        self._active = 0

    async def receive(
        self,
        mountpath: Mountpath,
        body: BodyStream,
        wanted: ChecksumAlgorithm | None,
        sealer: Sealer | None = None,
        place: Mountpath | None = None,
    ) -> Received:
        """Take a body in. `wanted` is the checksum to compute and keep; `sealer` encrypts what is kept; `place` is
        where its bytes are to lie, if not on the mountpath itself: then all but an empty body becomes a blob.

        Raises EntityTooLarge, IncompleteBody, DigestMismatch, OutOfSpace, what the body raises; then nothing is left.
        """
        declared = body.size_bytes
        if declared is not None and declared > MAX_PUT_BYTES:
            raise EntityTooLarge(size_bytes=declared, max_bytes=MAX_PUT_BYTES)
        await (place or mountpath).require_room((declared or 0) + ROW_COST_BYTES)
        small_limit = mountpath.options.small_limit_bytes if place is None else 0
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
            large = _LargeBody(mountpath, wanted_algorithms(body, wanted), sealer, place)
            return await self._receive_large(body, iterator, large, (chunks, size_bytes), wanted)
        finally:
            self._active -= 1

    async def digest(self, body: BodyStream, wanted: ChecksumAlgorithm | None) -> dict[str, bytes]:
        """Only the digests of a body, which is kept nowhere."""
        digests = {name: new_digest(name) for name in wanted_algorithms(body, wanted)}
        lane = Lane(self._cpu, functools.partial(_update, list(digests.values())))
        async for chunk in body:
            lane.push((chunk,), len(chunk))
            await lane.wait_below(len(chunk))
        await lane.wait_below(0)
        return {name: digest.digest() for name, digest in digests.items()}

    async def _receive_large(
        self,
        body: BodyStream,
        rest: AsyncIterator[bytes],
        large: _LargeBody,
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
                    large.open_lanes(self._cpu)
                    await large.push(block, block_size)
                    block, block_size = [], 0
                    if self._is_crowded:
                        await large.wait_below(0)
            _check_size(body, size_bytes)
            large.open_lanes(None)
            await large.push(block, block_size)
            digests = await large.digests()
            check_claims(digests, body.expected_digests())
            await large.end()
        except BaseException:
            large.give_up()
            raise
        checksum = kept_checksum(digests, wanted)
        return Received(size_bytes, digests, checksum, None, large.blob.checksum, large.blob)

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


class _LargeBody:
    """A body on its way into a blob file, through lanes for the disk and the digests."""

    def __init__(
        self,
        mountpath: Mountpath,
        algorithms: list[str],
        sealer: Sealer | None,
        place: Mountpath | None,
    ) -> None:
        self._mountpath = place or mountpath
        self._sealer = sealer
        self.blob = mountpath.opened().new_blob(None if place is None else place.spec)
        self._digests = {algorithm: new_digest(algorithm) for algorithm in algorithms}
        self._lanes: list[Lane] = []

    def open_lanes(self, cpu: concurrent.futures.Executor | None) -> None:
        """Before the first block: side by side if there are threads for computing; a body of a single block goes
        through one lane instead, for there the changes of thread would cost more than they save."""
        if self._lanes:
            return
        if cpu is None:
            self._lanes = [Lane(self._mountpath.executor, self._write_and_update)]
            return
        write = self.blob.write if self._sealer is None else self._write_sealed
        self._lanes = [Lane(self._mountpath.executor, write)]
        # MD5 is the slowest by far and has a lane to itself.
        for names in ([MD5], [name for name in self._digests if name != MD5]):
            if names:
                update = functools.partial(_update, [self._digests[name] for name in names])
                self._lanes.append(Lane(cpu, update))

    def _write_and_update(self, block: Block) -> None:
        if self._sealer is None:
            self.blob.write(block)
        else:
            self._write_sealed(block)
        _update(list(self._digests.values()), block)

    def _write_sealed(self, block: Block) -> None:
        assert self._sealer is not None
        sealed = self._sealer.finish() if block is _END else self._sealer.update(block)
        if sealed:
            self.blob.write(sealed)

    async def push(self, block: Block, size_bytes: int) -> None:
        """Hand a block to every lane; waits until it is the only one waiting behind the one at work."""
        capacity = self._mountpath.opened().capacity
        if capacity.is_stale or not capacity.has_room(size_bytes):
            await self._mountpath.require_room(size_bytes)
        capacity.took(size_bytes, is_blob=True)
        for lane in self._lanes:
            lane.push(block, size_bytes)
        await self.wait_below(size_bytes)

    async def digests(self) -> dict[str, bytes]:
        """All of them, once every byte is digested and written."""
        await self.wait_below(0)
        return {algorithm: digest.digest() for algorithm, digest in self._digests.items()}

    async def end(self) -> None:
        """Have the rest of a sealed body written, behind all blocks. `digests` comes before."""
        if self._sealer is not None:
            self._lanes[0].push(_END, 1)
            await self.wait_below(0)

    async def wait_below(self, limit_bytes: int) -> None:
        """Until no more than so many bytes wait for any lane."""
        try:
            for lane in self._lanes:
                await lane.wait_below(limit_bytes)
        except OSError as error:
            raise self._mountpath.translate(error) from error

    def give_up(self) -> None:
        """Forget the body and remove what was written of it, behind a write that is under way."""
        for lane in self._lanes[1:]:
            lane.give_up(_do_nothing)
        if self._lanes:
            self._lanes[0].give_up(self.blob.abandon)


def _update(digests: Sequence[Digest], block: Block) -> None:
    for digest in digests:
        for chunk in block:
            digest.update(chunk)


def _do_nothing() -> None:
    return
