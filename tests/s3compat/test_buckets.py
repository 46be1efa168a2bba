"""ListBuckets, CreateBucket, HeadBucket, DeleteBucket, GetBucketLocation."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
from mypy_boto3_s3 import S3Client

from tests.s3compat.boto import code_of, connect, status_of
from tests.s3compat.wire import exchange
from tests.server import Server


def test_create_bucket_again_is_owned_by_you(client: S3Client, bucket: str) -> None:
    # us-east-1 answers a repeated creation by the owner with 200.
    client.create_bucket(Bucket=bucket)


def test_create_bucket_of_another_user(other_client: S3Client, bucket: str) -> None:
    with pytest.raises(ClientError) as raised:
        other_client.create_bucket(Bucket=bucket)
    assert (code_of(raised.value), status_of(raised.value)) == ("BucketAlreadyExists", 409)


@pytest.mark.parametrize(
    "name",
    ["ab", "a" * 64, "Upper", "under_score", "-dash", "dash-", "a..b", "192.168.1.1", "xn--abc"],
)
def test_create_bucket_bad_name(server: Server, name: str) -> None:
    reply = exchange(server, "PUT", f"/{name}")
    assert (reply.status, reply.error_code) == (400, "InvalidBucketName")


def test_create_bucket_malformed_body(server: Server) -> None:
    reply = exchange(server, "PUT", f"/test-{secrets.token_hex(6)}", body=b"<CreateBucket")
    assert (reply.status, reply.error_code) == (400, "MalformedXML")


def test_head_bucket(client: S3Client, bucket: str) -> None:
    assert client.head_bucket(Bucket=bucket)["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_head_bucket_missing(client: S3Client) -> None:
    with pytest.raises(ClientError) as raised:
        client.head_bucket(Bucket="no-such-bucket-here")
    assert status_of(raised.value) == 404


def test_head_bucket_of_another_user(other_client: S3Client, bucket: str) -> None:
    with pytest.raises(ClientError) as raised:
        other_client.head_bucket(Bucket=bucket)
    assert status_of(raised.value) == 403


def test_delete_bucket_not_empty(client: S3Client, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="k", Body=b"x")
    with pytest.raises(ClientError) as raised:
        client.delete_bucket(Bucket=bucket)
    assert (code_of(raised.value), status_of(raised.value)) == ("BucketNotEmpty", 409)


def test_delete_bucket_missing(client: S3Client) -> None:
    with pytest.raises(ClientError) as raised:
        client.delete_bucket(Bucket="no-such-bucket-here")
    assert (code_of(raised.value), status_of(raised.value)) == ("NoSuchBucket", 404)


def test_delete_bucket_of_another_user(other_client: S3Client, bucket: str) -> None:
    with pytest.raises(ClientError) as raised:
        other_client.delete_bucket(Bucket=bucket)
    assert code_of(raised.value) == "AccessDenied"


def test_delete_bucket_then_create_is_empty(client: S3Client) -> None:
    name = f"test-{secrets.token_hex(6)}"
    client.create_bucket(Bucket=name)
    upload = client.create_multipart_upload(Bucket=name, Key="left")["UploadId"]
    client.upload_part(Bucket=name, Key="left", UploadId=upload, PartNumber=1, Body=b"x")
    client.delete_bucket(Bucket=name)
    with pytest.raises(ClientError) as raised:
        client.put_object(Bucket=name, Key="k", Body=b"x")
    assert code_of(raised.value) == "NoSuchBucket"
    client.create_bucket(Bucket=name)
    assert client.list_multipart_uploads(Bucket=name).get("Uploads", []) == []
    client.delete_bucket(Bucket=name)


def test_get_bucket_location(client: S3Client, bucket: str) -> None:
    assert client.get_bucket_location(Bucket=bucket).get("LocationConstraint") is None


def test_list_buckets(client: S3Client, make_bucket: Callable[[], str]) -> None:
    made = {make_bucket() for _ in range(3)}
    listed = [entry["Name"] for entry in client.list_buckets()["Buckets"]]
    assert made <= set(listed)
    assert listed == sorted(listed)


def test_list_buckets_pages_and_prefix(client: S3Client, make_bucket: Callable[[], str]) -> None:
    made = sorted(make_bucket() for _ in range(3))
    pages = client.get_paginator("list_buckets").paginate(
        Prefix="test-", PaginationConfig={"PageSize": 2}
    )
    names: list[str] = []
    for page in pages:
        assert len(page["Buckets"]) <= 2
        names += [entry["Name"] for entry in page["Buckets"]]
    assert names == sorted(names)
    assert set(made) <= set(names)
    only = client.list_buckets(Prefix=made[0])
    assert [entry["Name"] for entry in only["Buckets"]] == [made[0]]


def test_list_buckets_shows_own_only(other_client: S3Client, bucket: str) -> None:
    assert bucket not in [entry["Name"] for entry in other_client.list_buckets()["Buckets"]]


def test_list_buckets_anonymous(server: Server) -> None:
    anonymous = connect(server, config=Config(signature_version=UNSIGNED))
    with pytest.raises(ClientError) as raised:
        anonymous.list_buckets()
    assert code_of(raised.value) == "AccessDenied"
