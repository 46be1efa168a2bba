"""Accounts at providers in the control store: sealed where they lie, seen by every process, checked before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from cluster.accounts import AccountRecords, check_account
from cluster.control import EmbeddedControlStore
from cluster.key_service import LocalKeyService
from cluster.master_key import MasterKeySource
from core.accounts import Account, NoSuchAccount
from core.errors import InvalidArgument, MasterKeyMissing

SECRET = "a/very+secret=thing0of0this0test"
TEAM = Account(
    "aws",
    "team",
    endpoint="http://127.0.0.1:5000",
    region="eu-west-1",
    settings={"addressing": "path"},
    secrets={"access_key": "AKIATEAM", "secret_key": SECRET},
)


class Process:
    """What a process has open of a store."""

    def __init__(self, directory: Path) -> None:
        self._stack = ExitStack()
        self.control = self._stack.enter_context(closing(EmbeddedControlStore(directory)))
        keys = LocalKeyService(self.control.database, MasterKeySource([directory]))
        self._stack.enter_context(closing(keys))
        records = AccountRecords(self.control.database, keys)
        self.accounts = self._stack.enter_context(closing(records))

    def close(self) -> None:
        self._stack.close()


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    with closing(Process(tmp_path)) as opened:
        yield opened


def test_account_from_its_making_to_its_end(process: Process) -> None:
    accounts = process.accounts
    assert accounts.account("aws", "team") is None
    before = accounts.change()
    accounts.put_account_sync(TEAM)
    assert accounts.change() != before
    assert accounts.account("aws", "team") == TEAM
    assert accounts.account("aws", "") is None
    accounts.put_account_sync(Account("aws", "team", profile="p"))
    assert accounts.account("aws", "team") == Account("aws", "team", profile="p")
    accounts.put_account_sync(Account("aws"))
    assert [each.name for each in accounts.accounts()] == ["", "team"]
    accounts.remove_account_sync("aws", "team")
    assert accounts.account("aws", "team") is None
    with pytest.raises(NoSuchAccount):
        accounts.remove_account_sync("aws", "team")


def test_other_processes_see_it(process: Process, tmp_path: Path) -> None:
    with closing(Process(tmp_path)) as other:
        before = other.accounts.change()
        assert other.accounts.account("aws", "team") is None
        process.accounts.put_account_sync(TEAM)
        assert other.accounts.account("aws", "team") == TEAM
        changed = other.accounts.change()
        assert changed != before
        with process.control.database.transaction():
            pass  # What is no change of an account.
        assert other.accounts.change() == changed


def test_secrets_are_sealed_where_they_lie(process: Process, tmp_path: Path) -> None:
    process.accounts.put_account_sync(TEAM)
    assert SECRET not in repr(process.accounts.account("aws", "team"))
    process.control.database.reader.execute("PRAGMA wal_checkpoint").fetchall()
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes(), path


def test_without_the_master_key_nothing_opens(process: Process, tmp_path: Path) -> None:
    process.accounts.put_account_sync(TEAM)
    (tmp_path / "control" / "master.key").unlink()
    with closing(Process(tmp_path)) as other, pytest.raises(MasterKeyMissing):
        other.accounts.account("aws", "team")


@pytest.mark.parametrize(
    "account",
    [
        Account("nimbus"),
        Account("aws", "a b"),
        Account("aws", "x" * 33),
        Account("aws", "a/b"),
        Account("ais", ""),
        Account("ais", "other"),
        Account("aws", endpoint="ftp://host"),
        Account("aws", endpoint="http://"),
        Account("aws", endpoint="http://host:99999"),
        Account("aws", endpoint=f"http://user:{SECRET}@host"),
        Account("aws", endpoint=f"http://host/?sig={SECRET}"),
        Account("aws", endpoint="http://host/\n"),
        Account("aws", region="x" * 2000),
        Account("aws", profile="a\nb"),
        Account("aws", settings={"Bad Name": "x"}),
        Account("aws", settings={f"s{n}": "x" for n in range(40)}),
        Account("aws", secrets={"secret_key": ""}),
        Account("aws", secrets={"Secret Key": SECRET}),
    ],
)
def test_accounts_that_are_refused(account: Account) -> None:
    with pytest.raises(InvalidArgument) as caught:
        check_account(account)
    assert SECRET not in str(caught.value)
