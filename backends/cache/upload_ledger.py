"""Owns the durable memory of uploads to buckets that live elsewhere: which upload there each of ours is, its parts and
the tokens that the provider knows them by, and what completed ones made.

One small SQLite file for all processes of the node. The upload itself, with its attributes, is the local node's, and so
are its parts' bytes, as far as there was room for them. Everything here blocks, and is durable when it returns.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.configs.backend import BackendBinding
from core.errors import MountpathUnavailable, OutOfSpace
from core.names import BucketName, BucketRef, UploadId
from core.types import Checksum, ChecksumAlgorithm
from core.uploads import UploadedPart

_SCHEMA = """
CREATE TABLE IF NOT EXISTS upload (
    upload_id TEXT PRIMARY KEY,
    provider TEXT NOT NULL,
    namespace TEXT NOT NULL,
    bucket TEXT NOT NULL,
    account TEXT NOT NULL,
    remote_id TEXT NOT NULL,
    made_etag TEXT NOT NULL DEFAULT '',
    seen_etag TEXT NOT NULL DEFAULT '',
    at_ns INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS upload_at ON upload (at_ns) WHERE at_ns > 0;
CREATE TABLE IF NOT EXISTS part (
    upload_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    etag TEXT NOT NULL,
    modified_ns INTEGER NOT NULL,
    algorithm TEXT NOT NULL,
    digest BLOB NOT NULL,
    token TEXT NOT NULL,
    PRIMARY KEY (upload_id, number)
) WITHOUT ROWID;
"""
_BUSY_MS = 20_000
_PART = "number, size_bytes, etag, modified_ns, algorithm, digest, token"


@dataclass(frozen=True, slots=True)
class RemoteUpload:
    """An upload as it is elsewhere. `remote_id`: the provider's, "" where it has no uploads and the parts wait here.

    `made_etag`: the ETag that its parts make, from the beginning of its completion on; `seen_etag`: that of the object
    that its completion made, as the provider says it, once that is known.
    """

    upload_id: UploadId
    binding: BackendBinding
    remote_id: str
    made_etag: str = ""
    seen_etag: str = ""


@dataclass(frozen=True, slots=True)
class RemotePart:
    """A part that both sides took. `token`: what the provider knows it by."""

    part: UploadedPart
    token: str


class UploadLedger:
    """Safe to use from threads."""

    def __init__(self, path: Path) -> None:
        """The file is made when it is first needed."""
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def close(self) -> None:
        """Idempotent."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def add(self, upload: RemoteUpload) -> None:
        """Begin to remember an upload."""
        ref = upload.binding.bucket
        row = (upload.upload_id, ref.provider, ref.namespace, ref.name, upload.binding.account)
        with self._open() as connection:
            connection.execute(
                "INSERT INTO upload (upload_id, provider, namespace, bucket, account, remote_id)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (*row, upload.remote_id),
            )

    def find(self, upload_id: UploadId) -> RemoteUpload | None:
        """An upload in progress, or one completed a while ago at most."""
        if not upload_id.isascii():
            return None
        with self._open() as connection:
            row = connection.execute(
                "SELECT provider, namespace, bucket, account, remote_id, made_etag, seen_etag"
                " FROM upload WHERE upload_id = ?",
                (upload_id,),
            ).fetchone()
        if row is None:
            return None
        provider, namespace, name, account, *rest = row
        ref = BucketRef(BucketName(name), provider, namespace)
        return RemoteUpload(upload_id, BackendBinding(ref, account), *rest)

    def put_part(self, upload_id: UploadId, kept: RemotePart) -> None:
        """Remember a part, in place of one of its number."""
        part, checksum = kept.part, kept.part.checksum
        row = (upload_id, part.part_number, part.size_bytes, part.etag, part.modified_ns)
        algorithm = "" if checksum is None else checksum.algorithm.value
        digest = b"" if checksum is None else checksum.digest
        with self._open() as connection:
            connection.execute(
                f"INSERT OR REPLACE INTO part (upload_id, {_PART}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (*row, algorithm, digest, kept.token),
            )

    def parts(
        self, upload_id: UploadId, *, after: int = 0, limit: int = -1
    ) -> Sequence[RemotePart]:
        """Parts above a number, ascending."""
        with self._open() as connection:
            rows = connection.execute(
                f"SELECT {_PART} FROM part WHERE upload_id = ? AND number > ?"
                " ORDER BY number LIMIT ?",
                (upload_id, after, limit),
            ).fetchall()
        return [_part(*row) for row in rows]

    def begin_completion(self, upload_id: UploadId, made_etag: str) -> None:
        """From now on the object may be there, of parts that make this ETag."""
        with self._open() as connection:
            connection.execute(
                "UPDATE upload SET made_etag = ? WHERE upload_id = ?", (made_etag, upload_id)
            )

    def complete(self, upload_id: UploadId, seen_etag: str, now_ns: int) -> None:
        """The object is there, and looks so. Its parts are forgotten."""
        with self._open() as connection:
            connection.execute(
                "UPDATE upload SET seen_etag = ?, at_ns = ? WHERE upload_id = ?",
                (seen_etag, now_ns, upload_id),
            )
            connection.execute("DELETE FROM part WHERE upload_id = ?", (upload_id,))

    def remove(self, upload_id: UploadId) -> None:
        """Forget an upload."""
        with self._open() as connection:
            connection.execute("DELETE FROM upload WHERE upload_id = ?", (upload_id,))
            connection.execute("DELETE FROM part WHERE upload_id = ?", (upload_id,))

    def forget_completed(self, before_ns: int) -> None:
        """Forget what was completed before a time."""
        with self._open() as connection:
            connection.execute(
                "DELETE FROM upload WHERE at_ns > 0 AND at_ns < ? AND upload_id IN"
                " (SELECT upload_id FROM upload WHERE at_ns > 0 ORDER BY at_ns LIMIT 1000)",
                (before_ns,),
            )

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """The connection, in a transaction of its own. Raises OutOfSpace, MountpathUnavailable."""
        try:
            with self._lock:
                if self._connection is None:
                    self._connection = self._connect()
                with self._connection as connection:
                    yield connection
        except sqlite3.Error as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
                raise OutOfSpace(mountpath=str(self._path), retry_after_s=1) from error
            reason = error.sqlite_errorname
            raise MountpathUnavailable(
                mountpath=str(self._path), reason=reason, retry_after_s=1
            ) from error

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path,
            timeout=_BUSY_MS / 1000,
            check_same_thread=False,
            isolation_level="IMMEDIATE",
        )
        try:
            self._path.chmod(0o600)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.executescript(_SCHEMA)
        except BaseException:
            connection.close()
            raise
        return connection


def _part(  # the columns, in their order
    number: int,
    size_bytes: int,
    etag: str,
    modified_ns: int,
    *rest: str | bytes,
) -> RemotePart:
    algorithm, digest, token = rest
    assert isinstance(algorithm, str)
    assert isinstance(digest, bytes)
    assert isinstance(token, str)
    checksum = Checksum(ChecksumAlgorithm(algorithm), digest) if algorithm else None
    return RemotePart(UploadedPart(number, size_bytes, etag, modified_ns, checksum), token)
