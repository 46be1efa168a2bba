"""Who may start, stop and see jobs, and what a job may do for whom."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from aistore.sdk import Client
from aistore.sdk.errors import AISError

from tests.native.sdk import connect
from tests.native.tokens import Guarded, start_guarded
from tests.server import OTHER_KEYS, Keys

TIMEOUT_S = 20


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    made = start_guarded(tmp_path_factory.mktemp("jobs") / "data")
    try:
        made.server.add_user("alice", OTHER_KEYS)
        admin = made.s3(made.issue("--admin"))
        admin.create_bucket(Bucket="of-root")
        admin.put_object(Bucket="of-root", Key="k", Body=b"data")
        yield made
    finally:
        made.server.stop()


@pytest.fixture
def alice(guarded: Guarded) -> Client:
    return connect(guarded.server, token=guarded.issue("--cluster", "all", subject="alice"))


@pytest.fixture
def admin(guarded: Guarded) -> Client:
    return connect(guarded.server, token=guarded.issue("--admin"))


@contextmanager
def refused(status: int) -> Iterator[None]:
    with pytest.raises(AISError) as caught:
        yield
    assert caught.value.status_code == status


def copy(client: Client, source: str, to: str, **value: Any) -> str:
    bucket = client.bucket(source)
    query = {"provider": "ais", "bck_to": client.bucket(to).get_path()}
    job_id: str = bucket.make_request("POST", "copy-bck", value=value, params=query).text
    deadline = time.monotonic() + TIMEOUT_S
    while not client.job(job_id).status().end_time:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return job_id


def test_starting_and_stopping_is_the_administrators(alice: Client, admin: Client) -> None:
    with refused(403):
        alice.job(job_kind="lru").start()
    job_id = admin.job(job_kind="lru").start()
    with refused(403):
        alice.job(job_id).abort()
    assert alice.job(job_id).status().uuid == job_id


def test_without_credentials_nothing(guarded: Guarded) -> None:
    nobody = connect(guarded.server)
    with refused(401):
        nobody.job(job_kind="lru").start()
    with refused(401):
        nobody.job(job_kind="lru").get_details()
    with refused(401):
        nobody.bucket("of-root").copy(nobody.bucket("elsewhere"))


def test_buckets_of_others_are_not_copied_nor_written(alice: Client) -> None:
    alice.bucket("of-alice").create(exist_ok=True)
    for source, to in (("of-root", "of-alice"), ("of-root", "new"), ("of-alice", "of-root")):
        with refused(403):
            copy(alice, source, to)
    with refused(403):
        alice.bucket("of-root").rename("taken")


def test_jobs_on_buckets_of_others_are_not_listed(alice: Client, admin: Client) -> None:
    of_root = copy(admin, "of-root", "root-copies")
    alice.bucket("listed").create()
    own = copy(alice, "listed", "listed-copies")
    seen = {job.id for job in alice.job(job_kind="copy-bck").get_details().list_snapshots()}
    assert own in seen
    assert of_root not in seen
    statuses = alice.cluster().list_jobs_status()
    assert own in {status.uuid for status in statuses}
    assert of_root not in {status.uuid for status in statuses}
    everything = {status.uuid for status in admin.cluster().list_jobs_status()}
    assert {own, of_root} <= everything


def test_system_buckets_are_not_made_in_passing(alice: Client) -> None:
    source = alice.bucket("for-system").create(exist_ok=True)
    source.object("k").get_writer().put_content(b"data")
    for name in (".sys-shardidx", ".sys-inventory"):
        to = alice.bucket(name)
        query = {"provider": "ais", "bck_to": to.get_path()}
        for action in ("copy-bck", "move-bck"):
            with refused(403):
                source.make_request("POST", action, value={}, params=query)
        with refused(403):
            source.objects(obj_names=["k"]).copy(to)
        with refused(403):
            source.objects(obj_names=["k"]).archive("a.tar", to_bck=to)
        with refused(403):
            to.create()


def test_a_users_policy_says_which_buckets_jobs_make(guarded: Guarded, alice: Client) -> None:
    document = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": "*",
                    "Resource": ["arn:aws:s3:::mine-*", "arn:aws:s3:::copies*"],
                },
                {"Effect": "Deny", "Action": "s3:CreateBucket", "Resource": "arn:aws:s3:::copies*"},
                {"Effect": "Deny", "Action": "s3:Delete*", "Resource": "arn:aws:s3:::mine-1/k"},
            ],
        }
    )
    carol = connect(guarded.server, token=guarded.issue("--cluster", "all", subject="carol"))
    guarded.server.add_user("carol", Keys("WEIRCAROLKEY00000004", "carol" * 8))
    path = guarded.server.log_path.with_name("policy.json")
    path.write_text(document)
    guarded.server.admin("user", "policy", "put", "carol", "own", str(path))
    source = carol.bucket("mine-1").create()
    source.object("k").get_writer().put_content(b"data")
    with refused(403):
        copy(carol, "mine-1", "copies-2")
    with refused(403):
        source.rename("copies-2")
    with refused(403):
        source.rename("mine-kept")
    with refused(403):
        source.objects(obj_names=["k"]).copy(carol.bucket("copies-2"))
    copy(carol, "mine-1", "mine-2")
    carol.job(carol.bucket("mine-2").rename("mine-3")).wait(timeout=TIMEOUT_S)
    assert carol.bucket("mine-3").object("k").get_reader().read_all() == b"data"


def test_who_may_delete_a_bucket_may_not_destroy_what_is_in_it(
    guarded: Guarded, alice: Client
) -> None:
    bucket = alice.bucket("kept").create()
    bucket.object("k").get_writer().put_content(b"data")
    s3 = guarded.s3(guarded.issue("--cluster", "all", subject="alice"))

    def put_policy(effect: str, action: str, resource: str) -> None:
        statement = {
            "Effect": effect,
            "Principal": "*",
            "Action": action,
            "Resource": f"arn:aws:s3:::{resource}",
        }
        document = {"Version": "2012-10-17", "Statement": [statement]}
        s3.put_bucket_policy(Bucket="kept", Policy=json.dumps(document))

    put_policy("Allow", "s3:DeleteBucket", "kept")
    dave = connect(guarded.server, token=guarded.issue("--cluster", "all", subject="dave"))
    guarded.server.add_user("dave", Keys("WEIRDAVESKEY00000005", "daves" * 8))
    with refused(403):
        dave.bucket("kept").delete()
    put_policy("Deny", "s3:DeleteObject*", "kept/*")
    with refused(403):
        bucket.delete()
    assert bucket.object("k").get_reader().read_all() == b"data"
    put_policy("Deny", "s3:DeleteObject*", "kept/else*")
    bucket.delete()


def test_a_token_must_permit_reading_and_writing(guarded: Guarded, alice: Client) -> None:
    alice.bucket("source").create(exist_ok=True)
    alice.bucket("target").create(exist_ok=True)
    for permits in ("ro", "HEAD-BUCKET,LIST-OBJECTS,PUT"):
        token = guarded.issue("--cluster", permits, subject="alice")
        with refused(403):
            copy(connect(guarded.server, token=token), "source", "target")


def test_what_a_policy_withholds_is_not_copied(guarded: Guarded, alice: Client) -> None:
    source, to = alice.bucket("with-policy").create(), alice.bucket("copies").create()
    for name in ("open", "secret/k"):
        source.object(name).get_writer().put_content(b"data")
    statement: dict[str, Any] = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:::with-policy/secret/*",
    }
    s3 = guarded.s3(guarded.issue("--cluster", "all", subject="alice"))

    def put_policy() -> None:
        document = {"Version": "2012-10-17", "Statement": [statement]}
        s3.put_bucket_policy(Bucket="with-policy", Policy=json.dumps(document))

    put_policy()
    status = alice.job(copy(alice, "with-policy", "copies")).status()
    assert status.aborted
    assert "Denied" in status.err
    assert not alice.job(copy(alice, "with-policy", "copies", coer=True)).status().err
    assert [entry.name for entry in to.list_all_objects()] == ["open"]
    statement["Condition"] = {"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}
    put_policy()
    with refused(403):
        copy(alice, "with-policy", "copies")
