"""What an ObjectService promises of buckets as a whole: both implementations, the real one on real disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backends.memory import MemoryStore
from cluster.control import EmbeddedControlStore
from core.configs.backend import BackendBinding
from core.configs.logging import Logging
from core.errors import (
    AmbiguousBucketName,
    BucketExists,
    InvalidBucketState,
    NoSuchBucket,
    NoSuchKey,
    ObjectLocked,
)
from core.names import BucketName, BucketRef, UserId
from core.protocols import ObjectService
from core.types import Bucket, BucketProps, User
from gateway.service import SingleNodeService
from tests.contract.local_world import LocalWorld
from tests.contract.world import (
    FakeClock,
    enabled,
    lockable,
    mark_deleted,
    put,
    put_version,
    read,
)

ROOT = User(UserId("0" * 64), "root", "root", is_root=True)
ALICE = User(UserId("a" * 64), "alice", "alice")

Run = Callable[[Coroutine[Any, Any, Any]], Any]


class Setting:
    """A service, how to run what it does, and how to look behind its back."""

    def __init__(self, service: ObjectService, run: Run, world: LocalWorld | None = None) -> None:
        self.service = service
        self.run = run
        self.world = world

    def make(self, name: str, props: BucketProps | None = None) -> Bucket:
        made: Bucket = self.run(
            self.service.create_bucket(
                ref(name), owner=ALICE, region="", props=props or BucketProps()
            )
        )
        return made

    def has_leftovers(self) -> bool:
        if self.world is None:
            return False
        self.run(self.world.settle())
        return bool(self.world.leftovers())


@pytest.fixture(params=["memory", "local"])
def setting(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Setting]:
    if request.param == "memory":
        store = MemoryStore(FakeClock())
        store.known_users = [ROOT, ALICE]
        yield Setting(store, asyncio.run)
        return
    world = LocalWorld(tmp_path, mountpath_count=2)
    try:
        with closing(EmbeddedControlStore(tmp_path)) as control:
            control.add_user_sync(ROOT)
            control.add_user_sync(ALICE)
            service = SingleNodeService(control, world.node, world.clock)
            yield Setting(service, world.run, world)
    finally:
        world.close()


def ref(name: str, provider: str = "ais", namespace: str = "") -> BucketRef:
    return BucketRef(BucketName(name), provider, namespace)


# --- destroy -----------------------------------------------------------------------------------------------------


def test_destroy_takes_all_that_is_in_a_bucket(setting: Setting) -> None:
    bucket = setting.make("full")
    service = setting.service

    async def fill() -> None:
        for number in range(20):
            await put(service, bucket, f"small-{number}", b"x")
            await put(service, bucket, f"large-{number}", b"y" * 100_000)
        versioned = enabled(bucket)
        for data in (b"1", b"2" * 100_000):
            await put_version(service, versioned, "versioned", data)
        await mark_deleted(service, versioned, "versioned")

    setting.run(fill())
    setting.run(service.destroy_bucket(bucket))
    with pytest.raises(NoSuchBucket):
        service.get_bucket(ref("full"))
    with pytest.raises(NoSuchBucket):
        setting.run(put(service, bucket, "late", b"x"))
    assert not setting.has_leftovers()
    again = setting.make("full")
    assert again.bucket_id != bucket.bucket_id
    with pytest.raises(NoSuchKey):
        setting.run(read(service, again, "small-1"))


def test_destroy_of_a_bucket_that_is_gone(setting: Setting) -> None:
    bucket = setting.make("gone")
    setting.run(setting.service.delete_bucket(bucket))
    with pytest.raises(NoSuchBucket):
        setting.run(setting.service.destroy_bucket(bucket))


def test_destroy_spares_what_is_under_object_lock(setting: Setting) -> None:
    bucket = lockable(setting.make("locked"))
    service = setting.service
    setting.run(service.update_bucket_props(bucket, lambda _: bucket.props))
    setting.run(put_version(service, bucket, "k", b"kept"))
    with pytest.raises(ObjectLocked):
        setting.run(service.destroy_bucket(bucket))
    assert setting.run(read(service, bucket, "k")) == b"kept"
    setting.run(put_version(service, bucket, "k", b"still open"))


def test_destroy_of_an_empty_bucket_with_object_lock(setting: Setting) -> None:
    bucket = lockable(setting.make("locked"))
    setting.run(setting.service.update_bucket_props(bucket, lambda _: bucket.props))
    setting.run(setting.service.destroy_bucket(bucket))
    assert not setting.service.all_buckets()


# --- rename ------------------------------------------------------------------------------------------------------


def test_rename_keeps_what_is_in_a_bucket(setting: Setting) -> None:
    bucket = setting.make("old", BucketProps(durability="relaxed"))
    service = setting.service
    setting.run(put(service, bucket, "k", b"data"))
    renamed = setting.run(service.rename_bucket(bucket, ref("New_Name")))
    assert renamed == replace(bucket, ref=ref("New_Name"))
    assert service.get_bucket(ref("New_Name")) == renamed
    with pytest.raises(NoSuchBucket):
        service.get_bucket(ref("old"))
    assert [each.name for each in service.all_buckets()] == ["New_Name"]
    assert setting.run(read(service, renamed, "k")) == b"data"
    setting.make("old")
    assert setting.run(read(service, service.get_bucket(ref("New_Name")), "k")) == b"data"


def test_rename_to_a_name_that_is_taken(setting: Setting) -> None:
    bucket = setting.make("old")
    setting.make("taken")
    for name in ("taken", "old"):
        with pytest.raises(BucketExists) as caught:
            setting.run(setting.service.rename_bucket(bucket, ref(name)))
        assert caught.value.ref == ref(name)


def test_rename_to_another_namespace(setting: Setting) -> None:
    bucket = setting.make("b")
    setting.run(setting.service.rename_bucket(bucket, ref("b", namespace="@#mine")))
    assert [each.ref.namespace for each in setting.service.all_buckets()] == ["@#mine"]


def test_rename_of_a_bucket_that_is_gone(setting: Setting) -> None:
    bucket = setting.make("gone")
    setting.run(setting.service.delete_bucket(bucket))
    with pytest.raises(NoSuchBucket):
        setting.run(setting.service.rename_bucket(bucket, ref("new")))


def test_rename_of_a_bucket_whose_policy_names_it(setting: Setting) -> None:
    bucket = setting.make("old", BucketProps(policy="{}"))
    with pytest.raises(InvalidBucketState):
        setting.run(setting.service.rename_bucket(bucket, ref("new")))


def test_rename_of_a_bucket_that_others_log_into(setting: Setting) -> None:
    bucket = setting.make("logs")
    setting.make("site", BucketProps(logging=Logging("logs", "")))
    with pytest.raises(InvalidBucketState):
        setting.run(setting.service.rename_bucket(bucket, ref("new")))
    binding = BackendBinding(ref("one", "aws"))
    with pytest.raises(InvalidBucketState):
        setting.run(
            setting.service.bind_bucket(bucket, lambda props: replace(props, backend=binding))
        )


# --- listing -----------------------------------------------------------------------------------------------------


def test_what_a_bare_name_means(setting: Setting) -> None:
    service = setting.service

    def make(of: BucketRef) -> Bucket:
        making = service.create_bucket(of, owner=ALICE, region="", props=BucketProps())
        made: Bucket = setting.run(making)
        return made

    def listed() -> list[BucketRef]:
        return [each.ref for each in setting.run(service.list_buckets(ALICE.user_id))]

    far = make(ref("data", "aws"))
    assert service.find_bucket(BucketName("data")) == far
    assert listed() == [far.ref]
    team = make(ref("data", "gcp", "@#team"))
    with pytest.raises(AmbiguousBucketName):
        service.find_bucket(BucketName("data"))
    assert listed() == [far.ref]
    plain = make(ref("data"))
    assert service.find_bucket(BucketName("data")) == plain
    assert listed() == [plain.ref]
    for each in (plain, team):
        setting.run(service.delete_bucket(each))
    assert service.find_bucket(BucketName("data")) == far
    setting.run(service.delete_bucket(far))
    with pytest.raises(NoSuchBucket):
        service.find_bucket(BucketName("data"))
    setting.run(service.ensure_system_bucket(ref(".sys-shardidx")))
    make(ref(".sys-shardidx", "aws"))
    assert service.find_bucket(BucketName(".sys-shardidx")).ref.is_plain
    assert listed() == []


def test_a_bucket_bound_anew_has_nothing_of_before(setting: Setting) -> None:
    service = setting.service
    bucket = setting.make("mine")
    first, second = (BackendBinding(ref(name, "aws")) for name in ("one", "two"))

    def to(binding: BackendBinding) -> Callable[[BucketProps], BucketProps]:
        return lambda props: replace(props, backend=binding, tags={"k": "v"})

    bound = setting.run(service.bind_bucket(bucket, to(first)))
    assert service.get_bucket(bucket.ref) == bound
    assert (bound.props.backend, bound.props.tags) == (first, {"k": "v"})
    again = setting.run(service.bind_bucket(bound, to(second)))
    assert len({bucket.bucket_id, bound.bucket_id, again.bucket_id}) == 3
    assert (again.created_ns, again.owner, again.ref) == (bucket.created_ns, ALICE, bucket.ref)
    assert service.get_bucket(bucket.ref) == again
    with pytest.raises(NoSuchBucket):
        setting.run(service.bind_bucket(bound, to(first)))


def test_a_bucket_with_objects_of_its_own_is_not_bound(setting: Setting) -> None:
    bucket = setting.make("mine")
    setting.run(put(setting.service, bucket, "k", b"1"))
    binding = BackendBinding(ref("one", "aws"))
    with pytest.raises(InvalidBucketState):
        setting.run(
            setting.service.bind_bucket(bucket, lambda props: replace(props, backend=binding))
        )
    assert setting.service.get_bucket(bucket.ref) == bucket
    setting.run(put(setting.service, bucket, "still open", b"2"))


def test_system_buckets_are_not_s3_s(setting: Setting) -> None:
    service = setting.service
    setting.make("plain")
    for other in (ref("b", namespace="@#mine"), ref("cloud", "aws")):
        setting.run(service.create_bucket(other, owner=ALICE, region="", props=BucketProps()))
    system = setting.run(service.ensure_system_bucket(ref(".sys-shardidx")))
    assert system.owner == ROOT
    assert setting.run(service.ensure_system_bucket(ref(".sys-shardidx"))) == system
    assert [each.name for each in service.all_buckets()] == [".sys-shardidx", "b", "cloud", "plain"]
    for user in (ROOT, ALICE):
        listed = setting.run(service.list_buckets(user.user_id))
        assert {each.name for each in listed} <= {"b", "cloud", "plain"}
