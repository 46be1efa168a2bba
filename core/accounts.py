"""Owns accounts: by which endpoint and with whose credentials a provider's buckets are reached.

Accounts have names, so that several of one provider stand side by side. What an account leaves empty comes from the
provider's own standard chain (environment, profiles, instance metadata).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from core.errors import Conflict, NotFound, Unsupported

PROVIDERS = ("aws", "gcp", "azure", "oci", "ht", "ais")
"""What a bucket's provider may be; "ais" is another cluster where its namespace has a uuid or alias."""


class NoSuchAccount(NotFound):
    """Fields: account, provider."""


class AccountInUse(Conflict):
    """Buckets are bound by way of it. Fields: account, buckets (names)."""


@dataclass(frozen=True, slots=True)
class Account:
    """One account. Never log or show `secrets`.

    `name`: "" is the provider's default. `endpoint`: a URL, "" for the provider's own. `profile`: of the provider's own
    configuration files. `settings`: what else the provider's adapter knows ("addressing": "path" or "virtual",
    "account_name", "ca_file", "timeout_s", "rate_per_s", ...). `secrets`: the adapter's names too ("access_key",
    "secret_key", "session_token", "connection_string", "sas_token", "account_key", "token"); empty: the standard chain.
    """

    provider: str
    name: str = ""
    endpoint: str = ""
    region: str = ""
    profile: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)


class AccountStore(Protocol):
    """The accounts of a cluster. Look-ups are from memory and see every change acknowledged before, by any process.
    Changes are durable when they return and block; secrets are encrypted where they lie."""

    def account(self, provider: str, name: str) -> Account | None:
        """Never blocks, but when it has changed."""

    def accounts(self) -> Sequence[Account]:
        """By provider and name."""

    def change(self) -> int:
        """A number that is another one after any change, whoever made it. Costs next to nothing."""

    def put_account_sync(self, account: Account) -> None:
        """Add it, or replace the one of its name. Raises MasterKeyMissing."""

    def remove_account_sync(self, provider: str, name: str) -> None:
        """Raises NoSuchAccount."""


class FixedAccounts:
    """Accounts that were given once, and that nobody changes."""

    def __init__(self, accounts: Sequence[Account] = ()) -> None:
        self._accounts = {(each.provider, each.name): each for each in accounts}

    def account(self, provider: str, name: str) -> Account | None:
        """See AccountStore."""
        return self._accounts.get((provider, name))

    def accounts(self) -> Sequence[Account]:
        """See AccountStore."""
        return [self._accounts[name] for name in sorted(self._accounts)]

    def change(self) -> int:
        """See AccountStore."""
        return 0

    def put_account_sync(self, account: Account) -> None:
        """Raises Unsupported."""
        raise Unsupported(what="account", reason=f"account {account.name} is fixed")

    def remove_account_sync(self, provider: str, name: str) -> None:
        """Raises Unsupported."""
        raise Unsupported(what="account", reason=f"account {name} of {provider} is fixed")
