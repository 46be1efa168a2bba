"""Copies of the control store: taken after changes, used when the first disk is lost, never by a disk from the past."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from cluster.control import EmbeddedControlStore
from cluster.replicas import ControlReplicas, find_home, restore_sync
from core.names import UserId
from core.types import User


def user(name: str) -> User:
    return User(UserId(name), name, name)


@pytest.fixture
def disks(tmp_path: Path) -> list[Path]:
    made = [tmp_path / name for name in "abc"]
    for directory in made:
        directory.mkdir()
    return made


@contextmanager
def opened(
    home: Path, others: list[Path]
) -> Iterator[tuple[EmbeddedControlStore, ControlReplicas]]:
    with (
        closing(EmbeddedControlStore(home)) as store,
        closing(ControlReplicas(store.database, lambda: others)) as replicas,
    ):
        yield store, replicas


def names(home: Path) -> list[str]:
    with closing(EmbeddedControlStore(home)) as store:
        return [found.name for found in store.users()]


def test_copies_follow_changes_and_rest_otherwise(disks: list[Path]) -> None:
    with opened(disks[0], disks[1:]) as (store, replicas):
        store.add_user_sync(user("alice"))
        assert replicas.refresh_sync() == 2
        assert replicas.refresh_sync() == 0
        store.add_user_sync(user("bob"))
        assert replicas.refresh_sync() == 2
    with opened(disks[0], disks[1:]) as (_, replicas):
        assert replicas.refresh_sync() == 0
    for directory in disks[1:]:
        assert stat.S_IMODE((directory / "control").stat().st_mode) == 0o700
        assert stat.S_IMODE((directory / "control" / "replica.db").stat().st_mode) == 0o600


def test_one_unusable_directory_does_not_hold_up_the_others(disks: list[Path]) -> None:
    (disks[1] / "control").write_text("not a directory")
    with opened(disks[0], disks[1:]) as (store, replicas):
        store.add_user_sync(user("alice"))
        with pytest.raises(OSError):
            replicas.refresh_sync()
    assert (disks[2] / "control" / "replica.db").exists()


def test_lost_first_disk_loses_no_identities(disks: list[Path]) -> None:
    with opened(disks[0], disks[1:]) as (store, replicas):
        store.add_user_sync(user("alice"))
        replicas.refresh_sync()
    shutil.rmtree(disks[0])
    assert find_home(disks) is None
    home = restore_sync(disks)
    assert home in disks[1:]
    assert find_home(disks) == home
    assert names(home) == ["alice"]
    assert stat.S_IMODE((home / "control" / "control.db").stat().st_mode) == 0o600


def test_newest_copy_is_chosen(disks: list[Path]) -> None:
    with opened(disks[0], disks[1:]) as (store, replicas):
        store.add_user_sync(user("alice"))
        replicas.refresh_sync()
        store.add_user_sync(user("bob"))
        with closing(ControlReplicas(store.database, lambda: disks[2:])) as fewer:
            fewer.refresh_sync()
    shutil.rmtree(disks[0])
    assert restore_sync(disks) == disks[2]
    assert names(disks[2]) == ["alice", "bob"]


def test_disk_that_returns_from_the_past_does_not_rule(disks: list[Path], tmp_path: Path) -> None:
    with opened(disks[0], disks[1:]) as (store, replicas):
        store.add_user_sync(user("alice"))
        replicas.refresh_sync()
        for number in range(5):
            store.add_user_sync(user(f"lost-{number}"))
    disks[0].rename(tmp_path / "unplugged")
    home = restore_sync(disks)
    assert home is not None
    with closing(EmbeddedControlStore(home)) as store:
        store.add_user_sync(user("carol"))
    (tmp_path / "unplugged").rename(disks[0])
    assert find_home(disks) == home
    assert names(home) == ["alice", "carol"]


def test_nothing_to_restore_from(disks: list[Path]) -> None:
    assert restore_sync(disks) is None
