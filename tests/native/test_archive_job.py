"""Shards made of objects by jobs, through the SDK: every format, names of members, appending, what may be absent."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable

import lz4.frame
import pytest
import requests
from aistore.sdk import Bucket, Client
from mypy_boto3_s3 import S3Client

from tests.native.jobs import ended, succeeded
from tests.server import Server

NAMES = [f"d/obj-{number:02}.txt" for number in range(6)]


@pytest.fixture
def full(s3: S3Client, bucket: Bucket) -> Bucket:
    for name in NAMES:
        s3.put_object(Bucket=bucket.name, Key=name, Body=name.encode())
    return bucket


def members_of(data: bytes) -> dict[str, bytes]:
    """The members of an archive of any of the formats, as the standard library reads it."""
    if data.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    if data.startswith(b"\x04\x22\x4d\x18"):
        data = lz4.frame.decompress(data)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        found = {}
        for member in tar:
            file = tar.extractfile(member)
            assert file is not None
            found[member.name] = file.read()
        return found


def read(bucket: Bucket, name: str) -> dict[str, bytes]:
    return members_of(bucket.object(name).get_reader().read_all())


@pytest.mark.parametrize("ending", [".tar", ".tgz", ".tar.gz", ".tar.lz4", ".zip"])
def test_every_format(client: Client, full: Bucket, ending: str) -> None:
    name = f"shard{ending}"
    (job_id,) = full.objects(obj_names=NAMES[1:5]).archive(name)
    snapshot = succeeded(client, job_id)
    assert read(full, name) == {each: each.encode() for each in NAMES[1:5]}
    assert snapshot.stats is not None
    assert (snapshot.stats.objects, snapshot.stats.bytes) == (4, 4 * len(NAMES[0]))


def test_the_format_may_be_named(client: Client, full: Bucket) -> None:
    (job_id,) = full.objects(obj_template="d/").archive("shard", mime=".tgz")
    succeeded(client, job_id)
    assert list(read(full, "shard")) == NAMES


def test_into_another_bucket_with_names_of_the_first(
    client: Client, full: Bucket, make_bucket: Callable[[], Bucket]
) -> None:
    target = make_bucket()
    group = full.objects(obj_template="d/obj-{00..99}.txt")
    (job_id,) = group.archive("s.tar", to_bck=target, include_source_name=True)
    succeeded(client, job_id)
    assert list(read(target, "s.tar")) == [f"{full.name}/{name}" for name in NAMES]


def test_base_names(client: Client, full: Bucket, server: Server, http: requests.Session) -> None:
    reply = ask(server, http, full.name, {"objnames": NAMES, "archname": "s.tar", "bnonly": True})
    succeeded(client, reply.text)
    assert list(read(full, "s.tar")) == [name.removeprefix("d/") for name in NAMES]


def test_appending(client: Client, full: Bucket) -> None:
    for names in (NAMES[:2], NAMES[2:]):
        (job_id,) = full.objects(obj_names=names).archive("s.tar", allow_append=True)
        succeeded(client, job_id)
    assert read(full, "s.tar") == {name: name.encode() for name in NAMES}
    # Without it, the shard is made anew.
    (job_id,) = full.objects(obj_names=NAMES[:1]).archive("s.tar")
    succeeded(client, job_id)
    assert list(read(full, "s.tar")) == NAMES[:1]


def test_named_objects_must_be_there(client: Client, full: Bucket) -> None:
    group = full.objects(obj_names=[NAMES[0], "absent", NAMES[1]])
    (job_id,) = group.archive("s.tar")
    assert "NoSuchKey" in ended(client, job_id)[1]
    assert "s.tar" not in [entry.name for entry in full.list_all_objects()]
    (job_id,) = group.archive("s.tar", continue_on_err=True)
    succeeded(client, job_id)
    assert list(read(full, "s.tar")) == NAMES[:2]


def test_a_shard_is_no_member_of_itself(client: Client, full: Bucket) -> None:
    for _ in range(2):
        (job_id,) = full.objects(obj_template="d").archive("d.tar")
        succeeded(client, job_id)
        assert list(read(full, "d.tar")) == NAMES


def test_of_nothing_nothing_is_made(client: Client, full: Bucket) -> None:
    (job_id,) = full.objects(obj_template="absent-{1..3}").archive("s.tar")
    succeeded(client, job_id)
    assert "s.tar" not in [entry.name for entry in full.list_all_objects()]


@pytest.mark.parametrize(
    "value",
    [
        {"archname": ""},
        {"archname": "a/../b.tar"},
        {"archname": "shard"},
        {"archname": "s.tar", "mime": ".zip"},
        {"archname": "s.tar", "mime": "nonsense"},
        {"archname": "s.tar", "template": "{2..1}", "objnames": None},
        {"archname": "s.tar", "objnames": []},
        {"archname": "s.tar", "aate": 7},
        {"archname": 7},
    ],
)
def test_nonsense_is_refused(
    bucket: Bucket, server: Server, http: requests.Session, value: dict[str, object]
) -> None:
    reply = ask(server, http, bucket.name, {"objnames": ["a"], **value})
    assert reply.status_code == 400, reply.text


def ask(server: Server, http: requests.Session, bucket: str, value: object) -> requests.Response:
    return http.put(
        f"{server.endpoint}/v1/buckets/{bucket}",
        json={"action": "archive", "name": "", "value": value},
        timeout=30,
    )
