"""A server without access control: whoever asks is root, with whatever key, token or nothing."""

from __future__ import annotations

import secrets

import boto3
import pytest
import requests
from aistore.sdk import Bucket
from botocore import UNSIGNED
from botocore.config import Config
from mypy_boto3_s3 import S3Client

from tests.native.sdk import connect
from tests.server import Server

DATA = bytes(range(256)) * 300


def stranger(server: Server, token: str | None = None, version: str | None = "s3v4") -> S3Client:
    """boto3 with a key pair that nobody has."""
    config = Config(
        signature_version=UNSIGNED if version is None else version,
        retries={"total_max_attempts": 1},
        s3={"addressing_style": "path"},
    )
    return boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        region_name="us-east-1",
        aws_access_key_id="NOBODYKNOWSTHISKEY01",
        aws_secret_access_key="nor the secret of it",
        aws_session_token=token,
        config=config,
    )


@pytest.mark.parametrize("version", ["s3v4", "s3", None])
@pytest.mark.parametrize("token", [None, "no.good.token"])
def test_boto3_with_any_key(
    server: Server, bucket: Bucket, version: str | None, token: str | None
) -> None:
    client = stranger(server, token, version)
    client.put_object(Bucket=bucket.name, Key="k", Body=DATA, ChecksumAlgorithm="SHA256")
    assert client.get_object(Bucket=bucket.name, Key="k")["Body"].read() == DATA
    assert bucket.name in {each["Name"] for each in client.list_buckets()["Buckets"]}
    name = f"test-{secrets.token_hex(6)}"
    client.create_bucket(Bucket=name)
    client.delete_bucket(Bucket=name)


def test_presigned_by_anybody(server: Server, bucket: Bucket) -> None:
    client = stranger(server)
    where = {"Bucket": bucket.name, "Key": "k"}
    url = client.generate_presigned_url("put_object", where)
    assert requests.put(url, data=DATA, timeout=60).status_code == 200
    url = client.generate_presigned_url("get_object", where, ExpiresIn=1)
    assert requests.get(
        url.replace("X-Amz-Signature=", "X-Amz-Signature=0"), timeout=60
    ).content == (DATA)


@pytest.mark.parametrize("token", ["", "no.good.token", "x" * 20_000])
def test_sdk_with_any_token(server: Server, bucket: Bucket, token: str) -> None:
    found = connect(server, token=token).bucket(bucket.name).object("k")
    found.get_writer().put_content(DATA)
    assert found.get_reader().read_all() == DATA


@pytest.mark.parametrize(
    "headers", [{"host": "evil.test"}, {"origin": "https://evil.test"}, {"origin": "null"}]
)
@pytest.mark.parametrize("path", ["/", "/v1/daemon?what=smap"])
def test_pages_of_strangers(
    server: Server, http: requests.Session, path: str, headers: dict[str, str]
) -> None:
    assert http.get(server.endpoint + path, timeout=60).status_code == 200
    assert http.get(server.endpoint + path, headers=headers, timeout=60).status_code == 403
