"""Which backend a bucket has: by its account, its namespace, and what its own properties say of the way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import pytest

from backends.registry import OpenBackends
from backends.wrappers.rate import Rated
from backends.wrappers.retry import Retrying
from backends.wrappers.stack import Shared
from core.accounts import Account, FixedAccounts, NoSuchAccount
from core.backends import Backend
from core.configs.backend import BackendBinding
from core.configs.native import NativeProps
from core.errors import Unsupported
from core.names import BucketName, BucketRef, UserId
from core.types import Bucket, BucketProps, User

OWNER = User(UserId("owner"), "owner", "owner")
TEAM = Account("aws", "team", endpoint="http://team", secrets={"access_key": "k"})
DEFAULT = Account("aws", "", region="eu-west-1")
OTHER = Account("ais", "other", endpoint="http://other:9000")


@dataclass
class Opened:
    """Stands for the backend of an account."""

    account: Account
    is_closed: bool = False

    async def close(self) -> None:
        self.is_closed = True


class ChangingAccounts(FixedAccounts):
    """Accounts of which one is replaced."""

    changes = 0

    def change(self) -> int:
        return self.changes

    def replace(self, account: Account) -> None:
        self._accounts[account.provider, account.name] = account
        self.changes += 1


def adapter(account: Account) -> Backend:
    return cast(Backend, Opened(account))


def opened(accounts: FixedAccounts) -> OpenBackends:
    return OpenBackends(accounts, {"aws": adapter, "ais": adapter})


def account_of(backend: Backend) -> Account:
    return cast(Opened, backend).account


def bucket(
    provider: str = "aws",
    namespace: str = "",
    account: str = "",
    extra: Mapping[str, Any] | None = None,
) -> Bucket:
    ref = BucketRef(BucketName("b"), provider, namespace)
    sections = {f"extra.{name}": json.dumps(value) for name, value in (extra or {}).items()}
    props = BucketProps(backend=BackendBinding(ref, account), native=NativeProps(sections=sections))
    return Bucket(ref, 1, OWNER, 1, props=props)


def test_accounts_by_name_namespace_and_default() -> None:
    backends = opened(FixedAccounts([TEAM, DEFAULT, OTHER]))
    assert account_of(backends.of(bucket())) == DEFAULT
    assert account_of(backends.of(bucket(account="team"))) == TEAM
    assert account_of(backends.of(bucket(namespace="@#team"))) == TEAM
    assert account_of(backends.of(bucket("ais", "@other#"))) == OTHER
    assert account_of(backends.of(bucket("ais", "@other#ml"))).settings == {"namespace": "#ml"}
    assert backends.of(bucket()) is backends.of(bucket())


def test_without_a_default_the_standard_chain_counts() -> None:
    assert account_of(opened(FixedAccounts()).of(bucket())) == Account("aws")


def test_accounts_that_are_not_there() -> None:
    backends = opened(FixedAccounts([DEFAULT]))
    for absent in (bucket(account="team"), bucket(namespace="@#team"), bucket("ais", "@other#")):
        with pytest.raises(NoSuchAccount):
            backends.of(absent)
    with pytest.raises(Unsupported):
        backends.of(bucket("azure"))


@pytest.mark.parametrize("provider", ["aws", "oci"])
def test_a_region_stands_for_no_account(provider: str) -> None:
    backends = OpenBackends(FixedAccounts([DEFAULT]), {"aws": adapter, "oci": adapter})
    told = {"aws": {"aws.cloud_region": "eu-west-1"}, "oci": {"oci.region": "eu"}}[provider]
    # As when the account was removed: the default account's bucket of that name is another one.
    with pytest.raises(NoSuchAccount):
        backends.of(bucket(provider, namespace="@#team", extra=told))


def test_bucket_with_a_way_of_its_own() -> None:
    backends = opened(FixedAccounts([TEAM, DEFAULT]))
    extra = {"aws.endpoint": "http://minio", "aws.cloud_region": "us-west-2"}
    found = account_of(backends.of(bucket(extra=extra)))
    assert found == Account("aws", "", endpoint="http://minio", region="us-west-2")
    named = account_of(backends.of(bucket(account="team", extra={"aws.cloud_region": "x"})))
    assert (named.endpoint, named.region, named.secrets) == ("http://team", "x", TEAM.secrets)
    profile = account_of(backends.of(bucket(account="team", extra={"aws.profile": "p"})))
    assert (profile.profile, profile.secrets) == ("p", {})
    # A namespace needs no account where the bucket itself says all.
    assert account_of(backends.of(bucket(namespace="@#p", extra={"aws.profile": "p"}))).profile


def test_changed_accounts_are_opened_anew() -> None:
    accounts = ChangingAccounts([TEAM, DEFAULT])
    backends = opened(accounts)
    team, default = backends.of(bucket(account="team")), backends.of(bucket())
    accounts.replace(Account("aws", "team", endpoint="http://elsewhere"))
    assert account_of(backends.of(bucket(account="team"))).endpoint == "http://elsewhere"
    assert backends.of(bucket()) is default
    assert not cast(Opened, team).is_closed
    asyncio.run(backends.close())
    assert cast(Opened, team).is_closed
    assert cast(Opened, default).is_closed


def test_adapters_are_wrapped_and_buckets_have_their_limits() -> None:
    async def run() -> None:
        shared = Shared()
        backends = OpenBackends(FixedAccounts([DEFAULT]), {"aws": adapter}, shared)
        plain = backends.of(bucket())
        assert isinstance(plain, Retrying)
        assert backends.of(bucket()) is plain
        slow = bucket()
        limit = NativeProps(sections={"rate_limit.backend.enabled": "true"})
        slow = replace(slow, props=replace(slow.props, native=limit))
        rated = backends.of(slow)
        assert isinstance(rated, Retrying)
        assert isinstance(rated.inner, Rated)
        assert rated.inner.inner is plain.inner
        await backends.close()

    asyncio.run(run())


def test_a_server_that_a_bucket_names_gets_no_credentials_of_an_account() -> None:
    account = Account("ht", endpoint="https://here", secrets={"token": "t"})
    backends = OpenBackends(FixedAccounts([account]), {"ht": adapter})
    assert account_of(backends.of(bucket("ht"))) == account
    named = bucket("ht", extra={"http.original_url": "https://there"})
    assert account_of(backends.of(named)) == replace(account, endpoint="https://there", secrets={})
