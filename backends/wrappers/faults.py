"""Owns faults on demand: a backend that fails as tests want it to, in calls and in the middle of streams."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from backends.wrappers.base import Call, WrappedBody, WrappedReader, Wrapper
from core.backends import Backend, BackendPart, BackendReader
from core.errors import (
    BackendBroken,
    BackendBusy,
    BackendDenied,
    BackendDown,
    InvalidArgument,
    NoSuchKey,
    StoreError,
)
from core.names import ObjectKey
from core.protocols import BodyStream
from core.types import ByteRange, ObjectAttributes, ObjectInfo

T = TypeVar("T")

_ERRORS: dict[str, type[StoreError]] = {
    "down": BackendDown,
    "busy": BackendBusy,
    "denied": BackendDenied,
    "broken": BackendBroken,
    "absent": NoSuchKey,
}


@dataclass(slots=True)
class Fault:
    """What goes wrong, and in which calls: those named so (a Call's name, "" all), whose key begins so; `skip` calls
    pass before, then `times` fail (-1: all).

    `error`: down, busy, denied, broken or absent; "" none, the call is only slow. `delay_s` goes before it.
    `after_bytes` of a stream first (-1: before the call); `lost`: the call is made, and its answer lost. `flips`: a
    byte is another one, of the stream after `after_bytes`. `ends`: the stream just ends there.
    """

    name: str = ""
    key: str = ""
    error: str = ""
    times: int = -1
    skip: int = 0
    delay_s: float = 0.0
    after_bytes: int = -1
    lost: bool = False
    flips: bool = False
    ends: bool = False
    retry_after_s: float = 0.0

    def is_met(self, call: Call) -> bool:
        """Whether it is this call's turn to go wrong; counts."""
        if self.times == 0 or (self.name and self.name != call.name):
            return False
        if not call.key.startswith(self.key):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.times -= self.times > 0
        return True

    def raise_error(self, call: Call) -> None:
        """Raise it, if there is one."""
        kind = _ERRORS.get(self.error)
        if kind is not None:
            raise kind(
                provider="faults",
                bucket=call.bucket,
                key=call.key,
                reason="a fault on demand",
                retry_after_s=self.retry_after_s,
            )


class Faults:
    """The faults that are wanted now; tests change the list."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self.faults = list(faults)

    def of(self, call: Call) -> Fault | None:
        """The fault of a call, if it has one."""
        return next((fault for fault in self.faults if fault.is_met(call)), None)


class FileFaults(Faults):
    """Those that a file says: a JSON list of objects with the names of Fault. It is read again when it has changed,
    so that a test tells running processes, each of which counts by itself."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._seen: tuple[int, int] | None = None

    def of(self, call: Call) -> Fault | None:
        """See Faults.of."""
        try:
            stat = os.stat(self._path)
            if (stat.st_mtime_ns, stat.st_ino) != self._seen:
                self._seen = (stat.st_mtime_ns, stat.st_ino)
                self.faults = [Fault(**each) for each in json.loads(self._path.read_text("utf-8"))]
        except FileNotFoundError:
            self.faults, self._seen = [], None
        except (OSError, ValueError, TypeError) as error:
            raise InvalidArgument(
                name="faults_file", value=str(self._path), reason="is no list of faults"
            ) from error
        return super().of(call)


class Faulty(Wrapper):
    """A backend with faults."""

    def __init__(self, inner: Backend, faults: Faults) -> None:
        super().__init__(inner)
        self._faults = faults

    async def around(self, call: Call, go: Callable[[], Awaitable[T]]) -> T:
        return await self._with(call, self._faults.of(call), go)

    async def open(
        self,
        bucket: str,
        key: ObjectKey,
        *,
        byte_range: ByteRange | None = None,
        if_match: str = "",
        version_id: str = "",
    ) -> BackendReader:
        call = Call("get", "open", bucket, key)
        fault = self._faults.of(call)
        reader = await self._with(
            call,
            fault if fault is None or fault.after_bytes < 0 else None,
            lambda: self.inner.open(
                bucket, key, byte_range=byte_range, if_match=if_match, version_id=version_id
            ),
        )
        if fault is None or fault.after_bytes < 0:
            return reader
        return _FaultyReader(reader, fault, call)

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
        return await self._write(
            Call("put", "put", bucket, key),
            body,
            lambda given: self.inner.put(
                bucket, key, given, attributes, if_match=if_match, if_absent=if_absent
            ),
        )

    async def upload_part(
        self, bucket: str, key: ObjectKey, upload_id: str, part_number: int, body: BodyStream
    ) -> BackendPart:
        return await self._write(
            Call("put", "upload_part", bucket, key),
            body,
            lambda given: self.inner.upload_part(bucket, key, upload_id, part_number, given),
        )

    async def _write(
        self, call: Call, body: BodyStream, write: Callable[[BodyStream], Awaitable[T]]
    ) -> T:
        fault = self._faults.of(call)
        if fault is None or fault.after_bytes < 0:
            return await self._with(call, fault, lambda: write(body))
        return await write(_FaultyBody(body, fault, call))

    async def _with(self, call: Call, fault: Fault | None, go: Callable[[], Awaitable[T]]) -> T:
        if fault is None:
            return await go()
        if fault.delay_s:
            await asyncio.sleep(fault.delay_s)
        if not fault.lost:
            fault.raise_error(call)
        done = await go()
        fault.raise_error(call)
        return done


async def _spoiled(source: AsyncIterator[bytes], fault: Fault, call: Call) -> AsyncIterator[bytes]:
    """The chunks of a stream until it goes wrong."""
    left = fault.after_bytes
    is_met = False
    async for chunk in source:
        given = chunk
        if not is_met and len(given) > left:
            is_met = True
            if left:
                yield given[:left]
            given = given[left:]
            if fault.delay_s:
                await asyncio.sleep(fault.delay_s)
            fault.raise_error(call)
            if fault.ends:
                return
            if fault.flips:
                given = bytes([given[0] ^ 1]) + given[1:]
        left -= len(chunk)
        yield given


class _FaultyReader(WrappedReader):
    def __init__(self, inner: BackendReader, fault: Fault, call: Call) -> None:
        super().__init__(inner)
        self._fault = fault
        self._call = call

    def chunks(self) -> AsyncIterator[bytes]:
        return _spoiled(aiter(self.inner), self._fault, self._call)


class _FaultyBody(WrappedBody):
    def __init__(self, inner: BodyStream, fault: Fault, call: Call) -> None:
        super().__init__(inner)
        self._fault = fault
        self._call = call

    def chunks(self) -> AsyncIterator[bytes]:
        return _spoiled(aiter(self.inner), self._fault, self._call)
