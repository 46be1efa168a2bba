"""Owns what the control store keeps of bearer tokens: the keys that this store signs with, and what was revoked.

Private keys lie there sealed (who opens them is gateway.tokens.own). Look-ups are from memory; the rows are read again
when the change log says that they, or users, have changed.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cluster.database import ControlDatabase, Transaction, connect
from cluster.user_policies import IDENTITY
from core.errors import Conflict

logger = logging.getLogger(__name__)

MAX_REVOKED = 1_000_000
"""Some 100 MB of memory in each worker; expired ones are forgotten."""

_CHANGE = "token"
_KINDS = frozenset({_CHANGE, IDENTITY})
_FALLBACK_CHECK_S = 1.0
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS token_keys (key_id TEXT PRIMARY KEY, created_ns INTEGER NOT NULL,"
    " retired_ns INTEGER NOT NULL, modulus TEXT NOT NULL, exponent TEXT NOT NULL, wrapped BLOB NOT NULL,"
    " sealed BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS revoked_tokens (digest BLOB PRIMARY KEY, expires_ns INTEGER NOT NULL) WITHOUT ROWID",
)


@dataclass(frozen=True, slots=True)
class TokenKey:
    """An RSA key pair that this store signs tokens with, or did.

    `modulus` and `exponent` are the public key as a JWK has them; `sealed` is the private key under a data key, which
    is there as `wrapped`. `retired_ns` is 0 while the key signs.
    """

    key_id: str
    created_ns: int
    retired_ns: int
    modulus: str
    exponent: str
    wrapped: bytes = field(repr=False)
    sealed: bytes = field(repr=False)


class TokenRecords:
    """One process's view of the rows."""

    def __init__(self, database: ControlDatabase) -> None:
        self._database = database
        self._cell = database.generation.cell
        self._lock = threading.Lock()
        self._reader: sqlite3.Connection | None = None
        self._signal = -1
        self._next_check = 0.0
        self._data_version = -1
        self._last_change = -1
        self._stamp = 0
        self._keys: dict[str, TokenKey] = {}
        self._revoked: frozenset[bytes] = frozenset()

    def close(self) -> None:
        """Let go of the database."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    # --- look-ups ---

    def stamp(self) -> int:
        """A number that is another one after keys, revocations or users have changed, in any process."""
        if self._cell[0] != self._signal or time.monotonic() > self._next_check:
            self._refresh()
        return self._stamp

    def all_keys(self) -> Sequence[TokenKey]:
        """All, the one that signs first."""
        self.stamp()
        return sorted(self._keys.values(), key=lambda key: (key.retired_ns > 0, -key.created_ns))

    def key(self, key_id: str) -> TokenKey | None:
        """One of them."""
        self.stamp()
        return self._keys.get(key_id)

    def is_revoked(self, digest: bytes) -> bool:
        """Whether the token of this digest was revoked."""
        self.stamp()
        return digest in self._revoked

    # --- changes ---

    def add_key_sync(self, key: TokenKey, *, is_first: bool) -> bool:
        """Make a key the one that signs, and retire the one before. `is_first`: only if there is none yet; False says
        that there was."""
        with self._database.transaction() as change:
            _create_tables(change)
            active = change.execute("SELECT 1 FROM token_keys WHERE retired_ns = 0").fetchone()
            if is_first and active:
                return False
            change.execute(
                "UPDATE token_keys SET retired_ns = ? WHERE retired_ns = 0", (key.created_ns,)
            )
            change.execute(
                "INSERT INTO token_keys VALUES (?, ?, 0, ?, ?, ?, ?)",
                (
                    key.key_id,
                    key.created_ns,
                    key.modulus,
                    key.exponent,
                    key.wrapped,
                    key.sealed,
                ),
            )
            change.note(_CHANGE, key.key_id)
        return True

    def forget_keys_sync(self, retired_before_ns: int) -> None:
        """Remove the keys that no token which is still good was signed with."""
        with self._database.transaction() as change:
            _create_tables(change)
            change.execute(
                "DELETE FROM token_keys WHERE retired_ns > 0 AND retired_ns < ?",
                (retired_before_ns,),
            )
            change.note(_CHANGE, "")

    def revoke_sync(self, digests: Mapping[bytes, int], now_ns: int) -> None:
        """Refuse tokens from now on, each until it expires (digest → nanoseconds). Raises Conflict for too many."""
        with self._database.transaction() as change:
            _create_tables(change)
            change.execute("DELETE FROM revoked_tokens WHERE expires_ns < ?", (now_ns,))
            (count,) = change.execute("SELECT count(*) FROM revoked_tokens").fetchone()
            if count + len(digests) > MAX_REVOKED:
                raise Conflict(reason=f"no more than {MAX_REVOKED} tokens can be revoked at a time")
            for digest, expires_ns in digests.items():
                change.execute(
                    "INSERT OR REPLACE INTO revoked_tokens VALUES (?, ?)", (digest, expires_ns)
                )
            change.note(_CHANGE, "")

    # --- keeping up ---

    def _refresh(self) -> None:
        """A disk that fails leaves what is known; the next second tries again."""
        with self._lock:
            now, signal = time.monotonic(), self._cell[0]
            try:
                if self._reader is None:
                    self._reader = connect(self._database.path)
                version = self._reader.execute("PRAGMA data_version").fetchone()[0]
                if version != self._data_version or self._last_change < 0:
                    self._catch_up(self._reader)
                    self._data_version = version
            except sqlite3.Error:
                logger.exception("control store unreadable, serving what is known of tokens")
            self._signal = signal
            self._next_check = now + _FALLBACK_CHECK_S

    def _catch_up(self, reader: sqlite3.Connection) -> None:
        reader.execute("BEGIN")
        try:
            rows = reader.execute(
                "SELECT number, kind FROM changes WHERE number >= ? ORDER BY number",
                (max(self._last_change, 0),),
            ).fetchall()
            is_known = self._last_change == 0 and (not rows or rows[0][0] == 1)
            is_known = is_known or bool(rows and rows[0][0] == self._last_change)
            later = [kind for number, kind in rows if number > self._last_change]
            if not is_known or not _KINDS.isdisjoint(later):
                self._read_rows(reader)
                self._stamp += 1
            last = reader.execute("SELECT max(number) FROM changes").fetchone()[0]
        finally:
            reader.execute("COMMIT")
        self._last_change = last or 0

    def _read_rows(self, reader: sqlite3.Connection) -> None:
        if not reader.execute("SELECT 1 FROM sqlite_master WHERE name = 'token_keys'").fetchone():
            return
        rows = reader.execute(
            "SELECT key_id, created_ns, retired_ns, modulus, exponent, wrapped, sealed FROM token_keys"
        )
        self._keys = {row[0]: TokenKey(*row) for row in rows}
        revoked = reader.execute("SELECT digest FROM revoked_tokens")
        self._revoked = frozenset(digest for (digest,) in revoked)


def _create_tables(change: Transaction) -> None:
    for statement in _SCHEMA:
        change.execute(statement)
