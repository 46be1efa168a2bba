"""Owns the copies of the control store in the other data directories, and coming back from one when the first is lost.

A copy is taken a moment after each change, so what a lost disk can take along is the changes of the last seconds.
Copies and stores are ranked by (epoch, change number); the epoch grows with each restoration, so that a disk that
returns with the store's old past never outranks what came after it.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from cluster.database import (
    CONTROL_DIRECTORY,
    DATABASE_NAME,
    ControlDatabase,
    connect,
    sync_directory,
)
from core.errors import MountpathUnavailable

REPLICA_NAME = "replica.db"
_EPOCH = "epoch"
_RETRY_AFTER_S = 5

Rank = tuple[int, int]


class ControlReplicas:
    """Keeps copies up to date. `directories` gives the data directories that are usable now, without the store's own.

    Use it from one thread at a time."""

    def __init__(
        self, database: ControlDatabase, directories: Callable[[], Sequence[Path]]
    ) -> None:
        self._connection = connect(database.path)
        self._directories = directories
        self._known: dict[Path, Rank | None] = {}

    def close(self) -> None:
        """Let go of the database."""
        self._connection.close()

    def refresh_sync(self) -> int:
        """Renew the copies that lag behind; how many did. Raises OSError or sqlite3.Error for the last that failed,
        after trying all."""
        current = _rank(self._connection)
        renewed, failure = 0, None
        for directory in self._directories():
            if directory not in self._known:
                self._known[directory] = _rank_of_file(directory / CONTROL_DIRECTORY / REPLICA_NAME)
            if self._known[directory] == current:
                continue
            try:
                self._copy(directory / CONTROL_DIRECTORY)
            except (OSError, sqlite3.Error) as error:
                failure = error
                continue
            self._known[directory] = current
            renewed += 1
        if failure is not None:
            raise failure
        return renewed

    def _copy(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, exist_ok=True)
        temporary = directory / f"{REPLICA_NAME}.new"
        temporary.unlink(missing_ok=True)
        # Made by us, for its mode: SQLite takes an empty file as it is.
        fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            self._connection.execute("VACUUM INTO ?", (str(temporary),))
            os.fsync(fd)
        finally:
            os.close(fd)
        temporary.rename(directory / REPLICA_NAME)
        sync_directory(directory)


def find_home(directories: Sequence[Path]) -> Path | None:
    """The data directory whose control store is in force; None if there is none."""
    homes = [d for d in directories if (d / CONTROL_DIRECTORY / DATABASE_NAME).is_file()]
    if len(homes) < 2:
        return homes[0] if homes else None
    return max(
        homes, key=lambda d: _rank_of_file(d / CONTROL_DIRECTORY / DATABASE_NAME) or (-1, -1)
    )


def restore_sync(directories: Sequence[Path]) -> Path | None:
    """Make the best copy a control store, in the directory that it lies in; None if there is no copy.

    Only for a store whose control store is lost, and only while nothing serves it. Raises MountpathUnavailable.
    """
    ranks = {d: _rank_of_file(d / CONTROL_DIRECTORY / REPLICA_NAME) for d in directories}
    usable = {directory: rank for directory, rank in ranks.items() if rank is not None}
    if not usable:
        return None
    home = max(usable, key=lambda directory: usable[directory])
    control = home / CONTROL_DIRECTORY
    try:
        _promote(control, usable[home][0] + 1)
    except (OSError, sqlite3.Error) as error:
        raise MountpathUnavailable(
            mountpath=str(home), reason=str(error), retry_after_s=_RETRY_AFTER_S
        ) from error
    return home


def _promote(control: Path, epoch: int) -> None:
    temporary = control / f"{DATABASE_NAME}.new"
    temporary.write_bytes(b"")
    temporary.chmod(0o600)
    temporary.write_bytes((control / REPLICA_NAME).read_bytes())
    with closing(sqlite3.connect(temporary, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(
            "INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", (_EPOCH, str(epoch))
        )
        connection.execute("PRAGMA journal_mode = WAL")
    fd = os.open(temporary, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    temporary.rename(control / DATABASE_NAME)
    sync_directory(control)


def _rank(connection: sqlite3.Connection) -> Rank:
    epoch = connection.execute("SELECT value FROM meta WHERE name = ?", (_EPOCH,)).fetchone()
    last = connection.execute("SELECT max(number) FROM changes").fetchone()
    return (int(epoch[0]) if epoch else 0, last[0] or 0)


def _rank_of_file(path: Path) -> Rank | None:
    """None for a file that is absent or no control store."""
    if not path.is_file():
        return None
    try:
        with closing(sqlite3.connect(path)) as connection:
            return _rank(connection)
    except sqlite3.Error:
        return None
