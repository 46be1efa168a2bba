"""Cold reads: fetched once, kept when whole, streamed meanwhile; and what becomes of those that go wrong."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from backends.memory_faults import Gate
from core.encryption import CustomerKey
from core.errors import (
    BackendBroken,
    BackendBusy,
    BackendDenied,
    BackendDown,
    CustomerKeyNotApplicable,
    NoSuchKey,
    NotModified,
    PreconditionFailed,
)
from core.protocols import ObjectReader, Slice
from core.types import BoundedRange, Conditions, OffsetRange, PartRange, SuffixRange
from storage.options import StorageOptions
from tests.unit.backends.cache_box import (
    Far,
    Process,
    bucket_with,
    far_bucket,
    read_to_end,
    run,
)
from tests.unit.storage.box import pattern

BIG = pattern(100_000)
LITTLE = pattern(500)
DOWN = BackendDown(provider="aws", bucket="far", reason="made to", retry_after_s=0)
BUSY = BackendBusy(provider="aws", bucket="far", reason="made to", retry_after_s=0)


def bytes_of(part: Slice) -> bytes:
    return part if isinstance(part, bytes) else os.pread(part.fd, part.size_bytes, part.offset)


async def closed(far: Far) -> None:
    """Until nothing is read at the backend any more."""
    while far.backend.faults.open_readers:
        await asyncio.sleep(0.01)


async def settled(process: Process) -> None:
    """Until no blob is left over."""
    for _ in range(500):
        if not process.box.blobs():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("blobs stay")


@pytest.mark.parametrize("data", [b"", LITTLE, BIG])
def test_the_first_read_keeps_a_copy(tmp_path: Path, data: bytes) -> None:
    async def work() -> None:
        async with far_bucket(tmp_path) as far:
            there = far.place(data, content_type="text/x")
            assert not (await far.one.head()).is_cached
            reader = await far.one.open()
            assert (reader.info.etag, reader.info.modified_ns) == (there.etag, there.modified_ns)
            assert reader.info.attributes.headers == {"content-type": "text/x"}
            assert await read_to_end(reader) == data
            kept = await far.other.kept()
            assert kept is not None
            assert (kept.remote, kept.etag, kept.size_bytes, kept.modified_ns) == (
                there.remote,
                there.etag,
                len(data),
                there.modified_ns,
            )
            assert (await far.one.head()).is_cached
            assert await far.one.read() == await far.other.read() == data
            assert (far.opens, far.heads) == (1, 1)
            await closed(far)
            assert not far.one.box.check().findings

    run(work())


def test_a_copy_that_is_damaged_is_fetched_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        async with far_bucket(tmp_path) as far:
            far.place(BIG)
            assert await far.one.read() == BIG
            for path in far.one.box.blobs():
                path.unlink()
            assert await far.one.read() == BIG
            assert await far.other.read() == BIG
            assert far.opens == 2
            assert not far.one.box.check().findings

    run(work())
    assert "a damaged copy is fetched anew" in caplog.text


@pytest.mark.parametrize("data", [LITTLE, BIG])
def test_many_readers_of_all_processes_cause_one_read(tmp_path: Path, data: bytes) -> None:
    async def work() -> None:
        async with far_bucket(tmp_path) as far:
            far.place(data)
            gate = far.backend.faults.hold_read(len(data) // 2)
            reads = [asyncio.create_task(each.read()) for each in (far.one, far.other) * 16]
            await gate.reached()
            gate.open()
            assert set(await asyncio.gather(*reads)) == {data}
            assert far.opens == 1

    run(work())


def test_bytes_stream_while_they_come(tmp_path: Path) -> None:
    async def work() -> None:
        async with far_bucket(tmp_path) as far:
            far.place(BIG)
            gate = far.backend.faults.hold_read(50_000)
            for process in (far.one, far.other):
                reader = await process.open()
                assert reader.has_slices
                got = b""
                while len(got) < 50_000:
                    part = await reader.next_slice()
                    assert part is not None
                    got += bytes_of(part)
                assert got == BIG[:50_000]
                await reader.close()
            assert await far.one.kept() is None
            gate.open()
            assert await far.one.read() == BIG
            assert far.opens == 1

    run(work())


def test_readers_that_leave_hurt_nobody(tmp_path: Path) -> None:
    async def work() -> None:
        async with far_bucket(tmp_path) as far:
            far.place(BIG)
            gate = far.backend.faults.hold_read(50_000)
            first = asyncio.create_task(far.one.read())
            await gate.reached()
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            gate.open()
            for _ in range(500):
                if await far.one.kept():
                    break
                await asyncio.sleep(0.01)
            assert await far.other.read() == BIG
            assert far.opens == 1

    run(work())


def test_the_end_is_held_back_until_the_whole_was_verified(tmp_path: Path) -> None:
    async def work() -> None:
        async with far_bucket(tmp_path) as far:
            far.place(BIG)
            far.backend.faults.wrongs.flipped_at = 10
            got = 0
            reader = await far.one.open()

            async def drain() -> None:
                nonlocal got
                async for chunk in reader:
                    got += len(chunk)

            with pytest.raises(BackendBroken):
                await drain()
            await reader.close()
            assert 0 < got < len(BIG)
            assert await far.one.kept() is None
            await settled(far.one)
            # It is not compared where the bucket says so.
            careless = bucket_with(checksum__validate_cold_get="false")
            assert len(await far.one.read(bucket=careless)) == len(BIG)

    run(work())


def test_who_comes_late_to_a_fetch_that_failed_is_told(tmp_path: Path) -> None:
    async def work() -> None:
        async with far_bucket(tmp_path) as far:
            far.place(BIG)
            far.backend.faults.wrongs.flipped_at = 10
            reader = await far.one.open()
            # All that was fetched is given up before anything of it is read.
            for _ in range(500):
                if far.backend.faults.reads[0].is_closed:
                    break
                await asyncio.sleep(0.01)
            await settled(far.one)
            with pytest.raises(BackendBroken):
                await read_to_end(reader)

    run(work())


def test_a_small_object_that_is_wrong_is_an_error_for_all(tmp_path: Path) -> None:
    async def work() -> None:
        async with far_bucket(tmp_path) as far:
            far.place(LITTLE)
            far.backend.faults.wrongs.flipped_at = 10
            for process in (far.one, far.other):
                with pytest.raises(BackendBroken):
                    await process.open()
            assert await far.one.kept() is None
            far.backend.faults.clear()
            assert await far.one.read() == LITTLE

    run(work())


@pytest.mark.parametrize("error", [DOWN, BUSY])
def test_a_read_that_breaks_off_goes_on(tmp_path: Path, error: Exception) -> None:
    async def work() -> None:
        async with far_bucket(tmp_path) as far:
            far.place(BIG)
            far.backend.faults.fail_read(30_000, error)
            far.backend.faults.fail_read(30_000, error, times=1)
            assert await far.one.read() == BIG
            assert [read.first for read in far.backend.faults.reads] == [0, 30_000]
            assert await far.one.kept() is not None

    run(work())


def test_a_backend_that_goes_away_for_good_cuts_readers(tmp_path: Path) -> None:
    async def work() -> None:
        async with far_bucket(tmp_path) as far:
            far.place(BIG)
            far.backend.faults.fail_read(30_000, DOWN)
            reader = await far.one.open()
            far.backend.faults.fail("open", DOWN, times=-1)
            with pytest.raises(BackendBroken):
                await read_to_end(reader)
            await settled(far.one)
            with pytest.raises(BackendDown):
                await far.one.open()
            far.backend.faults.clear()
            assert await far.one.read() == BIG

    run(work())


@pytest.mark.parametrize("lie", [-10, 10])
def test_lies_about_the_length(tmp_path: Path, lie: int) -> None:
    async def work() -> None:
        async with far_bucket(tmp_path) as far:
            for name, data in (("small", LITTLE), ("big", BIG)):
                far.place(data, name)
                far.backend.faults.wrongs.promised_more = lie
                with pytest.raises(BackendBroken):
                    await far.one.read(name)
                assert await far.one.kept(name) is None
            await settled(far.one)

    run(work())


def test_truncated_answers_are_gone_on_with(tmp_path: Path) -> None:
    async def work() -> None:
        async with far_bucket(tmp_path) as far:
            far.place(BIG)
            far.backend.faults.wrongs.truncated_to = 30_000
            assert await far.one.read() == BIG
            assert len(far.backend.faults.reads) == 4

    run(work())


@pytest.mark.parametrize("change", ["deleted", "replaced", "revoked"])
def test_objects_that_change_in_mid_read_cut_the_reader(tmp_path: Path, change: str) -> None:
    async def work() -> None:
        async with far_bucket(tmp_path) as far:
            far.place(BIG)
            gate = far.backend.faults.hold_read(30_000)
            far.backend.faults.fail_read(30_000, DOWN)
            reader = await far.one.open()
            await gate.reached()
            if change == "deleted":
                far.backend.remove("far", "k")
            elif change == "replaced":
                far.place(BIG[::-1])
            else:
                denied = BackendDenied(provider="aws", bucket="far", reason="made to")
                far.backend.faults.fail("open", denied)
            gate.open()
            with pytest.raises(BackendBroken):
                await read_to_end(reader)
            assert await far.one.kept() is None
            await settled(far.one)

    run(work())


def test_a_write_in_mid_read_keeps_nothing_but_serves_all(tmp_path: Path) -> None:
    async def work() -> None:
        async with far_bucket(tmp_path) as far:
            far.place(BIG)
            gate = far.backend.faults.hold_read(30_000)
            reads = [asyncio.create_task(each.read()) for each in (far.one, far.other)]
            await gate.reached()
            async with far.other.store.flights.writing(bucket_with(), (await far.one.head()).key):
                pass
            gate.open()
            assert await asyncio.gather(*reads) == [BIG, BIG]
            assert await far.one.kept() is None
            await settled(far.one)

    run(work())


def test_who_comes_after_a_write_does_not_get_what_it_overtook(tmp_path: Path) -> None:
    async def work() -> None:
        async with far_bucket(tmp_path) as far:
            far.place(BIG)
            gate = far.backend.faults.hold_read(30_000)
            first = asyncio.create_task(far.one.read())
            await gate.reached()
            async with far.other.store.flights.writing(bucket_with(), (await far.one.head()).key):
                far.place(LITTLE)
            for each in (far.one, far.other):
                assert await each.read() == LITTLE
                assert await each.read("k", BoundedRange(1, 2)) == LITTLE[1:3]
            gate.open()
            assert await first == BIG

    run(work())


def test_what_does_not_fit_streams_through(tmp_path: Path) -> None:
    options = StorageOptions(small_limit_bytes=1000, capacity_bytes=1024**2)

    async def work() -> None:
        async with far_bucket(tmp_path, options) as far:
            huge = pattern(2 * 1024**2)
            far.place(huge)
            assert await far.one.read() == huge
            assert await far.one.read("k", OffsetRange(0)) == huge
            assert await far.one.kept() is None
            reader = await far.one.open()
            got = b""
            while (part := await reader.next_slice()) is not None:
                got += bytes_of(part)
            assert got == huge
            await reader.close()
            await settled(far.one)

    run(work())


@pytest.mark.parametrize("shorter_by", [0, 10])
def test_wrong_bytes_that_are_not_kept_are_never_whole(tmp_path: Path, shorter_by: int) -> None:
    """There is no room for a copy, so that what comes is passed on, but for its end."""
    options = StorageOptions(small_limit_bytes=1000, capacity_bytes=1024**2)

    async def work() -> None:
        async with far_bucket(tmp_path, options) as far:
            huge = pattern(2 * 1024**2)
            far.place(huge)
            if shorter_by:
                # As if that were all.
                far.backend.faults.wrongs.promised_more = -shorter_by
                far.backend.faults.wrongs.truncated_to = len(huge) - shorter_by
            else:
                far.backend.faults.wrongs.flipped_at = 7
            reader = await far.one.open()
            got = bytearray()
            with pytest.raises(BackendBroken):
                await _drain(reader, got)
            assert len(got) < reader.length
            far.backend.faults.clear()
            assert await far.one.read() == huge

    run(work())


def test_nothing_in_place_of_an_object_is_an_error(tmp_path: Path) -> None:
    """Where a copy would be kept, and where there is no room for one."""
    options = StorageOptions(small_limit_bytes=1000, capacity_bytes=1024**2)

    async def work() -> None:
        async with far_bucket(tmp_path, options) as far:
            for name, size_bytes in (("small", 500), ("huge", 2 * 1024**2)):
                data = pattern(size_bytes)
                far.place(data, name)
                far.backend.faults.wrongs.promised_more = -size_bytes
                far.backend.faults.wrongs.truncated_to = 0
                with pytest.raises(BackendBroken):
                    await far.one.open(name)
                await closed(far)
                far.backend.faults.clear()
                assert await far.one.read(name) == data
                await closed(far)

    run(work())


def test_a_length_that_is_not_what_a_comparison_said(tmp_path: Path) -> None:
    bucket = bucket_with(versioning__validate_warm_get="true")

    async def work() -> None:
        async with far_bucket(tmp_path) as far:
            far.place(BIG)
            assert await far.one.read() == BIG
            far.place(BIG[::-1])
            gate = far.backend.faults.hold_read(0)
            far.backend.faults.wrongs.promised_more = -10
            far.backend.faults.wrongs.truncated_to = len(BIG) - 10
            with pytest.raises(BackendBroken):
                await asyncio.gather(far.one.read(bucket=bucket), _opening(gate))
            far.backend.faults.clear()
            assert await far.one.read(bucket=bucket) == BIG[::-1]

    run(work())


async def _drain(reader: ObjectReader, got: bytearray) -> None:
    try:
        async for chunk in reader:
            got += chunk
    finally:
        await reader.close()


async def _opening(gate: Gate) -> None:
    await gate.reached()
    gate.open()


def test_ranges_of_absent_objects_do_not_wait_for_the_whole(tmp_path: Path) -> None:
    async def work() -> None:
        async with far_bucket(tmp_path) as far:
            far.place(BIG)
            assert await far.one.read("k", BoundedRange(10, 19)) == BIG[10:20]
            assert await far.one.read("k", BoundedRange(0, 99)) == BIG[:100]
            assert await far.one.read("k", SuffixRange(7)) == BIG[-7:]
            assert await far.one.read("k", OffsetRange(99_000)) == BIG[99_000:]
            assert await far.one.read("k", PartRange(1)) == BIG
            assert await far.one.kept() is not None
            assert far.backend.faults.read_bytes == 10 + 100 + 7 + 1000 + len(BIG)

    run(work())


def test_a_download_that_begins_at_the_beginning_keeps_the_whole(tmp_path: Path) -> None:
    huge = pattern(3 * 1024**2)

    async def work() -> None:
        async with far_bucket(tmp_path, chunk_bytes=256 * 1024) as far:
            far.place(huge)
            step = 1024**2
            ranges = [BoundedRange(at, at + step - 1) for at in range(0, len(huge), step)]
            gate = far.backend.faults.hold_read(step)
            reads = [asyncio.create_task(far.one.read("k", ranges[0]))]
            await gate.reached()
            reads += [asyncio.create_task(far.other.read("k", each)) for each in ranges[1:]]
            gate.open()
            assert b"".join(await asyncio.gather(*reads)) == huge
            assert far.opens == 1
            assert await far.one.read() == huge
            assert far.opens == 1

    run(work())


def test_conditions_are_of_the_backends_object(tmp_path: Path) -> None:
    async def work() -> None:
        async with far_bucket(tmp_path) as far:
            etag = far.place(BIG).etag
            with pytest.raises(NotModified):
                await far.one.open(conditions=Conditions(if_none_match=(etag,)))
            with pytest.raises(PreconditionFailed):
                await far.one.open(conditions=Conditions(if_match=("other",)))
            with pytest.raises(NotModified):
                await far.one.head(conditions=Conditions(if_none_match=(etag,)))
            assert far.opens == 0
            assert await far.one.read(conditions=Conditions(if_match=(etag,))) == BIG

    run(work())


def test_what_is_not_there_and_what_may_not_be_asked(tmp_path: Path) -> None:
    async def work() -> None:
        async with far_bucket(tmp_path) as far:
            for each in (far.one.open, far.one.head):
                with pytest.raises(NoSuchKey):
                    await each()
            far.place(BIG)
            with pytest.raises(CustomerKeyNotApplicable):
                await far.one.open(customer_key=CustomerKey(bytes(32)))
            with pytest.raises(NoSuchKey):
                await far.one.open(bucket=bucket_with(features=1 << 11))
            assert (await far.one.head(bucket=bucket_with(features=1 << 11))).size_bytes == 100_000

    run(work())


def test_a_process_that_dies_in_mid_fetch_is_replaced(tmp_path: Path) -> None:
    async def work() -> None:
        async with far_bucket(tmp_path) as far:
            far.place(BIG)
            gate = far.backend.faults.hold_read(50_000)
            first = asyncio.create_task(far.one.read())
            await gate.reached()
            others = [asyncio.create_task(far.other.read()) for _ in range(5)]
            readers = [await far.other.open() for _ in range(2)]
            await _die(far)
            while far.opens < 2:
                await asyncio.sleep(0.01)
            gate.open()
            assert await asyncio.gather(*others) == [BIG] * 5
            for reader in readers:
                assert await read_to_end(reader) == BIG
            assert far.opens == 2
            assert await first == BIG

    run(work())


async def _die(far: Far) -> None:
    """The first process loses its locks, as the kernel sees to when it is killed, and says no more."""
    flights = far.one.store.flights
    os.close(flights._fd)
    flights._fd = os.open(far.one.box.root / "nobodys", os.O_RDWR | os.O_CREAT)


def test_slots_of_slow_readers(tmp_path: Path) -> None:
    """Who reads slowly reads what was published, or was given up, to its end."""

    async def work() -> None:
        async with far_bucket(tmp_path) as far:
            far.place(BIG)
            for spoils in (True, False):
                reader = await far.one.open()
                first = await reader.next_slice()
                assert first is not None
                got = bytes_of(first)
                if spoils:
                    async with far.other.store.flights.writing(bucket_with(), reader.info.key):
                        pass
                while (part := await reader.next_slice()) is not None:
                    got += bytes_of(part)
                    await asyncio.sleep(0.01)
                assert got == BIG
                await reader.close()

    run(work())
