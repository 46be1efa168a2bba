"""Who may ask for a batch: S3 credentials reach it, unmodified botocore signing; and what is refused under load."""

from __future__ import annotations

import io
import json
import secrets
import tarfile
from collections.abc import Iterator

import pytest
import requests
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from mypy_boto3_s3 import S3Client

from tests.s3compat import boto
from tests.server import OTHER_KEYS, REGION, ROOT_KEYS, Keys, Server, ServerOptions


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One with access control."""
    data = tmp_path_factory.mktemp("access") / "data"
    arguments = ("--set", "get_batch.max_pending=1", "--set", "get_batch.max_soft_errors=3")
    running = Server(ServerOptions([data], workers=1, arguments=arguments))
    running.start()
    try:
        running.add_user("other", OTHER_KEYS)
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def root(server: Server) -> S3Client:
    return boto.connect(server)


@pytest.fixture
def bucket(root: S3Client) -> str:
    name = f"test-{secrets.token_hex(6)}"
    root.create_bucket(Bucket=name)
    for key in ("a", "open/b"):
        root.put_object(Bucket=name, Key=key, Body=key.encode())
    return name


def message(*keys: str, coer: bool = True) -> bytes:
    items = [{"objname": key} for key in keys]
    return json.dumps({"in": items, "strm": True, "coer": coer}).encode()


def signed(
    server: Server, bucket: str, body: bytes, keys: Keys = ROOT_KEYS, method: str = "POST"
) -> requests.PreparedRequest:
    """As botocore signs it, body and all."""
    request = AWSRequest(method, f"{server.endpoint}/v1/ml/moss/{bucket}", data=body)
    credentials = Credentials(keys.access_key, keys.secret_key)
    request.context["payload_signing_enabled"] = True
    S3SigV4Auth(credentials, "s3", REGION).add_auth(request)
    return requests.Request(method, request.url, dict(request.headers.items()), data=body).prepare()


def send(request: requests.PreparedRequest) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        return session.send(request, timeout=20)


def names(reply: requests.Response) -> list[str]:
    assert reply.status_code == 200, reply.text
    with tarfile.open(fileobj=io.BytesIO(reply.content)) as archive:
        return archive.getnames()


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_signed_request(server: Server, bucket: str, method: str) -> None:
    reply = send(signed(server, bucket, message("a", "open/b"), method=method))
    assert names(reply) == [f"{bucket}/a", f"{bucket}/open/b"]


def test_presigned_url(server: Server, bucket: str) -> None:
    """It says nothing of the body: whoever has it may ask for what its signer may read."""
    request = AWSRequest("POST", f"{server.endpoint}/v1/ml/moss/{bucket}")
    credentials = Credentials(ROOT_KEYS.access_key, ROOT_KEYS.secret_key)
    S3SigV4QueryAuth(credentials, "s3", REGION, expires=60).add_auth(request)
    assert request.url is not None
    reply = requests.post(request.url, data=message("open/b"), timeout=20)
    assert names(reply) == [f"{bucket}/open/b"]


def test_unsigned_and_forged_are_refused(server: Server, bucket: str) -> None:
    url = f"{server.endpoint}/v1/ml/moss/{bucket}"
    assert requests.post(url, data=message("a"), timeout=20).status_code == 401
    forged = signed(server, bucket, message("a"), Keys(ROOT_KEYS.access_key, "x" * 40))
    assert send(forged).status_code == 403
    changed = signed(server, bucket, message("a"))
    changed.body = message("b")
    assert send(changed).status_code == 400


def test_another_user_needs_a_grant(server: Server, bucket: str, root: S3Client) -> None:
    asked = message("a", "open/b", "open/none", coer=True)
    assert send(signed(server, bucket, asked, OTHER_KEYS)).status_code == 403
    statement = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{bucket}/open/*",
    }
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    root.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    # The first item of a bucket decides whether its caller has anything to do there.
    assert send(signed(server, bucket, asked, OTHER_KEYS)).status_code == 403
    reply = send(signed(server, bucket, message("open/b", "a", "open/none"), OTHER_KEYS))
    missing = f"__404__/{bucket}"
    assert names(reply) == [f"{bucket}/open/b", f"{missing}/a", f"{missing}/open/none"]
    strict = message("open/b", "a", coer=False)
    assert send(signed(server, bucket, strict, OTHER_KEYS)).status_code == 403


def test_each_bucket_is_asked_for(server: Server, bucket: str, root: S3Client) -> None:
    name = f"test-{secrets.token_hex(6)}"
    other = boto.connect(server, OTHER_KEYS)
    other.create_bucket(Bucket=name)
    other.put_object(Bucket=name, Key="mine", Body=b"mine")
    items = [{"objname": "mine"}, {"objname": "a", "bucket": bucket}]
    both = json.dumps({"in": items, "strm": True, "coer": True}).encode()
    assert send(signed(server, name, both, OTHER_KEYS)).status_code == 403
    assert names(send(signed(server, name, both))) == [f"{name}/mine", f"{bucket}/a"]


def test_too_many_soft_errors(server: Server, bucket: str) -> None:
    gone = [f"gone/{n}" for n in range(4)]
    assert len(names(send(signed(server, bucket, message("a", *gone[:3]))))) == 4
    reply = send(signed(server, bucket, message("a", *gone)))
    assert reply.status_code == 400
    assert "more than 3 items failed" in reply.json()["message"]


def test_one_batch_too_many(server: Server, bucket: str, root: S3Client) -> None:
    root.put_object(Bucket=bucket, Key="large", Body=bytes(8 * 1024**2))
    with requests.Session() as session:
        first = session.send(
            signed(server, bucket, message(*["large"] * 50)), stream=True, timeout=20
        )
        assert first.status_code == 200
        second = send(signed(server, bucket, message("a")))
        assert second.status_code == 429
        assert int(second.headers["retry-after"]) >= 1
        first.close()
