"""Owns one object's way from a link into a bucket: skipped if it is there already, read by ranges if it is large.

An object is whole or absent: what breaks off stores nothing. What the source said of itself is kept with the object
(`source-etag`, `source-modified`), so that the same thing need not be fetched again.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from core.acl import owner_of_new
from core.errors import NotFound, StoreError
from core.names import ObjectKey
from core.protocols import ObjectStore
from core.types import (
    MAX_PART_BYTES,
    Bucket,
    CannedAcl,
    ChecksumAlgorithm,
    ExpectedDigest,
    ObjectAttributes,
    ObjectInfo,
    User,
)
from core.uploads import CompletedPart
from jobs.downloads.failures import DownloadFailed, failed
from jobs.downloads.report import Task
from jobs.downloads.request import Item
from jobs.downloads.web import Web, WebReply

LARGE_BYTES = 128 * 1024**2
_PART_BYTES = 32 * 1024**2
_MAX_PARTS = 9_000
_PARTS_AT_ONCE = 4
_LARGE_AT_ONCE = 2
_MD5 = re.compile(r"[0-9a-f]{32}\Z")
_ATTEMPTS = 4
_FIRST_WAIT_S = 0.5
_KEPT_HEADERS = ("content-type", "content-encoding", "content-language", "content-disposition")

Pause = Callable[[float], Awaitable[None]]


class Pace:
    """Keeps a job to so many bytes an hour; 0 for any number. `pause` sleeps."""

    def __init__(self, bytes_per_hour: int, pause: Pause) -> None:
        self._ns_each = 3600 * 10**9 / bytes_per_hour if bytes_per_hour else 0.0
        self._pause = pause
        self._free_s = 0.0

    async def take(self, count: int) -> None:
        """Wait until so many bytes may have come."""
        if not self._ns_each:
            return
        now_s = asyncio.get_running_loop().time()
        self._free_s = max(self._free_s, now_s) + count * self._ns_each / 1e9
        await self._pause(self._free_s - now_s)


class _Body:
    """An answer as the body of a write: exactly the bytes that were promised, or an error."""

    wanted_checksum: ChecksumAlgorithm | None = None

    def __init__(self, reply: WebReply, size_bytes: int | None, pace: Pace, task: Task) -> None:
        self._reply = reply
        self._pace = pace
        self._task = task
        self.size_bytes = size_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """As BodyStream. Raises DownloadFailed."""
        count = 0
        async for chunk in self._reply:
            count += len(chunk)
            if self.size_bytes is not None and count > self.size_bytes:
                raise failed(self._reply.url, "it sends more than it promised")
            await self._pace.take(len(chunk))
            self._task.downloaded += len(chunk)
            yield chunk
        if self.size_bytes is not None and count < self.size_bytes:
            raise failed(self._reply.url, "it breaks off", is_transient=True)

    def expected_digests(self) -> Sequence[ExpectedDigest]:
        """As BodyStream."""
        digest = self._reply.sha256 if self._reply.status == 200 else b""
        return [ExpectedDigest("sha256", digest, "checksum")] if digest else []

    def expected_algorithms(self) -> Sequence[str]:
        """As BodyStream."""
        return [each.algorithm for each in self.expected_digests()]


@dataclass
class Fetcher:
    """Fetches a job's objects into its bucket, for its user."""

    store: ObjectStore
    bucket: Bucket
    user: User
    web: Web
    pace: Pace
    pause: Pause
    _large: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_LARGE_AT_ONCE))

    async def fetch(self, item: Item, task: Task) -> ObjectInfo | None:
        """The object as it was stored; None if it was there already. Tries again what may be better the next time.
        Raises DownloadFailed, and what writing raises."""
        wait_s = _FIRST_WAIT_S
        for _ in range(_ATTEMPTS - 1):
            try:
                return await self._once(item, task)
            except DownloadFailed as error:
                if not error.is_transient:
                    raise
            await self.pause(wait_s)
            wait_s *= 2
        return await self._once(item, task)

    async def _once(self, item: Item, task: Task) -> ObjectInfo | None:
        key = ObjectKey(item.name)
        task.downloaded = 0
        there = await self._there(key)
        if there is not None and await self._is_same(item, there):
            return None
        reply = await self.web.open(item.link)
        try:
            size_bytes = reply.size_bytes
            task.total = size_bytes or 0
            if there is not None and _matches(reply, there):
                return None
            attributes = self._attributes(reply)
            if not _goes_by_ranges(reply):
                body = _Body(reply, size_bytes, self.pace, task)
                return await self._put(key, body, attributes)
        finally:
            await reply.close()
        async with self._large:
            return await self._by_ranges(item, key, reply, task)

    async def _put(self, key: ObjectKey, body: _Body, attributes: ObjectAttributes) -> ObjectInfo:
        default = self.bucket.props.encryption
        encryption = None if default is None else default.request()
        return await self.store.put(
            self.bucket, key, body, attributes=attributes, encryption=encryption
        )

    # --- what is there already ---

    async def _there(self, key: ObjectKey) -> ObjectInfo | None:
        try:
            return await self.store.head(self.bucket, key)
        except NotFound:
            return None

    async def _is_same(self, item: Item, there: ObjectInfo) -> bool:
        """Asked without the bytes; servers that do not answer so are asked with them."""
        try:
            reply = await self.web.open(item.link, method="HEAD")
        except DownloadFailed:
            return False
        await reply.close()
        return _matches(reply, there)

    def _attributes(self, reply: WebReply) -> ObjectAttributes:
        headers = {name: reply.header(name) for name in _KEPT_HEADERS}
        told = {
            "source": "web",
            "source-etag": reply.etag,
            "source-modified": reply.header("Last-Modified", 64),
        }
        return ObjectAttributes(
            headers={name: text for name, text in headers.items() if text and text.isascii()},
            user_metadata={name: text for name, text in told.items() if text and text.isascii()},
            owner_id=owner_of_new(self.bucket, self.user.user_id, CannedAcl.PRIVATE),
        )

    # --- large ones ---

    async def _by_ranges(
        self, item: Item, key: ObjectKey, reply: WebReply, task: Task
    ) -> ObjectInfo:
        """By several reads at a time, each a part of an upload: the object appears when all are there."""
        size_bytes = reply.size_bytes
        assert size_bytes is not None
        part_bytes = max(_PART_BYTES, -(-size_bytes // _MAX_PARTS))
        assert part_bytes <= MAX_PART_BYTES
        default = self.bucket.props.encryption
        upload = await self.store.create_upload(
            self.bucket,
            key,
            attributes=self._attributes(reply),
            initiator=self.user,
            encryption=None if default is None else default.request(),
        )
        parts: dict[int, str] = {}
        room = asyncio.Semaphore(_PARTS_AT_ONCE)

        async def one(number: int, first: int) -> None:
            async with room:
                last = min(first + part_bytes, size_bytes) - 1
                body = await self._range(item, reply, (first, last, size_bytes), task)
                try:
                    made = await self.store.upload_part(
                        self.bucket, key, upload.upload_id, number, body
                    )
                finally:
                    await body._reply.close()
                parts[number] = made.etag

        try:
            async with asyncio.TaskGroup() as group:
                for number, first in enumerate(range(0, size_bytes, part_bytes), 1):
                    group.create_task(one(number, first))
            completed = [CompletedPart(number, parts[number]) for number in sorted(parts)]
            return await self.store.complete_upload(self.bucket, key, upload.upload_id, completed)
        except BaseException as error:
            with contextlib.suppress(
                StoreError
            ):  # else it is reclaimed as other abandoned uploads are
                await asyncio.shield(self.store.abort_upload(self.bucket, key, upload.upload_id))
            while isinstance(error, BaseExceptionGroup):
                error = error.exceptions[0]
            raise error from None

    async def _range(
        self, item: Item, whole: WebReply, wanted: tuple[int, int, int], task: Task
    ) -> _Body:
        """A part of the same thing: its ETag is asked for, and its place and size are looked at."""
        first, last, size_bytes = wanted
        headers = {"range": f"bytes={first}-{last}", "if-range": f'"{whole.etag}"'}
        reply = await self.web.open(item.link, headers=headers)
        if reply.status != 206 or reply.content_range() != (first, last, size_bytes):
            await reply.close()
            raise failed(item.link, "it changes while it is read", is_transient=True)
        return _Body(reply, last - first + 1, self.pace, task)


def _goes_by_ranges(reply: WebReply) -> bool:
    return (
        (reply.size_bytes or 0) >= LARGE_BYTES
        and reply.header("Accept-Ranges").lower() == "bytes"
        and bool(reply.etag)
        and not reply.sha256
    )


def _matches(reply: WebReply, there: ObjectInfo) -> bool:
    """Whether an object has what a link gives: by size, and by the ETag or MD5 where both are known."""
    if reply.size_bytes != there.size_bytes:
        return False
    known = there.attributes.user_metadata
    if reply.etag and known.get("source-etag"):
        return reply.etag == known["source-etag"]
    if _MD5.match(reply.etag) and _MD5.match(there.etag):
        return reply.etag == there.etag
    modified = reply.header("Last-Modified", 64)
    if modified and known.get("source-modified"):
        return modified == known["source-modified"]
    return True
