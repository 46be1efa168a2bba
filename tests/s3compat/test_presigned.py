"""Presigned URLs of both signature versions, and header signatures of version 2."""

from __future__ import annotations

import secrets
import time
from email.utils import formatdate

import pytest
from botocore.config import Config

from tests.s3compat.boto import connect
from tests.s3compat.signing import Scope, authorize_v2, presign_v2, presign_v4
from tests.s3compat.wire import Reply, Wire, exchange, host_of
from tests.server import OTHER_KEYS, ROOT_KEYS, Keys, Server


def fetch(server: Server, method: str, target: str, body: bytes = b"") -> Reply:
    headers = {"host": host_of(server), "content-length": str(len(body))}
    with Wire(server) as wire:
        return wire.request(method, target, headers, body)


def v4(
    server: Server, method: str, target: str, keys: Keys = ROOT_KEYS, age_s: int = 0, life_s: int | str = 60
) -> str:  # fmt: skip
    scope = Scope(keys, time.time() - age_s)
    return presign_v4(scope, method, target, {"host": host_of(server)}, life_s)


def test_presigned_v4(server: Server, bucket: str) -> None:
    target = f"/{bucket}/a%20key"
    assert fetch(server, "PUT", v4(server, "PUT", target), b"x").status == 200
    assert fetch(server, "GET", v4(server, "GET", target)).body == b"x"
    assert fetch(server, "HEAD", v4(server, "HEAD", target)).status == 200
    override = v4(server, "GET", target + "?response-content-type=text%2Fx-a")
    assert fetch(server, "GET", override).headers["content-type"] == "text/x-a"
    assert fetch(server, "DELETE", v4(server, "DELETE", target)).status == 204


def test_presigned_v4_expired(server: Server, bucket: str) -> None:
    exchange(server, "PUT", f"/{bucket}/k", body=b"x")
    reply = fetch(server, "GET", v4(server, "GET", f"/{bucket}/k", age_s=120))
    assert (reply.status, reply.error_code) == (403, "AccessDenied")
    assert reply.document.findtext("Message") == "Request has expired"


@pytest.mark.parametrize("life_s", [-1, 604801, "soon"])
def test_presigned_v4_bad_expiry(server: Server, bucket: str, life_s: int | str) -> None:
    reply = fetch(server, "GET", v4(server, "GET", f"/{bucket}/k", life_s=life_s))
    # AWS says 400, ceph's suite wants 403.
    assert reply.status in {400, 403}
    assert reply.error_code == "AuthorizationQueryParametersError"


def test_presigned_v4_for_another_method(server: Server, bucket: str) -> None:
    reply = fetch(server, "PUT", v4(server, "GET", f"/{bucket}/k"), b"x")
    assert (reply.status, reply.error_code) == (403, "SignatureDoesNotMatch")


def test_presigned_v4_of_another_user(server: Server, bucket: str) -> None:
    exchange(server, "PUT", f"/{bucket}/k", body=b"x")
    reply = fetch(server, "GET", v4(server, "GET", f"/{bucket}/k", keys=OTHER_KEYS))
    assert (reply.status, reply.error_code) == (403, "AccessDenied")


def test_presigned_v4_tampered_expiry(server: Server, bucket: str) -> None:
    target = v4(server, "GET", f"/{bucket}/k", age_s=120).replace("Expires=60", "Expires=600")
    assert fetch(server, "GET", target).status == 403


@pytest.mark.parametrize("field", ["Signature", "Credential", "Date", "SignedHeaders", "Expires"])
def test_presigned_v4_missing_field(server: Server, bucket: str, field: str) -> None:
    path, _, query = v4(server, "GET", f"/{bucket}/k").partition("?")
    kept = "&".join(pair for pair in query.split("&") if not pair.startswith(f"X-Amz-{field}="))
    assert fetch(server, "GET", f"{path}?{kept}").status in {400, 403}


def test_presigned_v2(server: Server, bucket: str) -> None:
    target = f"/{bucket}/a%20key"
    soon = int(time.time()) + 60
    assert fetch(server, "PUT", presign_v2(ROOT_KEYS, "PUT", target, soon), b"x").status == 200
    assert fetch(server, "GET", presign_v2(ROOT_KEYS, "GET", target, soon)).body == b"x"
    uploads = presign_v2(ROOT_KEYS, "GET", f"/{bucket}?uploads", soon)
    assert fetch(server, "GET", uploads).status == 200


def test_presigned_v2_expired(server: Server, bucket: str) -> None:
    target = presign_v2(ROOT_KEYS, "GET", f"/{bucket}/k", int(time.time()) - 5)
    reply = fetch(server, "GET", target)
    assert (reply.status, reply.error_code) == (403, "AccessDenied")


def test_presigned_v2_wrong_secret(server: Server, bucket: str) -> None:
    keys = Keys(ROOT_KEYS.access_key, "wrong")
    target = presign_v2(keys, "GET", f"/{bucket}/k", int(time.time()) + 60)
    assert fetch(server, "GET", target).error_code == "SignatureDoesNotMatch"


def test_header_v2(server: Server, bucket: str) -> None:
    target = f"/{bucket}/k"
    base = {"host": host_of(server), "content-length": "1", "content-type": "text/x-a"}
    base["x-amz-meta-one"] = "1"
    now = formatdate(usegmt=True)
    with Wire(server) as wire:
        put = authorize_v2(ROOT_KEYS, "PUT", target, base, now)
        assert wire.request("PUT", target, put, b"x").status == 200
        stale = formatdate(time.time() - 1000, usegmt=True)
        old = authorize_v2(ROOT_KEYS, "PUT", target, base, stale)
        assert wire.request("PUT", target, old, b"y").error_code == "RequestTimeTooSkewed"
    assert exchange(server, "HEAD", target).headers["x-amz-meta-one"] == "1"


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_presigned_by_boto3(server: Server, bucket: str, version: str) -> None:
    signer = connect(server, config=Config(signature_version=version))
    signer.put_object(Bucket=bucket, Key="a b+c", Body=b"x")
    url = signer.generate_presigned_url(
        "get_object", Params={"Bucket": bucket, "Key": "a b+c"}, ExpiresIn=60
    )
    assert fetch(server, "GET", url.removeprefix(server.endpoint)).body == b"x"


def test_header_v2_by_boto3_on_buckets(server: Server) -> None:
    # Old clients sign a bucket's resource with a slash at its end, whatever they send.
    signer = connect(server, config=Config(signature_version="s3"))
    name = f"test-{secrets.token_hex(6)}"
    signer.create_bucket(Bucket=name)
    assert signer.list_objects(Bucket=name).get("Contents", []) == []
    signer.delete_bucket(Bucket=name)
