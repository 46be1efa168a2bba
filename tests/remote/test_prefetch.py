"""Prefetches from moto: by list, prefix and template, the latest versions, large ones by blob downloads, over a
worker's death."""

from __future__ import annotations

import os
import signal
import time
from datetime import UTC, datetime, timedelta

import pytest
from aistore.sdk.errors import JobInfoNotFound

from tests.crash.test_jobs import job_worker
from tests.native.jobs import ended, succeeded
from tests.remote.front import Front
from tests.remote.test_evict import NAMES, cached

MIB = 1024**2


def fill(front: Front, bucket: str) -> None:
    for name in NAMES:
        front.put_there(bucket, name, name.encode())


def test_by_list_template_and_prefix(front: Front, remote: str) -> None:
    fill(front, remote)
    bucket = front.bucket(remote)
    snapshot = succeeded(front.sdk, bucket.objects(obj_names=NAMES[:2]).prefetch(num_workers=3))
    assert (snapshot.stats.objects, snapshot.stats.bytes) == (2, 8)
    assert cached(front, remote) == NAMES[:2]
    succeeded(front.sdk, bucket.objects(obj_template="d/k{1..3}").prefetch())
    assert cached(front, remote) == NAMES[:4]
    succeeded(front.sdk, bucket.objects(obj_template="d/").prefetch())
    assert cached(front, remote) == NAMES


def test_latest(front: Front, remote: str) -> None:
    fill(front, remote)
    group = front.bucket(remote).objects(obj_names=NAMES)
    succeeded(front.sdk, group.prefetch())
    front.put_there(remote, NAMES[0], b"changed")
    assert succeeded(front.sdk, group.prefetch()).stats.objects == 0
    assert succeeded(front.sdk, group.prefetch(latest=True)).stats.objects == 1
    assert front.bucket(remote).object(NAMES[0]).get_reader().read_all() == b"changed"


def test_absent_names(front: Front, remote: str) -> None:
    fill(front, remote)
    group = front.bucket(remote).objects(obj_names=["absent", NAMES[0]])
    _, error = ended(front.sdk, group.prefetch())
    assert "NoSuchKey" in error
    succeeded(front.sdk, group.prefetch(continue_on_error=True))
    assert cached(front, remote) == NAMES[:1]


def test_large_ones_are_blob_downloads(front: Front, remote: str) -> None:
    if front.ask("PUT", "/v1/cluster", json=_start("blob-download")).status_code == 501:
        pytest.skip("no blob downloads yet")
    front.put_there(remote, "large", bytes(2 * MIB))
    front.put_there(remote, "small", b"small")
    group = front.bucket(remote).objects(obj_names=["large", "small"])
    before = datetime.now(UTC) - timedelta(seconds=1)
    job = front.sdk.job(job_kind="blob-download")
    succeeded(front.sdk, group.prefetch(blob_threshold=2 * MIB + 1))
    with pytest.raises(JobInfoNotFound):
        job.get_within_timeframe(before, datetime.now(UTC) + timedelta(seconds=1))
    succeeded(front.sdk, group.evict())
    snapshot = succeeded(front.sdk, group.prefetch(blob_threshold=2 * MIB))
    assert (snapshot.stats.objects, snapshot.stats.bytes) == (2, 2 * MIB + 5)
    found = job.get_within_timeframe(before, datetime.now(UTC) + timedelta(seconds=1))
    assert len(found) == 1
    told = front.ask("GET", "/v1/cluster?what=qryxstats", json={"ID": found[0].id}).text
    assert f"parent:prefetch[{snapshot.id}]" in told
    assert cached(front, remote) == ["large", "small"]
    assert front.bucket(remote).object("large").get_reader().read_all() == bytes(2 * MIB)


def test_by_kind_alone_and_what_is_refused(front: Front, remote: str) -> None:
    fill(front, remote)
    reference = {"name": remote, "provider": "aws"}
    job_id = front.ask("PUT", "/v1/cluster", json=_start("prefetch-objects", reference)).text
    succeeded(front.sdk, job_id)
    assert cached(front, remote) == NAMES
    path = f"/v1/buckets/{remote}?provider=aws"
    values: tuple[object, ...] = (
        {"objnames": []},
        {"objnames": ["a"], "blob-threshold": -1},
        {"objnames": ["a"], "num-workers": "x"},
        {"template": "{2..1}"},
        None,
    )
    for value in values:
        message = {"action": "prefetch-listrange", "name": "", "value": value}
        assert front.ask("POST", path, json=message).status_code == 400, value
    front.sdk.bucket("our-own").create(exist_ok=True)
    message = {"action": "prefetch-listrange", "value": {"template": ""}}
    assert front.ask("POST", "/v1/buckets/our-own", json=message).status_code == 400


def test_over_a_workers_death(front: Front, remote: str) -> None:
    names = [f"many/{number:03}" for number in range(150)]
    for name in names:
        front.put_there(remote, name, b"x")
    job_id = front.bucket(remote).objects(obj_names=names).prefetch(num_workers=1)
    deadline = time.monotonic() + 30
    while not cached(front, remote):
        assert time.monotonic() < deadline
    os.kill(job_worker(front.server), signal.SIGKILL)
    succeeded(front.sdk, job_id)
    assert cached(front, remote) == names


def _start(kind: str, bucket: object = None) -> dict[str, object]:
    value = {"ID": "", "Kind": kind, "DaemonID": "", "Bck": bucket, "Buckets": None}
    return {"action": "start", "name": "", "value": value}
