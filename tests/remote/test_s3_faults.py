"""The S3 adapter over a server that fails in all ways that servers and networks do: the right error, and nothing
half-read or half-written taken for good."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from mypy_boto3_s3 import S3Client

from backends.s3 import S3Backend, s3_backend
from core.accounts import Account
from core.backends import BackendPart
from core.errors import (
    BackendBroken,
    BackendBusy,
    BackendDenied,
    BackendDown,
    NoSuchKey,
    StoreError,
)
from core.listing import ListQuery
from core.names import ObjectKey
from core.types import BoundedRange, ObjectAttributes
from tests.contract.world import Body, etag_of, pattern
from tests.counterparts.started import S3Endpoint
from tests.shaper import RunningShaper, Shaper, running

KEY = ObjectKey("k")
DATA = pattern(2 * 1024**2)
PLAIN = ObjectAttributes()


class Through:
    """The adapter that goes to moto through a shaper, and the event loop that it lives in."""

    def __init__(self, run: RunningShaper, there: S3Endpoint, **settings: str) -> None:
        keys = {"access_key": there.keys.access_key, "secret_key": there.keys.secret_key}
        settings = {"timeout_s": "20", **settings}
        endpoint = run.shaper.endpoint
        self.runner = asyncio.Runner()
        self.backend = s3_backend(
            Account("aws", endpoint=endpoint, region=there.region, settings=settings, secrets=keys)
        )

    def close(self) -> None:
        self.runner.run(self.backend.close())
        self.runner.close()


@dataclass(frozen=True, slots=True)
class Rig:
    """moto behind a shaper, a bucket there with an object of DATA, and the adapter that goes through the shaper."""

    run: RunningShaper
    there: S3Endpoint
    through: Through
    bucket: str

    @property
    def shaper(self) -> Shaper:
        return self.run.shaper

    def do(self, work: Callable[[S3Backend], Coroutine[Any, Any, None]]) -> None:
        """Run with the adapter, which has no connections at work in the end."""
        self.through.runner.run(work(self.through.backend))
        assert self.through.backend.busy_connections == 0

    def data_there(self) -> bytes:
        with self.there.client().get_object(Bucket=self.bucket, Key=KEY)["Body"] as body:
            return body.read()


@pytest.fixture(scope="module")
def run(moto: S3Endpoint) -> Iterator[RunningShaper]:
    with running(moto.endpoint) as made:
        yield made


@pytest.fixture(scope="module")
def through(run: RunningShaper, moto: S3Endpoint) -> Iterator[Through]:
    made = Through(run, moto)
    yield made
    made.close()


@pytest.fixture(scope="module")
def client(moto: S3Endpoint) -> S3Client:
    return moto.client()


@pytest.fixture
def rig(run: RunningShaper, moto: S3Endpoint, through: Through, client: S3Client) -> Iterator[Rig]:
    bucket = f"faults-{secrets.token_hex(6)}"
    client.create_bucket(Bucket=bucket)
    client.put_object(Bucket=bucket, Key=KEY, Body=DATA)
    yield Rig(run, moto, through, bucket)
    run.shaper.release()


async def read(backend: S3Backend, bucket: str) -> bytes:
    reader = await backend.open(bucket, KEY)
    try:
        return b"".join([chunk async for chunk in reader])
    finally:
        await reader.close()


async def every(backend: S3Backend, bucket: str, error: type[StoreError]) -> list[StoreError]:
    """All kinds of operations raise it."""
    small, large = Body(b"data"), Body(DATA)
    raised = []
    for operation in (
        lambda: backend.head_bucket(bucket),
        lambda: backend.list_page(bucket, ListQuery()),
        lambda: backend.head(bucket, KEY),
        lambda: read(backend, bucket),
        lambda: backend.put(bucket, KEY, small, PLAIN),
        lambda: backend.put(bucket, KEY, large, PLAIN),
        lambda: backend.delete(bucket, KEY),
        lambda: backend.create_upload(bucket, KEY, PLAIN),
        lambda: backend.upload_part(bucket, KEY, "id", 1, Body(b"data")),
        lambda: backend.complete_upload(bucket, KEY, "id", [BackendPart(1, etag_of(b"data"), 4)]),
        lambda: backend.abort_upload(bucket, KEY, "id"),
        lambda: backend.copy(bucket, KEY, bucket, ObjectKey("copy"), None),
        lambda: backend.get_tags(bucket, KEY),
    ):
        with pytest.raises(error) as caught:
            await operation()
        raised.append(caught.value)
    return raised


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (503, "SlowDown", BackendBusy),
        (503, "ServiceUnavailable", BackendBusy),
        (429, "TooManyRequests", BackendBusy),
        (400, "RequestLimitExceeded", BackendBusy),
        (500, "InternalError", BackendDown),
        (502, "", BackendDown),
        (403, "AccessDenied", BackendDenied),
        (403, "InvalidAccessKeyId", BackendDenied),
        (403, "SignatureDoesNotMatch", BackendDenied),
        (400, "ExpiredToken", BackendDenied),
        (401, "", BackendDenied),
    ],
)
def test_refusals(rig: Rig, status: int, code: str, error: type[StoreError]) -> None:
    async def work(backend: S3Backend) -> None:
        rig.shaper.fail("status", status=status, code=code, times=-1)
        if status == 400 and error is BackendBusy:
            # HEAD can't tell the code.
            with pytest.raises(error):
                await backend.list_page(rig.bucket, ListQuery())
            return
        for each in await every(backend, rig.bucket, error):
            assert rig.there.keys.secret_key not in repr(each)

    rig.do(work)
    assert rig.data_there() == DATA


def test_nobody_listens_and_then_somebody(rig: Rig) -> None:
    async def work(backend: S3Backend) -> None:
        await asyncio.to_thread(rig.run.do, rig.shaper.refuse)
        try:
            await every(backend, rig.bucket, BackendDown)
        finally:
            await asyncio.to_thread(rig.run.do, rig.shaper.listen)
        assert await read(backend, rig.bucket) == DATA

    rig.do(work)


@pytest.mark.parametrize("at_bytes", [0, 1, 1_000_000, len(DATA) - 1])
def test_reads_that_break_off(rig: Rig, at_bytes: int) -> None:
    async def work(backend: S3Backend) -> None:
        rig.shaper.fail("cut", method="GET", at_bytes=at_bytes)
        with pytest.raises((BackendBroken, BackendDown)):
            await read(backend, rig.bucket)
        assert await read(backend, rig.bucket) == DATA

    rig.do(work)


def test_answers_of_another_length(rig: Rig) -> None:
    async def work(backend: S3Backend) -> None:
        rig.shaper.fail("lie", method="GET", at_bytes=1000)
        with pytest.raises((BackendBroken, BackendDown)):
            await read(backend, rig.bucket)
        for kind, at_bytes in (("truncate", 5000), ("lie", -1000)):
            rig.shaper.fail(kind, method="GET", at_bytes=at_bytes)  # type: ignore[arg-type]
            with pytest.raises(BackendBroken):
                await backend.open(rig.bucket, KEY, byte_range=BoundedRange(0, 99_999))

    rig.do(work)


def test_stalls(rig: Rig) -> None:
    async def work(backend: S3Backend) -> None:
        await backend.head_bucket(rig.bucket)
        for at_bytes in (-1, 1_000_000):
            rig.shaper.fail("stall", method="GET", at_bytes=at_bytes)
            with pytest.raises(BackendDown):
                await read(backend, rig.bucket)
            rig.shaper.release()
        rig.shaper.fail("stall", method="PUT", at_bytes=-1)
        with pytest.raises(BackendDown):
            await backend.put(rig.bucket, ObjectKey("new"), Body(DATA), PLAIN)

    impatient = Through(rig.run, rig.there, timeout_s="1", connect_timeout_s="1")
    try:
        replace(rig, through=impatient).do(work)
    finally:
        impatient.close()


def test_answer_lost(rig: Rig) -> None:
    async def work(backend: S3Backend) -> None:
        for size_bytes in (4, len(DATA)):
            # Twice: what is small and can be sent again is, once, over a new connection.
            rig.shaper.fail("lose", method="PUT", times=2)
            with pytest.raises(BackendDown):
                await backend.put(rig.bucket, KEY, Body(pattern(size_bytes, 1)), PLAIN)
            rig.shaper.faults.clear()
            assert await read(backend, rig.bucket) == pattern(size_bytes, 1)
        upload_id = await backend.create_upload(rig.bucket, KEY, PLAIN)
        part = await backend.upload_part(rig.bucket, KEY, upload_id, 1, Body(b"in parts"))
        rig.shaper.fail("lose", method="POST")
        with pytest.raises(BackendDown):
            await backend.complete_upload(rig.bucket, KEY, upload_id, [part])
        assert await read(backend, rig.bucket) == b"in parts"

    rig.do(work)


def test_deleted_in_mid_read(rig: Rig) -> None:
    async def work(backend: S3Backend) -> None:
        reader = await backend.open(rig.bucket, KEY)
        await backend.delete(rig.bucket, KEY)
        # What was begun ends as it began, or breaks; what begins now finds nothing.
        try:
            assert b"".join([chunk async for chunk in reader]) == DATA
        except (BackendBroken, BackendDown):
            pass
        await reader.close()
        with pytest.raises(NoSuchKey):
            await backend.open(rig.bucket, KEY, byte_range=BoundedRange(5, 9))

    rig.do(work)


def test_credentials_revoked_and_given_back(rig: Rig) -> None:
    async def work(backend: S3Backend) -> None:
        assert await read(backend, rig.bucket) == DATA
        rig.shaper.fail("status", status=403, code="InvalidAccessKeyId", times=-1)
        with pytest.raises(BackendDenied):
            await read(backend, rig.bucket)
        rig.shaper.faults.clear()
        assert await read(backend, rig.bucket) == DATA

    rig.do(work)


def open_sockets() -> int:
    """How many sockets this process has."""
    count = 0
    for each in Path("/proc/self/fd").iterdir():
        try:
            count += os.readlink(each).startswith("socket:")
        except OSError:
            pass
    return count


def test_server_that_takes_no_more() -> None:
    taken: list[asyncio.Transport] = []

    class Deaf(asyncio.Protocol):
        """Lets a body come, and then reads nothing of it."""

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self.transport = transport
            taken.append(transport)

        def data_received(self, data: bytes) -> None:
            if b"100-continue" in data:
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                self.transport.pause_reading()

    async def whole() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Deaf, "127.0.0.1", 0)
        port, before = server.sockets[0].getsockname()[1], open_sockets()
        secrets = {"access_key": "key", "secret_key": "secret"}
        settings = {"timeout_s": "1", "connect_timeout_s": "1"}
        account = Account(
            "aws", endpoint=f"http://127.0.0.1:{port}", settings=settings, secrets=secrets
        )
        backend = s3_backend(account)
        with pytest.raises(BackendDown):
            await backend.put("bucket", KEY, Body(pattern(32 * 1024**2)), PLAIN)
        assert backend.busy_connections == 0
        # Nor does a socket wait for it.
        deadline = time.monotonic() + 20
        while open_sockets() > before + len(taken) and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        assert open_sockets() <= before + len(taken)
        await backend.close()
        server.close()
        for transport in taken:
            transport.abort()
        # Until the other end has noticed.
        await asyncio.sleep(0.1)

    asyncio.run(whole())
