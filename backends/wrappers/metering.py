"""Owns counting what backends are asked: requests, errors by class, bytes and seconds, by provider, account, bucket and
verb. What becomes of the counts is `counters`'."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol, TypeVar

from backends.wrappers.base import Call, WrappedBody, WrappedReader, Wrapper
from core.backends import Backend, BackendPart, BackendReader
from core.errors import NotFound, StoreError
from core.names import ObjectKey
from core.protocols import BodyStream
from core.types import ByteRange, ObjectAttributes, ObjectInfo

T = TypeVar("T")

Labels = tuple[str, ...]
"""Provider, account, bucket, verb; of errors, the class too."""


class Counting(Protocol):
    """Where counts go. Costs next to nothing and never fails."""

    def add(self, metric: str, labels: Labels, amount: float) -> None: ...


class Metered(Wrapper):
    """A backend whose requests are counted, each try by itself."""

    def __init__(self, inner: Backend, provider: str, account: str, counting: Counting) -> None:
        super().__init__(inner)
        self._names = (provider, account)
        self._counting = counting

    async def around(self, call: Call, go: Callable[[], Awaitable[T]]) -> T:
        labels = self._labels(call)
        started_s = time.monotonic()
        try:
            return await go()
        except StoreError as error:
            self._failed(labels, error)
            raise
        finally:
            self._counting.add("requests", labels, 1)
            self._counting.add("seconds", labels, time.monotonic() - started_s)

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
        return _MeteredReader(reader, self, self._labels(Call("get", "open", bucket, key)))

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
        metered = _MeteredBody(body, self, self._labels(Call("put", "put", bucket, key)))
        return await super().put(
            bucket, key, metered, attributes, if_match=if_match, if_absent=if_absent
        )

    async def upload_part(
        self, bucket: str, key: ObjectKey, upload_id: str, part_number: int, body: BodyStream
    ) -> BackendPart:
        labels = self._labels(Call("put", "upload_part", bucket, key))
        metered = _MeteredBody(body, self, labels)
        return await super().upload_part(bucket, key, upload_id, part_number, metered)

    def moved(self, metric: str, labels: Labels, size_bytes: int) -> None:
        """So many bytes of a stream went by."""
        self._counting.add(metric, labels, size_bytes)

    def _labels(self, call: Call) -> Labels:
        return (*self._names, call.bucket, call.verb)

    def _failed(self, labels: Labels, error: StoreError) -> None:
        # That something is not there is an answer.
        if not isinstance(error, NotFound):
            self._counting.add("errors", (*labels, type(error).__name__), 1)

    def broke(self, labels: Labels, error: StoreError) -> None:
        """A stream ended in an error."""
        self._failed(labels, error)


class _MeteredReader(WrappedReader):
    def __init__(self, inner: BackendReader, meter: Metered, labels: Labels) -> None:
        super().__init__(inner)
        self._meter = meter
        self._labels = labels

    async def chunks(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self.inner:
                self._meter.moved("read_bytes", self._labels, len(chunk))
                yield chunk
        except StoreError as error:
            self._meter.broke(self._labels, error)
            raise


class _MeteredBody(WrappedBody):
    def __init__(self, inner: BodyStream, meter: Metered, labels: Labels) -> None:
        super().__init__(inner)
        self._meter = meter
        self._labels = labels

    async def chunks(self) -> AsyncIterator[bytes]:
        async for chunk in self.inner:
            self._meter.moved("written_bytes", self._labels, len(chunk))
            yield chunk
