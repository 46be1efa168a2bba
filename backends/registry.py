"""Owns which adapter a provider has, and the backends that this process has open, one an account."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from backends.s3 import gcp_backend, oci_backend, s3_backend
from backends.wrappers.retry import Retrying
from backends.wrappers.stack import Shared, limited, wrap
from core.accounts import Account, AccountStore, NoSuchAccount
from core.backends import Backend
from core.configs.sections import text
from core.errors import Unsupported
from core.types import Bucket

Adapter = Callable[[Account], Backend]
"""Makes the backend of an account; cheap, and never blocks: what it needs is opened with the first request."""


def _azure(account: Account) -> Backend:
    # Clients of providers take long to import: only those who have such buckets pay for it.
    from backends.azure import AzureBackend

    return AzureBackend(account)


def _ais(account: Account) -> Backend:
    from backends.ais import AisBackend

    return AisBackend(account)


def _http(account: Account) -> Backend:
    from backends.http import HttpBackend

    return HttpBackend(account)


ADAPTERS: Mapping[str, Adapter] = {
    "ais": _ais,
    "aws": s3_backend,
    "azure": _azure,
    "gcp": gcp_backend,
    "ht": _http,
    "oci": oci_backend,
}
"""By provider."""


def import_sync(providers: Iterable[str]) -> None:
    """Import what these providers' adapters need, which takes up to half a second each, ahead of their first use on an
    event loop."""
    for provider in providers:
        if provider in _MODULES:
            importlib.import_module(_MODULES[provider])


_MODULES = {"ais": "backends.ais", "azure": "backends.azure", "ht": "backends.http"}

_ASKED = {
    "aws": ("endpoint", "cloud_region", "profile"),
    "gcp": ("application_creds",),
    "oci": ("region",),
    "ht": ("original_url",),
}
"""Of a bucket's properties `extra.PROVIDER.*`, those that say by which way it is reached."""
_REGIONS = frozenset({"cloud_region", "region"})
_SECTION = {"ht": "http"}
"""Of providers whose properties are not called as they are."""


class OpenBackends:
    """core.backends.Backends over the accounts of a cluster. With `shared`, adapters are wrapped
    (backends.wrappers.stack); without, they are given as they are."""

    def __init__(
        self,
        accounts: AccountStore,
        adapters: Mapping[str, Adapter] = ADAPTERS,
        shared: Shared | None = None,
    ) -> None:
        self._accounts = accounts
        self._adapters = adapters
        self._shared = shared
        self._change = accounts.change()
        self._open: dict[_Way, tuple[Account, Backend]] = {}
        self._retired: list[Backend] = []

    def of(self, bucket: Bucket) -> Backend:
        """See Backends.of."""
        binding = bucket.props.backend
        assert binding is not None
        ref, native = binding.bucket, bucket.props.native
        section = f"extra.{_SECTION.get(ref.provider, ref.provider)}"
        extra = tuple(text(native, f"{section}.{name}") for name in _ASKED.get(ref.provider, ()))
        backend = self._by(_Way(ref.provider, binding.account, ref.namespace, extra))
        if self._shared is not None and isinstance(backend, Retrying):
            return limited(backend, bucket, self._shared)
        return backend

    def of_account(self, provider: str, account: str = "", namespace: str = "") -> Backend:
        """See Backends.of_account."""
        return self._by(_Way(provider, account, namespace))

    async def close(self) -> None:
        """Close all that was opened."""
        for backend in [*(backend for _, backend in self._open.values()), *self._retired]:
            await backend.close()
        if self._shared is not None:
            await self._shared.close()

    def _by(self, way: _Way) -> Backend:
        change = self._accounts.change()
        if change != self._change:
            self._change = change
            for each in list(self._open):
                self._renew(each)
        known = self._open.get(way)
        return self._opened(way, self._account(way)) if known is None else known[1]

    def _renew(self, way: _Way) -> None:
        """Let go of a backend whose account is another one now. Requests that use it may end first."""
        account, backend = self._open[way]
        try:
            if self._account(way) == account:
                return
        except NoSuchAccount:
            pass
        del self._open[way]
        self._retired.append(backend)

    def _opened(self, way: _Way, account: Account) -> Backend:
        adapter = self._adapters.get(way.provider)
        if adapter is None:
            reason = f"there is no backend for provider {way.provider!r}"
            raise Unsupported(what=way.provider, reason=reason)
        backend = adapter(account)
        if self._shared is not None:
            backend = wrap(backend, account, self._shared)
        self._open[way] = (account, backend)
        return backend

    def _account(self, way: _Way) -> Account:
        """The account that is named, or the one that is called as the namespace, or the provider's default; with what
        the bucket itself says of the way. Raises NoSuchAccount."""
        cluster, _, space = way.namespace.removeprefix("@").partition("#")
        # Another cluster is known by an account of its name, and its namespaces are its own affair.
        name = way.account or cluster or space
        account = self._accounts.account(way.provider, name)
        if account is None:
            is_told = not way.account and _tells_all(way)
            if name and not is_told:
                raise NoSuchAccount(account=name, provider=way.provider)
            account = self._accounts.account(way.provider, "") or Account(way.provider)
        if cluster and space:
            account = replace(account, settings={**account.settings, "namespace": f"#{space}"})
        return _derived(account, way.extra) if any(way.extra) else account


@dataclass(frozen=True, slots=True)
class _Way:
    """By which way a backend is reached; `extra` is what a bucket says of it, as _ASKED has it."""

    provider: str
    account: str = ""
    namespace: str = ""
    extra: tuple[str, ...] = ()


def _tells_all(way: _Way) -> bool:
    """Whether a bucket says by itself where and as whom it is reached. A region does not, and is noted of any bucket:
    with an account that was removed, another account's bucket of the name would be taken for it."""
    asked = zip(_ASKED.get(way.provider, ()), way.extra, strict=False)
    return any(said for name, said in asked if name not in _REGIONS)


def _derived(account: Account, extra: tuple[str, ...]) -> Account:
    said = {name: each for name, each in zip(_ASKED[account.provider], extra, strict=True) if each}
    region = said.get("cloud_region") or said.get("region") or account.region
    account = replace(account, region=region, endpoint=said.get("endpoint") or account.endpoint)
    if "profile" in said:
        # Its credentials are the profile's, not the account's own.
        account = replace(account, profile=said["profile"], secrets={})
    if "original_url" in said:
        # The account's credentials are not for whatever server a bucket names.
        account = replace(account, endpoint=said["original_url"], secrets={})
    if "application_creds" in said:
        settings = {**account.settings, "application_creds": said["application_creds"]}
        account = replace(account, settings=settings, secrets={})
    return account
