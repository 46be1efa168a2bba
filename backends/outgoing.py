"""Owns bodies on their way out to a provider over HTTP: of the size that they promised, or cut short so that nothing
comes of them."""

from __future__ import annotations

from collections.abc import AsyncIterator

from core.errors import IncompleteBody
from core.protocols import BodyStream

_IN_MEMORY_BYTES = 256 * 1024
_CHUNK_BYTES = 1024**2


class Outgoing:
    """A BodyStream for HTTP clients. The last chunk is given when the body has ended well and not before: who reads
    it sends all that was promised of a good body, and never of a bad one.

    `error` is what the body raised, which clients of HTTP tend to swallow: it goes before what they raise.
    """

    def __init__(self, body: BodyStream) -> None:
        self._body = body
        self.size_bytes = body.size_bytes or 0
        self.error: BaseException | None = None
        self._source: AsyncIterator[bytes] | None = None
        self._done = 0
        self._held = b""

    async def content(self, size_bytes: int = -1) -> bytes | AsyncIterator[bytes]:
        """The next `size_bytes` of it (-1: all): in one piece if they are few, else as a stream. Raises what the body
        raises, of few bytes at once."""
        rest = self.size_bytes - self._done
        wanted = rest if size_bytes < 0 else min(size_bytes, rest)
        stream = self._next(wanted)
        if wanted > _IN_MEMORY_BYTES:
            return stream
        return b"".join([chunk async for chunk in stream])

    async def _next(self, wanted: int) -> AsyncIterator[bytes]:
        """The next bytes. Those that come with the end of the whole wait for it."""
        try:
            while wanted > 0:
                chunk = await self._chunk()
                given = chunk[: min(wanted, _CHUNK_BYTES)]
                self._held = chunk[len(given) :]
                self._done += len(given)
                wanted -= len(given)
                if self._done == self.size_bytes:
                    await self._end()
                yield given
            if self.size_bytes == 0:
                await self._end()
        except BaseException as error:
            self.error = error
            raise

    async def _chunk(self) -> bytes:
        if self._held:
            return self._held
        self._source = self._source or aiter(self._body)
        chunk = await anext(self._source, b"")
        if not chunk:
            raise IncompleteBody(expected_bytes=self.size_bytes, actual_bytes=self._done)
        return chunk

    async def _end(self) -> None:
        self._source = self._source or aiter(self._body)
        more = self._held or await anext(self._source, b"")
        if more:
            actual_bytes = self.size_bytes + len(more)
            raise IncompleteBody(expected_bytes=self.size_bytes, actual_bytes=actual_bytes)
