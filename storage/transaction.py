"""Owns the transaction of a mountpath's two databases: what an operation in it may do, and how it begins.

Many operations share one (storage.commit); each can fail by itself.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TypeVar

from storage.database import Writer
from storage.records import Refs, encode_refs

T = TypeVar("T")

INDEXED = "indexed"
NAMED = "named"
"""Names in `idx.swept`. NAMED: the newest row that was named before it was synced; 0 once all were."""


@dataclass(slots=True)
class Transaction:
    """The transaction that an operation runs in. Valid only while the operation runs.

    `only_adds`: it may name what is new, but replace or remove nothing: the index may then reach the disk before
    small.db does (storage.redo)."""

    connection: sqlite3.Connection
    last_stamp: int
    only_adds: bool = False
    garbage: list[tuple[int, Refs]] = field(default_factory=list)
    added_small: int = 0
    last_small: int = 0

    def next_stamp(self, after: int = 0) -> int:
        """A number greater than `after` and than the id of every small row and garbage row; about the time in ns."""
        self.last_stamp = max(self.last_stamp + 1, after + 1, time.time_ns())
        return self.last_stamp

    def add_small(self, *rows: tuple[int, bytes, bytes | None]) -> None:
        """Keep inline bytes, or a sidecar without any, under an id from `next_stamp`. A row: id, description, bytes."""
        self.connection.executemany("INSERT INTO small (id, record, data) VALUES (?, ?, ?)", rows)
        if rows:
            self.added_small += len(rows)
            self.last_small = rows[-1][0]

    def note_indexed(self) -> None:
        """Say that the index has heard of all small rows that there are (storage.redo)."""
        self.connection.execute(
            "INSERT OR REPLACE INTO idx.swept (name, upto)"
            " VALUES (?, (SELECT ifnull(max(id), 0) FROM small))",
            (INDEXED,),
        )

    def note_named(self, small_id: int) -> None:
        """Say what the newest row is that was named before it was synced; 0 if all are synced before this commit."""
        self.connection.execute(
            "INSERT OR REPLACE INTO idx.swept (name, upto) VALUES (?, ?)", (NAMED, small_id)
        )

    def noted(self, name: str) -> int | None:
        """The row of the last note of that name; None where there is none."""
        row = self.connection.execute(
            "SELECT upto FROM idx.swept WHERE name = ?", (name,)
        ).fetchone()
        return None if row is None else int(row[0])

    def add_garbage(self, *unnamed: Refs) -> None:
        """Have blobs and small rows removed once this transaction is durable."""
        garbage = [(self.next_stamp(), refs) for refs in unnamed if refs]
        if garbage:
            self.connection.executemany(
                "INSERT INTO idx.garbage (id, refs) VALUES (?, ?)",
                [(garbage_id, encode_refs(refs)) for garbage_id, refs in garbage],
            )
            self.garbage += garbage


class Sync(Enum):
    """When the rows of a transaction become durable in small.db: within its COMMIT, before the index hears of them; by
    Writer.sync_rows after it, for one that only adds; or with a later one."""

    WITHIN = auto()
    AFTER = auto()
    NONE = auto()


Operation = Callable[[Transaction], T]
"""What runs in a transaction. It may run more than once (only the last run counts), so it has no other effects."""

Together = Callable[[Transaction, Sequence[Operation[T]]], Sequence[T | Exception | None]]
"""Runs many operations of one kind by fewer statements, as if one after another in any order: what each returned or
raised, or None for one that is left to run by itself. Raises as they do; then all of them run by themselves.

What it does can be done again from small.db alone (storage.redo), so the index need not be synced for it."""


def begin(writer: Writer, sync: Sync) -> Transaction:
    """A transaction, with the write lock held."""
    connection = writer.connection
    writer.set_durable(is_durable=sync is Sync.WITHIN)
    connection.execute("BEGIN IMMEDIATE")
    (last_stamp,) = connection.execute(
        "SELECT max(ifnull((SELECT max(id) FROM small), 0),"
        " ifnull((SELECT max(id) FROM idx.garbage), 0))"
    ).fetchone()
    return Transaction(connection, last_stamp, sync is Sync.AFTER)


def run_guarded(tx: Transaction, operation: Operation[T]) -> tuple[T | None, Exception | None]:
    """What an operation returned, or raised: then its changes, and those only, are undone. A savepoint costs 2 µs."""
    connection = tx.connection
    garbage_count, small = len(tx.garbage), (tx.added_small, tx.last_small)
    value, failure = None, None
    connection.execute("SAVEPOINT operation")
    try:
        value = operation(tx)
    except (sqlite3.OperationalError, OSError):
        raise  # the disk's fault, not the operation's
    except Exception as error:
        connection.execute("ROLLBACK TO operation")
        del tx.garbage[garbage_count:]
        tx.added_small, tx.last_small = small
        failure = error
    connection.execute("RELEASE operation")
    return value, failure
