"""Bucket repair: deletions that were cut short are undone or ended, those that run are left alone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cluster.control import EmbeddedControlStore
from core.names import BucketName, BucketRef, UserId
from core.types import Bucket, BucketProps, User
from jobs.bucket_repair import GRACE_NS, BucketRepairJob

STARTED_NS = 1_000 * 10**9
OWNER = User(UserId("owner"), "owner", "owner")


@dataclass
class FakeClock:
    time_ns: int = STARTED_NS

    def now_ns(self) -> int:
        return self.time_ns


@dataclass
class FakeNode:
    """Keeps closed buckets as storage does."""

    closed: dict[int, int] = field(default_factory=dict)
    forgotten: list[int] = field(default_factory=list)
    portions: int = 1

    async def closed_buckets(self) -> Mapping[int, int]:
        return dict(self.closed)

    async def close_bucket(self, bucket: Bucket, *, even_if_full: bool = False) -> None:
        self.closed[bucket.bucket_id] = STARTED_NS

    async def reopen_bucket(self, bucket: Bucket) -> None:
        del self.closed[bucket.bucket_id]

    async def forget_bucket(self, bucket_id: int) -> bool:
        self.forgotten.append(bucket_id)
        if len(self.forgotten) < self.portions:
            return False
        del self.closed[bucket_id]
        return True


@pytest.fixture
def control(tmp_path: Path) -> Iterator[EmbeddedControlStore]:
    with closing(EmbeddedControlStore(tmp_path)) as store:
        store.add_user_sync(OWNER)
        yield store


def make_bucket(control: EmbeddedControlStore) -> int:
    ref = BucketRef(BucketName("photos"))
    return control.create_bucket_sync(ref, OWNER, "", BucketProps(), 1).bucket_id


def run(control: EmbeddedControlStore, node: FakeNode, clock: FakeClock) -> str:
    job = BucketRepairJob(1.0, control, node, clock, STARTED_NS)
    return asyncio.run(job.run(asyncio.Event()))


def test_bucket_closed_before_the_start_is_opened_again(control: EmbeddedControlStore) -> None:
    node = FakeNode({make_bucket(control): STARTED_NS - 1})
    assert run(control, node, FakeClock()) == "reopened 1 buckets, dropped 0"
    assert node.closed == {}


def test_deletion_that_runs_is_left_alone(control: EmbeddedControlStore) -> None:
    node = FakeNode({make_bucket(control): STARTED_NS + 1})
    assert run(control, node, FakeClock(STARTED_NS + GRACE_NS)) == ""
    assert len(node.closed) == 1


def test_deletion_of_a_worker_that_died_is_undone_later(control: EmbeddedControlStore) -> None:
    node = FakeNode({make_bucket(control): STARTED_NS + 1})
    assert run(control, node, FakeClock(STARTED_NS + GRACE_NS + 2)).startswith("reopened 1")


def test_bucket_that_is_gone_is_dropped(control: EmbeddedControlStore) -> None:
    node = FakeNode({77: STARTED_NS - 1})
    assert run(control, node, FakeClock()) == "reopened 0 buckets, dropped 1"
    assert node.forgotten == [77]


def test_bucket_that_is_gone_is_dropped_at_once_and_whole(control: EmbeddedControlStore) -> None:
    node = FakeNode({77: STARTED_NS + 1}, portions=3)
    assert run(control, node, FakeClock(STARTED_NS + 2)) == "reopened 0 buckets, dropped 1"
    assert node.forgotten == [77, 77, 77]


def test_dropping_leaves_off_when_told_to(control: EmbeddedControlStore) -> None:
    node = FakeNode({77: STARTED_NS - 1}, portions=3)
    job = BucketRepairJob(1.0, control, node, FakeClock(), STARTED_NS)
    stop = asyncio.Event()
    stop.set()
    assert asyncio.run(job.run(stop)) == ""
    assert node.forgotten == [77]


def test_nothing_closed(control: EmbeddedControlStore) -> None:
    assert run(control, FakeNode(), FakeClock()) == ""


def test_what_a_bucket_was_bound_to_is_dropped_after_a_while(
    control: EmbeddedControlStore,
) -> None:
    former = make_bucket(control)
    (bucket,) = control.buckets()
    bound = control.bind_bucket_sync(bucket, lambda props: props, STARTED_NS)
    assert list(control.buckets()) == [bound]
    clock, node = FakeClock(STARTED_NS + GRACE_NS), FakeNode()
    repair = BucketRepairJob(0, control, node, clock, STARTED_NS)
    assert asyncio.run(repair.run(asyncio.Event())) == ""
    clock.time_ns += 1
    assert asyncio.run(repair.run(asyncio.Event())) == "reopened 0 buckets, dropped 1"
    assert node.forgotten == [former]
    assert not control.retired_buckets()
