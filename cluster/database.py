"""Owns the file of the embedded control store: where it lies, its schema, its transactions, and the change log by which
readers keep up. What the rows mean is cluster.control's.

    DATA/control/control.db   SQLite, WAL, synchronous=FULL, mode 0600 in a directory of mode 0700
    DATA/control/generation   a number that every commit changes, mapped by all processes
    DATA/control/write.lock   held by a writer from before its transaction until after the number has changed
    DATA/control/replica.db   in the other data directories: a copy (cluster.replicas)
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cluster.generation import Generation
from core.errors import Corrupt, Invalid, MountpathUnavailable, OutOfSpace

CONTROL_DIRECTORY = "control"
DATABASE_NAME = "control.db"
SCHEMA_VERSION = 2

_BUSY_TIMEOUT_S = 10.0
_KEPT_CHANGES = 1000
_RETRY_AFTER_S = 5

_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE users (
    user_id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, display_name TEXT NOT NULL, email TEXT NOT NULL,
    is_root INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE credentials (
    access_key TEXT PRIMARY KEY, secret_key TEXT NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (user_id) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE INDEX credentials_by_user ON credentials (user_id);
CREATE TABLE buckets (
    bucket_id INTEGER PRIMARY KEY AUTOINCREMENT,
    provider TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
    owner_id TEXT NOT NULL REFERENCES users (user_id), created_ns INTEGER NOT NULL, region TEXT NOT NULL,
    props BLOB NOT NULL,
    UNIQUE (provider, namespace, name)
);
CREATE INDEX buckets_by_owner ON buckets (owner_id);
CREATE TABLE changes (number INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, key TEXT NOT NULL);
"""

_POLICIES = """
CREATE TABLE user_policies (
    user_id TEXT NOT NULL REFERENCES users (user_id) ON DELETE CASCADE, name TEXT NOT NULL, document TEXT NOT NULL,
    PRIMARY KEY (user_id, name)
) WITHOUT ROWID;
"""
"""What version 2 added. A weir that knows only version 1 would let users do what their policies forbid."""


class SchemaTooNewError(Invalid):
    """The store was written by a later weir. Fields: found, supported, path."""


class ControlDatabase:
    """One process's hold on the file. Reads and writes use connections of their own; both may come from any thread.

    Raises MountpathUnavailable when the file cannot be read or written, OutOfSpace when the disk is full.
    """

    def __init__(self, data_dir: Path) -> None:
        self.directory = data_dir / CONTROL_DIRECTORY
        self.path = self.directory / DATABASE_NAME
        self._write_guard = threading.Lock()
        self._writer: sqlite3.Connection | None = None
        with self.translated():
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock_fd = os.open(
                self.directory / "write.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
            )
            self.generation = Generation(self.directory / "generation")
            with self._exclusive():
                self._prepare()
            self.reader = connect(self.path)

    def close(self) -> None:
        """Let go of the file."""
        self.reader.close()
        if self._writer is not None:
            self._writer.close()
        self.generation.close()
        os.close(self._lock_fd)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """A durable change. When the block ends without an error it is on disk and every process will see it."""
        with self.translated(), self._write_guard, self._exclusive():
            if self._writer is None:
                self._writer = connect(self.path)
            writer = self._writer
            writer.execute("BEGIN IMMEDIATE")
            try:
                yield Transaction(writer)
                writer.execute("COMMIT")
            except BaseException:
                if writer.in_transaction:
                    writer.execute("ROLLBACK")
                raise
            self.generation.bump()

    def changes_after(self, number: int) -> list[tuple[int, str, str]] | None:
        """(number, kind, key) of later changes in order; None if the log no longer reaches back that far."""
        rows = self.reader.execute(
            "SELECT number, kind, key FROM changes WHERE number >= ? ORDER BY number", (number,)
        ).fetchall()
        if number == 0:
            return rows if not rows or rows[0][0] == 1 else None
        return rows[1:] if rows and rows[0][0] == number else None

    def last_change(self) -> int:
        """The number of the newest change, 0 before the first."""
        row = self.reader.execute("SELECT max(number) FROM changes").fetchone()
        return row[0] or 0

    def data_version(self) -> int:
        """A number that differs after another connection has committed."""
        version: int = self.reader.execute("PRAGMA data_version").fetchone()[0]
        return version

    def check(self) -> str:
        """What is wrong with the file; empty if it is sound."""
        try:
            said = self.reader.execute("PRAGMA quick_check(1)").fetchone()[0]
        except sqlite3.DatabaseError as error:
            return str(error)
        return "" if said == "ok" else str(said)

    def meta(self, name: str) -> str | None:
        """A named text of the store itself."""
        row = self.reader.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def metas(self, prefix: str) -> list[tuple[str, str]]:
        """The named texts whose names begin so, each by the rest of its name."""
        rows = self.reader.execute(
            "SELECT substr(name, ?), value FROM meta WHERE name >= ? AND substr(name, 1, ?) = ?",
            (len(prefix) + 1, prefix, len(prefix), prefix),
        ).fetchall()
        return [(str(name), str(value)) for name, value in rows]

    def _prepare(self) -> None:
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.close(fd)
        connection = connect(self.path)
        try:
            found = connection.execute("PRAGMA user_version").fetchone()[0]
            if found > SCHEMA_VERSION:
                raise SchemaTooNewError(found=found, supported=SCHEMA_VERSION, path=str(self.path))
            if found == 0:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.executescript(
                    f"BEGIN; {_SCHEMA} {_POLICIES}"
                    f"INSERT INTO meta VALUES ('store_id', '{uuid.uuid4().hex}');"
                    f"PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
                )
                sync_directory(self.directory)
                sync_directory(self.directory.parent)
            elif found == 1:
                connection.executescript(
                    f"BEGIN; {_POLICIES} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
                )
        finally:
            connection.close()

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        fcntl.flock(self._lock_fd, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._lock_fd, fcntl.LOCK_UN)

    @contextmanager
    def translated(self) -> Iterator[None]:
        """SQLite's and the system's errors as ours."""
        try:
            yield
        except sqlite3.IntegrityError:
            raise
        except (sqlite3.Error, OSError) as error:
            raise _translate(error, self.directory) from error


class Transaction:
    """Statements of one change. Every row touched is noted, so that readers fetch just that."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def execute(self, sql: str, values: tuple[Any, ...] = ()) -> sqlite3.Cursor:
        return self._connection.execute(sql, values)

    def set_meta(self, name: str, value: str) -> None:
        """Set a named text of the store itself."""
        self.execute("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", (name, value))

    def note(self, kind: str, key: str) -> None:
        """Record that the `kind` of thing called `key` has changed, come or gone."""
        cursor = self.execute("INSERT INTO changes (kind, key) VALUES (?, ?)", (kind, key))
        self.execute(
            "DELETE FROM changes WHERE number <= ?", ((cursor.lastrowid or 0) - _KEPT_CHANGES,)
        )


def connect(path: Path) -> sqlite3.Connection:
    """A connection to a control store's file, for any one thread at a time."""
    connection = sqlite3.connect(
        path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _translate(error: sqlite3.Error | OSError, directory: Path) -> Exception:
    code = getattr(error, "sqlite_errorcode", None)
    full = isinstance(error, OSError) and error.errno in (28, 122)
    if full or code == sqlite3.SQLITE_FULL:
        return OutOfSpace(mountpath=str(directory), retry_after_s=_RETRY_AFTER_S)
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return Corrupt(what="control store", where=str(directory))
    return MountpathUnavailable(
        mountpath=str(directory), reason=str(error), retry_after_s=_RETRY_AFTER_S
    )


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
