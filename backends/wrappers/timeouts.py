"""Owns how long a backend may take: for an answer, and between two chunks of a stream either way. What takes longer is
given up, as BackendDown. The time that our own client takes for its bytes is not the backend's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from backends.wrappers.base import Call, WrappedBody, WrappedReader, Wrapper
from core.accounts import Account
from core.backends import Backend, BackendPart, BackendReader
from core.errors import BackendDown
from core.names import ObjectKey
from core.protocols import BodyStream
from core.types import ByteRange, ObjectAttributes, ObjectInfo

T = TypeVar("T")

_LONG = frozenset({"copy", "complete_upload"})
_MAX_TIMEOUT_S = 3600.0


@dataclass(frozen=True, slots=True)
class Timeouts:
    """`answer_s` until an answer begins; `long_s` for what providers do with whole objects (copies, completions);
    `stall_s` between chunks."""

    answer_s: float = 30.0
    long_s: float = 600.0
    stall_s: float = 30.0


def timeouts_of(account: Account) -> Timeouts:
    """Those of an account's settings: `timeout_s`, `copy_timeout_s`, `stall_timeout_s`."""
    usual = Timeouts()
    settings = account.settings
    return Timeouts(
        _seconds(settings.get("timeout_s"), usual.answer_s),
        _seconds(settings.get("copy_timeout_s"), usual.long_s),
        _seconds(settings.get("stall_timeout_s"), usual.stall_s),
    )


class Timed(Wrapper):
    """A backend that answers in time or is down."""

    def __init__(self, inner: Backend, provider: str, timeouts: Timeouts) -> None:
        super().__init__(inner)
        self._provider = provider
        self._timeouts = timeouts

    async def around(self, call: Call, go: Callable[[], Awaitable[T]]) -> T:
        limits = self._timeouts
        return await self._within(
            call,
            asyncio.timeout(limits.long_s if call.name in _LONG else limits.answer_s),
            go,
        )

    async def open(
        self,
        bucket: str,
        key: ObjectKey,
        *,
        byte_range: ByteRange | None = None,
        if_match: str = "",
        version_id: str = "",
    ) -> BackendReader:
        reader = await super().open(
            bucket, key, byte_range=byte_range, if_match=if_match, version_id=version_id
        )
        down = self._down(Call("get", "open", bucket, key), "no byte")
        return _TimedReader(reader, self._timeouts.stall_s, down)

    async def put(
        self,
        bucket: str,
        key: ObjectKey,
        body: BodyStream,
        attributes: ObjectAttributes,
        *,
        if_match: str = "",
        if_absent: bool = False,
    ) -> ObjectInfo:
        limit = asyncio.timeout(self._timeouts.answer_s)
        timed = _TimedBody(body, limit, self._timeouts)
        return await self._within(
            Call("put", "put", bucket, key),
            limit,
            lambda: self.inner.put(
                bucket, key, timed, attributes, if_match=if_match, if_absent=if_absent
            ),
        )

    async def upload_part(
        self, bucket: str, key: ObjectKey, upload_id: str, part_number: int, body: BodyStream
    ) -> BackendPart:
        limit = asyncio.timeout(self._timeouts.answer_s)
        timed = _TimedBody(body, limit, self._timeouts)
        return await self._within(
            Call("put", "upload_part", bucket, key),
            limit,
            lambda: self.inner.upload_part(bucket, key, upload_id, part_number, timed),
        )

    async def _within(
        self, call: Call, limit: asyncio.Timeout, go: Callable[[], Awaitable[T]]
    ) -> T:
        try:
            async with limit:
                return await go()
        except TimeoutError:
            if not limit.expired():
                raise
        raise self._down(call, f"no answer to {call.name}")

    def _down(self, call: Call, reason: str) -> BackendDown:
        return BackendDown(
            provider=self._provider,
            bucket=call.bucket,
            reason=f"{reason} in time",
            retry_after_s=1,
        )


class _TimedReader(WrappedReader):
    def __init__(self, inner: BackendReader, stall_s: float, down: BackendDown) -> None:
        super().__init__(inner)
        self._stall_s = stall_s
        self._down = down

    async def chunks(self) -> AsyncIterator[bytes]:
        source = aiter(self.inner)
        while True:
            limit = asyncio.timeout(self._stall_s)
            try:
                async with limit:
                    chunk = await anext(source, None)
            except TimeoutError:
                if limit.expired():
                    raise self._down from None
                raise
            if chunk is None:
                return
            yield chunk


class _TimedBody(WrappedBody):
    """Moves the limit of the call that reads it: none while the client is waited for."""

    def __init__(self, inner: BodyStream, limit: asyncio.Timeout, timeouts: Timeouts) -> None:
        super().__init__(inner)
        self._limit = limit
        self._timeouts = timeouts

    async def chunks(self) -> AsyncIterator[bytes]:
        now = asyncio.get_running_loop().time
        self._move(None)
        async for chunk in self.inner:
            self._move(now() + self._timeouts.stall_s)
            yield chunk
            self._move(None)
        # What is left is the backend's making the object durable.
        self._move(now() + max(self._timeouts.answer_s, self._timeouts.stall_s))

    def _move(self, when: float | None) -> None:
        try:
            self._limit.reschedule(when)
        except RuntimeError:
            # The call is over, and the body's last reader with it.
            pass


def _seconds(written: str | None, usual: float) -> float:
    try:
        wanted = float(written or usual)
    except ValueError:
        return usual
    # Also refuses NaN, which compares with nothing.
    return wanted if 0 < wanted <= _MAX_TIMEOUT_S else usual
