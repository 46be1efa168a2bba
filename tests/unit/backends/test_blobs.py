"""Blob downloads: reads side by side into pieces, shared with readers; and what becomes of those that go wrong."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from core import blobs
from core.blobs import DEFAULT_CHUNK_BYTES, MAX_CHUNK_BYTES, MIN_CHUNK_BYTES, BlobPlan
from core.errors import BackendBroken, BackendDown, NoSuchKey, NotModified, OutOfSpace
from core.load import Level, LoadVector
from core.types import Conditions, ObjectInfo
from tests.unit.backends.cache_box import BUCKET, Far, Process, far_bucket, read_to_end, run
from tests.unit.storage.box import key, pattern

DATA = pattern(300_000)
PLAN = BlobPlan(chunk_bytes=10_000, workers=6)
DOWN = BackendDown(provider="aws", bucket="far", reason="made to", retry_after_s=0)


@pytest.fixture(autouse=True)
def _many_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blobs, "_BYTES_A_WORKER", 50_000)
    monkeypatch.setattr("backends.cache.blob_fetch._FIRST_WAIT_S", 0.001)


async def download(
    process: Process, plan: BlobPlan = PLAN, name: str = "k"
) -> tuple[ObjectInfo, int]:
    counted = [0]

    def progress(_: ObjectInfo, more: int) -> None:
        counted[0] += more

    info = await process.store.blobs.download(BUCKET, key(name), plan, progress)
    return info, counted[0]


def under(**levels: Level) -> LoadVector:
    return LoadVector(levels)


async def nothing_left(far: Far) -> None:
    for _ in range(500):
        if not far.one.box.blobs() and not far.backend.faults.open_readers:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("something stays")


def test_plans_keep_to_limits_and_load() -> None:
    plan = BlobPlan().under(under())
    assert (plan.read_bytes(10**6), plan.workers, plan.read_timeout_s) == (
        DEFAULT_CHUNK_BYTES,
        32,
        60.0,
    )
    assert plan.read_bytes(2**31) == 2 * DEFAULT_CHUNK_BYTES
    assert plan.read_bytes(2**40) == MAX_CHUNK_BYTES
    assert BlobPlan().under(under(cpu=Level.HIGH)).workers == 16
    assert BlobPlan(chunk_bytes=1).under(under()).chunk_bytes == MIN_CHUNK_BYTES
    assert BlobPlan(chunk_bytes=1 << 40).under(under()).chunk_bytes == MAX_CHUNK_BYTES
    assert BlobPlan(workers=-1).under(under()).workers == 1
    assert BlobPlan(workers=128).under(under(memory=Level.HIGH)).workers == 4
    assert BlobPlan(workers=2).under(under(disk_busy=Level.MODERATE)).workers == 2
    assert BlobPlan(workers=9).under(under(memory=Level.CRITICAL)).workers == 1
    assert PLAN.worker_count(1) == 1
    assert PLAN.worker_count(100_001) == 3
    assert PLAN.worker_count(10**9) == 6


def test_an_object_comes_by_reads_side_by_side(tmp_path: Path) -> None:
    async def work() -> None:
        async with far_bucket(tmp_path) as far:
            there = far.place(DATA)
            info, counted = await download(far.one)
            assert (info.etag, info.remote, counted) == (there.etag, there.remote, len(DATA))
            kept = await far.other.kept()
            assert kept is not None
            assert kept.chunks is not None
            assert (kept.chunks.count, kept.chunks.max_bytes) == (8, 40_000)
            assert await far.other.read() == DATA
            assert (far.opens, far.backend.faults.read_bytes) == (30, len(DATA))
            assert far.backend.faults.open_readers == 0
            # A copy that is here is enough, but where the latest is asked for it is compared.
            assert (await download(far.one))[1] == 0
            assert (await download(far.one, replace(PLAN, latest=True)))[1] == 0
            assert far.opens == 30
            far.place(DATA[::-1])
            assert (await download(far.other, replace(PLAN, latest=True)))[1] == len(DATA)
            assert await far.one.read() == DATA[::-1]
            assert not far.one.box.check().findings

    run(work())


@pytest.mark.parametrize("size", [0, 500, 100_000])
def test_small_objects_come_by_one_read(tmp_path: Path, size: int) -> None:
    async def work() -> None:
        async with far_bucket(tmp_path) as far:
            far.place(pattern(size))
            assert (await download(far.one))[0].size_bytes == size
            assert await far.one.read() == pattern(size)
            assert far.opens == 1

    run(work())


def test_a_threshold_is_heeded(tmp_path: Path) -> None:
    async def work() -> None:
        async with far_bucket(tmp_path) as far:
            far.place(DATA)
            await download(far.one, replace(PLAN, threshold_bytes=len(DATA) + 1))
            assert far.opens == 1

    run(work())


def test_readers_follow_in_all_processes(tmp_path: Path) -> None:
    async def work() -> None:
        async with far_bucket(tmp_path) as far:
            far.place(DATA)
            gate = far.backend.faults.hold_read(5000)
            task = asyncio.create_task(download(far.one))
            await gate.reached()
            readers = [await each.open() for each in (far.one, far.other) * 3]
            reads = [asyncio.create_task(read_to_end(reader)) for reader in readers]
            second = asyncio.create_task(download(far.other))
            gate.open()
            assert set(await asyncio.gather(*reads)) == {DATA}
            assert (await task)[1] == len(DATA)
            assert (await second)[0].etag == (await far.one.head()).etag
            assert far.backend.faults.read_bytes == len(DATA)

    run(work())


def test_a_get_streams_what_is_fetched(tmp_path: Path) -> None:
    async def work() -> None:
        async with far_bucket(tmp_path) as far:
            there = far.place(DATA)
            # The last piece is held back; what lies before it streams.
            gate = far.backend.faults.hold("open", key="k")
            opening = asyncio.create_task(far.one.store.blobs.open(BUCKET, key("k"), PLAN))
            await gate.reached()
            gate.open()
            reader = await opening
            assert reader.info.etag == there.etag
            assert await read_to_end(reader) == DATA
            assert far.opens == 30
            again = await far.one.store.blobs.open(BUCKET, key("k"), PLAN)
            assert await read_to_end(again) == DATA
            assert far.opens == 30
            with pytest.raises(NotModified):
                await far.one.store.blobs.open(
                    BUCKET, key("k"), PLAN, Conditions(if_none_match=(there.etag,))
                )
            with pytest.raises(NoSuchKey):
                await far.one.store.blobs.open(BUCKET, key("absent"), PLAN)

    run(work())


def test_reads_that_break_off_go_on(tmp_path: Path) -> None:
    async def work() -> None:
        async with far_bucket(tmp_path) as far:
            far.place(DATA)
            faults = far.backend.faults
            faults.fail_read(3000, DOWN, times=5)
            faults.fail("open", DOWN, times=3)
            await download(far.one)
            assert await far.one.read() == DATA
            assert faults.open_readers == 0

    run(work())


def test_a_read_that_takes_too_long_is_begun_again(tmp_path: Path) -> None:
    async def work() -> None:
        async with far_bucket(tmp_path) as far:
            far.place(DATA)
            gate = far.backend.faults.hold_read(3000)
            await download(far.one, replace(PLAN, read_timeout_s=0.05))
            assert gate.waiting == 0
            assert await far.one.read() == DATA

    run(work())


def test_a_backend_that_stays_away(tmp_path: Path) -> None:
    async def work() -> None:
        async with far_bucket(tmp_path) as far:
            far.place(DATA)
            far.backend.faults.fail("open", DOWN, times=-1)
            with pytest.raises(BackendDown):
                await download(far.one)
            await nothing_left(far)
            far.backend.faults.clear()
            await download(far.one)
            assert await far.one.read() == DATA

    run(work())


@pytest.mark.parametrize("wrong", ["replaced", "deleted", "flipped", "short"])
def test_nothing_wrong_is_kept(tmp_path: Path, wrong: str) -> None:
    async def work() -> None:
        async with far_bucket(tmp_path) as far:
            far.place(DATA)
            faults = far.backend.faults

            async def happen() -> None:
                if wrong == "replaced":
                    far.place(DATA[::-1])
                elif wrong == "deleted":
                    far.backend.remove("far", "k")

            if wrong == "flipped":
                faults.wrongs.flipped_at = 70_000
            elif wrong == "short":
                faults.wrongs.truncated_to = 0
            else:
                faults.act_in_read(3000, happen)
            with pytest.raises((BackendBroken, BackendDown)):
                await download(far.one)
            assert await far.one.kept() is None
            await nothing_left(far)

    run(work())


def test_a_download_that_is_cancelled_ends_its_reads_at_once(tmp_path: Path) -> None:
    async def work() -> None:
        async with far_bucket(tmp_path) as far:
            far.place(DATA)
            gate = far.backend.faults.hold_read(2000, times=6)
            task = asyncio.create_task(download(far.one))
            await gate.reached()
            reader = await far.other.open()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert gate.waiting == 0
            assert far.backend.faults.open_readers == 0
            assert await far.one.kept() is None
            # Who followed goes on without it.
            assert await read_to_end(reader) == DATA

    run(work())


def test_a_write_meanwhile_is_what_stays(tmp_path: Path) -> None:
    from tests.unit.storage.box import PLAIN, Body

    async def work() -> None:
        async with far_bucket(tmp_path) as far:
            far.place(DATA)
            gate = far.backend.faults.hold_read(2000)
            task = asyncio.create_task(download(far.one))
            await gate.reached()
            await far.other.store.put(BUCKET, key("k"), Body(b"new"), attributes=PLAIN)
            gate.open()
            await asyncio.wait([task])
            assert await far.one.read() == b"new"
            assert far.backend.data("far", "k") == b"new"

    run(work())


def test_a_full_disk_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with far_bucket(tmp_path) as far:
            far.place(DATA)
            (mountpath,) = far.one.box.node.mountpaths.all

            async def full(size_bytes: int) -> None:
                raise OutOfSpace(mountpath=f"{size_bytes}", retry_after_s=1)

            monkeypatch.setattr(mountpath, "require_room", full)
            with pytest.raises(OutOfSpace):
                await download(far.one)
            await nothing_left(far)

    run(work())
