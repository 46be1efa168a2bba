"""Members of shards as keys: unmodified boto3, aws-cli and pyarrow list and read them in a bucket that was told to show
them by a tag."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from mypy_boto3_s3 import S3Client
from pyarrow import fs

from tests.s3compat.boto import code_of, list_keys, read
from tests.s3compat.programs import run
from tests.s3compat.wire import host_of
from tests.server import REGION, ROOT_KEYS, Server

LARGE = bytes(range(256)) * 1024
MEMBERS = {
    "train/000.jpg": b"\xff\xd8jpeg",
    "train/000.json": b'{"label": 7}',
    "train/001.jpg": LARGE,
    "top.txt": b"top",
}
VIEWED = [f"d/s.tar/{path}" for path in sorted(MEMBERS)]
KEYS = sorted(["d/s.tar", "d/s.tar-notes", "d/z", *VIEWED])


def tar(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def switch(client: S3Client, bucket: str, value: str) -> None:
    tags: Any = [{"Key": "weir:shard-view", "Value": value}, {"Key": "team", "Value": "vision"}]
    client.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags})


@pytest.fixture
def viewed(client: S3Client, bucket: str) -> Iterator[str]:
    client.put_object(Bucket=bucket, Key="d/s.tar", Body=tar(MEMBERS))
    client.put_object(Bucket=bucket, Key="d/s.tar-notes", Body=b"notes")
    client.put_object(Bucket=bucket, Key="d/z", Body=b"z")
    switch(client, bucket, "on")
    yield bucket
    client.delete_bucket_policy(Bucket=bucket)
    client.delete_bucket_tagging(Bucket=bucket)


def refused(error: pytest.ExceptionInfo[ClientError]) -> str:
    return code_of(error.value)


def test_shard_view_is_off_until_told(client: S3Client, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="s.tar", Body=tar(MEMBERS))
    assert list_keys(client, bucket) == ["s.tar"]
    with pytest.raises(ClientError) as raised:
        client.get_object(Bucket=bucket, Key="s.tar/top.txt")
    assert refused(raised) == "NoSuchKey"
    switch(client, bucket, "on")
    assert read(client, bucket, "s.tar/top.txt") == b"top"
    with pytest.raises(ClientError) as raised:
        switch(client, bucket, "perhaps")
    assert refused(raised) == "InvalidTag"
    client.delete_bucket_tagging(Bucket=bucket)
    assert list_keys(client, bucket) == ["s.tar"]


def test_shard_view_lists_in_order(client: S3Client, viewed: str) -> None:
    for size in (1, 2, 1000):
        pages = client.get_paginator("list_objects_v2").paginate(
            Bucket=viewed, PaginationConfig={"PageSize": size}
        )
        assert [each["Key"] for page in pages for each in page.get("Contents", [])] == KEYS
        old = client.get_paginator("list_objects").paginate(
            Bucket=viewed, PaginationConfig={"PageSize": size}
        )
        assert [each["Key"] for page in old for each in page.get("Contents", [])] == KEYS
    page = client.list_objects_v2(Bucket=viewed, Prefix="d/", Delimiter="/")
    assert [each["Key"] for each in page["Contents"]] == ["d/s.tar", "d/s.tar-notes", "d/z"]
    assert [each["Prefix"] for each in page["CommonPrefixes"]] == ["d/s.tar/"]
    page = client.list_objects_v2(Bucket=viewed, Prefix="d/s.tar/", Delimiter="/")
    assert [each["Key"] for each in page["Contents"]] == ["d/s.tar/top.txt"]
    assert [each["Prefix"] for each in page["CommonPrefixes"]] == ["d/s.tar/train/"]
    page = client.list_objects_v2(Bucket=viewed, StartAfter="d/s.tar/train/000.jpg")
    assert [each["Key"] for each in page["Contents"]] == KEYS[KEYS.index(VIEWED[1]) + 1 :]


def test_shard_view_get_and_head(client: S3Client, viewed: str) -> None:
    shard = client.head_object(Bucket=viewed, Key="d/s.tar")
    entries = client.list_objects_v2(Bucket=viewed, Prefix="d/s.tar/")["Contents"]
    listed = {entry["Key"]: entry for entry in entries}
    for path, data in MEMBERS.items():
        key = f"d/s.tar/{path}"
        got = client.get_object(Bucket=viewed, Key=key)
        head = client.head_object(Bucket=viewed, Key=key)
        assert got["Body"].read() == data
        assert got["ContentLength"] == head["ContentLength"] == listed[key]["Size"] == len(data)
        assert got["ETag"] == head["ETag"] == listed[key]["ETag"] != shard["ETag"]
        assert got["LastModified"] == head["LastModified"] == shard["LastModified"]
        with pytest.raises(ClientError) as raised:
            client.get_object(Bucket=viewed, Key=key, IfNoneMatch=got["ETag"])
        assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 304
        assert client.get_object(Bucket=viewed, Key=key, IfMatch=got["ETag"])["ETag"]
        with pytest.raises(ClientError) as raised:
            client.get_object(Bucket=viewed, Key=key, IfMatch='"other"')
        assert refused(raised) == "PreconditionFailed"
    assert client.head_object(Bucket=viewed, Key="d/s.tar/train/000.jpg")["ContentType"] == (
        "image/jpeg"
    )


def test_shard_view_ranges(client: S3Client, viewed: str) -> None:
    key = "d/s.tar/train/001.jpg"
    for wanted, first, last in (
        ("bytes=0-0", 0, 0),
        ("bytes=1000-200999", 1000, 200999),
        ("bytes=-10", len(LARGE) - 10, len(LARGE) - 1),
        ("bytes=262000-", 262000, len(LARGE) - 1),
    ):
        got = client.get_object(Bucket=viewed, Key=key, Range=wanted)
        assert got["ContentRange"] == f"bytes {first}-{last}/{len(LARGE)}"
        assert got["Body"].read() == LARGE[first : last + 1]
    with pytest.raises(ClientError) as raised:
        client.get_object(Bucket=viewed, Key=key, Range="bytes=262144-")
    assert refused(raised) == "InvalidRange"


def test_shard_view_what_is_stored_wins(client: S3Client, viewed: str) -> None:
    key = "d/s.tar/top.txt"
    client.put_object(Bucket=viewed, Key=key, Body=b"stored", ContentType="x/y")
    assert read(client, viewed, key) == b"stored"
    assert list_keys(client, viewed) == KEYS
    sizes = {o["Key"]: o["Size"] for o in client.list_objects_v2(Bucket=viewed)["Contents"]}
    assert sizes[key] == 6
    client.delete_object(Bucket=viewed, Key=key)
    assert read(client, viewed, key) == b"top"
    client.delete_object(Bucket=viewed, Key=key)
    assert read(client, viewed, key) == b"top"


def test_shard_view_follows_its_shard(client: S3Client, viewed: str) -> None:
    before = client.head_object(Bucket=viewed, Key="d/s.tar/top.txt")
    client.put_object(Bucket=viewed, Key="d/s.tar", Body=tar({"top.txt": b"new", "more": b"m"}))
    assert read(client, viewed, "d/s.tar/top.txt") == b"new"
    assert client.head_object(Bucket=viewed, Key="d/s.tar/top.txt")["ETag"] != before["ETag"]
    with pytest.raises(ClientError) as raised:
        client.get_object(Bucket=viewed, Key=VIEWED[-1])
    assert refused(raised) == "NoSuchKey"
    client.delete_object(Bucket=viewed, Key="d/s.tar")
    assert list_keys(client, viewed) == ["d/s.tar-notes", "d/z"]


def test_shard_view_asks_for_member_and_shard(
    client: S3Client, other_client: S3Client, viewed: str
) -> None:
    member, shard = "d/s.tar/train/000.json", "d/s.tar"

    def allow(*keys: str, deny: str = "") -> None:
        arn = f"arn:aws:s3:::{viewed}"
        statements: list[dict[str, Any]] = [
            {
                "Effect": "Allow",
                "Principal": "*",
                "Action": "s3:GetObject",
                "Resource": [f"{arn}/{key}" for key in keys],
            }
        ]
        if deny:
            statements.append({**statements[0], "Effect": "Deny", "Resource": [f"{arn}/{deny}"]})
        policy = {"Version": "2012-10-17", "Statement": statements}
        client.put_bucket_policy(Bucket=viewed, Policy=json.dumps(policy))

    def outcome(reader: S3Client) -> str:
        try:
            reader.head_object(Bucket=viewed, Key=member)
            return str(len(read(reader, viewed, member)))
        except ClientError as error:
            return code_of(error)

    assert outcome(other_client) == "403"
    for keys in ((member,), (shard,), ("d/z",)):
        allow(*keys)
        assert outcome(other_client) == "403", keys
    allow(member, shard)
    assert outcome(other_client) == "12"
    allow("d/*")
    assert outcome(other_client) == "12"
    allow("d/*", deny="d/s.tar")
    assert outcome(other_client) == outcome(client) == "403"
    allow("d/*", deny="d/s.tar/*")
    assert outcome(other_client) == outcome(client) == "403"


def test_shard_view_aws_cli(server: Server, viewed: str, tmp_path: Path) -> None:
    def aws(*arguments: str) -> str:
        return run("aws", "--endpoint-url", server.endpoint, "s3", *arguments)

    said = aws("ls", f"s3://{viewed}/d/")
    assert "PRE s.tar/" in said
    assert "s.tar-notes" in said
    aws("sync", f"s3://{viewed}/d/s.tar/", str(tmp_path / "shard"))
    found = {
        str(path.relative_to(tmp_path / "shard")): path.read_bytes()
        for path in (tmp_path / "shard").rglob("*")
        if path.is_file()
    }
    assert found == MEMBERS
    aws("cp", f"s3://{viewed}/d/s.tar/train/001.jpg", str(tmp_path / "one"))
    assert (tmp_path / "one").read_bytes() == LARGE


def test_shard_view_pyarrow(server: Server, viewed: str) -> None:
    arrow = fs.S3FileSystem(
        access_key=ROOT_KEYS.access_key,
        secret_key=ROOT_KEYS.secret_key,
        endpoint_override=host_of(server),
        scheme="http",
        region=REGION,
    )
    found = arrow.get_file_info(fs.FileSelector(f"{viewed}/d/s.tar", recursive=True))
    sizes = {each.path: each.size for each in found if each.is_file}
    assert sizes == {f"{viewed}/d/s.tar/{path}": len(data) for path, data in MEMBERS.items()}
    with arrow.open_input_file(f"{viewed}/d/s.tar/train/001.jpg") as file:
        assert file.read_at(300, 1000) == LARGE[1000:1300]
        assert file.read() == LARGE
