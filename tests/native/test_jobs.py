"""Jobs of native clients: starting, stopping, waiting, and what is told of them, through the SDK."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from aistore.sdk import Bucket, Client
from aistore.sdk.errors import AISError, JobInfoNotFound
from aistore.sdk.job import Job
from aistore.sdk.types import JobSnap
from aistore.sdk.wait_result import WaitResult

from tests.server import Server

TIMEOUT_S = 20


def start(client: Client, kind: str, **arguments: Any) -> str:
    job_id: str = client.job(job_kind=kind).start(**arguments)
    return job_id


def end(client: Client, job_id: str) -> WaitResult:
    """Wait as the SDK does, which sleeps for a second between two looks, when it need look but once."""
    deadline = time.monotonic() + TIMEOUT_S
    while not client.job(job_id).status().end_time:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    result: WaitResult = client.job(job_id).wait(timeout=TIMEOUT_S, verbose=False)
    return result


def query(server: Server, http: requests.Session, what: str, body: Any = None) -> Any:
    """What a query that the SDK would not send is answered."""
    url = f"{server.endpoint}/v1/cluster"
    reply = http.get(url, params={"what": what}, json=body, timeout=TIMEOUT_S)
    return reply.json() if reply.ok else reply.status_code


def control(server: Server, http: requests.Session, action: str, value: Any) -> requests.Response:
    body = {"action": action, "value": value}
    return http.put(f"{server.endpoint}/v1/cluster", json=body, timeout=TIMEOUT_S)


@pytest.mark.parametrize("kind", ["lru", "cleanup", "cleanup-store", "rebalance", "lifecycle"])
def test_a_job_is_started_by_its_kind_and_waited_for(client: Client, kind: str) -> None:
    job_id = start(client, kind)
    result = end(client, job_id)
    assert result.success
    assert result.end_time is not None
    status = client.job(job_id).status()
    assert (status.uuid, status.err, status.aborted) == (job_id, "", False)
    assert status.end_time > 0


def test_every_way_of_waiting_sees_the_end(client: Client) -> None:
    job = client.job(start(client, "lru"))
    assert job.wait_for_idle(timeout=TIMEOUT_S, verbose=False).success
    assert job.wait_single_node(timeout=TIMEOUT_S, verbose=False).success
    assert client.job(job.job_id, "lru").wait(timeout=TIMEOUT_S, verbose=False).success
    total = job.get_total_time()
    assert total is not None
    assert total >= timedelta()


def test_jobs_are_listed_with_those_that_have_ended(client: Client) -> None:
    ids = {start(client, "lru") for _ in range(2)}
    assert len(ids) == 2
    for job_id in ids:
        end(client, job_id)
    listed = {status.uuid for status in client.cluster().list_jobs_status(job_kind="lru")}
    assert ids <= listed
    assert ids <= {status.uuid for status in client.cluster().list_jobs_status()}
    assert not ids & {s.uuid for s in client.cluster().list_jobs_status(job_kind="rebalance")}
    running = client.cluster().list_running_jobs(job_kind="lru")
    assert not [name for name in running if any(job_id in name for job_id in ids)]


def test_details_of_a_job(client: Client) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    job_id = start(client, "lru")
    end(client, job_id)
    after = datetime.now(UTC) + timedelta(seconds=1)
    (snapshot,) = client.job(job_id).get_details().list_snapshots()
    assert (snapshot.id, snapshot.kind, snapshot.is_idle) == (job_id, "lru", True)
    assert snapshot.stats is not None
    for job in (client.job(job_id), client.job(job_kind="lru")):
        found = job.get_within_timeframe(before, after)
        assert job_id in {each.id for each in found}
    with pytest.raises(JobInfoNotFound):
        client.job(job_id).get_within_timeframe(after)


def test_what_is_unknown(client: Client, server: Server, http: requests.Session) -> None:
    for ask in (client.job("no-such-job").status, client.job("no-such-job").get_details):
        with pytest.raises(AISError) as raised:
            ask()
        assert raised.value.status_code == 404
    assert client.job(job_kind="ec-encode").get_details().list_snapshots() == []
    details = client.job(job_kind="ec-encode").get_details().root
    assert list(details) == list(client.cluster().get_info().tmap)
    assert query(server, http, "running_all", {"kind": "ec-encode", "show_active": True}) == []
    client.job("no-such-job").abort()


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("copy-bck", 400),
        ("summary", 400),
        ("get-batch", 400),
        ("prefetch-objects", 400),
        ("load-lom-cache", 400),
        ("nonsense", 404),
        ("", 400),
        ("resilver", 501),
        ("make-n-copies", 400),
    ],
)
def test_what_cannot_be_started(
    server: Server, http: requests.Session, kind: str, status: int
) -> None:
    value = {"ID": "", "Kind": kind, "DaemonID": "", "Bck": None, "Buckets": None}
    assert control(server, http, "start", value).status_code == status


def test_hostile_messages(server: Server, http: requests.Session) -> None:
    values: list[Any] = [
        [],
        "lru",
        7,
        {"Kind": 7},
        {"Kind": ["lru"]},
        {"Kind": "lru", "Bck": "b"},
        {"Kind": "lru", "Buckets": {"name": "b"}},
        {"Kind": "lru", "Bck": {"name": 7}},
        {"Kind": "lru", "Bck": {"name": "b", "namespace": 7}},
        {"Kind": "lru", "Bck": {"name": "b", "provider": "nobody"}},
        {"Kind": "lru", "Buckets": [{"name": "b"}] * 1001},
    ]
    for value in values:
        assert control(server, http, "start", value).status_code == 400, value
        assert control(server, http, "stop", value).status_code == 400, value
    assert control(server, http, "stop", {}).status_code == 400
    missing = {"Kind": "lru", "Bck": {"name": "no-such-bucket"}}
    assert control(server, http, "start", missing).status_code == 404
    for what in ("status", "status_all", "running_all", "qryxstats"):
        assert query(server, http, what, [1]) == 400
        assert query(server, http, what, {"id": 5}) == 400


def test_fields_are_read_in_any_case(server: Server, http: requests.Session) -> None:
    job_id = control(server, http, "start", {"KIND": "lru-eviction"}).text
    for body in ({"id": job_id}, {"ID": job_id}, {"Id": job_id, "Kind": "lru"}):
        assert query(server, http, "status", body)["uuid"] == job_id
    (snapshots,) = query(server, http, "qryxstats", {"uuid": job_id}).values()
    assert snapshots[0]["kind"] == "lru"


def test_the_snapshot_as_it_is_on_the_wire(
    client: Client, server: Server, http: requests.Session, bucket: Bucket
) -> None:
    job_id = start(client, "load-lom-cache", buckets=[bucket])
    end(client, job_id)
    (snapshots,) = query(server, http, "qryxstats", {"ID": job_id}).values()
    snapshot = snapshots[0]
    assert snapshot["bck"]["name"] == bucket.name
    assert snapshot["bck"]["provider"] == "ais"
    assert snapshot["dst-bck"]["name"] == ""
    assert all(isinstance(number, str) for number in snapshot["stats"].values())
    assert set(snapshot["stats"]) == {
        *("loc-objs", "loc-bytes", "out-objs", "out-bytes", "in-objs", "in-bytes")
    }
    assert snapshot["glob.id"] == "0"
    assert snapshot["ctlmsg"]
    assert (snapshot["err"], snapshot["abort-err"], snapshot["aborted"]) == ("", "", False)
    assert snapshot["end-time"].endswith("Z")
    assert not snapshot["end-time"].startswith("0001")


def test_a_resilver_runs_on_the_node_that_is_named(client: Client) -> None:
    (node_id,) = client.cluster().get_info().tmap
    job_id = start(client, "resilver", daemon_id=node_id)
    assert end(client, job_id).success
    with pytest.raises(AISError) as raised:
        start(client, "resilver", daemon_id="elsewhere")
    assert raised.value.status_code == 404


# --- copies and renames of buckets ---------------------------------------------------------------------------------


def fill(bucket: Bucket, *names: str) -> None:
    for name in names:
        bucket.object(name).get_writer().put_content(name.encode())


def names(bucket: Bucket) -> list[str]:
    return [entry.name for entry in bucket.list_all_objects()]


@pytest.fixture
def target(client: Client, make_bucket: Callable[[], Bucket]) -> Bucket:
    """A bucket that is not there yet."""
    bucket = make_bucket()
    bucket.delete()
    return bucket


def finish(client: Client, job_id: str) -> Any:
    result = end(client, job_id)
    assert result.success, result.error
    (snapshot,) = client.job(job_id).get_details().list_snapshots()
    return snapshot


def test_copy_makes_the_target_and_keeps_all_of_an_object(
    client: Client, bucket: Bucket, target: Bucket
) -> None:
    fill(bucket, "a/1", "a/2", "b")
    bucket.object("b").get_writer().set_custom_props({"k": "v"})
    snapshot = finish(client, bucket.copy(target, num_workers=3))
    assert names(target) == ["a/1", "a/2", "b"]
    assert target.object("b").get_reader().read_all() == b"b"
    assert target.object("b").props.custom_metadata["k"] == "v"
    assert snapshot.stats.objects == 3
    assert snapshot.stats.bytes == 7
    assert (snapshot.source_bck.name, snapshot.destination_bck.name) == (bucket.name, target.name)
    assert snapshot.unpack_glob_id()[1] == 3


def test_copy_chooses_by_prefix_and_changes_names(
    client: Client, bucket: Bucket, target: Bucket
) -> None:
    fill(bucket, "a/1.jpg", "a/2.txt", "b.jpg")
    job_id = bucket.copy(target, prefix_filter="a/", prepend="new/", ext={"jpg": "png"})
    finish(client, job_id)
    assert names(target) == ["new/a/1.png", "new/a/2.txt"]


def test_a_dry_run_counts_and_writes_nothing(
    client: Client, bucket: Bucket, target: Bucket
) -> None:
    fill(bucket, "a", "b")
    for to in (target, bucket):
        snapshot = finish(client, bucket.copy(to, dry_run=True))
        assert snapshot.stats.objects == 2
    assert target.name not in {each.name for each in client.cluster().list_buckets()}


def test_a_synchronizing_copy_removes_what_the_source_does_not_have(
    client: Client, bucket: Bucket, make_bucket: Callable[[], Bucket]
) -> None:
    to = make_bucket()
    fill(bucket, "a", "b")
    fill(to, "b", "c", "d")
    finish(client, bucket.copy(to, sync=True))
    assert names(to) == ["a", "b"]


def test_copies_that_are_refused(client: Client, bucket: Bucket, target: Bucket) -> None:
    for arguments in (
        {"to_bck": bucket},
        {"to_bck": target, "sync": True, "prepend": "x"},
        {"to_bck": target, "prepend": "x" * 1025},
        {"to_bck": target, "num_workers": -2},
        {"to_bck": client.bucket("Not-A-Name!")},
    ):
        with pytest.raises(AISError) as raised:
            bucket.copy(**arguments)
        assert 400 <= raised.value.status_code < 500
    with pytest.raises(AISError) as raised:
        target.copy(bucket)
    assert raised.value.status_code == 404


def test_a_bucket_is_renamed(client: Client, bucket: Bucket, target: Bucket) -> None:
    fill(bucket, "a")
    old = bucket.name
    job_id = bucket.rename(target.name)
    finish(client, job_id)
    assert names(client.bucket(target.name)) == ["a"]
    assert old not in {each.name for each in client.cluster().list_buckets()}


def test_a_name_that_is_taken(make_bucket: Callable[[], Bucket]) -> None:
    one, two = make_bucket(), make_bucket()
    with pytest.raises(AISError) as raised:
        one.rename(two.name)
    assert raised.value.status_code == 409


def test_a_job_is_stopped(client: Client, server: Server, bucket: Bucket, target: Bucket) -> None:
    fill(bucket, *(f"{number:03}" for number in range(40)))
    job = client.job(bucket.copy(target, num_workers=-1))
    job.abort()
    result = end(client, job.job_id)
    # It may have been quicker than the stop.
    assert result.success or result.error
    job.abort()
    assert end(client, job.job_id).success is result.success


def post_copy(
    server: Server, http: requests.Session, bucket: Bucket, to: str, value: Any
) -> requests.Response:
    url = f"{server.endpoint}/v1/buckets/{bucket.name}"
    body = {"action": "copy-bck", "value": value}
    query = {"provider": "ais", "bck_to": to}
    return http.post(url, params=query, json=body, timeout=TIMEOUT_S)


def test_copy_without_virtual_directories(
    client: Client, server: Server, http: requests.Session, bucket: Bucket, target: Bucket
) -> None:
    fill(bucket, "a", "b/1", "b/2", "c")
    reply = post_copy(server, http, bucket, target.get_path(), {"non-recurs": True})
    finish(client, reply.text)
    assert names(target) == ["a", "c"]


def test_a_copy_that_may_go_on_counts_what_fails(
    client: Client, server: Server, http: requests.Session, bucket: Bucket, target: Bucket
) -> None:
    fill(bucket, "a", "b" * 1000, "c")
    value: dict[str, Any] = {"prepend": "p" * 100}
    reply = post_copy(server, http, bucket, target.get_path(), value)
    result = end(client, reply.text)
    assert not result.success
    assert "KeyTooLong" in str(result.error)
    reply = post_copy(server, http, bucket, target.get_path(), {**value, "coer": True})
    assert finish(client, reply.text).stats.objects == 2
    (snapshots,) = query(server, http, "qryxstats", {"ID": reply.text}).values()
    assert snapshots[0]["ext"] == {"errors": "1"}


def test_hostile_copies(server: Server, http: requests.Session, bucket: Bucket) -> None:
    to = "ais/@#/elsewhere/"
    values: list[Any] = [
        {"ext": [1]},
        {"ext": {"a": 1}},
        {"ext": {str(number): "x" for number in range(101)}},
        {"prefix": 7},
        {"prefix": "x" * 1025},
        {"dry_run": "yes"},
        {"num-workers": "8"},
        {"num-workers": -2},
        {"num-workers": True},
    ]
    for value in values:
        assert post_copy(server, http, bucket, to, value).status_code == 400, value
    for uname in ("", "/", "ais/x/y/z", "ais/@#/", "nobody/@#/b/", "ais/@#/.../"):
        reply = post_copy(server, http, bucket, uname, {})
        assert reply.status_code == 400, uname
    # There is no provider to ask.
    reply = post_copy(server, http, bucket, "aws/@#/b/", {})
    assert 400 <= reply.status_code < 500, reply.text


# --- kinds that idle before they end -------------------------------------------------------------------------------


def start_copy(client: Client, bucket: Bucket, to: Bucket) -> Job:
    fill(bucket, "a", "b")
    (job_id,) = bucket.objects(obj_names=["a", "b"]).copy(to)
    assert job_id.startswith("tco-")
    return client.job(job_id, job_kind="copy-listrange")


def until_idle(job: Job) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not job.get_details().all_idle():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_an_idle_job_still_runs(
    client: Client, bucket: Bucket, make_bucket: Callable[[], Bucket]
) -> None:
    to = make_bucket()
    job = start_copy(client, bucket, to)
    until_idle(job)
    assert f"copy-listrange[{job.job_id}]" in client.cluster().list_running_jobs()
    assert client.cluster().list_running_jobs(job_kind="lru") == []
    result = job.wait(timeout=TIMEOUT_S, verbose=False)
    assert result.success
    assert names(to) == ["a", "b"]
    (snapshot,) = job.get_details().list_snapshots()
    assert snapshot.end_time == "0001-01-01T00:00:00Z"
    assert job.status().end_time == 0


def test_an_idle_job_can_be_stopped(
    client: Client, bucket: Bucket, make_bucket: Callable[[], Bucket]
) -> None:
    job = start_copy(client, bucket, make_bucket())
    until_idle(job)
    job.abort()
    result = end(client, job.job_id)
    assert not result.success
    assert result.error is not None
    assert job.status().aborted


def test_jobs_of_a_kind_are_stopped(
    client: Client, bucket: Bucket, make_bucket: Callable[[], Bucket]
) -> None:
    to = make_bucket()
    jobs = [start_copy(client, bucket, to) for _ in range(2)]
    for job in jobs:
        until_idle(job)
    client.job(job_kind="copy-objects").abort()
    assert not any(end(client, job.job_id).success for job in jobs)


# --- jobs that requests do themselves ------------------------------------------------------------------------------


def read_batch(client: Client, bucket: Bucket, *names: str) -> None:
    assert len(list(client.batch(objects=list(names), bucket=bucket).get())) == len(names)


def batch_jobs(client: Client, bucket: Bucket) -> list[JobSnap]:
    """The snapshots of the jobs that batches of a bucket count in, newest first."""
    found = client.job(job_kind="get-batch").get_details().list_snapshots()
    return [each for each in found if each.bucket is not None and each.bucket.name == bucket.name]


def test_batches_of_a_bucket_count_in_one_job(client: Client, bucket: Bucket) -> None:
    fill(bucket, "a", "bb")
    read_batch(client, bucket, "a")
    (snapshot,) = batch_jobs(client, bucket)
    assert snapshot.id.startswith("gbt-")
    read_batch(client, bucket, "a", "bb")
    job = client.job(snapshot.id)
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        (snapshot,) = batch_jobs(client, bucket)
        if snapshot.stats is not None and snapshot.stats.objects == 3 and snapshot.is_idle:
            break
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert snapshot.stats.bytes == 4
    assert job.wait(timeout=TIMEOUT_S, verbose=False).success
    assert f"get-batch[{job.job_id}]" in client.cluster().list_running_jobs()


def test_after_a_stop_batches_count_in_another_job(client: Client, bucket: Bucket) -> None:
    fill(bucket, "a")
    read_batch(client, bucket, "a")
    job = client.job(batch_jobs(client, bucket)[0].id)
    job.abort()
    result = job.wait(timeout=TIMEOUT_S, verbose=False)
    assert not result.success
    assert result.error is not None
    read_batch(client, bucket, "a")
    newest, oldest = batch_jobs(client, bucket)
    assert (newest.id != job.job_id, oldest.id) == (True, job.job_id)
