"""Owns whom a statement names: its Principal or NotPrincipal, and how callers are matched with it.

An account is a user of weir, its number the user's canonical id. So `arn:aws:iam::ID:root` and `ID` alone name the user
with that id, and so does `arn:aws:iam::ID:user/NAME` if that is the user's name; with no account in it, the ARN
names the user by name or id (AWS: IAM JSON policy elements, Principal).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from core.errors import MalformedPolicy

_INVALID = "Invalid principal in policy"
_ARN = re.compile(
    r"arn:(?:aws|aws-cn|aws-us-gov):(?P<service>iam|sts)::(?P<account>[^:*?]*):(?P<resource>[^*?]+)\Z"
)
_KINDS = frozenset({"root", "user", "role", "assumed-role", "federated-user"})
_BARE = re.compile(r"[^\s*?:/]{1,256}\Z")
_SERVICE = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+\Z")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: a user, a service of weir in a bucket owner's name, or nobody (all empty)."""

    account: str = ""
    name: str = ""
    service: str = ""

    @property
    def arn(self) -> str:
        """The ARN of the user; empty for others."""
        return f"arn:aws:iam::{self.account}:user/{self.name}" if self.account else ""


@dataclass(frozen=True, slots=True)
class _Account:
    """An account or one user of it. An empty `account` leaves it to the user, an empty `user` to the account."""

    account: str
    user: str = ""

    def matches(self, caller: Caller) -> bool:
        if not caller.account:
            return False
        if not self.account:
            return self.user in (caller.name, caller.account)
        return caller.account == self.account and self.user in ("", caller.name, caller.account)


@dataclass(frozen=True, slots=True)
class Principals:
    """Some callers. `is_everyone`: all but services, known or not."""

    is_everyone: bool = False
    accounts: tuple[_Account, ...] = ()
    services: frozenset[str] = frozenset()

    def match(self, caller: Caller) -> bool:
        if caller.service:
            return caller.service in self.services
        return self.is_everyone or any(account.matches(caller) for account in self.accounts)


def parse_principals(value: Any) -> Principals:
    """From the element's JSON. Raises MalformedPolicy."""
    if value == "*":
        return Principals(is_everyone=True)
    if not isinstance(value, dict) or not value:
        raise MalformedPolicy(reason=_INVALID)
    is_everyone, accounts, services = False, list[_Account](), set[str]()
    for kind, names in value.items():
        for name in _texts(names):
            if kind == "AWS" and name == "*":
                is_everyone = True
            elif kind == "AWS":
                accounts += _account(name)
            elif kind == "CanonicalUser" and _BARE.match(name):
                accounts.append(_Account(name))
            elif kind == "Service" and _SERVICE.match(name):
                services.add(name)
            elif kind != "Federated" or not name:
                raise MalformedPolicy(reason=_INVALID)
    return Principals(is_everyone, tuple(accounts), frozenset(services))


def _texts(value: Any) -> Sequence[str]:
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(each, str) for each in values):
        raise MalformedPolicy(reason=_INVALID)
    return values


def _account(name: str) -> Sequence[_Account]:
    """Whom an AWS principal names: nobody, for a role or a session, of which weir has none."""
    if _BARE.match(name):
        return [_Account(name)]
    arn = _ARN.match(name)
    if arn is None:
        raise MalformedPolicy(reason=_INVALID)
    account, (kind, _, rest) = arn["account"], arn["resource"].partition("/")
    if kind not in _KINDS or (kind == "root") == bool(rest):
        raise MalformedPolicy(reason=_INVALID)
    if kind == "root":
        if not account:
            raise MalformedPolicy(reason=_INVALID)
        return [_Account(account)]
    if kind == "user" and arn["service"] == "iam":
        # A path before the name (user/team/alice) is no part of it.
        return [_Account(account, rest.rpartition("/")[2])]
    return []
