"""The embedded control store: what it refuses, what it remembers, and that every process sees a change at once."""

from __future__ import annotations

import multiprocessing
import sqlite3
import stat
import threading
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from cluster.control import EmbeddedControlStore
from cluster.database import SchemaTooNewError
from cluster.keys import new_access_key, new_secret_key, new_user_id
from core.configs.access import PublicAccessBlock
from core.configs.versioning import DefaultRetention, ObjectLock, RetentionMode, Versioning
from core.errors import (
    AccessKeyExists,
    BucketExists,
    BucketOwnedByYou,
    Conflict,
    MountpathUnavailable,
    NoSuchAccessKey,
    NoSuchBucket,
    NoSuchUser,
    UserExists,
)
from core.names import AccessKey, BucketName, BucketRef, UserId
from core.types import Bucket, BucketProps, CannedAcl, Credential, Grant, Group, Permission, User

ALICE = User(UserId("a" * 64), "alice", "Alice", "alice@example.org")
BOB = User(UserId("b" * 64), "bob", "Bob")
ROOT = User(UserId("0" * 64), "root", "root", is_root=True)


def ref(name: str) -> BucketRef:
    return BucketRef(BucketName(name))


def key(user: User, access_key: str = "AKALICE", secret: str = "secret-of-alice") -> Credential:
    return Credential(AccessKey(access_key), secret, user)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddedControlStore]:
    opened = EmbeddedControlStore(tmp_path)
    opened.add_user_sync(ALICE)
    opened.add_user_sync(BOB)
    yield opened
    opened.close()


def create(store: EmbeddedControlStore, name: str, owner: User = ALICE) -> None:
    store.create_bucket_sync(ref(name), owner, "us-east-1", BucketProps(), 1)


class TestUsers:
    def test_are_listed_by_name(self, store: EmbeddedControlStore) -> None:
        assert store.users() == [ALICE, BOB]
        assert store.user(ALICE.user_id) == ALICE
        assert store.user_named("bob") == BOB

    @pytest.mark.parametrize(
        "taken", [ALICE, User(UserId("c"), "alice", "x"), User(ALICE.user_id, "new", "x")]
    )
    def test_same_id_or_name_twice(self, store: EmbeddedControlStore, taken: User) -> None:
        with pytest.raises(UserExists):
            store.add_user_sync(taken)

    def test_removal_takes_the_keys_along(self, store: EmbeddedControlStore) -> None:
        store.add_credential_sync(key(ALICE))
        store.remove_user_sync(ALICE.user_id)
        assert store.user(ALICE.user_id) is None
        assert store.credential(AccessKey("AKALICE")) is None

    def test_removal_of_nobody(self, store: EmbeddedControlStore) -> None:
        with pytest.raises(NoSuchUser):
            store.remove_user_sync(UserId("nobody"))

    def test_owner_of_a_bucket_stays(self, store: EmbeddedControlStore) -> None:
        create(store, "photos")
        with pytest.raises(Conflict, match="owns 1 bucket"):
            store.remove_user_sync(ALICE.user_id)

    def test_root_stays(self, store: EmbeddedControlStore) -> None:
        store.add_user_sync(ROOT)
        with pytest.raises(Conflict, match="root"):
            store.remove_user_sync(ROOT.user_id)


class TestCredentials:
    def test_lookup(self, store: EmbeddedControlStore) -> None:
        store.add_credential_sync(key(ALICE))
        assert store.credential(AccessKey("AKALICE")) == key(ALICE)
        assert store.credential(AccessKey("other")) is None
        assert store.credentials(ALICE.user_id) == [key(ALICE)]
        assert store.credentials(BOB.user_id) == []

    def test_same_access_key_twice(self, store: EmbeddedControlStore) -> None:
        store.add_credential_sync(key(ALICE))
        with pytest.raises(AccessKeyExists):
            store.add_credential_sync(key(BOB))

    def test_of_nobody(self, store: EmbeddedControlStore) -> None:
        with pytest.raises(NoSuchUser):
            store.add_credential_sync(key(ROOT))

    def test_removal(self, store: EmbeddedControlStore) -> None:
        store.add_credential_sync(key(ALICE))
        store.remove_credential_sync(AccessKey("AKALICE"))
        assert store.credential(AccessKey("AKALICE")) is None
        with pytest.raises(NoSuchAccessKey):
            store.remove_credential_sync(AccessKey("AKALICE"))

    def test_root_pair_is_replaced_and_other_root_keys_stay(
        self, store: EmbeddedControlStore
    ) -> None:
        assert store.root_credential() is None
        first, second = key(ROOT, "FIRST"), key(ROOT, "SECOND")
        store.set_root_credential_sync(first)
        store.add_credential_sync(key(ROOT, "EXTRA"))
        assert store.root_credential() == first
        store.set_root_credential_sync(second)
        assert store.root_credential() == second
        assert [c.access_key for c in store.credentials(ROOT.user_id)] == ["EXTRA", "SECOND"]
        store.set_root_credential_sync(key(ROOT, "EXTRA", "changed-secret"))
        assert store.credentials(ROOT.user_id) == [key(ROOT, "EXTRA", "changed-secret")]

    def test_root_pair_with_another_users_key(self, store: EmbeddedControlStore) -> None:
        store.set_root_credential_sync(key(ROOT, "ROOTKEY"))
        store.add_credential_sync(key(ALICE))
        with pytest.raises(AccessKeyExists):
            store.set_root_credential_sync(key(ROOT))
        assert store.root_credential() == key(ROOT, "ROOTKEY")


class TestBuckets:
    def test_round_trip(self, store: EmbeddedControlStore) -> None:
        props = BucketProps("relaxed", CannedAcl.PUBLIC_READ)
        made = store.create_bucket_sync(ref("photos"), ALICE, "eu-west-1", props, 42)
        assert store.bucket(ref("photos")) == made
        assert (made.owner, made.region, made.props, made.created_ns) == (
            ALICE,
            "eu-west-1",
            props,
            42,
        )

    def test_in_order_of_name(self, store: EmbeddedControlStore) -> None:
        for name, owner in [("zoo", ALICE), ("ant", BOB), ("mid", ALICE)]:
            create(store, name, owner)
        assert [b.name for b in store.buckets()] == ["ant", "mid", "zoo"]
        assert [b.name for b in store.buckets(ALICE.user_id)] == ["mid", "zoo"]

    def test_taken_names(self, store: EmbeddedControlStore) -> None:
        create(store, "photos")
        with pytest.raises(BucketOwnedByYou):
            create(store, "photos")
        with pytest.raises(BucketExists):
            create(store, "photos", BOB)

    def test_owner_must_exist(self, store: EmbeddedControlStore) -> None:
        with pytest.raises(NoSuchUser):
            create(store, "photos", ROOT)

    def test_ids_are_never_used_again(self, store: EmbeddedControlStore) -> None:
        ids = []
        for _ in range(3):
            create(store, "photos")
            bucket = store.bucket(ref("photos"))
            assert bucket is not None
            ids.append(bucket.bucket_id)
            store.delete_bucket_sync(ref("photos"))
            assert store.bucket(ref("photos")) is None
        assert len(set(ids)) == 3

    def test_props(self, store: EmbeddedControlStore) -> None:
        create(store, "photos")
        props = BucketProps(
            acl=(Grant(Permission.READ, group=Group.ALL_USERS),),
            versioning=Versioning.ENABLED,
            object_lock=ObjectLock(DefaultRetention(RetentionMode.GOVERNANCE, days=3)),
            tags={"a": "b"},
            public_access_block=PublicAccessBlock(block_public_acls=True),
        )
        bucket = store.bucket(ref("photos"))
        assert bucket is not None
        store.update_bucket_props_sync(bucket, lambda _: props)
        changed = store.update_bucket_props_sync(bucket, lambda old: replace(old, policy="{}"))
        assert store.bucket(ref("photos")) == changed
        assert changed.props == replace(props, policy="{}")

    def test_absent(self, store: EmbeddedControlStore) -> None:
        with pytest.raises(NoSuchBucket):
            store.delete_bucket_sync(ref("photos"))
        with pytest.raises(NoSuchBucket):
            store.update_bucket_props_sync(
                Bucket(ref("photos"), 99, ALICE, 0), lambda _: BucketProps()
            )

    def test_props_of_a_bucket_made_anew(self, store: EmbeddedControlStore) -> None:
        create(store, "photos")
        old = store.bucket(ref("photos"))
        assert old is not None
        store.delete_bucket_sync(ref("photos"))
        create(store, "photos")
        with pytest.raises(NoSuchBucket):
            store.update_bucket_props_sync(old, lambda props: replace(props, policy="{}"))


class TestFile:
    def test_is_for_the_owner_alone(self, store: EmbeddedControlStore) -> None:
        create(store, "photos")
        directory = store.database.directory
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        for path in directory.iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path

    def test_survives_reopening(self, store: EmbeddedControlStore, tmp_path: Path) -> None:
        create(store, "photos")
        store.add_credential_sync(key(ALICE))
        again = EmbeddedControlStore(tmp_path)
        assert again.bucket(ref("photos")) == store.bucket(ref("photos"))
        assert again.credential(AccessKey("AKALICE")) == key(ALICE)
        again.close()

    def test_newer_schema_is_refused(self, tmp_path: Path) -> None:
        EmbeddedControlStore(tmp_path).close()
        with sqlite3.connect(tmp_path / "control" / "control.db") as connection:
            connection.execute("PRAGMA user_version = 99")
        connection.close()
        with pytest.raises(SchemaTooNewError, match="99"):
            EmbeddedControlStore(tmp_path)

    def test_unusable_directory(self, tmp_path: Path) -> None:
        (tmp_path / "control").write_text("not a directory")
        with pytest.raises(MountpathUnavailable):
            EmbeddedControlStore(tmp_path)


class TestManyStores:
    """Several stores over one file behave as several processes do: they share nothing but the file."""

    def test_changes_are_seen_at_once(self, store: EmbeddedControlStore, tmp_path: Path) -> None:
        other = EmbeddedControlStore(tmp_path)
        for round_number in range(20):
            name = f"bucket-{round_number}"
            writer, reader = (store, other) if round_number % 2 else (other, store)
            create(writer, name)
            assert reader.bucket(ref(name)) is not None
            writer.delete_bucket_sync(ref(name))
            assert reader.bucket(ref(name)) is None
        other.add_credential_sync(key(ALICE))
        assert store.credential(AccessKey("AKALICE")) == key(ALICE)
        other.close()

    def test_reader_that_slept_past_the_change_log(
        self, store: EmbeddedControlStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("cluster.database._KEPT_CHANGES", 5)
        other = EmbeddedControlStore(tmp_path)
        for number in range(20):
            create(store, f"bucket-{number:02}")
        store.delete_bucket_sync(ref("bucket-00"))
        assert other.buckets() == store.buckets()
        assert len(other.buckets()) == 19
        other.close()

    def test_name_taken_again_between_two_looks(
        self, store: EmbeddedControlStore, tmp_path: Path
    ) -> None:
        create(store, "photos")
        other = EmbeddedControlStore(tmp_path)
        store.delete_bucket_sync(ref("photos"))
        create(store, "photos", BOB)
        assert other.bucket(ref("photos")) == store.bucket(ref("photos"))
        assert [b.owner for b in other.buckets()] == [BOB]
        other.close()

    def test_commit_without_signal_is_found_by_the_fallback(
        self, store: EmbeddedControlStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = EmbeddedControlStore(tmp_path)
        monkeypatch.setattr(other.database.generation, "bump", lambda: None)
        create(other, "photos")
        monkeypatch.setattr(store, "_next_check", 0.0)
        assert store.bucket(ref("photos")) is not None
        other.close()

    def test_failed_change_changes_nothing(
        self, store: EmbeddedControlStore, tmp_path: Path
    ) -> None:
        other = EmbeddedControlStore(tmp_path)
        with pytest.raises(ZeroDivisionError):
            _delete_users_but_fail(store)
        assert other.users() == store.users() == [ALICE, BOB]
        other.close()

    def test_threads_and_stores_make_one_bucket_each(
        self, store: EmbeddedControlStore, tmp_path: Path
    ) -> None:
        other = EmbeddedControlStore(tmp_path)
        outcomes: list[str] = []

        def work(mine: EmbeddedControlStore) -> None:
            for number in range(10):
                try:
                    create(mine, f"bucket-{number}")
                    outcomes.append("made")
                except BucketOwnedByYou:
                    outcomes.append("taken")

        threads = [threading.Thread(target=work, args=(s,)) for s in (store, other, store, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert outcomes.count("made") == 10
        assert outcomes.count("taken") == 30
        assert len(store.buckets()) == len(other.buckets()) == 10
        other.close()


def _delete_users_but_fail(store: EmbeddedControlStore) -> None:
    with store.database.transaction() as change:
        change.execute("DELETE FROM users")
        raise ZeroDivisionError


def _other_process(directory: str, pipe: Connection) -> None:
    mine = EmbeddedControlStore(Path(directory))
    pipe.send("open")
    for name in iter(pipe.recv, None):
        pipe.send(mine.bucket(ref(name)) is not None)


@pytest.mark.slow
def test_real_process_sees_a_change_at_once(store: EmbeddedControlStore, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_other_process, args=(str(tmp_path), theirs))
    process.start()
    assert ours.recv() == "open"
    for number in range(10):
        create(store, f"bucket-{number}")
        ours.send(f"bucket-{number}")
        assert ours.recv() is True
    ours.send(None)
    process.join(10)
    assert process.exitcode == 0
    ours.close()
    theirs.close()


def test_new_keys_have_the_forms_that_clients_expect() -> None:
    assert len(new_access_key()) == 20
    assert len(new_secret_key()) == 40
    assert len(new_user_id()) == 64
    assert len({new_access_key() for _ in range(100)}) == 100
