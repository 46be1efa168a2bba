"""Owns reads that go on: the bytes of one state of an object at a backend, by as many requests as it takes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

from backends.cache.views import Wanted, etag_of, is_current
from core.backends import BackendReader
from core.digests import MD5, Digest, digest_all, new_digest
from core.errors import (
    BackendBroken,
    BackendBusy,
    BackendDenied,
    BackendDown,
    InvalidRange,
    NoSuchKey,
    PreconditionFailed,
    Unavailable,
)
from core.types import BoundedRange, ByteRange, ChecksumType, ObjectInfo, OffsetRange

_TRIES = 4
"""How often in a row a read may break off without a byte having come."""

_SMALL_BYTES = 16 * 1024
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.1, 2.0


class RemoteStream:
    """An open read. What comes out are exactly the bytes promised, or an error: BackendBroken if they can't be had any
    more, BackendDown or BackendBusy if the backend stays away. Close it exactly once (idempotent)."""

    def __init__(self, wanted: Wanted, reader: BackendReader) -> None:
        self._wanted = wanted
        self._reader = reader
        self.info = wanted.seen(reader.info)
        self.first = reader.first
        self.length = reader.length

    @classmethod
    async def open(
        cls,
        wanted: Wanted,
        byte_range: ByteRange | None = None,
        *,
        if_match: str = "",
    ) -> RemoteStream:
        """Raises as Backend.open, and BackendBroken for a size that the rest of the answer belies."""
        reader = await wanted.backend.open(
            wanted.view.name,
            wanted.key,
            byte_range=byte_range,
            if_match=if_match,
            version_id=wanted.version_id,
        )
        end = reader.first + reader.length
        if reader.first < 0 or reader.length < 0 or end > reader.info.size_bytes:
            await reader.close()
            raise broken(wanted, "it offers bytes that the object does not have")
        if not reader.info.size_bytes:
            # Nobody reads a body that is empty, so that its digests are compared now or never.
            expected = promised(wanted, reader.info)
            try:
                check_digests(wanted, expected, digest_all(b"", expected))
            except BackendBroken:
                await reader.close()
                raise
        return cls(wanted, reader)

    async def close(self) -> None:
        """Give the connection back, or up."""
        await self._reader.close()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        position, end = self.first, self.first + self.length
        failures = 0
        while True:
            try:
                async for chunk in self._reader:
                    if position + len(chunk) > end:
                        raise broken(self._wanted, "it sends more than it promised")
                    position += len(chunk)
                    failures = 0
                    yield chunk
                if position < end:
                    raise broken(self._wanted, "it sends less than it promised")
            except (BackendDown, BackendBusy, BackendBroken) as error:
                failures += 1
                if position >= end or not await self._goes_on(error, failures):
                    raise
                await self._reopen(position, end, error)
            else:
                return

    async def proven(self) -> AsyncIterator[bytes]:
        """The same; of a whole object the last bytes come only once all have the digests that were promised. Raises
        BackendBroken."""
        wanted = promised(self._wanted, self.info)
        if not wanted or self.length != self.info.size_bytes:
            async for chunk in self:
                yield chunk
            return
        digests = [new_digest(name) for name in wanted]
        held = b""
        async for chunk in self:
            await _digest(digests, chunk)
            if held:
                yield held
            held = chunk
        check_digests(
            self._wanted,
            wanted,
            {name: each.digest() for name, each in zip(wanted, digests, strict=True)},
        )
        if held:
            yield held

    async def _goes_on(self, error: Unavailable, failures: int) -> bool:
        """Whether to try again, after a while."""
        if failures >= _TRIES or not etag_of(self.info):
            return False
        await self._reader.close()
        wait_s = min(_FIRST_WAIT_S * 2 ** (failures - 1), _LONGEST_WAIT_S)
        if isinstance(error, BackendBusy):
            wait_s = min(max(wait_s, error.fields.get("retry_after_s", 0)), _LONGEST_WAIT_S)
        await asyncio.sleep(wait_s)
        return True

    async def _reopen(self, position: int, end: int, before: Unavailable) -> None:
        """Go on where it broke off, in the same state of the object. What fails for the moment is met by the next
        round, which finds a reader that has nothing."""
        try:
            reader = await reopened(self._wanted, self.info, position, end)
        except (BackendDown, BackendBusy) as error:
            self._reader = _Failed(self._reader, error)
        else:
            self._reader = reader


async def _digest(digests: Sequence[Digest], chunk: bytes) -> None:
    """In a thread, unless that would cost more than it saves."""

    def update() -> None:
        for each in digests:
            each.update(chunk)

    if len(chunk) > _SMALL_BYTES:
        await asyncio.to_thread(update)
    else:
        update()


class _Failed:
    """A reader that could not be opened: it fails when it is read."""

    def __init__(self, reader: BackendReader, error: Unavailable) -> None:
        self.info, self.first, self.length = reader.info, reader.first, reader.length
        self._error = error

    def __aiter__(self) -> AsyncIterator[bytes]:
        raise self._error

    async def close(self) -> None:
        """There is nothing to close."""


async def reopened(wanted: Wanted, info: ObjectInfo, position: int, end: int) -> BackendReader:
    """The rest of an object that was begun to read. Raises BackendBroken if it is another one by now, or gone."""
    byte_range: ByteRange = BoundedRange(position, end - 1)
    if end == info.size_bytes:
        byte_range = OffsetRange(position)
    try:
        reader = await wanted.backend.open(
            wanted.view.name,
            wanted.key,
            byte_range=byte_range,
            if_match=etag_of(info),
            version_id=wanted.version_id,
        )
    except (PreconditionFailed, NoSuchKey, InvalidRange) as error:
        raise broken(wanted, "it was replaced or deleted while it was read") from error
    except BackendDenied as error:
        raise broken(wanted, "the credentials were refused while it was read") from error
    if (
        reader.first != position
        or reader.length != end - position
        or not is_current(info, reader.info)
    ):
        await reader.close()
        raise broken(wanted, "it is another one than when it was begun to read")
    return reader


def promised(wanted: Wanted, info: ObjectInfo) -> dict[str, bytes]:
    """The digests of a whole object that the backend gives, if they are to be compared."""
    if not wanted.view.verifies or info.remote is None:
        return {}
    digests = {MD5: info.remote.md5, "crc32c": info.remote.crc32c}
    if info.checksum is not None and info.checksum.type is ChecksumType.FULL_OBJECT:
        digests[info.checksum.algorithm.value.lower()] = info.checksum.digest
    return {name: digest for name, digest in digests.items() if digest}


def check_digests(
    wanted: Wanted, expected: Mapping[str, bytes], actual: Mapping[str, bytes]
) -> None:
    """Raises BackendBroken."""
    for name, digest in expected.items():
        if actual[name] != digest:
            raise broken(wanted, f"its bytes do not have the {name} that it promised")


def broken(wanted: Wanted, reason: str) -> BackendBroken:
    """What is wrong with what a backend sent."""
    return BackendBroken(
        provider=wanted.view.bucket.ref.provider,
        bucket=wanted.view.name,
        key=wanted.key,
        reason=reason,
        retry_after_s=1,
    )
