"""Owns what the control store keeps of accounts at providers. Secrets lie there sealed, under a data key that the key
service wraps, so that they are only as open as the master key.

Look-ups are from memory; the rows are read again when the control store has changed, and an account is opened when it
is first asked for.
"""

from __future__ import annotations

import logging
import re
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import msgspec

from cluster.database import ControlDatabase, Transaction, connect
from cluster.key_service import LocalKeyService
from core.accounts import PROVIDERS, Account, NoSuchAccount
from core.cipher import DoesNotOpen, unwrap, wrap
from core.encryption import S3_KEY_ID
from core.errors import Corrupt, InvalidArgument

logger = logging.getLogger(__name__)

_CHANGE = "account"
_VERSION = 1
_NAME = re.compile(r"[A-Za-z0-9_-]{0,32}\Z")
_FIELD = re.compile(r"[a-z][a-z0-9_]{0,31}\Z")
_MAX_TEXT = 1024
_MAX_SECRET = 64 * 1024
_MAX_FIELDS = 32
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS accounts (provider TEXT NOT NULL, name TEXT NOT NULL, packed BLOB NOT NULL,"
    " wrapped BLOB NOT NULL, sealed BLOB NOT NULL, PRIMARY KEY (provider, name)) WITHOUT ROWID"
)


@dataclass(frozen=True, slots=True)
class _Packed:
    """What is no secret. A field that is absent has its default, one that is not known is passed over."""

    v: int = _VERSION
    endpoint: str = ""
    region: str = ""
    profile: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)


_Row = tuple[bytes, bytes, bytes]
_PACKED = msgspec.msgpack.Decoder(_Packed)
_SECRETS = msgspec.msgpack.Decoder(dict[str, str])


class AccountRecords:
    """core.accounts.AccountStore: one process's view of the rows."""

    def __init__(self, database: ControlDatabase, keys: LocalKeyService) -> None:
        self._database = database
        self._cell = database.generation.cell
        self._keys = keys
        self._lock = threading.Lock()
        self._reader: sqlite3.Connection | None = None
        self._signal = -1
        self._stamp = 0
        self._rows: Mapping[tuple[str, str], _Row] = {}
        self._opened: dict[tuple[str, str], Account] = {}

    def close(self) -> None:
        """Let go of the database."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def account(self, provider: str, name: str) -> Account | None:
        """See AccountStore. Raises MasterKeyMissing, Corrupt."""
        self.change()
        known = self._opened.get((provider, name))
        if known is None:
            row = self._rows.get((provider, name))
            if row is None:
                return None
            known = self._opened[provider, name] = self._open(provider, name, row)
        return known

    def accounts(self) -> Sequence[Account]:
        """See AccountStore. Raises as `account`."""
        self.change()
        found = (self.account(*identity) for identity in sorted(self._rows))
        return [account for account in found if account is not None]

    def change(self) -> int:
        """See AccountStore."""
        if self._cell[0] != self._signal:
            self._refresh()
        return self._stamp

    def put_account_sync(self, account: Account) -> None:
        """See AccountStore. Raises InvalidArgument too."""
        check_account(account)
        binding = _binding(account.provider, account.name)
        data_key = self._keys.new_data_key_sync(S3_KEY_ID, binding)
        packed = _Packed(
            endpoint=account.endpoint,
            region=account.region,
            profile=account.profile,
            settings=dict(account.settings),
        )
        sealed = wrap(data_key.key, msgspec.msgpack.encode(dict(account.secrets)), binding)
        row = (msgspec.msgpack.encode(packed), data_key.wrapped_key, sealed)
        with self._database.transaction() as change:
            change.execute(_SCHEMA)
            change.execute(
                "INSERT OR REPLACE INTO accounts VALUES (?, ?, ?, ?, ?)",
                (account.provider, account.name, *row),
            )
            _note(change, account.provider, account.name)

    def remove_account_sync(self, provider: str, name: str) -> None:
        """See AccountStore."""
        with self._database.transaction() as change:
            change.execute(_SCHEMA)
            cursor = change.execute(
                "DELETE FROM accounts WHERE provider = ? AND name = ?", (provider, name)
            )
            if not cursor.rowcount:
                raise NoSuchAccount(provider=provider, account=name)
            _note(change, provider, name)

    def _refresh(self) -> None:
        """A disk that fails leaves what is known; the next look-up tries again."""
        with self._lock:
            signal = self._cell[0]
            try:
                if self._reader is None:
                    self._reader = connect(self._database.path)
                rows = _read_rows(self._reader)
            except sqlite3.Error:
                logger.exception("control store unreadable, serving what is known of accounts")
                return
            if rows != self._rows:
                self._rows, self._opened = rows, {}
                self._stamp += 1
            self._signal = signal

    def _open(self, provider: str, name: str, row: _Row) -> Account:
        packed_bytes, wrapped, sealed = row
        binding = _binding(provider, name)
        try:
            packed = _PACKED.decode(packed_bytes)
            data_key = self._keys.unwrap_sync(S3_KEY_ID, wrapped, binding)
            secrets = _SECRETS.decode(unwrap(data_key, sealed, binding))
        except (msgspec.MsgspecError, DoesNotOpen):
            raise Corrupt(what="account", where=f"{provider} {name}") from None
        if packed.v != _VERSION:
            raise Corrupt(what=f"account of version {packed.v}", where=f"{provider} {name}")
        return Account(
            provider,
            name,
            packed.endpoint,
            packed.region,
            packed.profile,
            packed.settings,
            secrets,
        )


def check_account(account: Account) -> None:
    """Raises InvalidArgument, which repeats no secret."""
    if account.provider not in PROVIDERS:
        raise _bad("provider", account.provider, f"is none of {', '.join(PROVIDERS)}")
    if not _NAME.match(account.name):
        raise _bad("account name", account.name, "has more than 32 letters, digits, - and _")
    if account.provider == "ais" and not (account.name and account.endpoint):
        raise _bad("account", account.name, "another cluster needs a name and an endpoint")
    if account.endpoint:
        check_endpoint(account.endpoint)
    fields = {"region": account.region, "profile": account.profile, **account.settings}
    for name, value in fields.items():
        if not _FIELD.match(name) or len(value) > _MAX_TEXT or not value.isprintable():
            raise _bad(name, value, f"is no printable text of up to {_MAX_TEXT} characters")
    for name, value in account.secrets.items():
        if not _FIELD.match(name) or not 0 < len(value) <= _MAX_SECRET:
            raise _bad(name, "***", f"is empty, or has more than {_MAX_SECRET} characters")
    if len(fields) + len(account.secrets) > _MAX_FIELDS:
        raise _bad("account", account.name, f"has more than {_MAX_FIELDS} settings")


def check_endpoint(endpoint: str) -> None:
    """Whether it is a URL without credentials in it. Raises InvalidArgument."""
    try:
        parts = urlsplit(endpoint)
        is_good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        raise _bad("endpoint", "", "is no URL") from None
    if parts.username is not None or parts.password is not None or parts.query:
        raise _bad("endpoint", "", "has credentials or a query in it; these are secrets")
    if not is_good or len(endpoint) > _MAX_TEXT or not endpoint.isprintable() or parts.fragment:
        raise _bad("endpoint", endpoint, "is no URL of the form https://HOST[:PORT][/PATH]")


def _bad(name: str, value: str, reason: str) -> InvalidArgument:
    return InvalidArgument(name=name, value=value[:64], reason=f"it {reason}")


def _read_rows(reader: sqlite3.Connection) -> Mapping[tuple[str, str], _Row]:
    if not reader.execute("SELECT 1 FROM sqlite_master WHERE name = 'accounts'").fetchone():
        return {}
    rows = reader.execute("SELECT provider, name, packed, wrapped, sealed FROM accounts")
    return {(row[0], row[1]): (row[2], row[3], row[4]) for row in rows}


def _note(change: Transaction, provider: str, name: str) -> None:
    change.note(_CHANGE, f"{provider} {name}")


def _binding(provider: str, name: str) -> bytes:
    return f"weir account {provider} {name}".encode()
