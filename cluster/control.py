"""Owns the embedded control store: users, access keys and buckets in SQLite, looked up from memory.

Every process holds all rows in dictionaries and refreshes them when the shared generation number has moved, fetching
only what changed. As a fallback (a writer that died between its commit and the bump), SQLite's own data_version
is compared once a second.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cluster import bucket_rows
from cluster.bucket_props import decode_props, encode_props
from cluster.database import ControlDatabase, Transaction
from cluster.user_policies import IDENTITY, read_policies
from core.control import RetiredBucket
from core.errors import (
    AccessKeyExists,
    Conflict,
    NoSuchAccessKey,
    NoSuchUser,
    UserExists,
)
from core.names import AccessKey, BucketName, BucketRef, UserId
from core.types import Bucket, BucketProps, Credential, User

logger = logging.getLogger(__name__)

_FALLBACK_CHECK_S = 1.0


class EmbeddedControlStore:
    """ControlStore in DATA/control/control.db. Open one in each process, after any fork."""

    def __init__(self, data_dir: Path) -> None:
        self.home = data_dir
        self.database = ControlDatabase(data_dir)
        self._cell = self.database.generation.cell
        self._refresh_lock = threading.Lock()
        self._signal = -1
        self._data_version = -1
        self._last_change = -1
        self._next_check = 0.0
        self._users: dict[UserId, User] = {}
        self._credentials: dict[AccessKey, Credential] = {}
        self._buckets: dict[BucketRef, Bucket] = {}
        self._refs: dict[int, BucketRef] = {}
        self._sorted: dict[UserId | None, tuple[Bucket, ...]] = {}
        self._others: dict[BucketName, list[Bucket]] | None = None
        try:
            self._load()
        except BaseException:
            self.close()
            raise

    @property
    def store_id(self) -> str:
        """What the store is called, from its beginning to its end."""
        return self.database.meta("store_id") or ""

    def close(self) -> None:
        """Let go of the database; no method may be called afterwards."""
        self.database.close()

    # --- look-ups ---

    def credential(self, access_key: AccessKey) -> Credential | None:
        if self._cell[0] != self._signal or time.monotonic() > self._next_check:
            self._refresh()
        return self._credentials.get(access_key)

    def bucket(self, ref: BucketRef) -> Bucket | None:
        if self._cell[0] != self._signal or time.monotonic() > self._next_check:
            self._refresh()
        return self._buckets.get(ref)

    def user(self, user_id: UserId) -> User | None:
        self._refresh()
        return self._users.get(user_id)

    def users(self) -> Sequence[User]:
        """In order of name."""
        self._refresh()
        return sorted(self._users.values(), key=lambda user: user.name)

    def user_named(self, name: str) -> User | None:
        """By the name that administrators use."""
        return next((user for user in self.users() if user.name == name), None)

    def credentials(self, user_id: UserId) -> Sequence[Credential]:
        self._refresh()
        found = [c for c in self._credentials.values() if c.user.user_id == user_id]
        return sorted(found, key=lambda credential: credential.access_key)

    def buckets(self, owner_id: UserId | None = None) -> Sequence[Bucket]:
        self._refresh()
        found = self._sorted.get(owner_id)
        if found is None:
            chosen = [
                bucket
                for bucket in self._buckets.values()
                if owner_id is None or bucket.owner.user_id == owner_id
            ]
            chosen.sort(key=lambda b: (b.ref.name, b.ref.provider, b.ref.namespace))
            found = self._sorted[owner_id] = tuple(chosen)
        return found

    def other_buckets(self, name: BucketName) -> Sequence[Bucket]:
        self._refresh()
        others = self._others
        if others is None:
            others = {}
            for bucket in self.buckets():
                if not bucket.ref.is_plain and not bucket.name.startswith("."):
                    others.setdefault(bucket.ref.name, []).append(bucket)
            self._others = others
        return others.get(name, ())

    # --- users and keys ---

    def add_user_sync(self, user: User) -> None:
        with self.database.transaction() as change:
            taken = change.execute(
                # A name that is another's id would share what policies give to that id.
                "SELECT 1 FROM users WHERE user_id IN (?1, ?2) OR name IN (?1, ?2)",
                (user.user_id, user.name),
            ).fetchone()
            if taken:
                raise UserExists(user=user.name)
            _insert_user(change, user)

    def remove_user_sync(self, user_id: UserId) -> None:
        with self.database.transaction() as change:
            row = change.execute(
                "SELECT is_root FROM users WHERE user_id = ?", (user_id,)
            ).fetchone()
            if row is None:
                raise NoSuchUser(user=user_id)
            if row[0]:
                raise Conflict(user=user_id, reason="root cannot be removed")
            owned = change.execute(
                "SELECT count(*) FROM buckets WHERE owner_id = ?", (user_id,)
            ).fetchone()[0]
            if owned:
                raise Conflict(user=user_id, reason=f"owns {owned} buckets")
            change.execute("DELETE FROM users WHERE user_id = ?", (user_id,))
            change.note(IDENTITY, user_id)

    def add_credential_sync(self, credential: Credential) -> None:
        with self.database.transaction() as change:
            _insert_credential(change, credential)

    def remove_credential_sync(self, access_key: AccessKey) -> None:
        with self.database.transaction() as change:
            cursor = change.execute("DELETE FROM credentials WHERE access_key = ?", (access_key,))
            if not cursor.rowcount:
                raise NoSuchAccessKey(access_key=access_key)
            change.note(IDENTITY, access_key)

    def root_credential(self) -> Credential | None:
        """The key pair that the first start made or the settings gave; None before the first start."""
        row = self.database.meta("root_access_key")
        return None if row is None else self.credential(AccessKey(row))

    def set_root_credential_sync(self, credential: Credential) -> None:
        """Make this root's key pair in place of the one before, adding the root user if need be.

        Further keys of root stay. Raises AccessKeyExists if another user has that access key.
        """
        user = credential.user
        with self.database.transaction() as change:
            if not change.execute(
                "SELECT 1 FROM users WHERE user_id = ?", (user.user_id,)
            ).fetchone():
                _insert_user(change, user)
            change.execute(
                "DELETE FROM credentials WHERE access_key = (SELECT value FROM meta WHERE name = 'root_access_key')"
            )
            change.execute(
                "DELETE FROM credentials WHERE access_key = ? AND user_id = ?",
                (credential.access_key, user.user_id),
            )
            _insert_credential(change, credential)
            change.set_meta("root_access_key", credential.access_key)

    # --- buckets ---

    def create_bucket_sync(
        self, ref: BucketRef, owner: User, region: str, props: BucketProps, created_ns: int
    ) -> Bucket:
        with self.database.transaction() as change:
            _require_user(change, owner.user_id)
            bucket_id = bucket_rows.insert(
                change, ref, owner.user_id, created_ns, region, encode_props(props)
            )
        return Bucket(ref, bucket_id, owner, created_ns, region, props)

    def update_bucket_props_sync(
        self, bucket: Bucket, change: Callable[[BucketProps], BucketProps]
    ) -> Bucket:
        with self.database.transaction() as transaction:
            return bucket_rows.update_props(transaction, bucket, change)

    def bind_bucket_sync(
        self, bucket: Bucket, change: Callable[[BucketProps], BucketProps], now_ns: int
    ) -> Bucket:
        with self.database.transaction() as transaction:
            return bucket_rows.bind(transaction, bucket, change, now_ns)

    def retired_buckets(self) -> Sequence[RetiredBucket]:
        return bucket_rows.retired(self.database)

    def forget_retired_sync(self, bucket_id: int) -> None:
        with self.database.transaction() as change:
            bucket_rows.forget_retired(change, bucket_id)

    def rename_bucket_sync(self, bucket: Bucket, to: BucketRef) -> Bucket:
        with self.database.transaction() as change:
            return bucket_rows.rename(change, bucket, to)

    def delete_bucket_sync(self, ref: BucketRef) -> None:
        with self.database.transaction() as change:
            bucket_rows.delete(change, ref)

    # --- keeping up ---

    def _refresh(self) -> None:
        """Catch up if anything has changed. A disk that fails leaves what is known; the next second tries again."""
        now = time.monotonic()
        if self._cell[0] == self._signal and now <= self._next_check:
            return
        with self._refresh_lock:
            signal = self._cell[0]
            try:
                if signal != self._signal or self.database.data_version() != self._data_version:
                    self._catch_up()
            except sqlite3.Error:
                logger.exception("control store unreadable, serving what is known")
            self._signal = signal
            self._next_check = now + _FALLBACK_CHECK_S

    def _load(self) -> None:
        with self.database.translated():
            self._signal = self._cell[0]
            self._catch_up()

    def _catch_up(self) -> None:
        reader = self.database.reader
        version = self.database.data_version()
        reader.execute("BEGIN")
        try:
            last = self.database.last_change()
            changes = (
                None if self._last_change < 0 else self.database.changes_after(self._last_change)
            )
            if changes is None or any(kind == IDENTITY for _, kind, _ in changes):
                self._read_identities(reader)
            if changes is None:
                self._read_buckets(reader)
            else:
                for bucket_id in {
                    int(key) for _, kind, key in changes if kind == bucket_rows.CHANGE
                }:
                    self._read_bucket(reader, bucket_id)
        finally:
            reader.execute("COMMIT")
        self._sorted = {}
        self._others = None
        self._last_change = last
        self._data_version = version

    def _read_identities(self, reader: sqlite3.Connection) -> None:
        policies = read_policies(reader)
        users = {
            UserId(row[0]): User(
                UserId(row[0]), row[1], row[2], row[3], bool(row[4]), policies.get(row[0], ())
            )
            for row in reader.execute(
                "SELECT user_id, name, display_name, email, is_root FROM users"
            )
        }
        rows = reader.execute("SELECT access_key, secret_key, user_id FROM credentials")
        self._credentials = {
            AccessKey(access_key): Credential(AccessKey(access_key), secret_key, users[user_id])
            for access_key, secret_key, user_id in rows
        }
        self._users = users

    def _read_buckets(self, reader: sqlite3.Connection) -> None:
        rows = reader.execute(f"SELECT {bucket_rows.COLUMNS} FROM buckets")
        buckets = [self._decode_bucket(row) for row in rows]
        self._refs = {bucket.bucket_id: bucket.ref for bucket in buckets}
        self._buckets = {bucket.ref: bucket for bucket in buckets}

    def _read_bucket(self, reader: sqlite3.Connection, bucket_id: int) -> None:
        row = reader.execute(
            f"SELECT {bucket_rows.COLUMNS} FROM buckets WHERE bucket_id = ?", (bucket_id,)
        ).fetchone()
        bucket = None if row is None else self._decode_bucket(row)
        ref = self._refs.pop(bucket_id, None)
        if bucket is not None:
            self._refs[bucket_id] = bucket.ref
            self._buckets[bucket.ref] = bucket
        # Deleted or renamed. The name may have been taken again by a bucket of another id, read before this one.
        is_former = ref is not None and (bucket is None or ref != bucket.ref)
        if is_former and ref in self._buckets and self._buckets[ref].bucket_id == bucket_id:
            del self._buckets[ref]

    def _decode_bucket(self, row: tuple[Any, ...]) -> Bucket:
        bucket_id, provider, namespace, name, owner_id, created_ns, region, props = row
        ref = BucketRef(BucketName(name), provider, namespace)
        owner = self._users[owner_id]
        return Bucket(ref, bucket_id, owner, created_ns, region, decode_props(props, name))


def _insert_user(change: Transaction, user: User) -> None:
    change.execute(
        "INSERT INTO users (user_id, name, display_name, email, is_root) VALUES (?, ?, ?, ?, ?)",
        (user.user_id, user.name, user.display_name, user.email, int(user.is_root)),
    )
    change.note(IDENTITY, user.user_id)


def _insert_credential(change: Transaction, credential: Credential) -> None:
    _require_user(change, credential.user.user_id)
    taken = change.execute(
        "SELECT 1 FROM credentials WHERE access_key = ?", (credential.access_key,)
    ).fetchone()
    if taken:
        raise AccessKeyExists(access_key=credential.access_key)
    change.execute(
        "INSERT INTO credentials (access_key, secret_key, user_id) VALUES (?, ?, ?)",
        (credential.access_key, credential.secret_key, credential.user.user_id),
    )
    change.note(IDENTITY, credential.access_key)


def _require_user(change: Transaction, user_id: UserId) -> None:
    if not change.execute("SELECT 1 FROM users WHERE user_id = ?", (user_id,)).fetchone():
        raise NoSuchUser(user=user_id)
