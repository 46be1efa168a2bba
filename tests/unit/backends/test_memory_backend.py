"""The backend in memory: what it counts, and how it goes wrong when told to."""

from __future__ import annotations

import asyncio

import pytest

from backends.memory_backend import MemoryBackend
from core.errors import BackendBroken, BackendBusy, BackendDown
from core.names import ObjectKey
from core.types import BoundedRange, ObjectAttributes
from tests.contract.world import Body, pattern

KEY = ObjectKey("k")
DATA = pattern(200_000)
DOWN = BackendDown(provider="aws", bucket="b", reason="made to", retry_after_s=1)


def backend_with_an_object() -> MemoryBackend:
    backend = MemoryBackend("b")
    backend.place("b", "k", DATA, content_type="text/plain")
    return backend


async def read(backend: MemoryBackend) -> bytes:
    reader = await backend.open("b", KEY)
    try:
        return b"".join([chunk async for chunk in reader])
    finally:
        await reader.close()


def test_counts() -> None:
    async def run() -> None:
        backend = backend_with_an_object()
        assert await read(backend) == DATA
        reader = await backend.open("b", KEY, byte_range=BoundedRange(10, 19))
        assert backend.faults.open_readers == 1
        assert [chunk async for chunk in reader] == [DATA[10:20]]
        await reader.close()
        await backend.put("b", ObjectKey("new"), Body(b"12345"), ObjectAttributes())
        assert backend.faults.calls == {"open": 2, "put": 1}
        assert backend.faults.read_bytes == len(DATA) + 10
        assert [(each.first, each.length) for each in backend.faults.reads] == [
            (0, len(DATA)),
            (10, 10),
        ]
        assert backend.faults.written_bytes["put"] == 5
        assert backend.faults.open_readers == 0
        assert backend.keys("b") == ["k", "new"]

    asyncio.run(run())


def test_fails_as_often_as_told() -> None:
    async def run() -> None:
        backend = backend_with_an_object()
        backend.faults.fail("head", DOWN, times=2)
        backend.faults.fail("*", BackendBusy(reason="made to"), key="other")
        for _ in range(2):
            with pytest.raises(BackendDown):
                await backend.head("b", KEY)
        assert (await backend.head("b", KEY)).size_bytes == len(DATA)
        with pytest.raises(BackendBusy):
            await backend.open("b", ObjectKey("other"))
        backend.faults.fail("*", DOWN, times=-1)
        for _ in range(3):
            with pytest.raises(BackendDown):
                await backend.head_bucket("b")
        backend.faults.clear()
        await backend.head_bucket("b")

    asyncio.run(run())


def test_waits_until_let_through() -> None:
    async def run() -> None:
        backend = backend_with_an_object()
        opening, reading = backend.faults.hold("open"), backend.faults.hold_read(100_000)
        task = asyncio.create_task(read(backend))
        await opening.reached()
        assert not backend.faults.reads
        opening.open()
        await reading.reached()
        assert backend.faults.read_bytes == 100_000
        backend.place("b", "k", b"changed in mid-read")
        reading.open()
        assert await task == DATA
        assert await read(backend) == b"changed in mid-read"

    asyncio.run(run())


def test_readers_that_go_wrong() -> None:
    async def run() -> None:
        backend = backend_with_an_object()
        backend.faults.fail_read(1000, DOWN)
        with pytest.raises(BackendDown):
            await read(backend)
        assert backend.faults.read_bytes == 1000
        for change in ({"truncated_to": 10}, {"promised_more": 1}, {"promised_more": -1}):
            for name, value in change.items():
                setattr(backend.faults.wrongs, name, value)
            with pytest.raises(BackendBroken):
                await read(backend)
            backend.faults.clear()
        backend.faults.wrongs.flipped_at = 5
        spoilt = await read(backend)
        assert spoilt != DATA
        assert (spoilt[:5], spoilt[6:]) == (DATA[:5], DATA[6:])
        backend.faults.clear()
        assert await read(backend) == DATA

    asyncio.run(run())
