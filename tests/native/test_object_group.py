"""Objects by list, range and template, through the SDK: deleted and copied; what fails, and what may be absent."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import requests
from aistore.sdk import Bucket, Client
from aistore.sdk.errors import AISError, InvalidBckProvider
from aistore.sdk.multiobj import ObjectRange
from mypy_boto3_s3 import S3Client

from tests.native.jobs import ended, succeeded
from tests.server import Server

NAMES = [f"d/obj-{number:02}.txt" for number in range(12)]


@pytest.fixture
def full(s3: S3Client, bucket: Bucket) -> Bucket:
    for name in NAMES:
        s3.put_object(
            Bucket=bucket.name, Key=name, Body=name.encode(), Metadata={"a": name}, Tagging="t=v"
        )
    return bucket


def names_of(bucket: Bucket) -> list[str]:
    return [entry.name for entry in bucket.list_all_objects()]


# --- delete ---


def test_delete_by_list(client: Client, full: Bucket) -> None:
    succeeded(client, full.objects(obj_names=NAMES[1:]).delete())
    assert names_of(full) == NAMES[:1]


def test_delete_by_range_skips_what_is_absent(client: Client, full: Bucket) -> None:
    chosen = ObjectRange("d/obj-", 5, 20, pad_width=2, step=2, suffix=".txt")
    succeeded(client, full.objects(obj_range=chosen).delete())
    assert names_of(full) == [*NAMES[:5], *NAMES[6::2]]


@pytest.mark.parametrize(
    ("template", "left"),
    [
        ("d/obj-{00..09}.txt", NAMES[10:]),
        ("d/obj-{0..1}{0..9..3}.txt", [n for n in NAMES if n[7] not in "0369"]),
        ("d/obj-{00..999999999999}.txt", []),
        ("d/obj-@09.txt", NAMES[10:]),
        ("d/obj-%02d.txt", []),
        ("d/obj-0", NAMES[10:]),
        ("d/obj-{100..200}.txt", NAMES),
    ],
)
def test_delete_by_template(client: Client, full: Bucket, template: str, left: list[str]) -> None:
    succeeded(client, full.objects(obj_template=template).delete())
    assert names_of(full) == left


def test_named_objects_must_be_there(client: Client, full: Bucket) -> None:
    job_id = full.objects(obj_names=[NAMES[0], "absent"]).delete()
    _, error = ended(client, job_id)
    assert "NoSuchKey" in error


def test_absent_ones_are_passed_over_on_demand(
    client: Client, full: Bucket, server: Server, http: requests.Session
) -> None:
    value = {"objnames": ["absent", *NAMES[:2], NAMES[0]], "coer": True}
    job_id = ask(server, http, "DELETE", full.name, "delete-listrange", value).text
    succeeded(client, job_id)
    assert names_of(full) == NAMES[2:]


# --- copy ---


@pytest.mark.parametrize("workers", [None, 3, -1])
def test_copy_to_another_bucket(
    client: Client,
    s3: S3Client,
    full: Bucket,
    make_bucket: Callable[[], Bucket],
    workers: int | None,
) -> None:
    target = make_bucket()
    group = full.objects(obj_names=NAMES[1:5])
    (job_id,) = group.copy(target, prepend="new/", num_workers=workers)
    assert job_id.startswith("tco-")
    snapshot = succeeded(client, job_id)
    assert snapshot.stats is not None
    assert (snapshot.stats.objects, snapshot.stats.bytes) == (4, 4 * len(NAMES[0]))
    assert names_of(target) == [f"new/{name}" for name in NAMES[1:5]]
    copied = s3.get_object(Bucket=target.name, Key=f"new/{NAMES[1]}")
    source = s3.get_object(Bucket=full.name, Key=NAMES[1])
    assert copied["Body"].read() == source["Body"].read() == NAMES[1].encode()
    assert copied["Metadata"] == source["Metadata"] == {"a": NAMES[1]}
    assert copied["ETag"] == source["ETag"]
    assert copied["TagCount"] == 1


def test_copy_makes_the_bucket(client: Client, s3: S3Client, full: Bucket) -> None:
    target = client.bucket(f"{full.name}-made")
    (job_id,) = full.objects(obj_template="d/obj-{00..01}.txt").copy(target)
    try:
        succeeded(client, job_id)
        assert names_of(target) == NAMES[:2]
    finally:
        for name in NAMES[:2]:
            s3.delete_object(Bucket=target.name, Key=name)
        s3.delete_bucket(Bucket=target.name)


def test_copy_within_a_bucket_ends(client: Client, full: Bucket) -> None:
    (job_id,) = full.objects(obj_template="d").copy(full, prepend="d-")
    succeeded(client, job_id)
    assert names_of(full) == sorted([*NAMES, *(f"d-{name}" for name in NAMES)])


def test_dry_runs_count_and_write_nothing(client: Client, full: Bucket) -> None:
    target = client.bucket(f"{full.name}-absent")
    (job_id,) = full.objects(obj_template="d/").copy(target, dry_run=True)
    snapshot = succeeded(client, job_id)
    assert snapshot.stats is not None
    assert snapshot.stats.objects == 12
    with pytest.raises(AISError):
        target.list_objects()


def test_extensions_are_replaced(
    client: Client,
    full: Bucket,
    make_bucket: Callable[[], Bucket],
    server: Server,
    http: requests.Session,
) -> None:
    target = make_bucket()
    value = {
        "template": "d/obj-{00..01}.txt",
        "ext": {"txt": "md"},
        "tobck": {"name": target.name, "provider": "ais"},
    }
    job_id = ask(server, http, "POST", full.name, "copy-listrange", value).text
    succeeded(client, job_id)
    assert names_of(target) == ["d/obj-00.md", "d/obj-01.md"]


@pytest.mark.parametrize("template", ["d/obj-{00..05}.txt", "d/", "d/obj-%02d.txt"])
def test_synchronizing_deletes_what_the_source_has_not(
    client: Client,
    s3: S3Client,
    full: Bucket,
    make_bucket: Callable[[], Bucket],
    template: str,
) -> None:
    target = make_bucket()
    for name in ("other", "d/obj-05.txt"):
        s3.put_object(Bucket=target.name, Key=name, Body=b"old")
    s3.delete_object(Bucket=full.name, Key="d/obj-05.txt")
    (job_id,) = full.objects(obj_template=template).copy(target, sync=True)
    succeeded(client, job_id)
    kept = [name for name in NAMES if name != "d/obj-05.txt"]
    assert names_of(target) == [*(kept[:5] if "{" in template else kept), "other"]


def test_copying_what_is_absent(
    client: Client, full: Bucket, make_bucket: Callable[[], Bucket]
) -> None:
    target = make_bucket()
    group = full.objects(obj_names=["absent", NAMES[0]])
    (job_id,) = group.copy(target)
    assert "NoSuchKey" in ended(client, job_id)[1]
    (job_id,) = group.copy(target, continue_on_error=True)
    succeeded(client, job_id)
    assert names_of(target) == NAMES[:1]
    (job_id,) = full.objects(obj_template="absent-{1..3}").copy(target)
    succeeded(client, job_id)


# --- what is refused ---


def test_only_remote_buckets_are_evicted_and_prefetched(
    full: Bucket, server: Server, http: requests.Session
) -> None:
    group = full.objects(obj_names=NAMES)
    with pytest.raises(InvalidBckProvider):
        group.evict()
    with pytest.raises(InvalidBckProvider):
        group.prefetch()
    for method, action in (("DELETE", "evict-listrange"), ("POST", "prefetch-listrange")):
        reply = ask(server, http, method, full.name, action, {"objnames": NAMES})
        assert reply.status_code == 400
        assert f"ais://{full.name} is not a remote bucket" in reply.json()["message"]
    assert names_of(full) == NAMES


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {"objnames": []},
        {"objnames": "a"},
        {"objnames": [7]},
        {"objnames": [""]},
        {"objnames": ["\ud800"]},
        {"objnames": ["x" * 1025]},
        {"objnames": ["a"], "template": "b"},
        {"objnames": [f"{number}" for number in range(100_001)]},
        {"template": 7},
        {"template": "{9..1}"},
        {"template": "{1..99999999999999999999}"},
        {"template": "{1..2}" * 20},
        {"template": "a", "num-workers": "many"},
        {"template": "a", "coer": 7},
    ],
)
@pytest.mark.parametrize(
    ("method", "action"), [("DELETE", "delete-listrange"), ("POST", "copy-listrange")]
)
def test_nonsense_is_refused(  # fixtures and parameters
    bucket: Bucket,
    server: Server,
    http: requests.Session,
    method: str,
    action: str,
    value: object,
) -> None:
    reply = ask(server, http, method, bucket.name, action, value)
    assert reply.status_code == 400, reply.text


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"dry_run": False, "tobck": None},
        {"tobck": {"name": "not a name", "provider": "ais"}},
        {"tobck": {"name": "x-bucket", "provider": "nowhere"}},
        {"tobck": 7},
        {"prepend": "p", "synchronize": True},
        {"prepend": 7},
        {"ext": {"a": 7}},
        {"ext": "txt"},
    ],
)
def test_copies_that_cannot_be(
    bucket: Bucket, server: Server, http: requests.Session, value: dict[str, object]
) -> None:
    message = {"template": "a", **value}
    reply = ask(server, http, "POST", bucket.name, "copy-listrange", message)
    assert reply.status_code == 400, reply.text


def test_absent_buckets_are_named(server: Server, http: requests.Session) -> None:
    for method, action in (("DELETE", "delete-listrange"), ("POST", "copy-listrange")):
        reply = ask(server, http, method, "no-such-bucket", action, {"template": "a"})
        assert reply.status_code == 404
        assert 'bucket "ais://no-such-bucket" does not exist' in reply.json()["message"]


def test_hostile_templates_hold_nobody_up(
    client: Client, full: Bucket, server: Server, http: requests.Session
) -> None:
    template = "d/obj-" + "{0..999999999999999999}" * 16 + ".txt"
    began = time.monotonic()
    reply = ask(server, http, "DELETE", full.name, "delete-listrange", {"template": template})
    assert time.monotonic() - began < 10
    succeeded(client, reply.text)
    assert names_of(full) == NAMES


def ask(  # as the request has them
    server: Server,
    http: requests.Session,
    method: str,
    bucket: str,
    action: str,
    value: object,
) -> requests.Response:
    return http.request(
        method,
        f"{server.endpoint}/v1/buckets/{bucket}",
        json={"action": action, "name": "", "value": value},
        timeout=30,
    )
