"""Owns the writing of shards: members on their way into an object, and appends, which write the shard anew behind what
it has. Sources and encoders are never held whole: some blocks, and what the engine's intake holds.
"""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterator,
    Sequence,
)
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol, TypeVar

from core.errors import IncompleteBody, InvalidArgument
from core.shards import NewMember, member_path
from core.types import ChecksumAlgorithm, ExpectedDigest
from core.whole_objects import WholeObjects
from storage.shards.encoders import Encoder

T = TypeVar("T")

# So much is given to a thread at once.
_BATCH_BYTES = 256 * 1024
_BATCH_STEPS = 512


class Run(Protocol):
    """Does a bounded piece of work in a thread."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]: ...


Step = Callable[[Encoder], bytes]


class ShardBody:
    """A shard in the making, as the body of a put. Iterated once."""

    size_bytes: int | None = None
    wanted_checksum: ChecksumAlgorithm | None = None

    def __init__(self, pieces: AsyncGenerator[bytes, None]) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async with aclosing(self._pieces) as pieces:
            async for piece in pieces:
                yield piece

    def expected_digests(self) -> Sequence[ExpectedDigest]:
        return ()

    def expected_algorithms(self) -> Sequence[str]:
        return ()


async def encoded(
    store: WholeObjects,
    encoder: Encoder,
    members: AsyncIterable[NewMember],
    run: Run,
    start: AsyncGenerator[bytes, None] | None = None,
) -> AsyncGenerator[bytes, None]:
    """The bytes of an archive of these members, none of the pieces empty; `start` is what it has already, as
    the encoder's `resume` takes it. Raises what reading a source raises, and InvalidArgument, IncompleteBody for
    members that are none."""
    try:
        batch: list[Step] = []
        batch_bytes = 0
        async with aclosing(_steps(store, members, start)) as steps:
            async for step, size_bytes in steps:
                batch.append(step)
                batch_bytes += size_bytes
                if batch_bytes >= _BATCH_BYTES or len(batch) >= _BATCH_STEPS:
                    if piece := await run(_Batch(encoder, batch)):
                        yield piece
                    batch, batch_bytes = [], 0
        if piece := await run(_Batch(encoder, batch)):
            yield piece
        last = encoder.finish()
        while (block := await run(_Next(last))) is not None:
            if block:
                yield block
    finally:
        encoder.close()


@dataclass(frozen=True, slots=True)
class _Batch:
    encoder: Encoder
    steps: Sequence[Step]

    def __call__(self) -> bytes:
        return b"".join([step(self.encoder) for step in self.steps])


@dataclass(frozen=True, slots=True)
class _Next:
    blocks: Iterator[bytes]

    def __call__(self) -> bytes | None:
        return next(self.blocks, None)


async def _steps(
    store: WholeObjects,
    members: AsyncIterable[NewMember],
    start: AsyncGenerator[bytes, None] | None,
) -> AsyncGenerator[tuple[Step, int], None]:
    """What an encoder is to be told, each with the number of bytes that come of it."""
    if start is not None:
        async with aclosing(start):
            async for block in start:
                yield _Old(block), len(block)
    async for member in members:
        path = member_path(member.path)
        if path is None:
            reason = "this can be no member's path"
            raise InvalidArgument(name="archpath", value=member.path[:100], reason=reason)
        if member.data is not None:
            given = _member_steps(path, member.size_bytes, member.modified_ns, member.data)
            async for each in given:
                yield each
            continue
        assert member.source_bucket is not None
        assert member.source_key is not None
        reader = await store.get(member.source_bucket, member.source_key)
        try:
            info = reader.info
            async for each in _member_steps(path, info.size_bytes, info.modified_ns, reader):
                yield each
        finally:
            await reader.close()


async def _member_steps(
    path: str, size_bytes: int, modified_ns: int, data: AsyncIterable[bytes]
) -> AsyncIterator[tuple[Step, int]]:
    yield (lambda encoder: encoder.begin(path, size_bytes, modified_ns)), 512
    given = 0
    async for chunk in data:
        given += len(chunk)
        if given > size_bytes:
            break
        yield _Data(chunk), len(chunk)
    if given != size_bytes:
        raise IncompleteBody(expected_bytes=size_bytes, actual_bytes=given)
    yield (lambda encoder: encoder.end()), 0


@dataclass(frozen=True, slots=True)
class _Data:
    chunk: bytes

    def __call__(self, encoder: Encoder) -> bytes:
        return encoder.data(self.chunk)


@dataclass(frozen=True, slots=True)
class _Old:
    chunk: bytes

    def __call__(self, encoder: Encoder) -> bytes:
        return encoder.resume(self.chunk)
