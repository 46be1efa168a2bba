"""Virtual-host style: the bucket in the host name."""

from __future__ import annotations

import hashlib
import time

from mypy_boto3_s3 import S3Client

from tests.s3compat.boto import read
from tests.s3compat.conftest import DOMAIN
from tests.s3compat.signing import Scope, authorize_v4, presign_v4
from tests.s3compat.wire import Reply, Wire, host_of
from tests.server import ROOT_KEYS, Server


def send(server: Server, host: str, method: str, target: str, body: bytes = b"") -> Reply:
    digest = hashlib.sha256(body).hexdigest()
    headers = {"host": host, "content-length": str(len(body))}
    signed = authorize_v4(Scope(ROOT_KEYS, time.time()), method, target, headers, digest)
    with Wire(server) as wire:
        return wire.request(method, target, signed, body)


def test_virtual_host_objects(server: Server, client: S3Client, bucket: str) -> None:
    host = f"{bucket}.{DOMAIN}:{server.port}"
    assert send(server, host, "PUT", "/dir/k", b"x").status == 200
    assert read(client, bucket, "dir/k") == b"x"
    assert send(server, host, "GET", "/dir/k").body == b"x"
    assert b"<Key>dir/k</Key>" in send(server, host, "GET", "/").body
    assert send(server, host.upper(), "GET", "/dir/k").body == b"x"
    assert send(server, host, "DELETE", "/dir/k").status == 204


def test_virtual_host_key_like_a_bucket(server: Server, client: S3Client, bucket: str) -> None:
    host = f"{bucket}.{DOMAIN}"
    assert send(server, host, "PUT", f"/{bucket}/k", b"x").status == 200
    assert read(client, bucket, f"{bucket}/k") == b"x"


def test_virtual_host_domain_alone_is_path_style(server: Server, bucket: str) -> None:
    assert send(server, DOMAIN, "GET", f"/{bucket}").status == 200
    assert b"ListAllMyBucketsResult" in send(server, DOMAIN, "GET", "/").body


def test_virtual_host_missing_bucket(server: Server) -> None:
    reply = send(server, f"no-such-bucket-here.{DOMAIN}", "GET", "/")
    assert (reply.status, reply.error_code) == (404, "NoSuchBucket")


def test_unknown_host_is_path_style(server: Server, bucket: str) -> None:
    assert send(server, "elsewhere.test", "GET", f"/{bucket}").status == 200
    assert send(server, host_of(server), "GET", f"/{bucket}").status == 200


def test_virtual_host_presigned(server: Server, bucket: str) -> None:
    host = f"{bucket}.{DOMAIN}"
    send(server, host, "PUT", "/k", b"x")
    target = presign_v4(Scope(ROOT_KEYS, time.time()), "GET", "/k", {"host": host})
    with Wire(server) as wire:
        assert wire.request("GET", target, {"host": host}).body == b"x"
