"""Storage classes: bytes lie where their class does, move there whole, and are found, cleaned up and rebuilt there."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.configs.versioning import Versioning
from core.encryption import CustomerKey, EncryptionMode, EncryptionRequest
from core.errors import MountpathUnavailable, PreconditionFailed
from core.listing import ObjectVersion, VersionListQuery
from core.types import (
    Bucket,
    BucketProps,
    ObjectAttributes,
    ObjectChanges,
    ObjectInfo,
)
from core.uploads import CompletedPart
from storage import crashpoints
from storage.rebuild import rebuild_index_sync
from storage.space import clean_sync
from tests.unit.storage.box import BUCKET, PLAIN, USER, Body, Box, key, opened, pattern, read_all

REPOSITORY = Path(__file__).resolve().parents[3]
WARM, COLD = (0, 1), (2,)
CLASSES = {"STANDARD": WARM, "COLD": COLD}
COLD_PLAIN = replace(PLAIN, storage_class="COLD")
VERSIONED = replace(BUCKET, bucket_id=9, props=BucketProps(versioning=Versioning.ENABLED))
MINE = CustomerKey(bytes(range(32)))
SEALED = EncryptionRequest(EncryptionMode.CUSTOMER, customer_key=MINE)
PARTS = [pattern(3000, 1), pattern(4000, 2), pattern(20, 3)]
NAMES = [f"k{number}" for number in range(12)]
"""Enough to be spread over all three disks."""


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(coroutine, 60))


@asynccontextmanager
async def classed(root: Path) -> AsyncIterator[Box]:
    async with opened(root, mountpaths=3, classes=CLASSES) as box:
        yield box


def lies_in(box: Box) -> set[str]:
    """The directories, 0 to 2, that blobs lie in."""
    return {path.relative_to(box.root).parts[0] for path in [*box.blobs(), *box.guests()]}


async def seen(box: Box, name: str, bucket: Bucket = BUCKET) -> list[ObjectVersion]:
    page = await box.node.list_versions(bucket, VersionListQuery(prefix=name))
    return [each for each in page.versions if each.info.key == name]


async def move(box: Box, name: str, storage_class: str, bucket: Bucket = BUCKET) -> ObjectInfo:
    (version,) = await seen(box, name, bucket)
    return await box.node.change_class(bucket, version, storage_class)


async def put_parts(box: Box, name: str, attributes: ObjectAttributes) -> bytes:
    upload = await box.node.create_upload(BUCKET, key(name), attributes=attributes, initiator=USER)
    done = []
    for number, data in enumerate(PARTS, 1):
        part = await box.node.upload_part(BUCKET, key(name), upload.upload_id, number, Body(data))
        done.append(CompletedPart(number, part.etag))
    await box.node.complete_upload(BUCKET, key(name), upload.upload_id, done)
    return b"".join(PARTS)


async def check(box: Box, bodies: dict[str, bytes]) -> None:
    for name, data in bodies.items():
        assert await box.read(name) == data
    report = box.check()
    assert report.is_sound, report.findings


@pytest.mark.parametrize("size", [10, 5000])
def test_objects_lie_where_their_class_does(tmp_path: Path, size: int) -> None:
    async def scenario() -> None:
        async with classed(tmp_path) as box:
            bodies = {name: pattern(size, n) for n, name in enumerate(NAMES)}
            for name, data in bodies.items():
                await box.put(name, data, attributes=COLD_PLAIN)
            assert lies_in(box) <= {"2"}
            assert box.guests(), "none was owned by a warm disk"
            await check(box, bodies)
            for name, data in bodies.items():
                await box.put(name, data)
            await box.settle()
            assert {"2"} & lies_in(box) == set()
            await check(box, bodies)
            for name in NAMES:
                await box.node.delete(BUCKET, key(name))
            await box.settle()
            assert box.guests() == []
            assert box.check().small_rows == 0

    run(scenario())


def test_empty_objects_have_no_place(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with classed(tmp_path) as box:
            for name in NAMES:
                await box.put(name, b"", attributes=COLD_PLAIN)
                await move(box, name, "STANDARD")
            assert box.guests() == []
            await check(box, dict.fromkeys(NAMES, b""))

    run(scenario())


@pytest.mark.parametrize("size", [0, 10, 5000, 300_000])
def test_transition_there_and_back(tmp_path: Path, size: int) -> None:
    async def scenario() -> None:
        async with classed(tmp_path) as box:
            bodies = {name: pattern(size, n) for n, name in enumerate(NAMES)}
            for name, data in bodies.items():
                before = await box.put(name, data)
                for storage_class in ("COLD", "STANDARD", "COLD"):
                    after = await move(box, name, storage_class)
                    attributes = replace(before.attributes, storage_class=storage_class)
                    assert after == replace(before, attributes=attributes)
                    assert await box.node.head(BUCKET, key(name)) == after
            await box.settle()
            assert lies_in(box) <= {"2"}
            await check(box, bodies)
            clean_sync(box.specs, min_age_s=0)
            report = box.check()
            assert report.unnamed_blobs == report.unnamed_rows == report.garbage_rows == 0
        rebuild_index_sync(box.specs)
        async with classed(tmp_path) as box:
            await check(box, bodies)
            for name in NAMES:
                info = await box.node.head(BUCKET, key(name))
                assert info.attributes.storage_class == "COLD"

    run(scenario())


def test_parts_and_what_is_made_of_them(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with classed(tmp_path) as box:
            bodies = {}
            for name in NAMES[:6]:
                bodies[name] = await put_parts(box, name, COLD_PLAIN)
                assert lies_in(box) == {"2"}
            before = {name: await box.node.head(BUCKET, key(name)) for name in bodies}
            for name in bodies:
                await move(box, name, "STANDARD")
            await box.settle()
            assert "2" not in lies_in(box)
            for name in bodies:
                after = await box.node.head(BUCKET, key(name))
                assert (after.etag, after.parts) == (before[name].etag, before[name].parts)
            await check(box, bodies)
        rebuild_index_sync(box.specs)
        async with classed(tmp_path) as box:
            await check(box, bodies)

    run(scenario())


def test_copies_go_where_their_class_lies(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with classed(tmp_path) as box:
            bodies = {name: pattern(5000, n) for n, name in enumerate(NAMES)}
            for name, data in bodies.items():
                await box.put(name, data)
                await box.node.copy(BUCKET, key(name), BUCKET, key(name), attributes=COLD_PLAIN)
            await box.settle()
            assert lies_in(box) == {"2"}
            for name in NAMES:
                target = key(f"copy of {name}")
                await box.node.copy(BUCKET, key(name), BUCKET, target, attributes=COLD_PLAIN)
                await box.node.delete(BUCKET, key(name))
            await box.settle()
            assert lies_in(box) == {"2"}
            await check(box, {f"copy of {name}": data for name, data in bodies.items()})

    run(scenario())


def test_versions_move_alone_and_keep_their_place(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with classed(tmp_path) as box:
            for n in range(3):
                await box.put("k", pattern(5000, n), bucket=VERSIONED)
            before = await seen(box, "k", VERSIONED)
            for version in (before[1], before[0]):
                await box.node.change_class(VERSIONED, version, "COLD")
            after = await seen(box, "k", VERSIONED)
            assert [v.info.version_id for v in after] == [v.info.version_id for v in before]
            assert [v.is_latest for v in after] == [True, False, False]
            classes = [v.info.attributes.storage_class for v in after]
            assert classes == ["COLD", "COLD", "STANDARD"]
            assert await box.read("k", bucket=VERSIONED) == pattern(5000, 2)
            assert box.check().is_sound
        rebuild_index_sync(box.specs)
        async with classed(tmp_path) as box:
            assert await seen(box, "k", VERSIONED) == after

    run(scenario())


def test_encrypted_objects_move_sealed(tmp_path: Path) -> None:
    async def put(box: Box, name: str, size: int) -> bytes:
        data = pattern(size, 7)
        await box.node.put(BUCKET, key(name), Body(data), attributes=PLAIN, encryption=SEALED)
        return data

    async def put_sealed_parts(box: Box, name: str) -> bytes:
        upload = await box.node.create_upload(
            BUCKET, key(name), attributes=PLAIN, initiator=USER, encryption=SEALED
        )
        parts, done = [pattern(70_000, 1), pattern(5000, 2), pattern(20, 3)], []
        for n, data in enumerate(parts, 1):
            part = await box.node.upload_part(
                BUCKET, key(name), upload.upload_id, n, Body(data), customer_key=MINE
            )
            done.append(CompletedPart(n, part.etag))
        await box.node.complete_upload(BUCKET, key(name), upload.upload_id, done)
        return b"".join(parts)

    async def scenario() -> None:
        bodies = {}
        async with classed(tmp_path) as box:
            for name in NAMES[:4]:
                bodies[f"small {name}"] = await put(box, f"small {name}", 10)
                bodies[f"large {name}"] = await put(box, f"large {name}", 200_000)
                bodies[f"parts {name}"] = await put_sealed_parts(box, f"parts {name}")
            for storage_class in ("COLD", "STANDARD", "COLD"):
                for name, data in bodies.items():
                    await move(box, name, storage_class)
                    reader = await box.node.get(BUCKET, key(name), customer_key=MINE)
                    assert await read_all(reader) == data
            await box.settle()
            assert lies_in(box) <= {"2"}
            assert box.check().is_sound
        rebuild_index_sync(box.specs)
        async with classed(tmp_path) as box:
            for name, data in bodies.items():
                reader = await box.node.get(BUCKET, key(name), customer_key=MINE)
                assert await read_all(reader) == data

    run(scenario())


def test_what_changed_meanwhile_is_not_moved(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with classed(tmp_path) as box:
            await box.put("k", pattern(5000))
            (version,) = await seen(box, "k")
            await box.node.update_object(BUCKET, key("k"), ObjectChanges(tags={"a": "1"}))
            with pytest.raises(PreconditionFailed):
                await box.node.change_class(BUCKET, version, "COLD")
            moving = asyncio.create_task(move(box, "k", "COLD"))
            await box.put("k", pattern(6000))
            await asyncio.gather(moving, return_exceptions=True)
            await check(box, {"k": pattern(6000)})
            await box.settle()
            clean_sync(box.specs, min_age_s=0)
            assert box.check().unnamed_blobs == 0

    run(scenario())


def test_a_reader_keeps_what_is_moved_away(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with classed(tmp_path) as box:
            await box.put("k", pattern(500_000))
            reader = await box.node.get(BUCKET, key("k"))
            await move(box, "k", "COLD")
            await box.settle()
            assert b"".join([chunk async for chunk in reader]) == pattern(500_000)
            await reader.close()

    run(scenario())


def test_a_lost_class_leaves_the_others(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with classed(tmp_path) as box:
            for name in NAMES:
                await box.put(f"warm {name}", pattern(5000))
                await box.put(f"cold {name}", pattern(5000), attributes=COLD_PLAIN)
            lodged = {path.name for path in box.guests()}
            owned = {
                name: box.node.mountpaths.owner(BUCKET, key(name)).spec.directory
                for name in [f"{kind} {name}" for kind in ("warm", "cold") for name in NAMES]
            }
        assert lodged
        shutil.move(tmp_path / "2", tmp_path / "away")
        async with classed(tmp_path) as box:
            for name, directory in owned.items():
                if directory == tmp_path / "2" or name.startswith("cold"):
                    with pytest.raises(MountpathUnavailable):
                        await box.read(name)
                else:
                    assert await box.read(name) == pattern(5000)
            warm = next(n for n, d in owned.items() if d == tmp_path / "0" and "cold" in n)
            with pytest.raises(MountpathUnavailable):
                await box.put(warm, pattern(5000), attributes=COLD_PLAIN)
            await box.node.delete(BUCKET, key(warm))
            clean_sync(box.specs, min_age_s=0)
        shutil.move(tmp_path / "away", tmp_path / "2")
        async with classed(tmp_path) as box:
            clean_sync(box.specs, min_age_s=0)
            assert len(box.guests()) == len(lodged) - 1
            await check(box, {n: pattern(5000) for n in owned if n != warm})

    run(scenario())


def test_a_class_that_goes_in_the_middle(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with classed(tmp_path) as box:
            for name in NAMES:
                await box.put(name, pattern(5000), attributes=COLD_PLAIN)
            guest = next(
                name
                for name in NAMES
                if box.node.mountpaths.owner(BUCKET, key(name)).spec.directory != tmp_path / "2"
            )
            shutil.move(tmp_path / "2", tmp_path / "away")
            with pytest.raises(MountpathUnavailable):
                await box.read(guest)
            shutil.move(tmp_path / "away", tmp_path / "2")
            assert await box.read(guest) == pattern(5000)

    run(scenario())


# --- crashes

POINTS = [f"transition:{step}" for step in ("blob-written", "blob-synced", "named", "committed")]
CRASHING = """
import asyncio, sys
from pathlib import Path
from tests.unit.storage.test_classes import crash_load
asyncio.run(crash_load(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
"""


def crash_body(n: int) -> bytes:
    """Of every third object parts, of the others small and large ones."""
    return pattern(10 if n % 2 else 5000, n) if n % 3 else b"".join(PARTS)


async def crash_load(root: Path, point: str, skip: int) -> None:
    async with classed(root) as box:
        crashpoints.arm(point, skip=skip)
        for n, name in enumerate(NAMES):
            if n % 3:
                await box.put(name, crash_body(n))
            else:
                await put_parts(box, name, PLAIN)
            await move(box, name, "COLD")
            os.write(1, f"{name}\n".encode())


@pytest.mark.slow
@pytest.mark.crash
@pytest.mark.parametrize("skip", [4, 6])
@pytest.mark.parametrize("point", POINTS)
def test_a_crash_in_a_transition_loses_nothing(tmp_path: Path, point: str, skip: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CRASHING, str(tmp_path), point, str(skip)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        start_new_session=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == -9, "the point was not reached"
    moved = done.stdout.decode().split()
    bodies = {name: crash_body(n) for n, name in enumerate(NAMES) if n <= len(moved)}

    async def scenario() -> None:
        for is_rebuilt in (False, True):
            async with classed(tmp_path) as box:
                await check(box, bodies)
                for name in moved:
                    info = await box.node.head(BUCKET, key(name))
                    assert info.attributes.storage_class == "COLD"
                clean_sync(box.specs, min_age_s=0)
                report = box.check()
                assert report.unnamed_blobs == report.unnamed_rows == report.garbage_rows == 0
            if not is_rebuilt:
                rebuild_index_sync(box.specs)

    run(scenario())
