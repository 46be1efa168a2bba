"""Owns objects on their way in from a provider over HTTP: exactly the bytes that were promised, or an error."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp

from core.errors import BackendBroken, BackendDown
from core.types import ObjectInfo

_CHUNK_BYTES = 256 * 1024


class Incoming:
    """A BackendReader over the body of an answer. `skip_bytes` come before those that are offered (of a server that
    gives the whole where a range was asked for)."""

    def __init__(  # noqa: PLR0913  # a reader's three, and where they come from
        self,
        response: aiohttp.ClientResponse,
        info: ObjectInfo,
        first: int,
        length: int,
        *,
        provider: str,
        bucket: str,
        skip_bytes: int = 0,
    ) -> None:
        self.info = info
        self.first = first
        self.length = length
        self._response = response
        self._provider = provider
        self._bucket = bucket
        self._skip_bytes = skip_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        skip, left = self._skip_bytes, self.length
        while left > 0:
            chunk = await self._read(left)
            if skip:
                skipped = min(skip, len(chunk))
                chunk, skip = chunk[skipped:], skip - skipped
            # More than that is the rest of a whole of which a range is offered.
            chunk = chunk[:left]
            left -= len(chunk)
            if chunk:
                yield chunk

    async def close(self) -> None:
        """See BackendReader. What was not read takes its connection with it."""
        self._response.close()

    async def _read(self, left: int) -> bytes:
        try:
            chunk = await self._response.content.read(_CHUNK_BYTES)
        except (aiohttp.ClientPayloadError, aiohttp.http.HttpProcessingError):
            chunk = b""
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise BackendDown(
                provider=self._provider,
                bucket=self._bucket,
                reason=type(error).__name__,
                retry_after_s=1,
            ) from None
        if not chunk:
            raise BackendBroken(
                provider=self._provider,
                bucket=self._bucket,
                key=self.info.key,
                reason=f"{self.length - left} bytes where {self.length} were promised",
                retry_after_s=1,
            )
        return chunk
