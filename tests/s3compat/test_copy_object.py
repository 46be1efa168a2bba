"""CopyObject, and the spellings of x-amz-copy-source."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest
from botocore.exceptions import ClientError
from mypy_boto3_s3 import S3Client

from tests.s3compat.boto import MIB, code_of, list_keys, read, status_of
from tests.s3compat.wire import exchange
from tests.server import Server

DATA = hashlib.shake_256(b"copy").digest(2 * MIB)


@pytest.mark.parametrize("size", [0, 100, 2 * MIB])
def test_copy_object_to_another_bucket(
    client: S3Client, make_bucket: Callable[[], str], size: int
) -> None:
    source, target = make_bucket(), make_bucket()
    put = client.put_object(
        Bucket=source, Key="k", Body=DATA[:size], ContentType="text/x-a", Metadata={"m": "1"}
    )
    copied = client.copy_object(Bucket=target, Key="c", CopySource={"Bucket": source, "Key": "k"})
    assert copied["CopyObjectResult"]["ETag"] == put["ETag"]
    client.delete_object(Bucket=source, Key="k")
    assert read(client, target, "c") == DATA[:size]
    head = client.head_object(Bucket=target, Key="c")
    assert (head["ContentType"], head["Metadata"]) == ("text/x-a", {"m": "1"})


def test_copy_object_replaces_metadata(client: S3Client, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="k", Body=b"x", Metadata={"old": "1"})
    client.copy_object(
        Bucket=bucket,
        Key="c",
        CopySource=f"{bucket}/k",
        MetadataDirective="REPLACE",
        Metadata={"new": "2"},
        ContentType="text/x-b",
    )
    head = client.head_object(Bucket=bucket, Key="c")
    assert (head["ContentType"], head["Metadata"]) == ("text/x-b", {"new": "2"})


def test_copy_object_onto_itself(client: S3Client, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="k", Body=DATA)
    with pytest.raises(ClientError) as raised:
        client.copy_object(Bucket=bucket, Key="k", CopySource=f"{bucket}/k")
    assert code_of(raised.value) == "InvalidRequest"
    client.copy_object(
        Bucket=bucket,
        Key="k",
        CopySource=f"{bucket}/k",
        MetadataDirective="REPLACE",
        Metadata={"new": "2"},
    )
    assert read(client, bucket, "k") == DATA
    assert client.head_object(Bucket=bucket, Key="k")["Metadata"] == {"new": "2"}


def test_copy_object_source_conditions(client: S3Client, bucket: str) -> None:
    etag = client.put_object(Bucket=bucket, Key="k", Body=b"x")["ETag"]
    client.copy_object(Bucket=bucket, Key="c", CopySource=f"{bucket}/k", CopySourceIfMatch=etag)
    for condition in ({"CopySourceIfMatch": '"0"'}, {"CopySourceIfNoneMatch": etag}):
        with pytest.raises(ClientError) as raised:
            client.copy_object(
                Bucket=bucket,
                Key="d",
                CopySource=f"{bucket}/k",
                **condition,  # type: ignore[arg-type]
            )
        assert status_of(raised.value) == 412
    assert list_keys(client, bucket) == ["c", "k"]


def test_copy_object_target_condition(client: S3Client, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="k", Body=b"x")
    client.put_object(Bucket=bucket, Key="c", Body=b"kept")
    with pytest.raises(ClientError) as raised:
        client.copy_object(Bucket=bucket, Key="c", CopySource=f"{bucket}/k", IfNoneMatch="*")
    assert status_of(raised.value) == 412
    assert read(client, bucket, "c") == b"kept"


@pytest.mark.parametrize(
    ("key", "spelled"),
    [
        ("plain", "{}/plain"),
        ("plain", "/{}/plain"),
        ("with space", "{}/with%20space"),
        ("plus+sign", "{}/plus%2Bsign"),
        ("per%cent", "{}/per%25cent"),
        ("quest?ion", "{}/quest%3Fion"),
        ("slash/ed", "{}/slash/ed"),
        ("slash/ed", "{}%2Fslash%2Fed"),
        ("ümlaut€", "{}/%C3%BCmlaut%E2%82%AC"),
        ("//two/../dots", "{}///two/../dots"),
    ],
)
def test_copy_object_source_encodings(
    server: Server, client: S3Client, bucket: str, key: str, spelled: str
) -> None:
    client.put_object(Bucket=bucket, Key=key, Body=key.encode())
    reply = exchange(
        server, "PUT", f"/{bucket}/copy", headers={"x-amz-copy-source": spelled.format(bucket)}
    )
    assert reply.status == 200, reply.body
    assert read(client, bucket, "copy") == key.encode()


@pytest.mark.parametrize("spelled", ["nothing", "/", "", "{}/", "/{}"])
def test_copy_object_malformed_source(server: Server, bucket: str, spelled: str) -> None:
    reply = exchange(
        server, "PUT", f"/{bucket}/copy", headers={"x-amz-copy-source": spelled.format(bucket)}
    )
    assert (reply.status, reply.error_code) == (400, "InvalidArgument")


def test_copy_object_missing_source(client: S3Client, bucket: str) -> None:
    with pytest.raises(ClientError) as raised:
        client.copy_object(Bucket=bucket, Key="c", CopySource=f"{bucket}/absent")
    assert code_of(raised.value) == "NoSuchKey"
    with pytest.raises(ClientError) as raised:
        client.copy_object(Bucket=bucket, Key="c", CopySource="no-such-bucket-here/k")
    assert code_of(raised.value) == "NoSuchBucket"


def test_copy_object_source_of_another_user(
    client: S3Client, other_client: S3Client, bucket: str
) -> None:
    client.put_object(Bucket=bucket, Key="k", Body=b"secret")
    other_client.create_bucket(Bucket=f"{bucket}-other")
    try:
        with pytest.raises(ClientError) as raised:
            other_client.copy_object(
                Bucket=f"{bucket}-other", Key="c", CopySource={"Bucket": bucket, "Key": "k"}
            )
        assert code_of(raised.value) == "AccessDenied"
    finally:
        other_client.delete_bucket(Bucket=f"{bucket}-other")
