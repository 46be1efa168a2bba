"""Owns which adapter a provider has, and the backends that this process has open, one an account."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from core.accounts import Account, AccountStore, NoSuchAccount
from core.backends import Backend
from core.errors import Unsupported
from core.types import Bucket

Adapter = Callable[[Account], Backend]
"""Makes the backend of an account; cheap, and never blocks: what it needs is opened with the first request."""

ADAPTERS: Mapping[str, Adapter] = {}
"""By provider."""


class OpenBackends:
    """core.backends.Backends over the accounts of a cluster."""

    def __init__(self, accounts: AccountStore, adapters: Mapping[str, Adapter] = ADAPTERS) -> None:
        self._accounts = accounts
        self._adapters = adapters
        self._open: dict[tuple[str, str], tuple[Account, Backend]] = {}

    def of(self, bucket: Bucket) -> Backend:
        """See Backends.of."""
        binding = bucket.props.backend
        assert binding is not None
        return self.of_account(binding.bucket.provider, binding.account, binding.bucket.namespace)

    def of_account(self, provider: str, account: str = "", namespace: str = "") -> Backend:
        """See Backends.of_account."""
        adapter = self._adapters.get(provider)
        if adapter is None:
            reason = f"there is no backend for provider {provider!r}"
            raise Unsupported(what=provider, reason=reason)
        wanted = self._accounts.account(provider, account)
        if wanted is None:
            if account:
                raise NoSuchAccount(account=account, provider=provider)
            wanted = Account(provider)
        known = self._open.get((provider, account))
        if known is None or known[0] != wanted:
            known = self._open[provider, account] = (wanted, adapter(wanted))
        return known[1]

    async def close(self) -> None:
        """Close all that was opened."""
        for _, backend in self._open.values():
            await backend.close()
