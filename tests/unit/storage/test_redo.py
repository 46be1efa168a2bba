"""Small objects after a power cut that took the index, or small.db, back to an earlier moment: what was acknowledged is
there, and nothing is half there."""

from __future__ import annotations

import asyncio
import errno
import random
import shutil
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import MountpathUnavailable, NoSuchKey, PreconditionFailed
from core.listing import ListQuery
from core.types import BucketProps, Conditions, ObjectAttributes
from storage import database, publish_many
from storage.commit import Committer
from storage.space import clean_sync
from storage.transaction import Transaction, run_guarded
from tests.unit.storage.box import BUCKET, Box, key, opened, pattern
from tests.unit.storage.versioned import ENABLED, run

_INDEX = ("index.db", "index.db-wal")
_ROWS = ("small.db", "small.db-wal")


class Disk:
    """What a power cut would leave of a store of one mountpath: all of one database, and of the other what it had when
    it was last `noted`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._noted = root.with_name("noted")
        self._noted.mkdir()
        self._after = root.with_name("after")

    def note(self, names: Sequence[str] = _INDEX) -> None:
        for name in names:
            shutil.copy(self._root / "0" / name, self._noted / name)

    @asynccontextmanager
    async def cut(self, names: Sequence[str] = _INDEX) -> AsyncIterator[Box]:
        """The store as it opens again."""
        self.halt(self._after, names)
        async with opened(self._after) as box:
            yield box

    def halt(self, after: Path, names: Sequence[str]) -> None:
        """Lay down what a power cut leaves now, with what was noted of those files."""
        shutil.rmtree(after, ignore_errors=True)
        shutil.copytree(self._root, after, symlinks=True)
        for path in (after / "0").glob("*.db-shm"):
            path.unlink()
        for name in names:
            shutil.copy(self._noted / name, after / "0" / name)


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path / "root")


async def keys(box: Box) -> list[str]:
    page = await box.node.list_objects(BUCKET, ListQuery())
    return [info.key for info in page.entries]


async def settled(box: Box) -> None:
    clean_sync(box.specs, min_age_s=0)
    found = box.check()
    assert found.is_sound, found.findings
    assert found.unnamed_rows == found.unnamed_blobs == 0


def test_what_was_acknowledged_is_there(tmp_path: Path, disk: Disk) -> None:
    async def main() -> None:
        async with opened(tmp_path / "root") as box:
            await box.put("before", b"before")
            await box.put("replaced", b"old")
            await box.put("large", pattern(5000))
            disk.note()
            await asyncio.gather(*(box.put(f"k{n:02}", pattern(20, n)) for n in range(40)))
            for data in (b"new", b"newer", b"newest"):
                await box.put("replaced", data)
            await box.put("large", b"small now")
            put = await box.put(
                "told",
                b"x",
                attributes=ObjectAttributes({"content-type": "a/b"}, {"m": "v"}, tags={"t": "1"}),
            )
            for _ in range(2):  # the second cut finds nothing more to do
                async with disk.cut() as after:
                    assert await after.read("before") == b"before"
                    assert await after.read("replaced") == b"newest"
                    assert await after.read("large") == b"small now"
                    for n in range(40):
                        assert await after.read(f"k{n:02}") == pattern(20, n)
                    assert len(await keys(after)) == 44
                    head = await after.node.head(BUCKET, key("told"))
                    assert replace(head, generation=1) == put
                    await after.put("later", b"later")
                    await settled(after)
                    assert await after.read("replaced") == b"newest"

    run(main())


def test_a_new_store_whose_second_write_was_lost(tmp_path: Path, disk: Disk) -> None:
    async def main() -> None:
        async with opened(tmp_path / "root") as box:
            await box.put("first", b"1")
            disk.note()
            await box.put("second", b"2")
            async with disk.cut() as after:
                assert await after.read("first") == b"1"
                assert await after.read("second") == b"2"

    run(main())


def test_what_was_deleted_stays_away(tmp_path: Path, disk: Disk) -> None:
    """A delete makes the index durable, and all before it."""

    async def main() -> None:
        async with opened(tmp_path / "root") as box:
            await box.put("kept", b"kept")
            await box.put("gone", b"gone")
            await box.node.delete(BUCKET, key("gone"))
            disk.note()
            await box.put("later", b"later")
            async with disk.cut() as after:
                assert await keys(after) == ["kept", "later"]
                with pytest.raises(NoSuchKey):
                    await after.read("gone")
                await settled(after)

    run(main())


def test_the_index_is_synced_for_what_small_db_alone_does_not_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = 0
    real = database.Writer.sync_index

    def count(self: database.Writer) -> None:
        nonlocal synced
        synced += 1
        real(self)

    monkeypatch.setattr(database.Writer, "sync_index", count)
    relaxed = replace(BUCKET, props=BucketProps(durability="relaxed"))

    async def main() -> None:
        nonlocal synced
        async with opened(tmp_path / "root") as box:

            async def syncs(work: Awaitable[object]) -> int:
                nonlocal synced
                synced = 0
                await work
                return synced

            assert await syncs(box.put("first", b"1")) == 1
            assert await syncs(box.put("a", b"1")) == 0
            assert await syncs(box.put("a", b"2")) == 0
            await box.settle()
            assert await syncs(box.put("r", b"1", bucket=relaxed)) == 0
            assert await syncs(box.put("v", b"1", bucket=ENABLED)) == 1
            assert await syncs(box.put("a", pattern(5000))) == 1
            assert await syncs(box.node.delete(BUCKET, key("a"))) == 1

    run(main())


@pytest.mark.parametrize("seed", range(4))
def test_whatever_was_done_is_so_after_a_power_cut(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """The index is cut back to its last sync, which is the least that a disk has kept of it."""
    chance = random.Random(seed)
    real = database.Writer.sync_index

    def sync(self: database.Writer) -> None:
        real(self)
        disk.note()

    monkeypatch.setattr(database.Writer, "sync_index", sync)
    model: dict[str, bytes] = {}

    async def change(box: Box, number: int) -> None:
        name = f"k{chance.randrange(12):02}"
        if chance.random() < 0.2:
            await box.node.delete(BUCKET, key(name))
            model.pop(name, None)
            return
        size = chance.choice((0, 10, 900, 5000 if chance.random() < 0.3 else 30))
        data = pattern(size, number)
        if chance.random() < 0.1:
            others = {f"more{number}/{each}": pattern(each, number) for each in range(9)}
            await asyncio.gather(*(box.put(other, what) for other, what in others.items()))
            model.update(others)
        await box.put(name, data)
        model[name] = data

    async def main() -> None:
        async with opened(tmp_path / "root") as box:
            for number in range(120):
                await change(box, number)
                if chance.random() < 0.1:
                    await box.settle()
                if chance.random() < 0.1:
                    with monkeypatch.context() as as_it_is:
                        as_it_is.setattr(database.Writer, "sync_index", real)
                        async with disk.cut() as after:
                            assert await keys(after) == sorted(model)
                            for name, data in model.items():
                                assert await after.read(name) == data
                            await settled(after)
                            assert await keys(after) == sorted(model)

    run(main())


def test_a_bucket_that_got_versions_keeps_them(tmp_path: Path, disk: Disk) -> None:
    async def main() -> None:
        async with opened(tmp_path / "root") as box:
            await box.put("k", b"null")
            await box.put("k", b"first", bucket=ENABLED)
            disk.note()
            async with disk.cut() as after:
                assert await after.read("k", bucket=ENABLED) == b"first"
                await settled(after)

    run(main())


def test_together_each_has_its_own_outcome(tmp_path: Path) -> None:
    """Of writes that share statements, one that is refused hurts no other, and several to a key follow one another."""

    async def main() -> None:
        async with opened(tmp_path / "root") as box:
            await box.put("there", b"there")
            absent = Conditions(if_none_match=("*",))
            outcomes = await asyncio.gather(
                *(box.put(f"k{n}", pattern(10, n)) for n in range(20)),
                box.put("there", b"other", conditions=absent),
                *(box.put("same", b"%d" % n) for n in range(5)),
                box.put("v", b"version", bucket=ENABLED),
                box.put("once", b"1", conditions=absent),
                box.put("once", b"2", conditions=absent),
                return_exceptions=True,
            )
            failed = [each for each in outcomes if isinstance(each, BaseException)]
            assert [type(each) for each in failed] == [PreconditionFailed] * 2
            assert await box.read("there") == b"there"
            assert (await box.read("same")) in {b"%d" % n for n in range(5)}
            assert (await box.node.head(BUCKET, key("same"))).generation == 5
            for n in range(20):
                assert await box.read(f"k{n}") == pattern(10, n)
            await box.settle()
            await settled(box)

    run(main())


def test_a_fault_within_many_leaves_each_to_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("as a bug would")

    async def main() -> None:
        async with opened(tmp_path / "root") as box:
            with monkeypatch.context() as patched:
                patched.setattr(publish_many, "put_current_rows", broken)
                await asyncio.gather(*(box.put(f"k{n}", pattern(10, n)) for n in range(9)))
            for n in range(9):
                assert await box.read(f"k{n}") == pattern(10, n)
            await settled(box)

    run(main())


@pytest.fixture
def halts(tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, int]]:
    """Power cuts in each of the moments when the index names rows that are not synced yet, and the number of writes
    that were answered by then. The disk has kept all of the index, and of small.db what was synced."""
    real_sync, real_commit = database.Writer.sync_rows, Committer._commit
    found: list[tuple[Path, int]] = []

    def sync(self: database.Writer) -> None:
        if self.connection.in_transaction:  # of one that only unnames: before its commit
            real_sync(self)
            return
        after = tmp_path / f"halt{len(found)}"
        disk.halt(after, _ROWS)
        found.append((after, answered(tmp_path)))
        real_sync(self)
        disk.note(_ROWS)

    def commit(self: Committer, tx: Transaction) -> None:
        real_commit(self, tx)
        if not tx.only_adds:
            disk.note(_ROWS)

    monkeypatch.setattr(database.Writer, "sync_rows", sync)
    monkeypatch.setattr(Committer, "_commit", commit)
    return found


def answered(tmp_path: Path) -> int:
    path = tmp_path / "answered"
    return int(path.read_text()) if path.exists() else 0


@pytest.mark.parametrize("seed", range(3))
def test_what_lost_its_rows_was_never_there(
    tmp_path: Path, halts: list[tuple[Path, int]], monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance = random.Random(seed)
    models: list[dict[str, bytes]] = [{}]

    async def change(box: Box, number: int) -> None:
        model = dict(models[-1])
        name = f"k{chance.randrange(40):02}"
        if chance.random() < 0.2:
            await box.node.delete(BUCKET, key(name))
            model.pop(name, None)
        else:
            model[name] = pattern(chance.choice((0, 10, 900, 5000)), number)
            await box.put(name, model[name])
        models.append(model)
        (tmp_path / "answered").write_text(str(len(models) - 1))

    async def check(root: Path, model: dict[str, bytes]) -> None:
        async with opened(root) as after:
            assert await keys(after) == sorted(model)
            for name, data in model.items():
                assert await after.read(name) == data
            await after.put("later", b"later")
            await settled(after)

    async def main() -> None:
        async with opened(tmp_path / "root") as box:
            for number in range(80):
                await change(box, number)
                if chance.random() < 0.1:
                    await box.settle()

    run(main())
    monkeypatch.undo()
    assert len(halts) > 10
    for root, count in halts:
        run(check(root, models[count]))


def test_only_what_is_new_is_synced_past_the_lock(
    tmp_path: Path, halts: list[tuple[Path, int]]
) -> None:
    async def main() -> None:
        async with opened(tmp_path / "root") as box:
            await box.put("first", b"the index is made durable with it")
            assert not halts
            await asyncio.gather(*(box.put(f"k{n}", b"1") for n in range(20)))
            before = len(halts)
            assert before > 0
            await box.put("k1", b"2")
            assert len(halts) == before
            assert await box.read("k1") == b"2"
            await box.put("k2", b"3")
            await box.node.delete(BUCKET, key("k3"))
            assert len(halts) == before
            await box.settle()
            assert await box.read("k2") == b"3"

    run(main())


def test_a_failed_sync_starts_the_logs_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a disk did not take may be missing in the middle of a log, and with it all that is written behind."""
    broken: list[int] = []

    def fail(_: database.Writer) -> None:
        broken.append(1)
        raise OSError(errno.EIO, "as a bad disk does")

    async def main() -> None:
        async with opened(tmp_path / "root") as box:
            await box.put("before", b"before")
            with monkeypatch.context() as patched:
                patched.setattr(database.Writer, "sync_rows", fail)
                with pytest.raises(MountpathUnavailable):
                    await box.put("unsure", b"unsure")
            assert broken
            log = tmp_path / "root" / "0" / "small.db-wal"
            long_before = log.stat().st_size
            await box.put("after", b"after")
            assert log.stat().st_size < long_before
            assert await box.read("before") == b"before"
            assert await box.read("after") == b"after"
            await settled(box)

    run(main())


def test_whoever_unnames_syncs_the_rows_that_others_have_named(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the index would say that all it names is on disk."""
    real, after = database.Writer.sync_rows, tmp_path / "halted"

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with opened(tmp_path / "root") as box, opened(tmp_path / "root") as other:
            await box.put("large", pattern(5000))
            await box.put("first", b"first")
            disk.note(_ROWS)

            def sync(self: database.Writer) -> None:
                if not self.connection.in_transaction:
                    deletion = other.node.delete(BUCKET, key("large"))
                    asyncio.run_coroutine_threadsafe(deletion, loop).result(10)
                    disk.halt(after, _ROWS)
                real(self)
                disk.note(_ROWS)

            with monkeypatch.context() as patched:
                patched.setattr(database.Writer, "sync_rows", sync)
                await box.put("new", b"new")
        async with opened(after) as box:
            assert await keys(box) == ["first", "new"]
            assert await box.read("new") == b"new"
            await settled(box)

    run(main())


def test_rows_of_an_operation_that_failed_do_not_count(tmp_path: Path) -> None:
    """Or a commit that then only unnames would take its rows for synced."""

    def fail(tx: Transaction) -> None:
        tx.add_small((tx.next_stamp(), b"", None))
        raise NoSuchKey(key="k")

    def outer(tx: Transaction) -> tuple[int, int]:
        _, failure = run_guarded(tx, fail)
        assert isinstance(failure, NoSuchKey)
        return tx.added_small, tx.last_small

    async def main() -> None:
        async with opened(tmp_path / "root") as box:
            [mountpath] = box.node.mountpaths.all
            assert await mountpath.commit(outer) == (0, 0)

    run(main())
