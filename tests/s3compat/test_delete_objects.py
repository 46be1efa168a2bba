"""DeleteObject and DeleteObjects."""

from __future__ import annotations

import base64
import hashlib

import pytest
from botocore.exceptions import ClientError
from mypy_boto3_s3 import S3Client

from tests.s3compat.boto import code_of, list_keys
from tests.s3compat.wire import exchange
from tests.server import Server


def test_delete_object(client: S3Client, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="k", Body=b"x")
    done = client.delete_object(Bucket=bucket, Key="k")
    assert done["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert list_keys(client, bucket) == []
    with pytest.raises(ClientError) as raised:
        client.get_object(Bucket=bucket, Key="k")
    assert code_of(raised.value) == "NoSuchKey"


def test_delete_object_missing_key(client: S3Client, bucket: str) -> None:
    done = client.delete_object(Bucket=bucket, Key="absent")
    assert done["ResponseMetadata"]["HTTPStatusCode"] == 204


def test_delete_object_missing_bucket(client: S3Client) -> None:
    with pytest.raises(ClientError) as raised:
        client.delete_object(Bucket="no-such-bucket-here", Key="k")
    assert code_of(raised.value) == "NoSuchBucket"


def test_delete_objects(client: S3Client, bucket: str) -> None:
    keys = ["a", "b&<c>", "d é", "//", "e\U0001f600"]
    for key in keys:
        client.put_object(Bucket=bucket, Key=key, Body=b"x")
    done = client.delete_objects(
        Bucket=bucket, Delete={"Objects": [{"Key": key} for key in [*keys, "absent"]]}
    )
    assert [entry["Key"] for entry in done["Deleted"]] == [*keys, "absent"]
    assert done.get("Errors", []) == []
    assert list_keys(client, bucket) == []


def test_delete_objects_quiet(client: S3Client, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="k", Body=b"x")
    done = client.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k"}], "Quiet": True})
    assert done.get("Deleted", []) == []
    assert list_keys(client, bucket) == []


def test_delete_objects_above_limit(client: S3Client, bucket: str) -> None:
    with pytest.raises(ClientError) as raised:
        client.delete_objects(
            Bucket=bucket, Delete={"Objects": [{"Key": str(n)} for n in range(1001)]}
        )
    assert code_of(raised.value) == "MalformedXML"


def test_delete_objects_thousand(client: S3Client, bucket: str) -> None:
    done = client.delete_objects(
        Bucket=bucket, Delete={"Objects": [{"Key": str(n)} for n in range(1000)]}
    )
    assert len(done["Deleted"]) == 1000


@pytest.mark.parametrize(
    "body", [b"", b"<Delete>", b"<Delete></Delete>", b"<Other/>", b"<Delete><Object/></Delete>"]
)
def test_delete_objects_malformed(server: Server, bucket: str, body: bytes) -> None:
    reply = exchange(
        server, "POST", f"/{bucket}?delete", body=body, headers={"content-md5": _md5(body)}
    )
    assert reply.status == 400
    assert reply.error_code in {"MalformedXML", "MissingRequestBodyError"}


def test_delete_objects_entity_expansion_refused(server: Server, bucket: str) -> None:
    body = (
        b'<!DOCTYPE d [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>'
        b"<Delete><Object><Key>&b;</Key></Object></Delete>"
    )
    reply = exchange(
        server, "POST", f"/{bucket}?delete", body=body, headers={"content-md5": _md5(body)}
    )
    assert (reply.status, reply.error_code) == (400, "MalformedXML")


def test_delete_objects_of_another_user(
    client: S3Client, other_client: S3Client, bucket: str
) -> None:
    client.put_object(Bucket=bucket, Key="k", Body=b"x")
    done = other_client.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k"}]})
    assert [entry["Code"] for entry in done["Errors"]] == ["AccessDenied"]
    assert list_keys(client, bucket) == ["k"]


def _md5(body: bytes) -> str:

    return base64.b64encode(hashlib.md5(body).digest()).decode()
