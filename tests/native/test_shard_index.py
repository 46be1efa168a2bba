"""Indexes of TAR shards: made by a job or on write, counted, and never to be seen in what is read."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import requests
from aistore.sdk import Bucket
from aistore.sdk.archive_config import ArchiveConfig
from mypy_boto3_s3 import S3Client

from tests.contract.world import pattern
from tests.s3compat.boto import list_keys
from tests.server import Server
from tests.unit.storage.archives import tar

INDEXES = ".sys-shardidx"
MEMBERS = {
    "a/1.txt": b"one",
    "a/2.bin": pattern(300_000),
    "empty": b"",
    "deep/" + "n" * 140: b"long",
}
DEADLINE_S = 20


def act(
    server: Server, http: requests.Session, method: str, bucket: str, action: str, value: Any
) -> requests.Response:
    message = {"action": action, "name": "", "value": value}
    return http.request(
        method, f"{server.endpoint}/v1/buckets/{bucket}?provider=ais", json=message, timeout=20
    )


def index(server: Server, http: requests.Session, bucket: str, **value: Any) -> dict[str, Any]:
    """Run the job to its end; what is told of it."""
    answer = act(server, http, "POST", bucket, "index-shard", value)
    assert answer.status_code == 200, answer.text
    deadline = time.monotonic() + DEADLINE_S
    told: dict[str, Any] = {}
    while told.get("state", "waiting") in ("waiting", "running"):
        assert time.monotonic() < deadline
        told = json.loads(server.admin("job", "status", answer.text, "--json").stdout)
    return told


def summary(
    server: Server, http: requests.Session, bucket: str, prefix: str = ""
) -> dict[str, str]:
    first = act(server, http, "GET", bucket, "summary-shard", {"uuid": "", "prefix": prefix})
    assert first.status_code == 202
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        said = act(server, http, "GET", bucket, "summary-shard", {"uuid": first.text})
        if said.status_code == 200:
            found: dict[str, str] = said.json()
            return found
        assert said.status_code in (202, 206), said.text
        time.sleep(0.1)
    raise AssertionError("the summary does not end")


def until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def read(bucket: Bucket, name: str, path: str) -> bytes:
    reader = bucket.object(name).get_reader(archive_config=ArchiveConfig(archpath=path))
    return bytes(reader.read_all())


def has_index(s3: S3Client, bucket: Bucket, name: str) -> bool:
    try:
        return f"ais/@#/{bucket.name}/{name}.idx" in list_keys(s3, INDEXES)
    except s3.exceptions.NoSuchBucket:
        return False


def test_index_shard(server: Server, http: requests.Session, bucket: Bucket, s3: S3Client) -> None:
    whole = tar(MEMBERS)
    s3.put_object(Bucket=bucket.name, Key="dir/s.tar", Body=whole)
    s3.put_object(Bucket=bucket.name, Key="dir/t.tar", Body=tar({"x": b"x"}))
    s3.put_object(Bucket=bucket.name, Key="cut.tar", Body=whole[:100_000])
    s3.put_object(Bucket=bucket.name, Key="text", Body=b"no shard")
    for path, data in MEMBERS.items():
        assert read(bucket, "dir/s.tar", path) == data
    told = index(server, http, bucket.name, prefix="dir/")
    assert told["state"] == "finished"
    assert told["counters"]["objects"] == 2
    assert told["counters"]["members"] == len(MEMBERS) + 1
    told = index(server, http, bucket.name, **{"num-workers": 2, "skip-verify": True})
    assert told["state"] == "finished"
    assert told["counters"]["bad_shards"] == 1
    assert has_index(s3, bucket, "dir/s.tar")
    assert not has_index(s3, bucket, "cut.tar")
    for path, data in MEMBERS.items():
        assert read(bucket, "dir/s.tar", path) == data
        assert read(bucket, "dir/s.tar", f"/{path}") == data
    absent = http.get(
        f"{server.endpoint}/v1/objects/{bucket.name}/dir/s.tar?archpath=none", timeout=20
    )
    assert absent.status_code == 404
    count = summary(server, http, bucket.name)
    assert count == {
        "tar-objs": "3",
        "tar-size": str(len(whole) + len(tar({"x": b"x"})) + 100_000),
        "shards": "2",
        "shard-size": str(len(whole) + len(tar({"x": b"x"}))),
        "archived-objs": str(len(MEMBERS) + 1),
        "stale-indexes": "0",
        "invalid-indexes": "0",
    }
    assert summary(server, http, bucket.name, "dir/t")["tar-objs"] == "1"


def test_index_of_another_content(
    server: Server, http: requests.Session, bucket: Bucket, s3: S3Client
) -> None:
    s3.put_object(Bucket=bucket.name, Key="s.tar", Body=tar(MEMBERS))
    s3.put_object(Bucket=bucket.name, Key="t.tar", Body=tar(MEMBERS))
    index(server, http, bucket.name)
    names = [f"ais/@#/{bucket.name}/{name}.tar.idx" for name in "st"]
    other = tar({"a/1.txt": b"other"})
    s3.put_object(Bucket=bucket.name, Key="s.tar", Body=other)
    assert read(bucket, "s.tar", "a/1.txt") == b"other"
    until(lambda: not has_index(s3, bucket, "s.tar"))
    s3.copy_object(Bucket=INDEXES, Key=names[0], CopySource={"Bucket": INDEXES, "Key": names[1]})
    s3.put_object(Bucket=INDEXES, Key=names[1], Body=b"damaged")
    count = summary(server, http, bucket.name)
    assert (count["shards"], count["stale-indexes"], count["invalid-indexes"]) == ("0", "1", "1")
    assert read(bucket, "t.tar", "a/1.txt") == b"one"
    assert read(bucket, "s.tar", "a/1.txt") == b"other"
    index(server, http, bucket.name)
    count = summary(server, http, bucket.name)
    assert (count["shards"], count["archived-objs"]) == ("2", str(len(MEMBERS) + 1))


def test_index_on_write_and_gone_with_the_shard(
    server: Server, http: requests.Session, bucket: Bucket, s3: S3Client
) -> None:
    tags: Any = {"TagSet": [{"Key": "weir:index-shards", "Value": "on"}]}
    s3.put_bucket_tagging(Bucket=bucket.name, Tagging=tags)
    s3.put_object(Bucket=bucket.name, Key="s3.tar", Body=tar(MEMBERS))
    bucket.object("native.tar").get_writer().put_content(tar(MEMBERS))
    s3.put_object(Bucket=bucket.name, Key="bad.tar", Body=b"no archive")
    until(lambda: summary(server, http, bucket.name)["shards"] == "2")
    assert read(bucket, "native.tar", "a/2.bin") == MEMBERS["a/2.bin"]
    s3.put_object(Bucket=bucket.name, Key="s3.tar", Body=tar({"x": b"x"}))
    until(lambda: summary(server, http, bucket.name)["archived-objs"] == str(len(MEMBERS) + 1))
    s3.delete_object(Bucket=bucket.name, Key="native.tar")
    until(lambda: not has_index(s3, bucket, "native.tar"))
    assert has_index(s3, bucket, "s3.tar")


def test_index_shard_refuses(server: Server, http: requests.Session, bucket: Bucket) -> None:
    for value in (
        {"num-workers": "many"},
        {"num-workers": -7},
        {"prefix": 7},
        {"prefix": "x" * 2000},
        {"skip-verify": "perhaps"},
    ):
        assert act(server, http, "POST", bucket.name, "index-shard", value).status_code == 400
    assert act(server, http, "POST", "absent-bucket", "index-shard", {}).status_code == 404
    assert act(server, http, "GET", "absent-bucket", "summary-shard", {}).status_code == 404
    gone = act(server, http, "GET", bucket.name, "summary-shard", {"uuid": "none"})
    assert gone.status_code == 404


def test_a_shard_is_replaced_while_a_member_is_read(
    server: Server, http: requests.Session, bucket: Bucket, s3: S3Client
) -> None:
    large = pattern(24 * 1024**2)
    s3.put_object(Bucket=bucket.name, Key="s.tar", Body=tar({"x": large, "y": b"y"}))
    index(server, http, bucket.name)
    url = f"{server.endpoint}/v1/objects/{bucket.name}/s.tar?archpath="
    with http.get(url + "x", stream=True, timeout=20) as answer:
        assert answer.status_code == 200
        begun = answer.raw.read(1000)
        s3.put_object(Bucket=bucket.name, Key="s.tar", Body=tar({"x": b"other"}))
        assert http.get(url + "x", timeout=20).content == b"other"
        assert http.get(url + "y", timeout=20).status_code == 404
        assert begun + answer.raw.read() == large


def test_index_shard_from_the_command_line(
    server: Server, http: requests.Session, bucket: Bucket, s3: S3Client
) -> None:
    s3.put_object(Bucket=bucket.name, Key="s.tar", Body=tar(MEMBERS))
    server.admin("job", "start", "index-shard", "--bucket", bucket.name)
    until(lambda: summary(server, http, bucket.name)["shards"] == "1")
