"""Owns the connections to a mountpath's two SQLite databases and how they are tuned.

On the writing connection `small.db` is `main` and `index.db` is attached as `idx`. SQLite commits (and syncs) the
main database's WAL before the attached one's (vdbeCommit walks the databases in order when no super-journal is
needed, as in WAL mode), so a small row is durable before the index names it. The reverse does not hold: what the
index still names may never be deleted from small.db in the commit that changes the index.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import struct
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from core.errors import Corrupt
from storage.layout import Layout, sync_directory
from storage.schema import INDEX_TABLES, SMALL_TABLES, VERSION

# Half the B-tree pages of 4 KiB for records of some 250 bytes, and a 4 KiB object with its record fits one page.
_PAGE_BYTES = 8192
_CACHE_KIB = 16 * 1024
POINT_CACHE_KIB = 8 * 1024
"""Of the connection that point reads of requests share."""
SCAN_CACHE_KIB = 24 * 1024
"""Of the connection for listings: a page of 1,000 common prefixes reads some 2,000 B-tree pages of 8 KiB, and with a
cache of 16 MiB it found none of them again: 8 ms at a million keys against 2.9."""
OTHER_CACHE_KIB = 2 * 1024
_REBUILD_CACHE_KIB = 128 * 1024
# A log that grew beyond this under a long read is cut back when it starts over.
_WAL_KEPT_BYTES = 32 * 1024**2
_BUSY_TIMEOUT_S = 10.0
_TRIM_TIMEOUT_MS = 200


class OtherSchema(Corrupt):
    """A weir of another age wrote the databases. Fields: what, where, is_older (than this one)."""


def check_schema_sync(layout: Layout) -> None:
    """Raises OtherSchema. Databases that are missing or not begun are for others to judge."""
    if not (layout.small_db.exists() and layout.index_db.exists()):
        return
    with closing(open_reader_sync(layout)) as connection:
        _check_versions(connection, layout)


def _check_versions(connection: sqlite3.Connection, layout: Layout) -> set[int]:
    versions = {
        connection.execute(f"PRAGMA {database}.user_version").fetchone()[0]
        for database in ("main", "idx")
    }
    others = versions - {0, VERSION}
    if others:
        raise OtherSchema(
            what=f"databases of version {max(others)}, where {VERSION} is wanted",
            where=str(layout.directory),
            is_older=max(others) < VERSION,
        )
    return versions


def open_writer_sync(layout: Layout) -> sqlite3.Connection:
    """The connection that commits; on a new mountpath it makes the databases.

    Raises Corrupt where only one of the two is there: an empty one must not take the place of what was lost.
    """
    if layout.index_db.exists() and not layout.small_db.exists():
        raise Corrupt(what="small.db is missing", where=str(layout.directory))
    connection = _connect(layout.small_db)
    try:
        if connection.execute("PRAGMA user_version").fetchone()[0] and not layout.index_db.exists():
            raise Corrupt(
                what="index.db is missing; `weir doctor --rebuild-index` makes it anew",
                where=str(layout.directory),
            )
        connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("ATTACH ? AS idx", (str(layout.index_db),))
        connection.execute(f"PRAGMA idx.page_size = {_PAGE_BYTES}")
        connection.execute("PRAGMA idx.journal_mode = WAL")
        for database in ("main", "idx"):
            connection.execute(f"PRAGMA {database}.cache_size = -{_CACHE_KIB}")
            connection.execute(f"PRAGMA {database}.secure_delete = OFF")
        # Checkpoints are storage.commit's business: they must not stall a commit at SQLite's whim.
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        for database in ("main", "idx"):
            connection.execute(f"PRAGMA {database}.journal_size_limit = {_WAL_KEPT_BYTES}")
        connection.execute("PRAGMA temp_store = MEMORY")
        _set_durable(connection, is_durable=True)
        # Who waits for a commit syncs this log himself, past the lock (Writer.sync_index).
        connection.execute("PRAGMA idx.synchronous = NORMAL")
        _make_tables(connection, layout)
    except BaseException:
        connection.close()
        raise
    return connection


def open_reader_sync(layout: Layout, cache_kib: int = OTHER_CACHE_KIB) -> sqlite3.Connection:
    """A connection for queries: `index.db` is attached as `idx`, as on the writer's, so the same SQL serves both.

    `cache_kib` bounds the pages kept of each database."""
    connection = _connect(layout.small_db, must_exist=True)
    try:
        connection.execute("ATTACH ? AS idx", (_uri(layout.index_db),))
        connection.execute("PRAGMA query_only = ON")
        for database in ("main", "idx"):
            connection.execute(f"PRAGMA {database}.cache_size = -{cache_kib}")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
    except BaseException:
        connection.close()
        raise
    return connection


def open_rebuild_sync(layout: Layout, new_index: Path) -> sqlite3.Connection:
    """A connection with `small.db` (made empty if it is lost) and a new index attached as `idx`, without a journal:
    what is not finished is thrown away. Raises OtherSchema if a newer weir wrote `small.db`."""
    connection = _connect(layout.small_db)
    try:
        connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        connection.execute("PRAGMA journal_mode = WAL")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            raise OtherSchema(
                what=f"small.db of version {version}, where {VERSION} is wanted",
                where=str(layout.directory),
                is_older=False,
            )
        for statement in SMALL_TABLES:
            connection.execute(statement)
        connection.execute(f"PRAGMA main.user_version = {VERSION}")
        connection.execute("ATTACH ? AS idx", (_uri(new_index, "rwc"),))
        connection.execute(f"PRAGMA idx.page_size = {_PAGE_BYTES}")
        connection.execute("PRAGMA idx.journal_mode = OFF")
        connection.execute(f"PRAGMA idx.cache_size = -{_REBUILD_CACHE_KIB}")
    except BaseException:
        connection.close()
        raise
    return connection


def checkpoint_sync(connection: sqlite3.Connection) -> None:
    """Fold into the databases what no reader holds back; waits for nobody."""
    connection.execute("PRAGMA main.wal_checkpoint(PASSIVE)").fetchall()
    connection.execute("PRAGMA idx.wal_checkpoint(PASSIVE)").fetchall()


def trim_logs_sync(connection: sqlite3.Connection) -> None:
    """Fold the write-ahead logs and give their room back, as far as no one else is in the way for long."""
    connection.execute(f"PRAGMA busy_timeout = {_TRIM_TIMEOUT_MS}")
    try:
        for database in ("main", "idx"):
            connection.execute(f"PRAGMA {database}.wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        connection.execute(f"PRAGMA busy_timeout = {int(_BUSY_TIMEOUT_S * 1000)}")


def start_logs_over_sync(connection: sqlite3.Connection) -> None:
    """Have what comes next depend on nothing that is in the write-ahead logs now. Raises sqlite3.Error."""
    for database in ("main", "idx"):
        (is_busy, *_) = connection.execute(f"PRAGMA {database}.wal_checkpoint(TRUNCATE)").fetchone()
        if is_busy:
            raise sqlite3.OperationalError("the write-ahead log is in use")


def database_bytes(connection: sqlite3.Connection) -> int:
    """The room that both databases use within their files."""
    total = 0
    for database in ("main", "idx"):
        pages, free, size = (
            connection.execute(f"PRAGMA {database}.{name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        total += (pages - free) * size
    return total


def index_log(layout: Layout) -> str:
    """The write-ahead log of the index."""
    return f"{layout.index_db}-wal"


class Writer:
    """The connection that commits, and a gauge of what its commits leave in the WALs."""

    def __init__(self, layout: Layout) -> None:
        self.connection = open_writer_sync(layout)
        self._path = layout.small_db
        self._inode = os.stat(self._path).st_ino
        self._is_durable = True
        self._files: HeldFiles | None = None
        self._logs: list[int] = []
        try:
            self._files = HeldFiles(layout)
            # They stay the same files as long as this connection is open.
            for path in (f"{layout.small_db}-wal", index_log(layout)):
                self._logs.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
            # Logs are made anew by whoever opens a database first.
            sync_directory(self._path.parent)
        except BaseException:
            self.close()
            raise

    def set_durable(self, *, is_durable: bool) -> None:
        """Whether the next COMMIT syncs small.db's WAL (FULL), and all that was committed before, or leaves it to
        `sync_rows` and to the next one that does (NORMAL). The index's is left to `sync_index`."""
        if is_durable is not self._is_durable:
            _set_durable(self.connection, is_durable=is_durable)
            self._is_durable = is_durable

    def require_present(self) -> None:
        """Open files outlive an unmounted or removed directory; a commit into those would be lost. Raises OSError."""
        if os.stat(self._path).st_ino != self._inode:
            raise FileNotFoundError(errno.ENOENT, "database replaced", str(self._path))

    def sync_rows(self) -> None:
        """Make every commit so far durable in small.db. Needs no lock. Raises OSError."""
        os.fdatasync(self._logs[0])

    def sync_index(self) -> None:
        """Make every commit so far durable in the index. Needs no lock. Raises OSError."""
        os.fdatasync(self._logs[1])

    def log_frames(self) -> tuple[int, int]:
        """Frames in the longer WAL since it last started over, and frames of the fuller one that are not in their
        database yet."""
        assert self._files is not None
        return self._files.log_frames()

    def close(self) -> None:
        for fd in self._logs:
            os.close(fd)
        self.connection.close()
        if self._files is not None:
            self._files.close()


_held: dict[tuple[int, int], tuple[int, int]] = {}
_held_lock = threading.Lock()


class HeldFiles:
    """Descriptors of files that SQLite locks, shared by all of a process that hold them: to close one drops every lock
    that the process has on its file (SQLite: How To Corrupt An SQLite Database File, §2.2). So whoever has connections
    holds these until they are closed."""

    def __init__(self, layout: Layout) -> None:
        databases = (layout.small_db, layout.index_db)
        self._keys: list[tuple[int, int]] = []
        try:
            self._databases = [self._hold(str(path)) for path in databases]
            self._indexes = [self._hold(f"{path}-shm") for path in databases]
        except BaseException:
            self.close()
            raise

    def sync_databases(self) -> None:
        """Make durable what was folded. Raises OSError."""
        for fd in self._databases:
            os.fdatasync(fd)

    def log_frames(self) -> tuple[int, int]:
        """See Writer.log_frames."""
        frames = [_log_frames(fd) for fd in self._indexes]
        return max(last for last, _ in frames), max(last - folded for last, folded in frames)

    def close(self) -> None:
        with _held_lock:
            for key in self._keys:
                fd, holders = _held[key]
                if holders > 1:
                    _held[key] = fd, holders - 1
                else:
                    del _held[key]
                    os.close(fd)
            self._keys = []

    def _hold(self, path: str) -> int:
        with _held_lock:
            stat = os.stat(path)
            key = stat.st_dev, stat.st_ino
            fd, holders = _held.get(key) or (os.open(path, os.O_RDONLY | os.O_CLOEXEC), 0)
            _held[key] = fd, holders + 1
            self._keys.append(key)
            return fd


def _log_frames(index_fd: int) -> tuple[int, int]:
    """The last frame of a WAL, and the last that is in the database, from the wal-index header.

    SQLite: WAL-mode File Format, §2.1: mxFrame at offset 16, nBackfill at offset 96, in native byte order.
    """
    header = os.pread(index_fd, 100, 0)
    if len(header) < 100:
        return 0, 0
    (last,) = struct.unpack_from("=I", header, 16)
    (folded,) = struct.unpack_from("=I", header, 96)
    return int(last), min(int(last), int(folded))


def _set_durable(connection: sqlite3.Connection, *, is_durable: bool) -> None:
    level = "FULL" if is_durable else "NORMAL"
    connection.execute(f"PRAGMA main.synchronous = {level}")


def _connect(path: Path, *, must_exist: bool = False) -> sqlite3.Connection:
    mode = "rw" if must_exist else "rwc"
    return sqlite3.connect(
        _uri(path, mode),
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=_BUSY_TIMEOUT_S,
        cached_statements=256,
    )


def _uri(path: Path, mode: str = "rw") -> str:
    return f"{path.absolute().as_uri()}?mode={mode}"


def _make_tables(connection: sqlite3.Connection, layout: Layout) -> None:
    if _check_versions(connection, layout) == {VERSION}:
        return
    connection.execute("BEGIN IMMEDIATE")
    for statement in (*SMALL_TABLES, *INDEX_TABLES):
        connection.execute(statement)
    connection.execute(f"PRAGMA main.user_version = {VERSION}")
    connection.execute(f"PRAGMA idx.user_version = {VERSION}")
    connection.execute("COMMIT")


@contextmanager
def snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """Reads inside see one state of the index (small.db's may be a moment older)."""
    connection.execute("BEGIN")
    try:
        connection.execute("SELECT 1 FROM small LIMIT 1").fetchone()
        connection.execute("SELECT 1 FROM idx.object LIMIT 1").fetchone()
        yield
    finally:
        connection.execute("COMMIT")
