"""The policies of users in the control store: seen by every process, gone with their user, added to older stores."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from cluster.control import EmbeddedControlStore
from cluster.user_policies import put_policy_sync, remove_policy_sync
from core.errors import Conflict, MalformedPolicy, NoSuchPolicy, NoSuchUser
from core.names import AccessKey, UserId
from core.types import Credential, User

ALICE = User(UserId("alice-id"), "alice", "Alice")
KEY = AccessKey("ALICEKEY")
GOOD = '{"Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}'


def store_of(path: Path) -> EmbeddedControlStore:
    return EmbeddedControlStore(path)


def add_alice(store: EmbeddedControlStore) -> None:
    store.add_user_sync(ALICE)
    store.add_credential_sync(Credential(KEY, "secret-of-alice", ALICE))


def policies_of(store: EmbeddedControlStore) -> tuple[tuple[str, str], ...]:
    found = store.credential(KEY)
    assert found is not None
    return found.user.policies


def test_every_process_sees_a_change(tmp_path: Path) -> None:
    with closing(store_of(tmp_path)) as one, closing(store_of(tmp_path)) as other:
        add_alice(one)
        assert policies_of(other) == ()
        put_policy_sync(one.database, ALICE.user_id, "b", GOOD)
        put_policy_sync(one.database, ALICE.user_id, "a", GOOD)
        assert policies_of(other) == (("a", GOOD), ("b", GOOD))
        remove_policy_sync(other.database, ALICE.user_id, "a")
        assert policies_of(one) == (("b", GOOD),)


def test_refusals(tmp_path: Path) -> None:
    with closing(store_of(tmp_path)) as store:
        root = User(UserId("root-id"), "root", "Root", is_root=True)
        store.add_user_sync(root)
        with pytest.raises(NoSuchUser):
            put_policy_sync(store.database, ALICE.user_id, "a", GOOD)
        with pytest.raises(MalformedPolicy):
            put_policy_sync(store.database, root.user_id, "a", "{}")
        with pytest.raises(Conflict):
            put_policy_sync(store.database, root.user_id, "a", GOOD)
        with pytest.raises(NoSuchPolicy):
            remove_policy_sync(store.database, root.user_id, "a")


def test_store_of_an_older_weir(tmp_path: Path) -> None:
    with closing(store_of(tmp_path)) as store:
        add_alice(store)
        path = store.database.path
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("DROP TABLE user_policies; PRAGMA user_version = 1;")
    with closing(store_of(tmp_path)) as store:
        assert policies_of(store) == ()
        put_policy_sync(store.database, ALICE.user_id, "a", GOOD)
        assert policies_of(store) == (("a", GOOD),)
