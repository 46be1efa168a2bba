"""CORS as a browser meets it: the configuration through boto3, preflights and answers on the wire."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError
from mypy_boto3_s3 import S3Client

from tests.s3compat.boto import code_of
from tests.s3compat.wire import exchange
from tests.server import Server

ORIGIN = "http://page.test"


@pytest.fixture
def shared(client: S3Client, bucket: str) -> str:
    """A bucket that pages of one origin may read, with one object that anyone may."""
    client.put_object(Bucket=bucket, Key="open", Body=b"hello", ACL="public-read")
    client.put_bucket_cors(
        Bucket=bucket,
        CORSConfiguration={
            "CORSRules": [
                {
                    "ID": "read",
                    "AllowedMethods": ["GET", "HEAD"],
                    "AllowedOrigins": [ORIGIN, "https://*.page.test"],
                    "AllowedHeaders": ["range", "x-amz-*"],
                    "ExposeHeaders": ["ETag"],
                    "MaxAgeSeconds": 60,
                }
            ]
        },
    )
    return bucket


def test_configuration(client: S3Client, shared: str) -> None:
    rules = client.get_bucket_cors(Bucket=shared)["CORSRules"]
    assert rules[0]["ID"] == "read"
    assert rules[0]["AllowedMethods"] == ["GET", "HEAD"]
    assert rules[0]["AllowedOrigins"] == [ORIGIN, "https://*.page.test"]
    assert rules[0]["MaxAgeSeconds"] == 60
    client.delete_bucket_cors(Bucket=shared)
    client.delete_bucket_cors(Bucket=shared)
    with pytest.raises(ClientError) as caught:
        client.get_bucket_cors(Bucket=shared)
    assert code_of(caught.value) == "NoSuchCORSConfiguration"


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ({"AllowedMethods": ["PATCH"], "AllowedOrigins": ["*"]}, "InvalidRequest"),
        ({"AllowedMethods": ["GET"], "AllowedOrigins": ["*.*"]}, "InvalidRequest"),
        ({"AllowedMethods": ["GET"], "AllowedOrigins": []}, "MalformedXML"),
    ],
)
def test_bad_configuration(
    client: S3Client, bucket: str, rule: dict[str, list[str]], code: str
) -> None:
    with pytest.raises(ClientError) as caught:
        client.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [rule]})  # type: ignore[list-item]
    assert code_of(caught.value) == code


def test_preflight(server: Server, shared: str) -> None:
    asked = {
        "Origin": "https://a.page.test",
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "Range, X-Amz-Date",
    }
    reply = exchange(server, "OPTIONS", f"/{shared}/any", keys=None, headers=asked)
    assert reply.status == 200
    assert reply.headers["access-control-allow-origin"] == "https://a.page.test"
    assert reply.headers["access-control-allow-methods"] == "GET, HEAD"
    assert reply.headers["access-control-allow-headers"] == "range, x-amz-date"
    assert reply.headers["access-control-max-age"] == "60"
    for changed in (
        {"Origin": "https://page.test"},
        {"Access-Control-Request-Method": "PUT"},
        {"Access-Control-Request-Headers": "authorization"},
    ):
        refused = exchange(
            server, "OPTIONS", f"/{shared}/any", keys=None, headers={**asked, **changed}
        )
        assert (refused.status, refused.error_code) == (403, "AccessForbidden")


def test_page_may_read_answers_and_errors(server: Server, shared: str) -> None:
    for key, status in (("open", 200), ("closed", 403)):
        reply = exchange(server, "GET", f"/{shared}/{key}", keys=None, headers={"Origin": ORIGIN})
        assert reply.status == status
        assert reply.headers["access-control-allow-origin"] == ORIGIN
        assert reply.headers["access-control-expose-headers"] == "ETag"
    reply = exchange(server, "GET", f"/{shared}/open", keys=None)
    assert "access-control-allow-origin" not in reply.headers
