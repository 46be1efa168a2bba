"""Owns trying again: what failed for the moment (BackendDown, BackendBusy) is repeated after a pause that grows and is
never the same, within bounds of tries and time. When they are used up the last error goes on as it is, so that
throttling is known as such.

Never repeated: a write whose bytes are gone, and what may have been done already and would then be refused.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from backends.wrappers.base import Call, WrappedBody, Wrapper
from backends.wrappers.resuming import ResumingReader
from core.backends import Backend, BackendPart, BackendReader
from core.errors import BackendBusy, BackendDown, NoSuchUpload, Unavailable
from core.names import ObjectKey
from core.protocols import BodyStream
from core.types import ByteRange, ObjectAttributes, ObjectInfo

T = TypeVar("T")

_REPLAYED_BYTES = 256 * 1024
"""What of a body is kept to be sent again: all of a small one."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`tries` in all; no try begins `total_s` after the first. A pause is random within `base_s` doubled with every
    try, up to `cap_s`, and at least what the backend asked for."""

    tries: int = 4
    total_s: float = 30.0
    base_s: float = 0.2
    cap_s: float = 8.0
    sleep: Callable[[float], Awaitable[None]] = field(default=asyncio.sleep, compare=False)
    now: Callable[[], float] = field(default=time.monotonic, compare=False)
    random: Callable[[], float] = field(default=random.random, compare=False)


class Attempts:
    """The tries of one thing."""

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self.begin()

    def begin(self) -> None:
        """Count anew."""
        self._failed = 0
        self._started_s = self._policy.now()

    async def failed(self, error: Unavailable) -> None:
        """Wait for the next try, or raise `error` if there is none."""
        self._failed += 1
        policy = self._policy
        ceiling_s = min(policy.cap_s, policy.base_s * 2**self._failed)
        pause_s = ceiling_s * (0.5 + policy.random() / 2)
        asked_s = error.fields.get("retry_after_s")
        if isinstance(asked_s, int | float) and isinstance(error, BackendBusy):
            pause_s = max(pause_s, asked_s)
        ends_s = self._started_s + policy.total_s
        if self._failed >= policy.tries or policy.now() + pause_s > ends_s:
            raise error
        await policy.sleep(pause_s)


class Retrying(Wrapper):
    """A backend that is asked again."""

    def __init__(self, inner: Backend, policy: RetryPolicy) -> None:
        super().__init__(inner)
        self.policy = policy

    async def around(self, call: Call, go: Callable[[], Awaitable[T]]) -> T:
        attempts = Attempts(self.policy)
        while True:
            try:
                return await go()
            except (BackendDown, BackendBusy) as error:
                await attempts.failed(error)

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
        remote = reader.info.remote
        if remote is None or not remote.etag:
            return reader

        async def go_on(rest: ByteRange) -> BackendReader:
            return await self.inner.open(
                bucket, key, byte_range=rest, if_match=remote.etag, version_id=version_id
            )

        return ResumingReader(reader, go_on, Attempts(self.policy))

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
        # A put that was done and not heard of would be refused the second time by its own condition.
        only_busy = bool(if_match) or if_absent
        return await self._write(
            body,
            lambda again: self.inner.put(
                bucket, key, again, attributes, if_match=if_match, if_absent=if_absent
            ),
            only_busy=only_busy,
        )

    async def upload_part(
        self, bucket: str, key: ObjectKey, upload_id: str, part_number: int, body: BodyStream
    ) -> BackendPart:
        return await self._write(
            body,
            lambda again: self.inner.upload_part(bucket, key, upload_id, part_number, again),
        )

    async def complete_upload(
        self, bucket: str, key: ObjectKey, upload_id: str, parts: Sequence[BackendPart]
    ) -> ObjectInfo:
        attempts = Attempts(self.policy)
        unheard: BackendDown | None = None
        while True:
            try:
                return await self.inner.complete_upload(bucket, key, upload_id, parts)
            except BackendDown as error:
                unheard = error
                await attempts.failed(error)
            except BackendBusy as error:
                await attempts.failed(error)
            except NoSuchUpload:
                # Completed before, perhaps, by the try whose answer was not heard: nobody knows.
                if unheard is not None:
                    raise unheard from None
                raise

    async def _write(
        self,
        body: BodyStream,
        write: Callable[[BodyStream], Awaitable[T]],
        *,
        only_busy: bool = False,
    ) -> T:
        attempts = Attempts(self.policy)
        replayed = _ReplayedBody(body)
        while True:
            replayed.begin()
            try:
                return await write(replayed)
            except (BackendDown, BackendBusy) as error:
                if replayed.is_lost or (only_busy and isinstance(error, BackendDown)):
                    raise
                await attempts.failed(error)


class _ReplayedBody(WrappedBody):
    """A body that may be read again from its start while that is still there: nothing was read, or little enough to
    be kept, or the body itself can be read again (its own `is_replayable`)."""

    def __init__(self, inner: BodyStream) -> None:
        super().__init__(inner)
        self._can_replay = bool(getattr(inner, "is_replayable", False))
        self._source: AsyncIterator[bytes] | None = None
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        self._has_failed = False
        self._turn = 0
        self.is_replayable = self._can_replay

    @property
    def is_lost(self) -> bool:
        """Whether it cannot be read again."""
        return self._has_failed or (not self._can_replay and self._kept_bytes > _REPLAYED_BYTES)

    def begin(self) -> None:
        """A try begins: what an earlier one may still have running gets no more chunks."""
        self._turn += 1

    async def chunks(self) -> AsyncIterator[bytes]:
        turn = self._turn
        if self._source is None or self._can_replay:
            self._source = aiter(self.inner)
        for kept in list(self._kept):
            yield kept
        while turn == self._turn and (chunk := await self._next()) is not None:
            yield chunk

    async def _next(self) -> bytes | None:
        assert self._source is not None
        try:
            chunk = await anext(self._source, None)
        except BaseException:
            # What the client's own bytes raise is no failure of the backend's, and they are not there again.
            self._has_failed = not self._can_replay
            raise
        if chunk is not None and not self._can_replay:
            self._keep(chunk)
        return chunk

    def _keep(self, chunk: bytes) -> None:
        self._kept_bytes += len(chunk)
        if self._kept_bytes <= _REPLAYED_BYTES:
            self._kept.append(bytes(chunk))
        else:
            self._kept.clear()


def with_tries(policy: RetryPolicy, tries: int) -> RetryPolicy:
    """The same with so many tries, 10 at most."""
    return replace(policy, tries=max(1, min(tries, 10)))
