"""Copies between buckets of our own and of moto, by the SDK: with their names changed, synchronized, latest, and over
a worker's death."""

from __future__ import annotations

import io
import os
import signal
import tarfile
import time

import pytest
from aistore.sdk import Bucket
from aistore.sdk.archive_config import ArchiveConfig
from aistore.sdk.errors import AISError

from tests.crash.test_jobs import job_worker
from tests.native.jobs import succeeded
from tests.remote.front import Front
from tests.remote.test_evict import NAMES, cached
from tests.remote.test_prefetch import fill


def own(front: Front, remote: str) -> Bucket:
    """A bucket of our own, empty."""
    return front.sdk.bucket(f"own-{remote}").create()


def names(bucket: Bucket) -> list[str]:
    return [entry.name for entry in bucket.list_all_objects()]


def keys_there(front: Front, bucket: str) -> list[str]:
    return [each["Key"] for each in front.there.list_objects_v2(Bucket=bucket).get("Contents", [])]


def test_to_us_and_back(front: Front, remote: str) -> None:
    fill(front, remote)
    ours = own(front, remote)
    snapshot = succeeded(front.sdk, front.bucket(remote).copy(ours, prefix_filter="d/"))
    assert (snapshot.stats.objects, snapshot.stats.bytes) == (6, 24)
    assert names(ours) == NAMES
    assert ours.object(NAMES[3]).get_reader().read_all() == NAMES[3].encode()
    succeeded(front.sdk, ours.copy(front.bucket(remote), prepend="back/"))
    assert front.read_there(remote, f"back/{NAMES[1]}") == NAMES[1].encode()
    again = succeeded(front.sdk, ours.copy(front.bucket(remote), prepend="back/"))
    assert again.stats.objects == 0


def test_between_two_buckets_there(front: Front, remote: str) -> None:
    fill(front, remote)
    other = front.new_bucket()
    succeeded(front.sdk, front.bucket(remote).copy(front.bucket(other)))
    assert keys_there(front, other) == NAMES
    dry = succeeded(front.sdk, front.bucket(remote).copy(own(front, remote), dry_run=True))
    assert dry.stats.objects == 6


def test_objects_and_what_is_gone(front: Front, remote: str) -> None:
    fill(front, remote)
    ours, group = own(front, remote), front.bucket(remote).objects(obj_template="d/k{0..5}")
    for job_id in group.copy(ours):
        succeeded(front.sdk, job_id)
    assert names(ours) == NAMES
    front.there.delete_object(Bucket=remote, Key=NAMES[0])
    front.put_there(remote, NAMES[1], b"changed")
    for job_id in group.copy(ours, sync=True):
        succeeded(front.sdk, job_id)
    assert names(ours) == NAMES[1:]
    assert ours.object(NAMES[1]).get_reader().read_all() == b"changed"


def test_latest_of_an_object_and_of_a_bucket(front: Front, remote: str) -> None:
    fill(front, remote)
    ours, source = own(front, remote), front.bucket(remote)
    succeeded(front.sdk, source.objects(obj_names=NAMES).prefetch())
    front.put_there(remote, NAMES[0], b"changed")
    front.there.delete_object(Bucket=remote, Key=NAMES[1])
    first = source.object(NAMES[0])
    first.copy(ours.object("old"))
    assert ours.object("old").get_reader().read_all() == NAMES[0].encode()
    first.copy(ours.object("new"), latest=True)
    assert ours.object("new").get_reader().read_all() == b"changed"
    with pytest.raises(AISError):
        source.object(NAMES[1]).copy(ours.object("gone"), latest=True)
    # Onto itself, a remote bucket is brought up to date.
    assert NAMES[1] in cached(front, remote) or NAMES[1] not in names(source)
    succeeded(front.sdk, source.copy(source, sync=True))
    with pytest.raises(AISError):
        source.object(NAMES[1]).get_reader().read_all()
    assert cached(front, remote) == [NAMES[0], *NAMES[2:]]


def test_deletes_go_through(front: Front, remote: str) -> None:
    fill(front, remote)
    succeeded(front.sdk, front.bucket(remote).objects(obj_template="d/k{0..3}").delete())
    assert keys_there(front, remote) == NAMES[4:]


def test_summaries(front: Front, remote: str) -> None:
    fill(front, remote)
    succeeded(front.sdk, front.bucket(remote).objects(obj_names=NAMES[:2]).prefetch())
    _, summary = front.bucket(remote).info()
    counts = summary["ObjCount"]
    assert (counts["obj_count_present"], counts["obj_count_remote"]) == ("2", "6")


def test_over_a_workers_death(front: Front, remote: str) -> None:
    source, ours = front.bucket(remote), own(front, remote)
    keys = [f"many/{number:03}" for number in range(100)]
    for key in keys:
        ours.object(key).get_writer().put_content(b"x")
    job_id = ours.copy(source, num_workers=1)
    deadline = time.monotonic() + 30
    while not keys_there(front, remote):
        assert time.monotonic() < deadline
    os.kill(job_worker(front.server), signal.SIGKILL)
    succeeded(front.sdk, job_id)
    assert keys_there(front, remote) == keys


def test_an_archive_of_remote_objects(front: Front, remote: str) -> None:
    fill(front, remote)
    ours, group = own(front, remote), front.bucket(remote).objects(obj_names=NAMES)
    for job_id in group.archive("all.tar", to_bck=ours):
        succeeded(front.sdk, job_id)
    with tarfile.open(fileobj=io.BytesIO(ours.object("all.tar").get_reader().read_all())) as shard:
        assert shard.getnames() == NAMES
    for job_id in group.archive("there.tar"):
        succeeded(front.sdk, job_id)
    assert front.read_there(remote, "there.tar")
    # And members are read of shards that are not here yet.
    succeeded(front.sdk, front.bucket(remote).objects(obj_names=["there.tar"]).evict())
    shard = front.bucket(remote).object("there.tar")
    member = shard.get_reader(archive_config=ArchiveConfig(archpath=NAMES[2])).read_all()
    assert member == NAMES[2].encode()
