"""Owns the bodies that go to and come from S3 servers: Feed (out) and S3Reader (in). Both stream, hold at most a few
chunks, and count what passes; the first computes its MD5, in threads."""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp

from core.errors import BackendBroken, BackendDown, IncompleteBody, StoreError
from core.protocols import BodyStream
from core.types import ObjectInfo

MAX_CHUNK_BYTES = 1024**2


class Feed:
    """A BodyStream as the HTTP client takes it.

    The last chunk is held back until the body has ended well: a body that turns out bad at its very end (a digest that
    is wrong, a signature) leaves the request unfinished, and the server drops it. `error` is what went wrong in the
    body itself, as the client would wrap it into errors of its own.
    """

    def __init__(self, body: BodyStream) -> None:
        assert body.size_bytes is not None
        self.size_bytes = body.size_bytes
        self.error: BaseException | None = None
        self.waits: Callable[[bool], None] = lambda _: None
        self._body = body
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._has_begun = False

    def md5(self) -> bytes:
        """Of all that was fed."""
        return self._md5.digest()

    def read(self, _size: int = -1) -> bytes:
        """botocore takes only what has this; the HTTP client iterates."""
        raise io.UnsupportedOperation("read")

    def seek(self, offset: int, _whence: int = 0) -> int:
        """To begin again, as after a redirect: possible while nothing was fed."""
        if self._has_begun or offset:
            raise io.UnsupportedOperation("seek")
        return 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._has_begun:
            self.error = BackendDown(reason="the request was to be sent twice", retry_after_s=1)
            raise self.error
        self._has_begun = True
        held = b""
        hashing: asyncio.Future[None] | None = None
        loop = asyncio.get_running_loop()
        count = 0
        try:
            self.waits(False)
            async for chunk in self._body:
                count += len(chunk)
                if count > self.size_bytes:
                    break
                if hashing is not None:
                    await hashing
                hashing = loop.run_in_executor(None, self._md5.update, chunk)
                if held:
                    self.waits(True)
                    yield held
                    self.waits(False)
                held = chunk
            if count != self.size_bytes:
                raise IncompleteBody(expected_bytes=self.size_bytes, actual_bytes=count)
        except (Exception, asyncio.CancelledError) as error:
            self.error = error
            raise
        finally:
            if hashing is not None:
                await hashing
            self.waits(True)
        if held:
            yield held


async def whole(body: BodyStream) -> bytes:
    """The bytes of a body that is small."""
    assert body.size_bytes is not None
    chunks, count = [], 0
    async for chunk in body:
        count += len(chunk)
        if count > body.size_bytes:
            break
        chunks.append(bytes(chunk))
    if count != body.size_bytes:
        raise IncompleteBody(expected_bytes=body.size_bytes, actual_bytes=count)
    return b"".join(chunks)


class S3Reader:
    """A BackendReader over an answer to GetObject. `raw` is the HTTP client's response."""

    def __init__(self, raw: Any, info: ObjectInfo, first: int, length: int, bucket: str) -> None:
        self.info = info
        self.first = first
        self.length = length
        self._raw = raw
        self._bucket = bucket

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = self.length
        try:
            async for chunk in self._raw.content.iter_any():
                left -= len(chunk)
                if left < 0:
                    raise self._broken(f"more than the {self.length} bytes that were promised")
                if len(chunk) <= MAX_CHUNK_BYTES:
                    yield chunk
                    continue
                for at in range(0, len(chunk), MAX_CHUNK_BYTES):
                    yield chunk[at : at + MAX_CHUNK_BYTES]
        except (aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError):
            raise self._broken(f"it broke off {left} bytes before its end") from None
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise BackendDown(
                provider=self._provider,
                bucket=self._bucket,
                reason=type(error).__name__,
                retry_after_s=1,
            ) from None
        if left:
            raise self._broken(f"{left} bytes of {self.length} are missing")

    async def close(self) -> None:
        """See BackendReader. An answer that was not read to its end costs its connection."""
        self._raw.close()

    @property
    def _provider(self) -> str:
        return self.info.remote.provider if self.info.remote else ""

    def _broken(self, reason: str) -> StoreError:
        return BackendBroken(
            provider=self._provider,
            bucket=self._bucket,
            key=self.info.key,
            reason=reason,
            retry_after_s=1,
        )
