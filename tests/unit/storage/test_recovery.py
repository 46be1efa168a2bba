"""What a store looks like after its index, its processes or its last commits are lost."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.errors import Conflict, NoSuchKey, VersionIsDeleteMarker
from core.listing import ListQuery, VersionListQuery
from core.types import ObjectAttributes, ObjectChanges, ObjectInfo
from core.uploads import CompletedPart, UploadListQuery
from storage import crashpoints
from storage.rebuild import RebuildReport, rebuild_index_sync
from storage.space import CleanupReport, clean_sync
from tests.unit.storage.box import BUCKET, PLAIN, USER, Body, Box, key, opened, pattern, read_all
from tests.unit.storage.versioned import ENABLED, SUSPENDED

REPOSITORY = Path(__file__).resolve().parents[3]
NEW = ObjectAttributes({"content-type": "text/new"})


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(coroutine, 60))


async def put_parts(box: Box, name: str, parts: list[bytes]) -> None:
    """An object made of parts."""
    upload = await box.node.create_upload(BUCKET, key(name), attributes=PLAIN, initiator=USER)
    completed = []
    for number, data in enumerate(parts, 1):
        part = await box.node.upload_part(BUCKET, key(name), upload.upload_id, number, Body(data))
        completed.append(CompletedPart(number, part.etag))
    await box.node.complete_upload(BUCKET, key(name), upload.upload_id, completed)


async def fill(box: Box) -> dict[str, bytes]:
    """One object of every kind; gives what each must read as."""
    parts = [pattern(5000, 1), pattern(7000, 2), pattern(20, 3)]
    await box.put("small", pattern(10))
    await box.put("large", pattern(5000))
    for size in (5000, 10, 6000, 20):
        await box.put("overwritten small", pattern(size))
    for size in (10, 5000, 20, 6000):
        await box.put("overwritten large", pattern(size))
    await box.put("new attributes", pattern(5000))
    for _ in range(2):
        await box.node.copy(
            BUCKET, key("new attributes"), BUCKET, key("new attributes"), attributes=NEW
        )
    await put_parts(box, "parts", parts)
    await put_parts(box, "parts, new attributes", parts)
    renamed = key("parts, new attributes")
    await box.node.copy(BUCKET, renamed, BUCKET, renamed, attributes=NEW)
    await box.node.copy(BUCKET, key("large"), BUCKET, key("copy"))
    for size in (10, 5000):
        await box.put("deleted", pattern(size))
    await box.node.delete(BUCKET, key("deleted"))
    return {
        "small": pattern(10),
        "large": pattern(5000),
        "copy": pattern(5000),
        "overwritten small": pattern(20),
        "overwritten large": pattern(6000),
        "new attributes": pattern(5000),
        "parts": b"".join(parts),
        "parts, new attributes": b"".join(parts),
    }


async def infos(box: Box) -> dict[str, ObjectInfo]:
    page = await box.node.list_objects(BUCKET, ListQuery())
    return {entry.key: await box.node.head(BUCKET, entry.key) for entry in page.entries}


def uncounted(known: dict[str, ObjectInfo]) -> list[ObjectInfo]:
    """How often a key was written is decided in the commit, after a blob has said what it is: a rebuild forgets it."""
    return [replace(info, generation=1) for info in known.values()]


@pytest.mark.slow
@pytest.mark.parametrize("mountpaths", [1, 2])
def test_a_lost_index_is_made_again(tmp_path: Path, mountpaths: int) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, mountpaths=mountpaths) as box:
            bodies = await fill(box)
            upload = await box.node.create_upload(
                BUCKET, key("begun"), attributes=PLAIN, initiator=USER
            )
            await box.node.upload_part(
                BUCKET, key("begun"), upload.upload_id, 1, Body(pattern(3000))
            )
            before = await infos(box)
            await box.settle()
            rows = box.rows("SELECT key, small_id FROM object ORDER BY key")
            with pytest.raises(Conflict):
                rebuild_index_sync(box.specs)
        for path in tmp_path.glob("*/index.db*"):
            path.unlink()
        assert not box.check().is_sound
        report = rebuild_index_sync(box.specs)
        assert box.rows("SELECT key, small_id FROM object ORDER BY key") == rows
        assert report.objects == len(bodies)
        assert not report.findings
        async with opened(tmp_path, mountpaths=mountpaths) as box:
            assert uncounted(await infos(box)) == uncounted(before)
            assert sorted(before) == sorted(bodies)
            for name, data in bodies.items():
                assert await box.read(name) == data
            uploads = await box.node.list_uploads(BUCKET, UploadListQuery())
            assert uploads.uploads == [upload]
            parts = await box.node.list_parts(BUCKET, key("begun"), upload.upload_id)
            assert [part.size_bytes for part in parts.parts] == [3000]
            found = box.check()
            assert found.is_sound
            assert found.unnamed_blobs == found.unnamed_rows == 0

    run(scenario())


def test_rebuild_leaves_out_buckets_that_are_gone(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as box:
            await box.put("small", b"x")
            await box.put("large", pattern(5000))
        assert rebuild_index_sync(box.specs, bucket_ids={99}).objects == 0
        assert rebuild_index_sync(box.specs, bucket_ids={7}).objects == 2

    run(scenario())


def test_the_later_of_two_disordered_writers_wins_a_rebuild(tmp_path: Path) -> None:
    """A blob's stamp is taken before its commit, so the one that commits last may have the smaller."""

    async def scenario() -> None:
        async with opened(tmp_path) as box:
            late = box.node.mountpaths.all[0].opened()
            last, late._last_stamp = late._last_stamp, 0
            await box.put("k", pattern(5000))
            stamps = iter([5, 4, 3])
            late.next_stamp = lambda: next(stamps)  # type: ignore[method-assign]
            for seed in (1, 2, 3):
                await box.put("k", pattern(5000, seed))
            assert last >= 0
            # Nothing was removed, as after a power cut.
        report = rebuild_index_sync(box.specs)
        assert report.objects == 1
        async with opened(tmp_path) as box:
            assert await box.read("k") == pattern(5000, 3)

    run(scenario())


def test_cleanup_leaves_nothing_unnamed(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as box:
            bodies = await fill(box)
            await box.settle()
            (blob_directory,) = {path.parent.parent for path in box.blobs()}
            live = box.node.mountpaths.all[0].opened().worker.worker_id
            dead = [blob_directory / "00" / f"00000000deadbeef-{number}" for number in range(3)]
            for path in dead:
                path.write_bytes(b"unfinished")
            making = blob_directory / "00" / f"{live}-ffff"
            making.write_bytes(b"in the making")
            await box.node.mountpaths.all[0].commit(
                lambda tx: tx.connection.execute(
                    "INSERT INTO small SELECT ?, record, data FROM small LIMIT 1",
                    (tx.next_stamp(),),
                )
            )
            found = box.check()
            assert found.is_sound
            assert (found.unnamed_blobs, found.unnamed_rows) == (3, 1)
            assert clean_sync(box.specs, min_age_s=3600).blobs == 0
            report = clean_sync(box.specs, min_age_s=0)
            assert (report.blobs, report.small_rows) == (3, 0)
            assert making.exists()
            making.unlink()
            again = clean_sync(box.specs, min_age_s=0)
            assert str(again) == ""
            for name, data in bodies.items():
                assert await box.read(name) == data
            assert box.check().unnamed_rows == 0
        assert isinstance(report, CleanupReport)

    run(scenario())


def test_cleanup_works_off_garbage_of_the_dead(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as box:
            await put_parts(box, "parts", [pattern(5000), pattern(6000)])
            reader = await box.node.get(BUCKET, key("parts"))
            await box.node.delete(BUCKET, key("parts"))
            await asyncio.sleep(0.2)
            assert len(box.blobs()) == 2
            assert b"".join([chunk async for chunk in reader]) == pattern(5000) + pattern(6000)
            assert clean_sync(box.specs, min_age_s=0).busy == 1
            await reader.close()
            assert clean_sync(box.specs, min_age_s=0).garbage_rows == 1
            assert box.blobs() == []
            assert box.check().small_rows == 0

    run(scenario())


# --- crashes -----------------------------------------------------------------------------------------------------

# Here the steps that differ in what they leave; tests/crash goes through all, with whole servers.
POINTS = [
    "put:blob-synced",
    "put:named",
    "copy:blob-written",
    "attributes:committed",
    "part:committed",
    "complete:published",
    "complete:committed",
    "delete:committed",
    "version:displaced",
    "version:marked",
    "version:removed",
    "update:named",
    "commit:run",
    "commit:committed",
    "reclaim:unlinked",
    "cleanup:blobs-removed",
]

CRASHING = """
import asyncio, sys
from pathlib import Path
from storage import crashpoints
from tests.unit.storage.test_recovery import crash_load
asyncio.run(crash_load(Path(sys.argv[1]), sys.argv[2]))
"""


async def crash_load(root: Path, point: str) -> None:
    """Every kind of change, over and over, until `point` ends the process; says what was acknowledged."""
    async with opened(root) as box:
        crashpoints.arm(point, skip=2)
        for number in range(12):
            for size in (10, 5000):
                name = f"{size}"
                await box.put(name, pattern(size, number))
                os.write(1, f"{name} {number}\n".encode())
                await box.node.copy(BUCKET, key(name), BUCKET, key("copied"))
                await box.node.copy(BUCKET, key(name), BUCKET, key(name), attributes=NEW)
                await box.put("deleted", pattern(size))
                await box.node.delete(BUCKET, key("deleted"))
                await add_versions(box, size, number)
            await put_parts(box, "parts", [pattern(2000, number), pattern(20, number)])
            os.write(1, f"parts {number}\n".encode())
            upload = await box.node.create_upload(
                BUCKET, key("aborted"), attributes=PLAIN, initiator=USER
            )
            await box.node.upload_part(
                BUCKET, key("aborted"), upload.upload_id, 1, Body(pattern(3000))
            )
            await box.node.abort_upload(BUCKET, key("aborted"), upload.upload_id)
            await box.settle()
            clean_sync(box.specs, min_age_s=0)


async def add_versions(box: Box, size: int, number: int) -> None:
    """A version more and, from the third on, the oldest less; says which there must be. And a null version that is
    replaced below another."""
    info = await box.put("versions", pattern(size, number), bucket=ENABLED)
    os.write(1, f"+{info.version_id} {size}/{number}\n".encode())
    await box.node.update_object(ENABLED, key("versions"), ObjectChanges(tags={"a": "b"}))
    marked = await box.node.delete(ENABLED, key("versions"))
    os.write(1, f"+{marked.version_id} marker\n".encode())
    page = await box.node.list_versions(ENABLED, VersionListQuery("versions"))
    for version in page.versions[3:]:
        version_id = version.info.version_id
        os.write(1, f"-{version_id} -\n".encode())
        await box.node.delete(ENABLED, key("versions"), version_id=version_id)
    await box.put(f"null {size}", pattern(size, number), bucket=SUSPENDED)
    os.write(1, f"null/{size} {number}\n".encode())
    above = await box.put(f"null {size}", b"above", bucket=ENABLED)
    if number % 2:
        await box.node.delete(ENABLED, key(f"null {size}"), version_id=above.version_id)


async def check_versions(box: Box, said: list[tuple[str, str]]) -> None:
    """All that were acknowledged and not removed are there, whole, the newest first; and at most one more on top."""
    removed = {what[1:] for what, _ in said if what[0] == "-"}
    made = {what[1:]: data for what, data in said if what[0] == "+"}
    page = await box.node.list_versions(ENABLED, VersionListQuery("versions"))
    listed = [each.info.version_id for each in page.versions]
    kept = [version_id for version_id in reversed(made) if version_id not in removed]
    assert [version_id for version_id in listed if version_id in kept] == kept
    assert set(listed[1:]) <= made.keys()
    assert [place for place, each in enumerate(page.versions) if each.is_latest] == [0][
        : len(listed)
    ]
    for version_id in kept:
        if made[version_id] == "marker":
            with pytest.raises(VersionIsDeleteMarker):
                await box.node.head(ENABLED, key("versions"), version_id=version_id)
            continue
        reader = await box.node.get(ENABLED, key("versions"), version_id=version_id)
        size, number = map(int, made[version_id].split("/"))
        assert await read_all(reader) == pattern(size, number)


async def check_last(box: Box, name: str, number: int) -> None:
    """Of an object that was written over and over, the write that was acknowledged last is there, or the next, whose
    answer the crash cut off."""
    if name.startswith("null/"):
        size = name.removeprefix("null/")
        data = await read_all(await box.node.get(ENABLED, key(f"null {size}"), version_id="null"))
        wanted = [pattern(int(size), n) for n in range(12)]
    elif name == "parts":
        data = await box.read(name)
        wanted = [pattern(2000, n) + pattern(20, n) for n in range(12)]
    else:
        data = await box.read(name)
        wanted = [pattern(int(name), n) for n in range(12)]
    assert data in wanted[number : number + 2]


@pytest.mark.slow
@pytest.mark.crash
@pytest.mark.parametrize("point", POINTS)
def test_a_crash_at_any_point_loses_nothing(tmp_path: Path, point: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CRASHING, str(tmp_path), point],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        start_new_session=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == -9, "the point was not reached"
    words = [line.split() for line in done.stdout.decode().splitlines()]
    said = [(what, data) for what, data in words if what[0] in "+-"]
    last = {name: number for name, number in words if name[0] not in "+-"}

    async def check(box: Box) -> None:
        await check_versions(box, said)
        for name, number in last.items():
            await check_last(box, name, int(number))
        try:
            assert await box.read("deleted") in (pattern(10), pattern(5000))
        except NoSuchKey:
            pass

    async def scenario() -> None:
        async with opened(tmp_path) as box:
            await check(box)
            assert box.check().is_sound
            clean_sync(box.specs, min_age_s=0)
            found = box.check()
            assert found.is_sound, found.findings
            assert found.unnamed_blobs == found.unnamed_rows == found.garbage_rows == 0
            await check(box)
        report = rebuild_index_sync(box.specs)
        assert isinstance(report, RebuildReport)
        async with opened(tmp_path) as box:
            await check(box)
            assert box.check().is_sound

    run(scenario())


def test_every_point_in_the_source_has_its_name() -> None:
    import re

    found = set()
    for path in (REPOSITORY / "storage").rglob("*.py"):
        for name in re.findall(r'reach\(\s*f?"([^"]+)"', path.read_text()):
            found.add(name)
    publishers = ("put", "copy", "part", "transition")
    blob = {name.replace("{point}", what) for name in found for what in publishers}
    assert blob | set(crashpoints.PIECES) == set(crashpoints.NAMES)
