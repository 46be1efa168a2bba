"""Owns the local key service: keys in the control store, each version wrapped by the master key.

A key is a list of versions. New data keys are wrapped by the newest, and say which one it was, so that the older open
what they wrapped for as long as the key is there. Look-ups are from memory; the rows are read again when the control
store has changed.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
import struct
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from cluster.database import ControlDatabase, Transaction, connect
from cluster.master_key import MasterKey, MasterKeySource, make_sync
from core.cipher import DoesNotOpen, new_key, unwrap, wrap
from core.encryption import DEFAULT_KMS_ALIAS, S3_KEY_ID, DataKey, ServiceKey
from core.errors import (
    Conflict,
    Corrupt,
    EncryptionKeyDisabled,
    EncryptionKeyExists,
    InvalidArgument,
    MasterKeyMissing,
    NoSuchEncryptionKey,
)

_CHANGE = "kms"
_RETRY_AFTER_S = 5
_VERSION = struct.Struct(">I")
_NAME = re.compile(r"[A-Za-z0-9/_-]{1,256}\Z")
_ARN = re.compile(r"arn:[\w-]*:kms:[\w-]*:\w*:(?:key/(?P<id>.+)|(?P<alias>alias/.+))\Z")

SCHEMA = """
CREATE TABLE IF NOT EXISTS kms_keys (
    key_id TEXT PRIMARY KEY, alias TEXT NOT NULL, created_ns INTEGER NOT NULL, is_enabled INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS kms_versions (
    key_id TEXT NOT NULL REFERENCES kms_keys (key_id) ON DELETE CASCADE, version INTEGER NOT NULL,
    created_ns INTEGER NOT NULL, master_id TEXT NOT NULL, wrapped BLOB NOT NULL,
    PRIMARY KEY (key_id, version)
) WITHOUT ROWID;
"""


@dataclass(slots=True)
class _Key:
    """A key as it is in memory. `versions` are wrapped rows, `opened` the material that was needed so far."""

    info: ServiceKey
    versions: dict[int, tuple[str, bytes]] = field(repr=False)
    opened: dict[int, bytes] = field(default_factory=dict, repr=False)


class LocalKeyService:
    """KeyService over the embedded control store; and, for administration, what changes its keys."""

    def __init__(self, database: ControlDatabase, masters: MasterKeySource) -> None:
        self._database = database
        self._masters = masters
        self._lock = threading.Lock()
        self._reader: sqlite3.Connection | None = None
        self._signal = -1
        self._keys: dict[str, _Key] = {}
        self._aliases: dict[str, str] = {}
        self._master_keys: dict[str, MasterKey] = {}

    def close(self) -> None:
        """Let go of the database."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    # --- KeyService ---

    async def new_data_key(self, key_id: str, binding: bytes) -> DataKey:
        try:
            return self._new_data_key(key_id, binding)
        except NoSuchEncryptionKey:
            if key_id != S3_KEY_ID:
                raise
        await asyncio.to_thread(self._ensure_s3_key_sync)
        return self._new_data_key(key_id, binding)

    async def unwrap(self, key_id: str, wrapped_key: bytes, binding: bytes) -> bytes:
        return self.unwrap_sync(key_id, wrapped_key, binding)

    def new_data_key_sync(self, key_id: str, binding: bytes) -> DataKey:
        """See KeyService.new_data_key; for what blocks anyhow."""
        try:
            return self._new_data_key(key_id, binding)
        except NoSuchEncryptionKey:
            if key_id != S3_KEY_ID:
                raise
        self._ensure_s3_key_sync()
        return self._new_data_key(key_id, binding)

    def unwrap_sync(self, key_id: str, wrapped_key: bytes, binding: bytes) -> bytes:
        """See KeyService.unwrap. It blocks for the first use of a key alone."""
        key = self._find(key_id)
        _require_enabled(key)
        try:
            (version,) = _VERSION.unpack_from(wrapped_key)
            material = self._material(key, version)
            return unwrap(material, wrapped_key[_VERSION.size :], binding)
        except (DoesNotOpen, struct.error, KeyError):
            raise Corrupt(what="wrapped data key", where=key_id) from None

    def _new_data_key(self, key_id: str, binding: bytes) -> DataKey:
        key = self._find(key_id)
        _require_enabled(key)
        version = key.info.version
        made = new_key()
        wrapped = wrap(self._material(key, version), made, binding)
        return DataKey(made, _VERSION.pack(version) + wrapped, key.info.key_id)

    # --- administration ---

    def keys_sync(self) -> Sequence[ServiceKey]:
        """All, in order of id."""
        self._refresh()
        return [self._keys[key_id].info for key_id in sorted(self._keys)]

    def find_sync(self, name: str) -> ServiceKey:
        """A key by its id, ARN or alias. Raises NoSuchEncryptionKey."""
        return self._find(name).info

    def create_sync(self, key_id: str, alias: str = "") -> ServiceKey:
        """Raises InvalidArgument, EncryptionKeyExists."""
        alias = _checked(key_id, alias)
        with self._database.transaction() as change:
            _create_tables(change)
            for column, value in (("key_id", key_id), ("alias", alias)):
                taken = change.execute(
                    f"SELECT 1 FROM kms_keys WHERE {column} = ? AND {column} <> ''", (value,)
                ).fetchone()
                if taken:
                    raise EncryptionKeyExists(key_id=value)
            self._insert_key(change, key_id, alias)
        return self.find_sync(key_id)

    def rotate_sync(self, name: str) -> ServiceKey:
        """Give a key a new version, which new writes use. Raises NoSuchEncryptionKey."""
        key_id = self.find_sync(name).key_id
        with self._database.transaction() as change:
            (last,) = change.execute(
                "SELECT max(version) FROM kms_versions WHERE key_id = ?", (key_id,)
            ).fetchone()
            if last is None:
                raise NoSuchEncryptionKey(key_id=name)
            self._insert_version(change, key_id, last + 1)
        return self.find_sync(key_id)

    def enable_sync(self, name: str, *, is_enabled: bool) -> None:
        """A disabled key neither wraps nor opens anything. Raises NoSuchEncryptionKey."""
        key_id = self.find_sync(name).key_id
        with self._database.transaction() as change:
            change.execute(
                "UPDATE kms_keys SET is_enabled = ? WHERE key_id = ?", (int(is_enabled), key_id)
            )
            change.note(_CHANGE, key_id)

    def remove_sync(self, name: str) -> None:
        """For good: what it encrypts is lost. Raises NoSuchEncryptionKey, Conflict while it is enabled."""
        key = self.find_sync(name)
        if key.is_enabled:
            raise Conflict(key_id=key.key_id, reason="it is enabled")
        with self._database.transaction() as change:
            change.execute("DELETE FROM kms_keys WHERE key_id = ?", (key.key_id,))
            change.note(_CHANGE, key.key_id)

    def rotate_master_sync(self, new: MasterKey | None = None) -> int:
        """Wrap every version of every key again, with a new master key, in one change; how many there were.

        `new` None makes one, in our own files. The keys themselves stay, and so does what they encrypt.
        Raises MasterKeyMissing.
        """
        with self._database.transaction() as change:
            _create_tables(change)
            rows = change.execute(
                "SELECT key_id, version, master_id, wrapped FROM kms_versions"
            ).fetchall()
            opened = [(*row[:2], self._open_row(*row)) for row in rows]
            master = make_sync(self._masters) if new is None else new
            for key_id, version, material in opened:
                change.execute(
                    "UPDATE kms_versions SET master_id = ?, wrapped = ? WHERE key_id = ? AND version = ?",
                    (
                        master.master_id,
                        wrap(master.key, material, _row_binding(key_id, version)),
                        key_id,
                        version,
                    ),
                )
            change.note(_CHANGE, "")
        return len(opened)

    def _ensure_s3_key_sync(self) -> None:
        with self._database.transaction() as change:
            _create_tables(change)
            if not change.execute(
                "SELECT 1 FROM kms_keys WHERE key_id = ?", (S3_KEY_ID,)
            ).fetchone():
                self._insert_key(change, S3_KEY_ID, "")

    def _insert_key(self, change: Transaction, key_id: str, alias: str) -> None:
        change.execute(
            "INSERT INTO kms_keys (key_id, alias, created_ns, is_enabled) VALUES (?, ?, ?, 1)",
            (key_id, alias, time.time_ns()),
        )
        self._insert_version(change, key_id, 1)

    def _insert_version(self, change: Transaction, key_id: str, version: int) -> None:
        master = self._current_master(change)
        wrapped = wrap(master.key, new_key(), _row_binding(key_id, version))
        change.execute(
            "INSERT INTO kms_versions (key_id, version, created_ns, master_id, wrapped) VALUES (?, ?, ?, ?, ?)",
            (key_id, version, time.time_ns(), master.master_id, wrapped),
        )
        change.note(_CHANGE, key_id)

    def _current_master(self, change: Transaction) -> MasterKey:
        """The master key in force. One is made only for the very first key: another beside keys that it doesn't open
        would hide that theirs is lost."""
        row = change.execute("SELECT master_id FROM kms_versions LIMIT 1").fetchone()
        if row is not None:
            return self._master(row[0])
        known = self._masters.load_sync()
        return known[0] if known else make_sync(self._masters)

    # --- looking up ---

    def _find(self, name: str) -> _Key:
        """Raises NoSuchEncryptionKey."""
        self._refresh()
        wanted = name or DEFAULT_KMS_ALIAS
        match = _ARN.match(wanted)
        if match is not None:
            wanted = match["id"] or match["alias"]
        key = self._keys.get(self._aliases.get(wanted, wanted))
        if key is None:
            # Its maker may have died before it could say that it is there.
            self._signal = -1
            self._refresh()
            key = self._keys.get(self._aliases.get(wanted, wanted))
        if key is None:
            raise NoSuchEncryptionKey(key_id=name)
        return key

    def _material(self, key: _Key, version: int) -> bytes:
        """Raises KeyError for a version that there is not, MasterKeyMissing, Corrupt."""
        opened = key.opened.get(version)
        if opened is None:
            opened = self._open_row(key.info.key_id, version, *key.versions[version])
            key.opened[version] = opened
        return opened

    def _open_row(self, key_id: str, version: int, master_id: str, wrapped: bytes) -> bytes:
        master = self._master(master_id)
        try:
            return unwrap(master.key, wrapped, _row_binding(key_id, version))
        except DoesNotOpen:
            raise Corrupt(what="key of the key service", where=key_id) from None

    def _master(self, master_id: str) -> MasterKey:
        """A master key by its id; files are read again for one that is not known. Raises MasterKeyMissing."""
        if master_id not in self._master_keys:
            self._master_keys = {each.master_id: each for each in self._masters.load_sync()}
        try:
            return self._master_keys[master_id]
        except KeyError:
            raise MasterKeyMissing(
                master_id=master_id,
                reason="none of the master keys at hand has this id",
                retry_after_s=_RETRY_AFTER_S,
            ) from None

    def _refresh(self) -> None:
        signal = self._database.generation.cell[0]
        if signal == self._signal:
            return
        with self._lock, self._database.translated():
            if self._reader is None:
                self._reader = connect(self._database.path)
            self._read_rows(self._reader)
            self._signal = signal

    def _read_rows(self, reader: sqlite3.Connection) -> None:
        if not reader.execute("SELECT 1 FROM sqlite_master WHERE name = 'kms_keys'").fetchone():
            return
        reader.execute("BEGIN")
        try:
            keys: list[tuple[Any, ...]] = reader.execute(
                "SELECT key_id, alias, created_ns, is_enabled FROM kms_keys"
            ).fetchall()
            rows = reader.execute("SELECT key_id, version, master_id, wrapped FROM kms_versions")
            versions: dict[str, dict[int, tuple[str, bytes]]] = {row[0]: {} for row in keys}
            for key_id, version, master_id, wrapped in rows:
                versions[key_id][version] = (master_id, wrapped)
        finally:
            reader.execute("COMMIT")
        found: dict[str, _Key] = {}
        for key_id, alias, created_ns, is_enabled in keys:
            info = ServiceKey(key_id, alias, max(versions[key_id]), created_ns, bool(is_enabled))
            known = self._keys.get(key_id)
            # A key that was removed and made anew under its name has other material.
            is_same = known is not None and known.info.created_ns == created_ns
            opened = known.opened if known is not None and is_same else {}
            found[key_id] = _Key(info, versions[key_id], opened)
        self._keys = found
        self._aliases = {each.info.alias: key_id for key_id, each in found.items()}
        self._aliases.pop("", None)


def _checked(key_id: str, alias: str) -> str:
    """The alias with its prefix. Raises InvalidArgument for a name that could not be told from others."""
    if not _NAME.match(key_id) or key_id.startswith("alias/"):
        reason = "a key id has 1 to 256 letters, digits, -, _ and /, and does not begin with alias/"
        raise InvalidArgument(name="key id", value=key_id, reason=reason)
    if alias and not _NAME.match(alias):
        reason = "an alias has 1 to 256 letters, digits, -, _ and /"
        raise InvalidArgument(name="alias", value=alias, reason=reason)
    return f"alias/{alias.removeprefix('alias/')}" if alias else ""


def _create_tables(change: Transaction) -> None:
    for statement in SCHEMA.split(";"):
        if statement.strip():
            change.execute(statement)


def _row_binding(key_id: str, version: int) -> bytes:
    return b"weir kms key %d %s" % (version, key_id.encode())


def _require_enabled(key: _Key) -> None:
    if not key.info.is_enabled:
        raise EncryptionKeyDisabled(key_id=key.info.key_id)
