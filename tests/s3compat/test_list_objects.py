"""ListObjects and ListObjectsV2."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError
from mypy_boto3_s3 import S3Client

from tests.s3compat.boto import code_of, list_keys
from tests.s3compat.wire import exchange
from tests.server import Server

KEYS = ["a/1", "a/2", "a/b/3", "b", "c/", "c/4", "d é", "z\U0001f600", "\uffee"]


@pytest.fixture
def filled(client: S3Client, bucket: str) -> str:
    for key in KEYS:
        client.put_object(Bucket=bucket, Key=key, Body=key.encode())
    return bucket


def test_list_objects_in_binary_order(client: S3Client, filled: str) -> None:
    ordered = sorted(KEYS, key=str.encode)
    assert list_keys(client, filled) == ordered
    old = client.list_objects(Bucket=filled)
    assert [entry["Key"] for entry in old["Contents"]] == ordered


@pytest.mark.parametrize("size", [1, 2, 5])
def test_list_objects_v2_pages(client: S3Client, filled: str, size: int) -> None:
    keys: list[str] = []
    page = client.list_objects_v2(Bucket=filled, MaxKeys=size)
    while True:
        assert page["KeyCount"] == len(page["Contents"]) <= size
        keys += [entry["Key"] for entry in page["Contents"]]
        if not page["IsTruncated"]:
            break
        page = client.list_objects_v2(
            Bucket=filled, MaxKeys=size, ContinuationToken=page["NextContinuationToken"]
        )
    assert keys == sorted(KEYS, key=str.encode)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_list_objects_v2_pages_with_delimiter(client: S3Client, filled: str, size: int) -> None:
    pages = client.get_paginator("list_objects_v2").paginate(
        Bucket=filled, Delimiter="/", PaginationConfig={"PageSize": size}
    )
    keys: list[str] = []
    prefixes: list[str] = []
    for page in pages:
        found = page.get("Contents", []), page.get("CommonPrefixes", [])
        assert 1 <= len(found[0]) + len(found[1]) <= size
        keys += [entry["Key"] for entry in found[0]]
        prefixes += [entry["Prefix"] for entry in found[1]]
    assert keys == ["b", "d é", "z\U0001f600", "\uffee"]
    assert prefixes == ["a/", "c/"]


def test_list_objects_marker_pages_with_delimiter(client: S3Client, filled: str) -> None:
    page = client.list_objects(Bucket=filled, Delimiter="/", MaxKeys=1)
    assert [entry["Prefix"] for entry in page["CommonPrefixes"]] == ["a/"]
    assert page["NextMarker"] == "a/"
    page = client.list_objects(Bucket=filled, Delimiter="/", MaxKeys=1, Marker=page["NextMarker"])
    assert [entry["Key"] for entry in page["Contents"]] == ["b"]


def test_list_objects_prefix_and_delimiter(client: S3Client, filled: str) -> None:
    page = client.list_objects_v2(Bucket=filled, Prefix="a/", Delimiter="/")
    assert [entry["Key"] for entry in page["Contents"]] == ["a/1", "a/2"]
    assert [entry["Prefix"] for entry in page["CommonPrefixes"]] == ["a/b/"]


def test_list_objects_v2_long_delimiter(client: S3Client, filled: str) -> None:
    page = client.list_objects_v2(Bucket=filled, Delimiter="/b/")
    assert [entry["Prefix"] for entry in page["CommonPrefixes"]] == ["a/b/"]


def test_list_objects_v2_start_after(client: S3Client, filled: str) -> None:
    page = client.list_objects_v2(Bucket=filled, StartAfter="c/4")
    assert [entry["Key"] for entry in page["Contents"]] == ["d é", "z\U0001f600", "\uffee"]
    assert page["StartAfter"] == "c/4"


def test_list_objects_v2_fetch_owner(client: S3Client, filled: str) -> None:
    assert "Owner" not in client.list_objects_v2(Bucket=filled)["Contents"][0]
    owner = client.list_buckets()["Owner"]["ID"]
    page = client.list_objects_v2(Bucket=filled, FetchOwner=True)
    assert page["Contents"][0]["Owner"]["ID"] == owner
    assert client.list_objects(Bucket=filled)["Contents"][0]["Owner"]["ID"] == owner


def test_list_objects_v2_max_keys_zero(client: S3Client, filled: str) -> None:
    page = client.list_objects_v2(Bucket=filled, MaxKeys=0)
    assert (page["KeyCount"], page["IsTruncated"]) == (0, False)


@pytest.mark.parametrize("value", ["-1", "many", "99999999999999"])
def test_list_objects_v2_bad_max_keys(server: Server, filled: str, value: str) -> None:
    reply = exchange(server, "GET", f"/{filled}?list-type=2&max-keys={value}")
    assert (reply.status, reply.error_code) == (400, "InvalidArgument")


def test_list_objects_v2_max_keys_above_limit(server: Server, filled: str) -> None:
    reply = exchange(server, "GET", f"/{filled}?list-type=2&max-keys=5000")
    assert reply.status == 200
    assert reply.body.count(b"<Key>") == len(KEYS)


def test_list_objects_v2_bad_token(server: Server, filled: str) -> None:
    reply = exchange(server, "GET", f"/{filled}?list-type=2&continuation-token=not%20a%20token%21")
    assert (reply.status, reply.error_code) == (400, "InvalidArgument")


def test_list_objects_encoding_type(server: Server, filled: str) -> None:
    plain = exchange(server, "GET", f"/{filled}?list-type=2").body
    assert "<Key>d é</Key>".encode() in plain
    encoded = exchange(server, "GET", f"/{filled}?list-type=2&encoding-type=url").body
    assert b"<Key>d+%C3%A9</Key>" in encoded or b"<Key>d%20%C3%A9</Key>" in encoded
    assert b"<EncodingType>url</EncodingType>" in encoded
    wrong = exchange(server, "GET", f"/{filled}?encoding-type=base64")
    assert (wrong.status, wrong.error_code) == (400, "InvalidArgument")


def test_list_objects_missing_bucket(client: S3Client) -> None:
    with pytest.raises(ClientError) as raised:
        client.list_objects_v2(Bucket="no-such-bucket-here")
    assert code_of(raised.value) == "NoSuchBucket"


def test_list_objects_agrees_with_heads(client: S3Client, filled: str) -> None:
    for entry in client.list_objects_v2(Bucket=filled)["Contents"]:
        head = client.head_object(Bucket=filled, Key=entry["Key"])
        assert (entry["Size"], entry["ETag"]) == (head["ContentLength"], head["ETag"])
        assert entry["LastModified"].replace(microsecond=0) == head["LastModified"]
        assert entry["StorageClass"] == "STANDARD"
