"""Who may do what: owners, others, the anonymous, and what canned ACLs open to them."""

from __future__ import annotations

import secrets
import time

import pytest
from botocore.exceptions import ClientError
from mypy_boto3_s3 import S3Client

from tests.s3compat.boto import code_of, connect, purge
from tests.s3compat.signing import Scope, authorize_v4
from tests.s3compat.wire import Wire, exchange, host_of
from tests.server import OTHER_KEYS, ROOT_KEYS, Keys, Server

EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

REQUESTS = [
    ("GET", "/{}", b""),
    ("GET", "/{}?list-type=2", b""),
    ("GET", "/{}?uploads", b""),
    ("GET", "/{}?location", b""),
    ("HEAD", "/{}", b""),
    ("DELETE", "/{}", b""),
    ("GET", "/{}/k", b""),
    ("HEAD", "/{}/k", b""),
    ("PUT", "/{}/k", b"changed"),
    ("DELETE", "/{}/k", b""),
    ("POST", "/{}/k?uploads", b""),
    ("GET", "/{}/k?attributes", b""),
    ("GET", "/{}/k?uploadId=1", b""),
]


@pytest.mark.parametrize(("method", "target", "body"), REQUESTS)
@pytest.mark.parametrize("keys", [OTHER_KEYS, None], ids=["other", "anonymous"])
def test_private_bucket_is_closed(
    server: Server, bucket: str, method: str, target: str, body: bytes, keys: Keys | None
) -> None:
    exchange(server, "PUT", f"/{bucket}/k", body=b"kept")
    reply = exchange(server, method, target.format(bucket), body=body, keys=keys)
    assert reply.status == 403
    if method != "HEAD":
        assert reply.error_code == "AccessDenied"
    assert exchange(server, "GET", f"/{bucket}/k").body == b"kept"


def test_existence_of_keys_is_not_told(server: Server, bucket: str) -> None:
    exchange(server, "PUT", f"/{bucket}/k", body=b"x")
    assert exchange(server, "GET", f"/{bucket}/absent", keys=OTHER_KEYS).status == 403


def test_public_read_bucket(server: Server, client: S3Client) -> None:
    name = f"test-{secrets.token_hex(6)}"
    client.create_bucket(Bucket=name, ACL="public-read")
    try:
        client.put_object(Bucket=name, Key="open", Body=b"x", ACL="public-read")
        client.put_object(Bucket=name, Key="closed", Body=b"x")
        for keys in (None, OTHER_KEYS):
            assert exchange(server, "GET", f"/{name}", keys=keys).status == 200
            assert exchange(server, "GET", f"/{name}/open", keys=keys).body == b"x"
            assert exchange(server, "GET", f"/{name}/closed", keys=keys).status == 403
            assert exchange(server, "PUT", f"/{name}/new", body=b"x", keys=keys).status == 403
    finally:
        purge(client, name)


def test_unknown_access_key(server: Server, bucket: str) -> None:
    reply = exchange(server, "GET", f"/{bucket}", keys=Keys("NOSUCHACCESSKEY", "x"))
    assert (reply.status, reply.error_code) == (403, "InvalidAccessKeyId")


def test_wrong_secret(server: Server, bucket: str) -> None:
    reply = exchange(server, "GET", f"/{bucket}", keys=Keys(ROOT_KEYS.access_key, "wrong"))
    assert (reply.status, reply.error_code) == (403, "SignatureDoesNotMatch")


@pytest.mark.parametrize("skew_s", [-1000, 1000])
def test_clock_skew(server: Server, bucket: str, skew_s: int) -> None:
    scope = Scope(ROOT_KEYS, time.time() + skew_s)
    headers = authorize_v4(scope, "GET", f"/{bucket}", {"host": host_of(server)}, EMPTY_SHA256)
    with Wire(server) as wire:
        reply = wire.request("GET", f"/{bucket}", headers)
    assert (reply.status, reply.error_code) == (403, "RequestTimeTooSkewed")


def test_unsigned_amz_header(server: Server, bucket: str) -> None:
    # An x-amz- header that came in after signing must not count.
    scope = Scope(ROOT_KEYS, time.time())
    headers = authorize_v4(scope, "GET", f"/{bucket}", {"host": host_of(server)}, EMPTY_SHA256)
    with Wire(server) as wire:
        reply = wire.request("GET", f"/{bucket}", {**headers, "x-amz-acl": "public-read"})
    assert reply.status == 403


def test_tampered_request(server: Server, bucket: str) -> None:
    scope = Scope(ROOT_KEYS, time.time())
    headers = authorize_v4(
        scope, "GET", f"/{bucket}?prefix=a", {"host": host_of(server)}, EMPTY_SHA256
    )
    for method, target in (("GET", f"/{bucket}?prefix=b"), ("DELETE", f"/{bucket}?prefix=a")):
        with Wire(server) as wire:
            reply = wire.request(method, target, headers)
        assert (reply.status, reply.error_code) == (403, "SignatureDoesNotMatch")


@pytest.mark.parametrize(
    "value",
    [
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 Credential=a/b/c, SignedHeaders=host, Signature=00",
        "AWS4-HMAC-SHA256 Credential=/, Signature=",
        "AWS :",
        "AWS key",
        "Basic dXNlcjpwYXNz",
        "nonsense",
        "",
    ],
)
def test_malformed_authorization(server: Server, bucket: str, value: str) -> None:
    headers = {"host": host_of(server), "authorization": value}
    headers |= {"x-amz-date": Scope(ROOT_KEYS, time.time()).timestamp}
    headers |= {"x-amz-content-sha256": EMPTY_SHA256}
    with Wire(server) as wire:
        reply = wire.request("GET", f"/{bucket}", headers)
    assert reply.status in {400, 403}
    assert b"Traceback" not in reply.body


def test_wrong_region(server: Server, bucket: str) -> None:
    scope = Scope(ROOT_KEYS, time.time(), region="mars-north-1")
    headers = authorize_v4(scope, "GET", f"/{bucket}", {"host": host_of(server)}, EMPTY_SHA256)
    with Wire(server) as wire:
        reply = wire.request("GET", f"/{bucket}", headers)
    assert (reply.status, reply.error_code) == (400, "AuthorizationHeaderMalformed")
    assert reply.document.findtext("Region") == "us-east-1"


def test_expected_bucket_owner(client: S3Client, bucket: str) -> None:
    with pytest.raises(ClientError) as raised:
        client.list_objects_v2(Bucket=bucket, ExpectedBucketOwner="000000000000")
    assert code_of(raised.value) == "AccessDenied"


def test_user_removed_while_serving(server: Server) -> None:
    keys = Keys("WEIRSHORTLIVED000003", "short/lived+secret=0000000000000000000000")
    server.add_user("short-lived", keys)
    short = connect(server, keys)
    assert short.list_buckets()["Buckets"] == []
    server.admin("user", "rm", "short-lived")
    with pytest.raises(ClientError) as raised:
        short.list_buckets()
    assert code_of(raised.value) == "InvalidAccessKeyId"
