"""Owns a read that goes on where it broke: of the same object, by its ETag, so that who reads sees one stream of one
version of it, or an error."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

from core.backends import BackendReader
from core.errors import (
    BackendBroken,
    BackendBusy,
    BackendDown,
    InvalidRange,
    NotFound,
    PreconditionFailed,
    Unavailable,
)
from core.types import BoundedRange, ByteRange, ObjectInfo

_PROGRESS_BYTES = 256 * 1024
"""After so much the tries count anew: a long object may break more often than a short one."""


class Tries(Protocol):
    """How often and how long one tries (backends.wrappers.retry.Attempts)."""

    def begin(self) -> None: ...
    async def failed(self, error: Unavailable) -> None: ...


class ResumingReader:
    """A BackendReader over one that may break. `go_on` opens a range of the same version."""

    def __init__(
        self,
        reader: BackendReader,
        go_on: Callable[[ByteRange], Awaitable[BackendReader]],
        tries: Tries,
    ) -> None:
        self._reader: BackendReader | None = reader
        self._go_on = go_on
        self._tries = tries
        self._info = reader.info
        self._first = reader.first
        self._length = reader.length

    @property
    def info(self) -> ObjectInfo:
        return self._info

    @property
    def first(self) -> int:
        return self._first

    @property
    def length(self) -> int:
        return self._length

    async def __aiter__(self) -> AsyncIterator[bytes]:
        done = 0
        counted_from = 0
        while self._reader is not None:
            try:
                async for chunk in self._reader:
                    done += len(chunk)
                    yield chunk
                if done >= self._length:
                    return
                raise self._broken("it ended early")
            except (BackendDown, BackendBusy, BackendBroken) as error:
                if done >= self._length:
                    raise
                if done - counted_from >= _PROGRESS_BYTES or counted_from == 0:
                    self._tries.begin()
                    counted_from = max(done, 1)
                await self._give_up_reader()
                await self._open_again(done, error)

    async def close(self) -> None:
        await self._give_up_reader()

    async def _open_again(self, done: int, error: Unavailable) -> None:
        rest = BoundedRange(self._first + done, self._first + self._length - 1)
        while self._reader is None:
            await self._tries.failed(error)
            try:
                reader = await self._go_on(rest)
            except (BackendDown, BackendBusy) as again:
                error = again
            except (PreconditionFailed, NotFound, InvalidRange):
                raise self._broken("it was replaced while it was read") from None
            else:
                if not self._is_rest(reader, rest.first):
                    await reader.close()
                    raise self._broken("other bytes than those asked for")
                self._reader = reader

    def _is_rest(self, reader: BackendReader, first: int) -> bool:
        found, before = reader.info.remote, self._info.remote
        return (
            (reader.first, reader.length) == (first, self._first + self._length - first)
            and reader.info.size_bytes == self._info.size_bytes
            and found is not None
            and before is not None
            and found.etag == before.etag
        )

    async def _give_up_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            await reader.close()

    def _broken(self, reason: str) -> BackendBroken:
        remote = self._info.remote
        return BackendBroken(
            provider="" if remote is None else remote.provider,
            bucket="",
            key=self._info.key,
            reason=reason,
            retry_after_s=1,
        )
