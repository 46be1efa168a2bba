"""Listings of remote buckets by unmodified clients: what the provider has, and what of it is here."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from aistore.sdk import Bucket, ListObjectFlag
from aistore.sdk.errors import AISError
from botocore.exceptions import ClientError

from tests.counterparts.process import program
from tests.remote.front import Front
from tests.server import REGION, ROOT_KEYS

NAMES = ["a", "b", "dir/c", "dir/d", "dir/sub/e", "f", "z é"]
HERE = 64


def filled(front: Front) -> Bucket:
    """A bucket with objects, of which three are here."""
    name = front.new_bucket()
    for key in NAMES:
        front.put_there(name, key, b"content")
    found = front.bucket(name)
    for key in ("b", "dir/d", "z é"):
        assert found.object(key).get_reader().read_all() == b"content"
    return found


@pytest.fixture(scope="module")
def shared(front: Front) -> Bucket:
    """One for tests that change nothing."""
    return filled(front)


@pytest.fixture
def bucket(front: Front) -> Bucket:
    return filled(front)


def listed(bucket: Bucket, *flags: ListObjectFlag, **wanted: object) -> list[tuple[str, int]]:
    return [(e.name, e.flags) for e in bucket.list_all_objects(flags=list(flags), **wanted)]


@pytest.mark.parametrize("page_size", [0, 1, 3, 5000])
def test_all_names_with_what_is_here(shared: Bucket, page_size: int) -> None:
    here = {"b", "dir/d", "z é"}
    expected = [(name, HERE if name in here else 0) for name in NAMES]
    assert listed(shared, page_size=page_size) == expected
    entries = list(shared.list_objects_iter(page_size=page_size))
    assert [(e.name, e.is_cached()) for e in entries] == [(n, bool(f)) for n, f in expected]
    assert {entry.size for entry in entries} == {7}


def test_flags_choose(shared: Bucket) -> None:
    flag = ListObjectFlag
    here = [("b", HERE), ("dir/d", HERE), ("z é", HERE)]
    assert listed(shared, flag.CACHED) == here
    assert listed(shared, flag.CACHED, prefix="dir/") == here[1:2]
    absent = [name for name in NAMES if (name, HERE) not in here]
    assert listed(shared, flag.NOT_CACHED) == [(name, 0) for name in absent]
    assert listed(shared, flag.NO_RECURSION) == [
        *(("a", 0), ("b", HERE), ("dir/", 256), ("f", 0), ("z é", HERE))
    ]
    assert listed(shared, flag.NO_RECURSION, flag.NO_DIRS, prefix="dir/") == [
        *(("dir/c", 0), ("dir/d", HERE))
    ]
    named = shared.list_all_objects(flags=[flag.NAME_ONLY])
    assert [entry.size for entry in named] == [0] * len(NAMES)
    assert [e.size for e in shared.list_all_objects(flags=[flag.NAME_SIZE])] == [7] * len(NAMES)
    for peaceful in (flag.BCK_PRESENT, flag.DONT_HEAD_REMOTE, flag.DONT_ADD_REMOTE):
        assert [name for name, _ in listed(shared, peaceful)] == NAMES


def test_what_differs_is_flagged(front: Front, bucket: Bucket) -> None:
    front.put_there(bucket.name, "b", b"other content")
    front.there.delete_object(Bucket=bucket.name, Key="dir/d")
    found = dict(listed(bucket, ListObjectFlag.DIFF))
    assert found["b"] == HERE | 1024
    assert found["dir/d"] == HERE | 2048
    assert found["a"] == 0
    assert found["z é"] == HERE
    both = listed(bucket, ListObjectFlag.DIFF, ListObjectFlag.CACHED)
    assert [name for name, _ in both] == ["b", "dir/d", "z é"]
    assert "dir/d" not in [name for name, _ in listed(bucket)]


def test_properties(front: Front, shared: Bucket) -> None:
    etag = front.there.head_object(Bucket=shared.name, Key="a")["ETag"].strip('"')
    props = "name,size,cached,checksum,atime,version,location,custom,copies"
    absent, present, *_ = shared.list_objects(props=props).entries
    # That an ETag is an MD5 a listing does not tell.
    assert (absent.name, absent.is_cached(), absent.checksum) == ("a", False, "")
    assert (absent.atime, absent.location, absent.copies) == ("", "", 0)
    assert (present.name, present.is_cached(), present.copies) == ("b", True, 1)
    assert present.checksum == etag
    assert present.atime and present.location.startswith("t[")
    # The SDK leaves custom metadata out.
    message = {"action": "list", "value": {"props": "name,custom,etag,last-modified"}}
    path = f"/v1/buckets/{shared.name}?provider=aws"
    entry = front.ask("GET", path, json=message).json()["entries"][0]
    assert entry["custom-md"].startswith(f"[source:aws ETag:{etag} LastModified:")


def test_writes_and_deletes_are_listed_at_once(bucket: Bucket) -> None:
    bucket.object("new").get_writer().put_content(b"12345678")
    assert ("new", HERE) in listed(bucket)
    bucket.object("a").delete()
    assert "a" not in [name for name, _ in listed(bucket)]


def test_an_absent_bucket(front: Front) -> None:
    for flags in ([], [ListObjectFlag.BCK_PRESENT], [ListObjectFlag.CACHED]):
        with pytest.raises(AISError) as caught:
            front.bucket("no-such-bucket-anywhere").list_objects(flags=flags)
        assert caught.value.status_code == 404


# --- S3 ----------------------------------------------------------------------------------------------------------


def test_boto3(front: Front, shared: Bucket) -> None:
    truth: Any = front.there.list_objects_v2(Bucket=shared.name)["Contents"]
    found: Any = front.s3.list_objects_v2(Bucket=shared.name)["Contents"]
    seen = ("Key", "Size", "ETag", "LastModified", "StorageClass")
    assert [[each[n] for n in seen] for each in found] == [[e[n] for n in seen] for e in truth]
    old = front.s3.list_objects(Bucket=shared.name, Delimiter="/", MaxKeys=2)
    assert [each["Key"] for each in old["Contents"]] == ["a", "b"]
    rest = front.s3.list_objects(Bucket=shared.name, Delimiter="/", Marker=old["NextMarker"])
    assert [each["Prefix"] for each in rest["CommonPrefixes"]] == ["dir/"]
    assert [each["Key"] for each in rest["Contents"]] == ["f", "z é"]
    pages = front.s3.get_paginator("list_objects_v2").paginate(
        Bucket=shared.name, PaginationConfig={"PageSize": 2}, StartAfter="b"
    )
    assert [each["Key"] for page in pages for each in page["Contents"]] == NAMES[2:]
    versions = front.s3.list_object_versions(Bucket=shared.name)["Versions"]
    assert [(each["Key"], each["VersionId"], each["IsLatest"]) for each in versions] == [
        (name, "null", True) for name in NAMES
    ]
    with pytest.raises(ClientError):
        front.s3.list_objects_v2(Bucket="no-such-bucket-anywhere")


@pytest.fixture(scope="module")
def call(front: Front) -> Callable[[Sequence[str]], str]:
    """Runs a program with what it needs to reach weir by S3."""
    environment = {
        "PATH": "/usr/bin:/bin",
        "AWS_ACCESS_KEY_ID": ROOT_KEYS.access_key,
        "AWS_SECRET_ACCESS_KEY": ROOT_KEYS.secret_key,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "LC_ALL": "C.UTF-8",
        "PYTHONUTF8": "1",
    }

    def call(command: Sequence[str]) -> str:
        done = subprocess.run(
            [program(command[0]), *command[1:]],
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
            env=environment,
        )
        return done.stdout

    return call


def test_aws_cli(front: Front, shared: Bucket, call: Callable[[Sequence[str]], str]) -> None:
    command = ["aws", "--endpoint-url", front.server.endpoint, "s3", "ls", f"s3://{shared.name}"]
    lines = call([*command, "--recursive"]).splitlines()
    assert [line.split(maxsplit=3)[3] for line in lines] == NAMES
    assert "PRE dir/" in call(command)


def test_rclone(front: Front, shared: Bucket, call: Callable[[Sequence[str]], str]) -> None:
    remote = f":s3,provider=Other,env_auth=true,endpoint='{front.server.endpoint}':{shared.name}"
    found = call(["rclone", "--config", "/dev/null", "lsf", "-R", "--files-only", remote])
    assert sorted(found.splitlines()) == NAMES
