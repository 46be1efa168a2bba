"""Easy URLs: /ais/BUCKET/OBJECT for what people type."""

from __future__ import annotations

import json

import pytest
import requests
from aistore.sdk import Bucket
from botocore.exceptions import ClientError
from mypy_boto3_s3 import S3Client

from tests.server import Server


def test_object(server: Server, bucket: Bucket, http: requests.Session, s3: S3Client) -> None:
    url = f"{server.endpoint}/ais/{bucket.name}/dir/a%20name"
    assert http.put(url, data=b"some data", timeout=10).status_code == 200
    assert bucket.object("dir/a name").get_reader().read_all() == b"some data"
    assert s3.get_object(Bucket=bucket.name, Key="dir/a name")["Body"].read() == b"some data"
    assert http.get(url, timeout=10).content == b"some data"
    part = http.get(url, headers={"Range": "bytes=5-"}, timeout=10)
    assert (part.status_code, part.content) == (206, b"data")
    head = http.head(url, timeout=10)
    assert head.headers["Content-Length"] == "9"
    assert head.headers["Ais-Version"] == "1"
    assert http.delete(url, timeout=10).status_code == 200
    assert http.get(url, timeout=10).status_code == 404


def test_lists(server: Server, bucket: Bucket, http: requests.Session) -> None:
    for name in ("a/1", "a/2", "b"):
        bucket.object(name).get_writer().put_content(b"x")
    reply = http.get(f"{server.endpoint}/ais/{bucket.name}", timeout=10)
    assert [entry["name"] for entry in reply.json()["entries"]] == ["a/1", "a/2", "b"]
    reply = http.get(f"{server.endpoint}/ais/{bucket.name}/?prefix=a/", timeout=10)
    assert [entry["name"] for entry in reply.json()["entries"]] == ["a/1", "a/2"]
    names = [each["name"] for each in http.get(f"{server.endpoint}/ais", timeout=10).json()]
    assert bucket.name in names
    assert http.get(f"{server.endpoint}/gs", timeout=10).json() == []
    assert http.head(f"{server.endpoint}/ais/{bucket.name}", timeout=10).status_code == 200


@pytest.mark.parametrize("scheme", ["gs", "az", "oc"])
def test_other_providers(
    server: Server, bucket: Bucket, http: requests.Session, scheme: str
) -> None:
    """None of them can be asked: there are no credentials, or nobody answers."""
    reply = http.get(f"{server.endpoint}/{scheme}/{bucket.name}/k", timeout=60)
    assert 400 <= reply.status_code < 500
    message = json.loads(reply.text)["message"]
    assert f"{scheme}://{bucket.name}" in message or "account of oci needs" in message


def test_buckets_are_not_removed_by_typing(
    server: Server, bucket: Bucket, http: requests.Session, s3: S3Client
) -> None:
    for method in ("DELETE", "PUT", "POST", "PATCH"):
        reply = http.request(method, f"{server.endpoint}/ais/{bucket.name}", timeout=10)
        assert 400 <= reply.status_code < 500
    s3.head_bucket(Bucket=bucket.name)


def test_no_bucket_is_called_like_a_provider(s3: S3Client) -> None:
    with pytest.raises(ClientError):
        s3.create_bucket(Bucket="ais")
