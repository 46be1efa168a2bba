"""Versions after a lost index, beside many writers, and under the space cleanup."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from core.configs.versioning import Retention, RetentionMode
from core.errors import KeyIsDeleted
from core.listing import ListQuery, ObjectVersion, VersionListQuery
from core.types import NULL_VERSION, ObjectAttributes, ObjectChanges
from core.uploads import CompletedPart
from storage.rebuild import rebuild_index_sync
from storage.space import clean_sync
from storage.version_ids import order_of
from tests.unit.storage.box import BUCKET, PLAIN, USER, Body, Box, key, opened, pattern, read_all
from tests.unit.storage.versioned import ENABLED, SUSPENDED, delete, mark, put, run, settled

REPOSITORY = Path(__file__).resolve().parents[3]
NEW = ObjectAttributes({"content-type": "text/new"})
FOREVER = Retention(RetentionMode.COMPLIANCE, 1 << 62)


async def put_parts(box: Box, name: str, parts: list[bytes]) -> None:
    upload = await box.node.create_upload(ENABLED, key(name), attributes=PLAIN, initiator=USER)
    completed = []
    for number, data in enumerate(parts, 1):
        part = await box.node.upload_part(ENABLED, key(name), upload.upload_id, number, Body(data))
        completed.append(CompletedPart(number, part.etag))
    await box.node.complete_upload(ENABLED, key(name), upload.upload_id, completed)


async def change(box: Box, name: str, version_id: str | None = None) -> None:
    for number in range(2):
        changes = ObjectChanges(tags={"n": str(number)}, legal_hold=False)
        await box.node.update_object(ENABLED, key(name), changes, version_id=version_id)


async def fill(box: Box) -> None:
    """Keys with versions of every kind, in every place."""
    for size in (10, 5000):
        name = f"mixed {size}"
        await put(box, name, pattern(size), BUCKET)
        await change(box, name)
        first = await put(box, name, pattern(size, 1))
        await put(box, name, pattern(size, 2), SUSPENDED)
        await put(box, name, pattern(5010 - size, 3))
        await change(box, name, first)
        await change(box, name, NULL_VERSION)
        await box.node.copy(
            ENABLED, key(name), ENABLED, key(name), source_version_id=first, attributes=NEW
        )
        await put(box, f"hidden {size}", pattern(size))
        await mark(box, f"hidden {size}")
        await put(box, f"null hidden {size}", pattern(size), BUCKET)
        await put(box, f"null hidden {size}", pattern(size, 1))
        await mark(box, f"null hidden {size}", SUSPENDED)
        await put(box, f"revealed {size}", pattern(size))
        await delete(box, f"revealed {size}", await mark(box, f"revealed {size}"))
        await put(box, f"promoted {size}", pattern(size), BUCKET)
        await delete(box, f"promoted {size}", await put(box, f"promoted {size}", pattern(size, 1)))
        await put(box, f"plain {size}", pattern(size), BUCKET)
        await put(box, f"suspended {size}", pattern(size), BUCKET)
        await mark(box, f"suspended {size}")
        await put(box, f"suspended {size}", pattern(size, 1), SUSPENDED)
    await mark(box, "marker alone")
    await put_parts(box, "parts", [pattern(3000), pattern(20)])
    await change(box, "parts")
    await put_parts(box, "parts", [pattern(3000, 1), pattern(20, 1)])
    await put_parts(box, "parts", [pattern(30, 2)])
    await mark(box, "parts")


async def everything(box: Box) -> list[tuple[ObjectVersion, bytes]]:
    """Every version with its bytes, and what keys are listed as."""
    page = await box.node.list_versions(ENABLED, VersionListQuery())
    found = []
    for version in page.versions:
        info = version.info
        data = b""
        if not info.is_delete_marker:
            name = (ENABLED, info.key)
            data = await read_all(await box.node.get(*name, version_id=info.version_id))
            whole = await box.node.head(*name, version_id=info.version_id)
            assert replace(whole, parts=()) == info
            if version.is_latest:
                assert await read_all(await box.node.get(*name)) == data
        elif version.is_latest:
            with pytest.raises(KeyIsDeleted):
                await box.node.head(ENABLED, info.key)
        found.append((version, data))
    listed = await box.node.list_objects(ENABLED, ListQuery())
    current = [each.info for each in page.versions if each.is_latest]
    assert [(each.key, each.version_id) for each in listed.entries] == [
        (info.key, info.version_id) for info in current if not info.is_delete_marker
    ]
    return found


def uncounted(known: list[tuple[ObjectVersion, bytes]]) -> list[tuple[ObjectVersion, bytes]]:
    """Without the count of the key's writes, which a rebuild forgets of what lies in blobs."""
    return [
        (replace(version, info=replace(version.info, generation=1)), data)
        for version, data in known
    ]


@pytest.mark.slow
@pytest.mark.parametrize("mountpaths", [1, 2])
def test_a_lost_index_comes_back_with_all_versions_in_order(
    tmp_path: Path, mountpaths: int
) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, mountpaths=mountpaths) as box:
            await fill(box)
            before = await everything(box)
            assert len(before) == 2 * 13 + 5
            await settled(box, len(box.blobs()))
            assert str(clean_sync(box.specs, min_age_s=0)) == ""
            rows = box.rows("SELECT key, vorder, is_marker, is_null, small_id FROM version")
        for path in tmp_path.glob("*/index.db*"):
            path.unlink()
        report = rebuild_index_sync(box.specs)
        assert not report.findings
        assert box.rows("SELECT key, vorder, is_marker, is_null, small_id FROM version") == rows
        async with opened(tmp_path, mountpaths=mountpaths) as box:
            assert uncounted(await everything(box)) == uncounted(before)
            await settled(box, len(box.blobs()))
            await put(box, "hidden 10", b"newest")
            assert (await everything(box))[0:1] != before[0:1]

    run(scenario())


def test_trailers_that_lost_their_place_are_overruled(tmp_path: Path) -> None:
    """A blob's trailer has its stamp from before the commit; another writer's version may get there first."""

    async def scenario() -> None:
        async with opened(tmp_path) as box:
            late = box.node.mountpaths.all[0].opened()
            await put(box, "k", pattern(5000))
            stamps = iter([5, 4, 3])
            late.next_stamp = lambda: next(stamps)  # type: ignore[method-assign]
            ids = [await put(box, "k", pattern(5000, seed)) for seed in (1, 2, 3)]
            orders = [order_of(each) for each in ids]
            assert orders == sorted(orders, key=lambda order: order or 0)
            await settled(box, 4)
            before = await everything(box)
        assert rebuild_index_sync(box.specs).objects == 4
        async with opened(tmp_path) as box:
            assert uncounted(await everything(box)) == uncounted(before)
            await settled(box, 4)

    run(scenario())


def test_of_several_null_versions_the_newest_comes_back(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as box:
            mountpath = box.node.mountpaths.all[0]
            mountpath.opened().reclaimer.collect = lambda *_, **__: None  # type: ignore[method-assign]
            for seed in range(3):
                await put(box, "k", pattern(10, seed), SUSPENDED)
            newer = await put(box, "k", b"newer")
            await mark(box, "l", SUSPENDED)
            await put(box, "l", b"over a marker", SUSPENDED)
            before = await everything(box)
            # Nothing was removed, as after a power cut.
            assert len(box.rows("SELECT id FROM small", "small.db")) == 6
        rebuild_index_sync(box.specs)
        async with opened(tmp_path) as box:
            assert uncounted(await everything(box)) == uncounted(before)
            assert [each.info.version_id for each, _ in before][:2] == [newer, NULL_VERSION]

    run(scenario())


# --- removal -----------------------------------------------------------------------------------------------------


def test_the_cleanup_takes_no_version_away(tmp_path: Path) -> None:
    """Also the parts of old versions, whose descriptions do not say which version they became a part of."""

    async def scenario() -> None:
        async with opened(tmp_path) as box:
            await fill(box)
            locked = await put(box, "locked", pattern(5000))
            held = ObjectChanges(retention=FOREVER)
            await box.node.update_object(ENABLED, key("locked"), held, version_id=locked)
            before = await everything(box)
            await box.settle()
        async with opened(tmp_path) as box:
            # As if all were new to the cleanup, and completions long forgotten.
            mountpath = box.node.mountpaths.all[0]
            for table in ("swept", "completed"):
                await mountpath.commit(
                    lambda tx, table=table: tx.connection.execute(f"DELETE FROM idx.{table}")  # type: ignore[misc]
                )
            assert str(clean_sync(box.specs, min_age_s=0)) == ""
            assert uncounted(await everything(box)) == uncounted(before)
            await settled(box, len(box.blobs()))

    run(scenario())


def test_removed_versions_leave_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as box:
            await fill(box)
            page = await box.node.list_versions(ENABLED, VersionListQuery())
            names = [(each.info.key, each.info.version_id) for each in page.versions]
            random.Random(1).shuffle(names)
            for name, version_id in names:
                await delete(box, name, version_id)
                found = box.check()
                assert found.is_sound, found.findings
            assert await box.node.is_empty(ENABLED)
            await settled(box, 0)
            assert box.rows("SELECT id FROM small", "small.db") == []

    run(scenario())


def test_the_doctor_finds_versions_out_of_order(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as box:
            for name in ("lost", "disordered", "sound"):
                await put(box, name, b"1")
                await put(box, name, b"2")
            await mark(box, "unmarked")
            mountpath = box.node.mountpaths.all[0]

            def damage(sql: str, name: str) -> None:
                opened_mountpath.committer.commit_sync(
                    lambda tx: tx.connection.execute(sql, (name.encode(),))
                )

            opened_mountpath = mountpath.opened()
            await asyncio.to_thread(damage, "DELETE FROM idx.object WHERE key = ?", "lost")
            await asyncio.to_thread(
                damage, "UPDATE idx.version SET vorder = -(1 << 62) WHERE key = ?", "disordered"
            )
            await asyncio.to_thread(
                damage,
                "DELETE FROM small WHERE id IN (SELECT -vorder FROM idx.version WHERE key = ?)",
                "unmarked",
            )
            found = {finding.key: finding.what for finding in box.check().findings}
            assert found["lost"] == "no version is the current one"
            assert found["disordered"] == "the current version is not the newest"
            assert found["unmarked"].endswith("missing")
            assert "sound" not in found

    run(scenario())


# --- writers at once ---------------------------------------------------------------------------------------------

WRITING = """
import asyncio, sys
from pathlib import Path
from tests.unit.storage.test_version_recovery import write_many
asyncio.run(write_many(Path(sys.argv[1]), int(sys.argv[2])))
"""
_WRITERS = 2
_TASKS = 8
_WRITES = 6


async def write_many(root: Path, writer: int) -> None:
    """Versions of one key from many tasks; says which were acknowledged, with the number in each."""
    async with opened(root) as box:

        async def write(task: int) -> None:
            for number in range(_WRITES):
                seed = (writer * _TASKS + task) * _WRITES + number
                size = 5000 if seed % 3 == 0 else 20
                if seed % 7 == 0:
                    print("marker", await mark(box, "k"), flush=True)
                else:
                    print(seed, await put(box, "k", pattern(size, seed)), flush=True)
                if seed % 5 == 0:
                    await change_current(box)

        await asyncio.gather(*(write(task) for task in range(_TASKS)))


async def change_current(box: Box) -> None:
    try:
        await change(box, "k")
    except KeyIsDeleted:
        pass


@pytest.mark.slow
def test_writers_of_one_key_leave_every_version_in_one_order(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as box:
            await put(box, "k", b"first", BUCKET)
            writers = [
                subprocess.Popen(
                    [sys.executable, "-c", WRITING, str(tmp_path), str(number)],
                    cwd=REPOSITORY,
                    stdout=subprocess.PIPE,
                )
                for number in range(_WRITERS)
            ]
            seen: list[list[str]] = []
            while any(writer.poll() is None for writer in writers):
                page = await box.node.list_versions(ENABLED, VersionListQuery())
                seen.append([each.info.version_id for each in page.versions])
                assert [each.is_latest for each in page.versions].count(True) == 1
                await asyncio.sleep(0)
            acknowledged: dict[str, str] = {}
            for writer in writers:
                said, _ = await asyncio.to_thread(writer.communicate)
                assert writer.returncode == 0
                for line in said.decode().splitlines():
                    what, version_id = line.split()
                    acknowledged[version_id] = what
            assert len(acknowledged) == _WRITERS * _TASKS * _WRITES
            final = [version for version, _ in await everything(box)]
            order = [each.info.version_id for each in final]
            assert set(order) == {*acknowledged, NULL_VERSION}
            # What any reader saw at any time is how it ended, but for what came later.
            for ids in seen:
                assert ids == order[-len(ids) :]
            for each in final:
                what = acknowledged.get(each.info.version_id, "")
                assert each.info.is_delete_marker == (what == "marker")
                if what.isdigit():
                    size = 5000 if int(what) % 3 == 0 else 20
                    reader = await box.node.get(ENABLED, key("k"), version_id=each.info.version_id)
                    assert await read_all(reader) == pattern(size, int(what))
            await settled(box, len(box.blobs()))

    run(scenario())


def test_readers_of_a_version_find_it_wherever_it_goes(tmp_path: Path) -> None:
    """It is current, then covered, then current again, and there at every moment."""

    async def scenario() -> None:
        async with opened(tmp_path) as box:
            wanted = await put(box, "k", pattern(5000))
            deadline = time.monotonic() + 0.3
            is_moving = True

            async def move() -> None:
                nonlocal is_moving
                while time.monotonic() < deadline:
                    above = await put(box, "k", b"above")
                    await delete(box, "k", above)
                    await delete(box, "k", await mark(box, "k"))
                is_moving = False

            async def look() -> int:
                count = 0
                while is_moving:
                    info = await box.node.head(ENABLED, key("k"), version_id=wanted)
                    assert info.version_id == wanted
                    count += 1
                    await asyncio.sleep(0)
                return count

            async with asyncio.TaskGroup() as group:
                group.create_task(move())
                looks = [group.create_task(look()) for _ in range(3)]
            assert all(each.result() for each in looks)

    run(scenario())
