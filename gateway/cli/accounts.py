"""Owns `weir account`: by which endpoint and with whose credentials the buckets of providers are reached.

No secret is ever taken from the command line, which others of the machine see, nor printed.
"""

from __future__ import annotations

import argparse
import asyncio
import getpass
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from backends.registry import OpenBackends
from cluster.accounts import AccountRecords
from cluster.control import EmbeddedControlStore
from core.accounts import Account, NoSuchAccount
from core.errors import BackendDenied, NoSuchBucket, StoreError, Unavailable, Unsupported
from core.names import AccessKey
from core.types import Bucket
from gateway.cli.options import UsageError, load
from gateway.cli.table import print_rows
from gateway.config_sources import variable
from gateway.keys import open_key_service
from gateway.startup import open_control

_MAX_SECRET = 64 * 1024
_SHOWN = 10
_KNOWN_OPTIONS = frozenset(
    (
        *("timeout_s", "connect_timeout_s", "stall_timeout_s", "copy_timeout_s", "max_connections"),
        *("addressing", "anonymous", "ca_file", "conditional_writes", "md5_etags"),
        *("requester_pays", "application_creds", "namespace", "account_name"),
        *("private_redirects", "user", "faults_file"),
    )
)
_KNOWN_SECRETS = {
    "aws": ("access_key", "secret_key", "session_token"),
    "gcp": ("access_key", "secret_key", "service_account"),
    "oci": ("access_key", "secret_key"),
    "azure": ("account_key", "sas_token", "connection_string"),
    "ht": ("token", "password", "user"),
    "ais": ("token",),
}


@dataclass(frozen=True, slots=True)
class Opened:
    """A store and its accounts."""

    control: EmbeddedControlStore
    accounts: AccountRecords


def add(arguments: argparse.Namespace) -> int:
    """weir account add"""
    account = Account(
        arguments.provider,
        arguments.name,
        endpoint=arguments.endpoint.rstrip("/"),
        region=arguments.account_region,
        profile=arguments.profile,
        settings=_pairs(arguments.option),
        secrets=_secrets(arguments.secret),
    )
    _check_names(account)
    with opened(arguments) as store:
        _check_not_ours(store.control, account)
        is_new = store.accounts.account(account.provider, account.name) is None
        store.accounts.put_account_sync(account)
    called = _called(account.provider, account.name)
    print(f"{'added' if is_new else 'replaced'} {called}; a server that runs uses it from now on")
    print(f"see whether it works: weir account test {account.provider} {account.name}".rstrip())
    return 0


def _check_names(account: Account) -> None:
    """That nothing is said in vain, as by a slip of the pen."""
    for name in account.settings:
        if name not in _KNOWN_OPTIONS:
            near = get_close_matches(name, _KNOWN_OPTIONS, 1)
            then = (
                f"; is {near[0]} meant?" if near else "; docs/providers.md has those that there are"
            )
            raise UsageError(f"--option {name}: there is none{then}")
    known = _KNOWN_SECRETS[account.provider]
    for name in account.secrets:
        if name not in known:
            raise UsageError(
                f"--secret {name}: an account of {account.provider} has {', '.join(known)}"
            )
    if ("access_key" in account.secrets) != ("secret_key" in account.secrets):
        raise UsageError("access_key and secret_key go together")


def _check_not_ours(control: EmbeddedControlStore, account: Account) -> None:
    """A shell that uses weir has weir's own keys where those of a provider are looked for."""
    given = account.secrets.get("access_key")
    if given and not account.endpoint and control.credential(AccessKey(given)) is not None:
        raise UsageError(
            f"{given} is a key of this weir, not of {account.provider}; say --secret access_key --secret secret_key"
            " to be asked for the provider's"
        )


def list_accounts(arguments: argparse.Namespace) -> int:
    """weir account ls"""
    with opened(arguments) as store:
        buckets = store.control.buckets()
        rows = [
            {
                "provider": each.provider,
                "name": each.name,
                "endpoint": each.endpoint,
                "region": each.region,
                "profile": each.profile,
                "options": " ".join(f"{name}={text}" for name, text in each.settings.items()),
                "secrets": " ".join(sorted(each.secrets)),
                "buckets": sum(uses(bucket, each.provider, each.name) for bucket in buckets),
            }
            for each in store.accounts.accounts()
        ]
    columns = ["provider", "name", "endpoint", "region", "profile", "options", "secrets", "buckets"]
    print_rows(rows, columns, arguments.json)
    return 0


def remove(arguments: argparse.Namespace) -> int:
    """weir account rm"""
    provider, name = arguments.provider, arguments.name
    with opened(arguments) as store:
        bound = [each.name for each in store.control.buckets() if uses(each, provider, name)]
        if bound and not arguments.force:
            raise UsageError(
                f"{len(bound)} buckets are reached by {_called(provider, name)} ({', '.join(bound[:3])});"
                " remove these first, or say --force to leave them without"
            )
        store.accounts.remove_account_sync(provider, name)
    print(f"removed {_called(provider, name)} and its secrets")
    return 0


def test(arguments: argparse.Namespace) -> int:
    """weir account test"""
    with opened(arguments) as store:
        if arguments.name and store.accounts.account(arguments.provider, arguments.name) is None:
            raise NoSuchAccount(provider=arguments.provider, account=arguments.name)
        said = asyncio.run(_tried(arguments, store.accounts))
    if arguments.json:
        print(json.dumps(said, indent=2))
    else:
        print(f"{said['account']}: {said['result']}")
        for line in (*said["buckets"][:_SHOWN], said["next"]):
            print(f"  {line}" if line else "", end="\n" if line else "")
    return 0 if said["works"] else 1


def uses(bucket: Bucket, provider: str, name: str) -> bool:
    """Whether a bucket is reached by that account."""
    binding = bucket.props.backend
    if binding is None or binding.bucket.provider != provider:
        return False
    return (binding.account or binding.bucket.cluster or binding.bucket.space) == name


async def _tried(arguments: argparse.Namespace, accounts: AccountRecords) -> dict[str, Any]:
    provider, name, bucket = arguments.provider, arguments.name, arguments.bucket
    said: dict[str, Any] = {"account": _called(provider, name), "works": False, "buckets": []}
    at = _endpoint(accounts.account(provider, name), provider)
    backends = OpenBackends(accounts)
    try:
        backend = backends.of_account(provider, name)
        if bucket:
            region = (await backend.head_bucket(bucket)).region
            result = f"bucket {bucket} is there" + (f", in {region}" if region else "")
        else:
            said["buckets"] = sorted(each.name for each in await backend.list_buckets())
            count = len(said["buckets"])
            result = f"works{at}; {count} bucket{'' if count == 1 else 's'}"
        return {**said, "works": True, "result": result, "next": ""}
    except StoreError as error:
        result, then = advice(error, bucket)
        return {**said, "result": f"{result}{at}", "next": then}
    finally:
        await backends.close()


def _endpoint(account: Account | None, provider: str) -> str:
    """Where it was tried, if that is not the provider's own place."""
    if account is not None and account.endpoint:
        return f", at {account.endpoint}"
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL") if provider == "aws" else ():
        if variable(name):
            return f", at {variable(name)} ({name} of this shell)"
    return ""


def advice(error: StoreError, bucket: str) -> tuple[str, str]:
    """What is wrong, and what to do next."""
    reason = str(error.fields.get("reason") or "")
    match error:
        case NoSuchAccount():
            then = f"add it: weir account add {error.provider} {error.account}"
            return f"there is no account {error.account} of {error.provider}", then
        case NoSuchBucket():
            return f"there is no bucket {bucket}", "check its name, the endpoint and the region"
        case BackendDenied() if bucket:
            return (
                f"refused: {reason}",
                "check the credentials, and that they may list and read that bucket",
            )
        case BackendDenied():
            return (
                f"refused: {reason}",
                "check the credentials; if they may not list buckets, try one by --bucket NAME",
            )
        case Unsupported():
            return f"cannot be asked: {reason}", "name a bucket to try, by --bucket NAME"
        case Unavailable():
            return (
                f"not reached: {reason or type(error).__name__}",
                "check the endpoint, and whether this machine may connect to it",
            )
    return f"{type(error).__name__}: {error}", ""


def _called(provider: str, name: str) -> str:
    return f"account {name} of {provider}" if name else f"the default account of {provider}"


def _pairs(texts: list[str]) -> Mapping[str, str]:
    pairs = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--option {text}: NAME=VALUE is wanted")
        pairs[name] = value
    return pairs


def _secrets(wanted: list[str]) -> Mapping[str, str]:
    """Each from where it is said to be; those that are said to be nowhere are asked for, one a line."""
    secrets = {}
    for text in wanted:
        name, equals, where = text.partition("=")
        secrets[name] = _from(name, where) if equals else _asked(name)
        if not secrets[name]:
            raise UsageError(f"--secret {name}: it is empty")
    return secrets


def _from(name: str, where: str) -> str:
    kind, _, place = where.partition(":")
    if kind == "env" and place:
        value = variable(place)
        if value is None:
            raise UsageError(f"--secret {name}: {place} is not in the environment")
        return value
    if kind == "file" and place:
        try:
            with Path(place).open(encoding="utf-8") as file:
                return file.read(_MAX_SECRET + 1).strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"--secret {name}: {place} cannot be read: {error}") from None
    raise UsageError(
        f"--secret {name}: the value is not taken from the command line, which others see; say {name} alone to be"
        f" asked for it (or give it as a line of the standard input), {name}=env:VARIABLE or {name}=file:PATH"
    )


def _asked(name: str) -> str:
    if sys.stdin.isatty():
        return getpass.getpass(f"{name}: ")
    return sys.stdin.readline(_MAX_SECRET + 1).strip()


@contextmanager
def opened(arguments: argparse.Namespace) -> Iterator[Opened]:
    config = load(arguments).config
    with (
        closing(open_control(config)) as control,
        closing(open_key_service(config, control)) as keys,
        closing(AccountRecords(control.database, keys)) as accounts,
    ):
        yield Opened(control, accounts)
