"""Objects on real disk: what is stored, what is left, and what readers and writers see of each other."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from core.deletion import DeleteItem, DeleteResult
from core.errors import (
    BucketNotEmpty,
    Corrupt,
    DigestMismatch,
    IncompleteBody,
    MountpathUnavailable,
    NoSuchBucket,
    NoSuchKey,
    OutOfSpace,
    PreconditionFailed,
)
from core.listing import ListQuery
from core.types import (
    BoundedRange,
    ChecksumAlgorithm,
    Conditions,
    ExpectedDigest,
    ObjectAttributes,
    SuffixRange,
)
from storage.blobs import open_cached
from storage.options import StorageOptions
from storage.reader import FileReader
from tests.unit.storage.box import BUCKET, PLAIN, RELAXED, SMALL, Body, Box, key, opened, pattern

SIZES = [0, 1, 1000, 1001, 300_000, 3_000_000]


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(coroutine, 60))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("bucket", [BUCKET, RELAXED], ids=["durable", "relaxed"])
def test_put_get_restart_delete(tmp_path: Path, size: int, bucket: Any) -> None:
    data = pattern(size)

    async def scenario() -> None:
        async with opened(tmp_path, mountpaths=2) as box:
            info = await box.put("k", data, bucket=bucket)
            assert info.etag == hashlib.md5(data).hexdigest()
            assert await box.read("k", bucket=bucket) == data
        async with opened(tmp_path, mountpaths=2) as box:
            assert await box.node.head(bucket, key("k")) == info
            assert await box.read("k", bucket=bucket) == data
            assert len(box.blobs()) == (size > SMALL.small_limit_bytes)
            assert box.check().is_sound
            await box.node.delete(bucket, key("k"))
            with pytest.raises(NoSuchKey):
                await box.read("k", bucket=bucket)
            await box.settle()
            assert box.blobs() == []
            assert box.rows("SELECT id FROM small", "small.db") == []

    run(scenario())


def test_ranges_of_a_file(tmp_path: Path) -> None:
    data = pattern(700_000)

    async def scenario() -> None:
        async with opened(tmp_path) as box:
            await box.put("k", data)
            assert await box.read("k", BoundedRange(5, 600_000)) == data[5:600_001]
            assert await box.read("k", SuffixRange(10)) == data[-10:]
            reader = await box.node.get(BUCKET, key("k"), byte_range=BoundedRange(9, 20))
            part = await reader.next_slice()
            assert part is not None and not isinstance(part, bytes)
            assert os.pread(part.fd, part.size_bytes, part.offset) == data[9:21]
            assert await reader.next_slice() is None
            await reader.close()
            await reader.close()

    run(scenario())


def test_a_reader_keeps_the_object_it_opened(tmp_path: Path) -> None:
    old, new = pattern(500_000), pattern(400_000, seed=1)

    async def scenario() -> None:
        async with opened(tmp_path) as box:
            await box.put("k", old)
            reader = await box.node.get(BUCKET, key("k"))
            await box.put("k", new)
            await box.settle()
            assert len(box.blobs()) == 1
            assert b"".join([chunk async for chunk in reader]) == old
            await reader.close()
            assert await box.read("k") == new

    run(scenario())


@pytest.mark.parametrize("is_cached", [True, False])
def test_files_open_with_and_without_a_thread(tmp_path: Path, is_cached: bool) -> None:
    opening = open_cached if is_cached else mock.Mock(side_effect=BlockingIOError)

    async def scenario() -> None:
        async with opened(tmp_path) as box:
            await box.put("k", pattern(5000))
            with mock.patch("storage.reader.open_cached", opening):
                assert await box.read("k") == pattern(5000)
                (blob,) = box.blobs()
                blob.unlink()
                with pytest.raises(Corrupt):
                    await box.read("k")

    run(scenario())


def test_only_one_of_many_creators_wins(tmp_path: Path) -> None:
    absent = Conditions(if_none_match=("*",))

    async def scenario() -> None:
        async with opened(tmp_path) as box:
            tries = [
                box.put("k", pattern(size, seed), conditions=absent)
                for seed, size in enumerate([10, 5000] * 10)
            ]
            outcomes = await asyncio.gather(*tries, return_exceptions=True)
            won = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
            lost = [outcome for outcome in outcomes if isinstance(outcome, PreconditionFailed)]
            assert (len(won), len(lost)) == (1, 19)
            assert (await box.node.head(BUCKET, key("k"))).etag == won[0].etag
            await box.settle()
            assert len(box.blobs()) == (won[0].size_bytes > SMALL.small_limit_bytes)
            swaps = [
                box.put("k", pattern(20, seed), conditions=Conditions(if_match=(won[0].etag,)))
                for seed in range(10)
            ]
            swapped = await asyncio.gather(*swaps, return_exceptions=True)
            assert sum(not isinstance(outcome, BaseException) for outcome in swapped) == 1

    run(scenario())


@pytest.mark.parametrize("size", [500, 2_500_000])
def test_a_bad_body_leaves_nothing(tmp_path: Path, size: int) -> None:
    data = pattern(size)
    bad = [
        (Body(data, declared=size + 1), IncompleteBody),
        (Body(data, claims=[ExpectedDigest("md5", b"x" * 16, "content-md5")]), DigestMismatch),
        (Body(data, claims=[ExpectedDigest("crc32c", b"x" * 4, "checksum")]), DigestMismatch),
        (Body(data, error=ValueError("signature")), ValueError),
    ]

    async def scenario() -> None:
        async with opened(tmp_path) as box:
            await box.put("k", b"before")
            for body, error in bad:
                with pytest.raises(error):
                    await box.node.put(BUCKET, key("k"), body, attributes=PLAIN)
            assert await box.read("k") == b"before"
        # The last steps of giving up are behind the answer; closing waits for them.
        assert not [path for path in tmp_path.glob("*/blobs/*/*") if path.is_file()]

    run(scenario())


def test_a_cancelled_body_leaves_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as box:
            body = Body(pattern(2_500_000), gate=asyncio.Event())
            task = asyncio.create_task(box.node.put(BUCKET, key("k"), body, attributes=PLAIN))
            while not box.blobs():
                await asyncio.sleep(0.005)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            with pytest.raises(NoSuchKey):
                await box.read("k")
        assert not [path for path in tmp_path.glob("*/blobs/*/*") if path.is_file()]

    run(scenario())


def test_delete_many_says_each_outcome(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, mountpaths=3) as box:
            for number in range(10):
                await box.put(f"k{number}", b"x")
            items = [DeleteItem(key(f"k{number}")) for number in range(9)]
            items.append(DeleteItem(key("k9"), conditions=Conditions(if_match=("other",))))
            items.append(DeleteItem(key("never")))
            outcomes = await box.node.delete_many(BUCKET, items)
            assert [isinstance(outcome, DeleteResult) for outcome in outcomes] == [
                *[True] * 9,
                False,
                True,
            ]
            assert isinstance(outcomes[9], PreconditionFailed)
            page = await box.node.list_objects(BUCKET, ListQuery())
            assert [entry.key for entry in page.entries] == ["k9"]

    run(scenario())


def test_a_closed_bucket_takes_no_writes(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, mountpaths=3) as box:
            await box.put("k", b"x")
            with pytest.raises(BucketNotEmpty):
                await box.node.close_bucket(BUCKET)
            for number in range(20):
                await box.put(f"open still {number}", b"x")
                await box.node.delete(BUCKET, key(f"open still {number}"))
            await box.node.delete(BUCKET, key("k"))
            await box.node.close_bucket(BUCKET)
            await box.node.close_bucket(BUCKET)
            assert list(await box.node.closed_buckets()) == [BUCKET.bucket_id]
            for size in (1, 5000):
                with pytest.raises(NoSuchBucket):
                    await box.put("k", pattern(size))
            await box.node.reopen_bucket(BUCKET)
            await box.put("k", b"x")
            await box.node.delete(BUCKET, key("k"))
            await box.node.close_bucket(BUCKET)
            await box.node.drop_bucket(BUCKET)
            assert not await box.node.closed_buckets()
            with pytest.raises(NoSuchBucket):
                await box.put("k", b"x")

    run(scenario())


# --- copies ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [500, 700_000])
@pytest.mark.parametrize("mountpaths", [1, 3])
def test_copies_are_their_own(tmp_path: Path, size: int, mountpaths: int) -> None:
    data = pattern(size)

    async def scenario() -> None:
        async with opened(tmp_path, mountpaths=mountpaths) as box:
            source = await box.put("source", data)
            for number in range(6):
                copied = await box.node.copy(BUCKET, key("source"), BUCKET, key(f"copy{number}"))
                assert copied.etag == source.etag
            summed = await box.node.copy(
                BUCKET,
                key("source"),
                BUCKET,
                key("summed"),
                checksum_algorithm=ChecksumAlgorithm.SHA256,
            )
            assert summed.checksum is not None
            assert summed.checksum.digest == hashlib.sha256(data).digest()
            await box.node.delete(BUCKET, key("source"))
            await box.settle()
            for name in ("copy0", "copy3", "copy5", "summed"):
                assert await box.read(name) == data
            report = box.check()
            assert report.is_sound
            assert report.objects == 7
            assert report.unnamed_blobs == report.unnamed_rows == 0

    run(scenario())


def test_clone_falls_back_to_copying(tmp_path: Path) -> None:
    data = pattern(700_000)

    async def scenario() -> None:
        async with opened(tmp_path) as box:
            await box.put("source", data)
            with (
                mock.patch("storage.blobs.fcntl.ioctl", side_effect=OSError),
                mock.patch("storage.blobs.os.copy_file_range", side_effect=OSError),
            ):
                await box.node.copy(BUCKET, key("source"), BUCKET, key("slow"))
            assert await box.read("slow") == data
            assert box.check().is_sound

    run(scenario())


@pytest.mark.parametrize("size", [500, 700_000])
def test_new_attributes_rewrite_no_data(tmp_path: Path, size: int) -> None:
    data = pattern(size)
    wanted = ObjectAttributes({"content-type": "text/new"})

    async def scenario() -> None:
        async with opened(tmp_path) as box:
            await box.put("k", data)
            before = box.blobs()
            for _ in range(3):
                await box.node.copy(BUCKET, key("k"), BUCKET, key("k"), attributes=wanted)
            await box.settle()
            assert box.blobs() == before
            assert len(box.rows("SELECT id FROM small", "small.db")) == 1
            assert await box.read("k") == data
            assert (await box.node.head(BUCKET, key("k"))).attributes == wanted
            report = box.check()
            assert report.is_sound
            assert report.unnamed_rows == 0

    run(scenario())


# --- damage and limits -------------------------------------------------------------------------------------------


def test_corrupt_bytes_are_never_handed_out(tmp_path: Path) -> None:
    options = StorageOptions(small_limit_bytes=1000, verify_rate=1.0)

    async def scenario() -> None:
        async with opened(tmp_path, options) as box:
            await box.put("file", pattern(700_000))
            await box.put("truncated", pattern(300_000))
            await box.put("row", pattern(500))
            for path in box.blobs():
                content = bytearray(path.read_bytes())
                if len(content) > 700_000:
                    content[600_000] ^= 1
                    path.write_bytes(content)
                else:
                    os.truncate(path, 200_000)
            await box.node.mountpaths.all[0].commit(
                lambda tx: tx.connection.execute(
                    "UPDATE small SET data = ? WHERE data IS NOT NULL", (pattern(500, 9),)
                )
            )
            for name in ("file", "truncated", "row"):
                with pytest.raises(Corrupt):
                    await box.read(name)
            report = box.check()
            assert {finding.key for finding in report.findings} == {"file", "truncated", "row"}

    run(scenario())


async def fill(box: Box) -> None:
    for number in range(2000):
        await box.put(f"small{number}", pattern(1000))


async def put_once_there_is_room(box: Box, name: str, data: bytes) -> None:
    """The quota is measured now and then only."""
    deadline = time.monotonic() + 10
    while True:
        try:
            await box.put(name, data)
            return
        except OutOfSpace:
            assert time.monotonic() < deadline, "no room after a deletion"
            await asyncio.sleep(0.02)


def test_a_quota_refuses_writes_and_takes_them_again(tmp_path: Path) -> None:
    options = StorageOptions(small_limit_bytes=1000, capacity_bytes=3_000_000)

    async def scenario() -> None:
        async with opened(tmp_path, options) as box:
            await box.put("a", pattern(1_000_000))
            await box.put("b", pattern(1_000_000))
            with pytest.raises(OutOfSpace):
                await box.put("c", pattern(2_000_000))
            with pytest.raises(OutOfSpace):
                await fill(box)
            assert await box.read("a") == pattern(1_000_000)
            await box.node.delete(BUCKET, key("a"))
            await box.settle()
            await put_once_there_is_room(box, "d", pattern(500_000))
            assert await box.read("d") == pattern(500_000)

    run(scenario())


def test_a_lost_mountpath_fails_alone(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, mountpaths=2) as box:
            for number in range(40):
                await box.put(f"k{number}", b"x")
            (tmp_path / "0").rename(tmp_path / "away")
            outcomes = await asyncio.gather(
                *(box.put(f"k{number}", b"y") for number in range(40)), return_exceptions=True
            )
            failed = [error for error in outcomes if isinstance(error, BaseException)]
            assert 0 < len(failed) < 40
            assert all(isinstance(error, MountpathUnavailable) for error in failed)
            health = await box.node.health()
            assert sorted(said == "ok" for said in health.values()) == [False, True]

    run(scenario())


def test_a_missing_mountpath_is_not_replaced(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, mountpaths=2) as box:
            for number in range(40):
                await box.put(f"k{number}", b"x")
        (tmp_path / "1").rename(tmp_path / "away")
        (tmp_path / "1").mkdir()
        async with opened(tmp_path, mountpaths=2) as box:
            found = 0
            for number in range(40):
                try:
                    assert await box.read(f"k{number}") == b"x"
                    found += 1
                except MountpathUnavailable:
                    continue
            assert 0 < found < 40
            assert list((tmp_path / "1").iterdir()) == []

    run(scenario())


def open_blobs() -> list[str]:
    """The blobs that this process has open; its threads open databases as they need them."""
    found = []
    for number in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{number}"))
        except FileNotFoundError:
            continue
    return [path for path in found if "/blobs/" in path]


def test_file_reader_survives_cancelled_opening(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as box:
            await box.put("k", pattern(5000))
            for _ in range(20):
                task = asyncio.create_task(box.node.get(BUCKET, key("k")))
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                task.cancel()
                outcome = (await asyncio.gather(task, return_exceptions=True))[0]
                if isinstance(outcome, FileReader):
                    await outcome.close()
            # Threads may still be at what the cancelled ones began.
            while open_blobs():
                await asyncio.sleep(0.01)

    run(scenario())
