"""Group commit: what operations that share a transaction see of each other, and of its failure."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from core.errors import MountpathUnavailable, NoSuchKey, OutOfSpace
from storage.commit import CommitHooks, Committer
from storage.database import open_reader_sync
from storage.layout import Layout, open_set_sync
from storage.reclaim import Garbage
from storage.records import Refs
from storage.redo import redo
from storage.transaction import Transaction

REPOSITORY = Path(__file__).resolve().parents[3]


class Heard:
    """The hooks' side, for the test to look at."""

    def __init__(self) -> None:
        self.commits: list[tuple[Sequence[Garbage], bool]] = []
        self.full = 0

    def hooks(self) -> CommitHooks:
        return CommitHooks(self._on_commit, lambda: None, self._on_full, redo)

    def _on_commit(self, garbage: Sequence[Garbage], is_durable: bool) -> None:
        self.commits.append((list(garbage), is_durable))

    def _on_full(self) -> None:
        self.full += 1


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    open_set_sync([tmp_path / "m"])
    return Layout(tmp_path / "m")


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def committer(layout: Layout, heard: Heard) -> Iterator[Committer]:
    made = Committer(layout, heard.hooks())
    yield made
    made.close()


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(coroutine, 20))


def add(tx: Transaction, text: str) -> int:
    stamp = tx.next_stamp()
    tx.add_small((stamp, text.encode(), None))
    return stamp


def rows(layout: Layout) -> list[str]:
    connection = open_reader_sync(layout)
    try:
        found = connection.execute("SELECT record FROM small ORDER BY id").fetchall()
        return [record.decode() for (record,) in found]
    finally:
        connection.close()


def test_operations_that_wait_share_a_transaction(
    layout: Layout, committer: Committer, heard: Heard
) -> None:
    async def scenario() -> None:
        stamps = await asyncio.gather(
            *(committer.commit(lambda tx, n=number: add(tx, f"{n:03}")) for number in range(100))  # type: ignore[misc]
        )
        assert len(set(stamps)) == 100
        assert len(heard.commits) < 50

    run(scenario())
    assert rows(layout) == [f"{number:03}" for number in range(100)]


def test_a_failing_operation_undoes_only_itself(layout: Layout, committer: Committer) -> None:
    def fail(tx: Transaction) -> None:
        add(tx, "never")
        tx.add_garbage(Refs(["blob"]))
        raise NoSuchKey(key="k")

    def break_down(tx: Transaction) -> None:
        add(tx, "nor this")
        raise ZeroDivisionError

    async def scenario() -> None:
        outcomes = await asyncio.gather(
            committer.commit(lambda tx: add(tx, "first")),
            committer.commit(fail),
            committer.commit(break_down),
            committer.commit(lambda tx: add(tx, "last")),
            return_exceptions=True,
        )
        assert [type(outcome) for outcome in outcomes] == [int, NoSuchKey, ZeroDivisionError, int]

    run(scenario())
    assert rows(layout) == ["first", "last"]


def test_a_cancelled_caller_changes_nothing_for_the_operation(
    layout: Layout, committer: Committer
) -> None:
    async def scenario() -> None:
        task = asyncio.create_task(committer.commit(lambda tx: add(tx, "kept")))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await committer.commit(lambda tx: add(tx, "next"))

    run(scenario())
    assert rows(layout) == ["kept", "next"]


def test_only_relaxed_batches_are_not_synced(committer: Committer, heard: Heard) -> None:
    committer.commit_sync(lambda tx: add(tx, "a"), is_durable=False)
    committer.commit_sync(lambda tx: add(tx, "b"))
    assert [is_durable for _, is_durable in heard.commits] == [False, True]


def test_a_full_disk_fails_all_but_what_frees(
    layout: Layout, committer: Committer, heard: Heard
) -> None:
    def grow(tx: Transaction) -> None:
        add(tx, "too much")
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    async def scenario() -> None:
        await committer.commit(lambda tx: add(tx, "before"))
        outcomes = await asyncio.gather(
            committer.commit(grow),
            committer.commit(lambda tx: add(tx, "also")),
            committer.commit(lambda tx: add(tx, "delete"), frees=True),
            return_exceptions=True,
        )
        assert isinstance(outcomes[0], OutOfSpace)
        assert isinstance(outcomes[2], int)
        await committer.commit(lambda tx: add(tx, "after"))

    run(scenario())
    assert rows(layout)[-1] == "after"
    assert "too much" not in rows(layout)


def test_lazy_operations_come_along_or_alone(layout: Layout, committer: Committer) -> None:
    committer.enqueue_lazily(lambda tx: add(tx, "along"))
    committer.commit_sync(lambda tx: add(tx, "first"))
    assert sorted(rows(layout)) == ["along", "first"]
    committer.enqueue_lazily(lambda tx: add(tx, "alone"))
    committer.close()
    assert "alone" in rows(layout)


def test_a_directory_that_went_away_takes_no_commits(layout: Layout, committer: Committer) -> None:
    committer.commit_sync(lambda tx: add(tx, "a"))
    layout.directory.rename(layout.directory.with_name("away"))
    for _ in range(2):
        with pytest.raises(MountpathUnavailable):
            committer.commit_sync(lambda tx: add(tx, "b"))
    layout.directory.with_name("away").rename(layout.directory)
    committer.commit_sync(lambda tx: add(tx, "c"))
    assert rows(layout) == ["a", "c"]


WRITER = """
import sys
from pathlib import Path
from storage.commit import CommitHooks, Committer
from storage.layout import Layout
from storage.redo import redo
committer = Committer(Layout(Path(sys.argv[1])), CommitHooks(lambda *_: None, lambda: None, lambda: None, redo))
def add(tx):
    tx.add_small((tx.next_stamp(), sys.argv[2].encode(), None))
for _ in range(100):
    committer.commit_sync(add)
committer.close()
"""


@pytest.mark.slow
def test_processes_take_turns(layout: Layout, committer: Committer) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(layout.directory), name], cwd=REPOSITORY
        )
        for name in ("x", "y")
    ]
    for _ in range(100):
        committer.commit_sync(lambda tx: add(tx, "z"))
    assert [writer.wait(30) for writer in writers] == [0, 0]
    assert sorted(rows(layout)) == ["x"] * 100 + ["y"] * 100 + ["z"] * 100
