"""POST object forms, as a browser sends them."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping

import pytest
from mypy_boto3_s3 import S3Client

from tests.s3compat.boto import list_keys, read
from tests.s3compat.signing import sign_policy_v2
from tests.s3compat.wire import Reply, exchange
from tests.server import ROOT_KEYS, Server

BOUNDARY = "----weir0test0boundary"


def post(server: Server, bucket: str, fields: Mapping[str, str], data: bytes) -> Reply:
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    body = (
        "".join(parts).encode()
        + (
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="up.bin"\r\n'
            "Content-Type: text/x-file\r\n\r\n"
        ).encode()
    )
    body += data + f"\r\n--{BOUNDARY}--\r\n".encode()
    headers = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
    return exchange(server, "POST", f"/{bucket}", body=body, headers=headers, keys=None)


def test_post_object_by_boto3(server: Server, client: S3Client, bucket: str) -> None:
    made = client.generate_presigned_post(
        bucket,
        "dir/${filename}",
        Fields={"x-amz-meta-one": "1"},
        Conditions=[{"x-amz-meta-one": "1"}, ["content-length-range", 1, 1_000_000]],
    )
    data = b"\r\n--not the boundary" * 30_000
    reply = post(server, bucket, made["fields"], data)
    assert reply.status == 204, reply.body
    assert read(client, bucket, "dir/up.bin") == data
    assert client.head_object(Bucket=bucket, Key="dir/up.bin")["Metadata"] == {"one": "1"}
    assert post(server, bucket, made["fields"], b"").error_code == "EntityTooSmall"
    assert post(server, bucket, made["fields"], b"x" * 1_000_001).error_code == "EntityTooLarge"


def v2_fields(bucket: str, **more: str) -> dict[str, str]:
    expiration = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 60))
    conditions = [{"bucket": bucket}, ["starts-with", "$key", "up/"]]
    conditions += [{name: value} for name, value in more.items()]
    document = {"expiration": expiration, "conditions": conditions}
    policy = base64.b64encode(json.dumps(document).encode()).decode()
    return {
        "key": "up/k",
        "AWSAccessKeyId": ROOT_KEYS.access_key,
        "policy": policy,
        "signature": sign_policy_v2(ROOT_KEYS, policy),
        **more,
    }


def test_post_object_v2_created(server: Server, client: S3Client, bucket: str) -> None:
    fields = v2_fields(bucket, success_action_status="201")
    reply = post(server, bucket, fields, b"x")
    assert reply.status == 201
    assert reply.document.findtext("Key") == "up/k"
    assert reply.document.findtext("Bucket") == bucket
    assert read(client, bucket, "up/k") == b"x"


def test_post_object_redirect(server: Server, bucket: str) -> None:
    where = "http://127.0.0.1/done"
    reply = post(server, bucket, v2_fields(bucket, success_action_redirect=where), b"x")
    assert reply.status == 303
    assert reply.headers["location"].startswith(f"{where}?bucket={bucket}&key=up%2Fk&etag=%22")


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"key": "elsewhere"}, 403),
        ({"signature": "AAAA"}, 403),
        ({"AWSAccessKeyId": "NOSUCHKEY"}, 403),
        ({"policy": "!!!"}, 403),
        ({"x-amz-meta-extra": "1"}, 403),
        ({"acl": "public-read"}, 403),
    ],
)
def test_post_object_refused(
    server: Server, client: S3Client, bucket: str, change: dict[str, str], status: int
) -> None:
    reply = post(server, bucket, v2_fields(bucket) | change, b"x")
    assert reply.status in {status, 400}
    assert list_keys(client, bucket) == []


def test_post_object_anonymous(server: Server, client: S3Client, bucket: str) -> None:
    reply = post(server, bucket, {"key": "k"}, b"x")
    assert (reply.status, reply.error_code) == (403, "AccessDenied")
    assert list_keys(client, bucket) == []


def test_post_object_without_file(server: Server, bucket: str) -> None:
    body = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="key"\r\n\r\nk\r\n--{BOUNDARY}--\r\n'
    )
    headers = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
    reply = exchange(server, "POST", f"/{bucket}", body=body.encode(), headers=headers, keys=None)
    assert reply.status in {400, 403}
