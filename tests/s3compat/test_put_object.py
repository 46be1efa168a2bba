"""PutObject, with the metadata and digests that come with it."""

from __future__ import annotations

import base64
import hashlib

import pytest
from botocore.exceptions import ClientError
from mypy_boto3_s3 import S3Client

from tests.s3compat.boto import MIB, code_of, list_keys, read, status_of
from tests.s3compat.wire import exchange
from tests.server import Server


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 65536, 1 * MIB - 1, 1 * MIB, 5 * MIB + 7])
def test_put_object_sizes(client: S3Client, bucket: str, size: int) -> None:
    data = hashlib.shake_256(str(size).encode()).digest(size)
    put = client.put_object(Bucket=bucket, Key="k", Body=data)
    assert put["ETag"] == f'"{hashlib.md5(data).hexdigest()}"'
    assert read(client, bucket, "k") == data
    head = client.head_object(Bucket=bucket, Key="k")
    assert (head["ContentLength"], head["ETag"]) == (size, put["ETag"])


def test_put_object_overwrites(client: S3Client, bucket: str) -> None:
    for data in (b"a" * 3 * MIB, b"b", b"c" * 70000, b""):
        client.put_object(Bucket=bucket, Key="k", Body=data)
        assert read(client, bucket, "k") == data
    assert list_keys(client, bucket) == ["k"]


def test_put_object_missing_bucket(client: S3Client) -> None:
    with pytest.raises(ClientError) as raised:
        client.put_object(Bucket="no-such-bucket-here", Key="k", Body=b"x")
    assert (code_of(raised.value), status_of(raised.value)) == ("NoSuchBucket", 404)


def test_put_object_keeps_system_metadata(client: S3Client, bucket: str) -> None:
    client.put_object(
        Bucket=bucket,
        Key="k",
        Body=b"x",
        CacheControl="max-age=60",
        ContentDisposition='attachment; filename="a b.txt"',
        ContentEncoding="gzip",
        ContentLanguage="de",
        ContentType="text/x-weir; charset=utf-8",
        Expires="Thu, 01 Dec 2033 16:00:00 GMT",
    )
    head = client.head_object(Bucket=bucket, Key="k")
    assert head["CacheControl"] == "max-age=60"
    assert head["ContentDisposition"] == 'attachment; filename="a b.txt"'
    assert head["ContentEncoding"] == "gzip"
    assert head["ContentLanguage"] == "de"
    assert head["ContentType"] == "text/x-weir; charset=utf-8"
    assert head["ResponseMetadata"]["HTTPHeaders"]["expires"] == "Thu, 01 Dec 2033 16:00:00 GMT"


def test_put_object_default_content_type(client: S3Client, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert client.head_object(Bucket=bucket, Key="k")["ContentType"] == "binary/octet-stream"


def test_put_object_user_metadata(client: S3Client, bucket: str) -> None:
    client.put_object(
        Bucket=bucket, Key="k", Body=b"x", Metadata={"One": "1", "two-words": "a  b", "empty": ""}
    )
    kept = client.head_object(Bucket=bucket, Key="k")["Metadata"]
    assert kept == {"one": "1", "two-words": "a  b", "empty": ""}


def test_put_object_user_metadata_not_ascii(server: Server, client: S3Client, bucket: str) -> None:
    # S3 gives back UTF-8 metadata encoded as RFC 2047 words.
    value = "Grüße €"
    reply = exchange(
        server,
        "PUT",
        f"/{bucket}/k",
        body=b"x",
        headers={
            "x-amz-meta-word": "=?UTF-8?B?" + base64.b64encode(value.encode()).decode() + "?="
        },
    )
    assert reply.status == 200
    kept = exchange(server, "HEAD", f"/{bucket}/k").headers["x-amz-meta-word"]
    assert kept.startswith("=?UTF-8?")


def test_put_object_metadata_too_large(client: S3Client, bucket: str) -> None:
    with pytest.raises(ClientError) as raised:
        client.put_object(Bucket=bucket, Key="k", Body=b"x", Metadata={"big": "v" * 2100})
    assert code_of(raised.value) == "MetadataTooLarge"
    assert list_keys(client, bucket) == []


def test_put_object_content_md5(client: S3Client, bucket: str) -> None:
    digest = base64.b64encode(hashlib.md5(b"right").digest()).decode()
    client.put_object(Bucket=bucket, Key="k", Body=b"right", ContentMD5=digest)
    with pytest.raises(ClientError) as raised:
        client.put_object(Bucket=bucket, Key="k", Body=b"wrong", ContentMD5=digest)
    assert (code_of(raised.value), status_of(raised.value)) == ("BadDigest", 400)
    assert read(client, bucket, "k") == b"right"


def test_put_object_malformed_md5(client: S3Client, bucket: str) -> None:
    with pytest.raises(ClientError) as raised:
        client.put_object(Bucket=bucket, Key="k", Body=b"x", ContentMD5="YWJj")
    assert code_of(raised.value) == "InvalidDigest"


def test_put_object_storage_class(client: S3Client, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="k", Body=b"x", StorageClass="REDUCED_REDUNDANCY")
    assert client.head_object(Bucket=bucket, Key="k")["StorageClass"] == "REDUCED_REDUNDANCY"
    with pytest.raises(ClientError) as raised:
        client.put_object(Bucket=bucket, Key="k", Body=b"x", StorageClass="NONE")  # type: ignore[arg-type]
    assert code_of(raised.value) == "InvalidStorageClass"


def test_put_object_without_length(server: Server, bucket: str) -> None:
    reply = exchange(server, "PUT", f"/{bucket}/k", headers={"content-length": "0"})
    assert reply.status == 200
