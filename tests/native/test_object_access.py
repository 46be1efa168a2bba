"""Who may do what with objects through the native API: the same as through S3, and a signature covers the bytes."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator

import pytest
from mypy_boto3_s3 import S3Client

from tests.s3compat import boto
from tests.s3compat.wire import Wire, exchange, signed_headers
from tests.server import OTHER_KEYS, ROOT_KEYS, Server, ServerOptions

METHODS = ["GET", "HEAD", "PUT", "DELETE", "PATCH"]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(ServerOptions([tmp_path_factory.mktemp("guarded") / "data"], workers=1))
    running.start()
    try:
        running.add_user("other", OTHER_KEYS)
        yield running
    finally:
        running.stop()


@pytest.fixture
def root(guarded: Server) -> S3Client:
    return boto.connect(guarded)


@pytest.fixture
def others_bucket(guarded: Server) -> str:
    """With an object of root's beside the owner's own."""
    name = f"b{secrets.token_hex(6)}"
    other = boto.connect(guarded, OTHER_KEYS)
    other.create_bucket(Bucket=name, ObjectOwnership="ObjectWriter")
    other.put_object(Bucket=name, Key="own", Body=b"own")
    return name


@pytest.mark.parametrize("method", METHODS)
def test_without_credentials(guarded: Server, others_bucket: str, method: str) -> None:
    target = f"/v1/objects/{others_bucket}/own"
    reply = exchange(guarded, method, target, keys=None)
    assert reply.status == 401
    assert exchange(guarded, "GET", target, keys=OTHER_KEYS).body == b"own"


@pytest.mark.parametrize("method", METHODS)
def test_of_somebody_else(guarded: Server, root: S3Client, method: str) -> None:
    name = f"b{secrets.token_hex(6)}"
    root.create_bucket(Bucket=name)
    root.put_object(Bucket=name, Key="k", Body=b"roots")
    target = f"/v1/objects/{name}/k"
    body = b'{"value": {"a": "b"}}' if method == "PATCH" else b""
    assert exchange(guarded, method, target, body=body, keys=OTHER_KEYS).status == 403
    assert exchange(guarded, "GET", target).body == b"roots"


def test_object_of_another_in_ones_own_bucket(
    guarded: Server, root: S3Client, others_bucket: str
) -> None:
    """As through S3: it is its writer's."""
    root.put_object(Bucket=others_bucket, Key="roots", Body=b"roots")
    for target in (
        f"/{others_bucket}/roots",
        f"/v1/objects/{others_bucket}/roots",
        f"/ais/{others_bucket}/roots",
    ):
        assert exchange(guarded, "GET", target, keys=OTHER_KEYS).status == 403
        assert exchange(guarded, "HEAD", target, keys=OTHER_KEYS).status == 403
        assert exchange(guarded, "GET", target).body == b"roots"
    copied = f"/v1/objects/{others_bucket}/roots?object_to=ais/@%23/{others_bucket}/mine"
    assert exchange(guarded, "PUT", copied, keys=OTHER_KEYS).status == 403
    appended = f"/v1/objects/{others_bucket}/roots?append_type=append&append_handle="
    assert exchange(guarded, "PUT", appended, body=b"x", keys=OTHER_KEYS).status == 403


def test_signature_covers_the_bytes(guarded: Server, root: S3Client) -> None:
    name = f"b{secrets.token_hex(6)}"
    root.create_bucket(Bucket=name)
    target = f"/v1/objects/{name}/k"
    headers = signed_headers(guarded, "PUT", target, body=b"signed")
    with Wire(guarded) as wire:
        reply = wire.request("PUT", target, headers, b"forged")
    assert reply.status == 400
    assert exchange(guarded, "GET", target).status == 404
    with Wire(guarded) as wire:
        assert wire.request("PUT", target, headers, b"signed").status == 200
    assert exchange(guarded, "GET", target).body == b"signed"


def test_promotion_is_roots_alone(guarded: Server, others_bucket: str) -> None:
    message = {"action": "promote", "name": "/x", "value": {"src": "/x", "obj": "k"}}
    body = json.dumps(message).encode()
    target = f"/v1/objects/{others_bucket}"
    assert exchange(guarded, "POST", target, body=body, keys=OTHER_KEYS).status == 403
    assert exchange(guarded, "POST", target, body=body, keys=ROOT_KEYS).status == 400


def test_upload_is_who_began_its(guarded: Server, root: S3Client) -> None:
    """A bucket that all may write to still leaves an upload to who began it."""
    name = f"b{secrets.token_hex(6)}"
    root.create_bucket(Bucket=name, ObjectOwnership="ObjectWriter")
    root.put_bucket_acl(Bucket=name, ACL="public-read-write")
    target = f"/v1/objects/{name}/k"
    begun = exchange(guarded, "POST", target, body=b'{"action": "mpt-upload"}')
    part = f"{target}?uploadId={begun.body.decode()}&partNumber=1"
    assert exchange(guarded, "PUT", part, body=b"x", keys=OTHER_KEYS).status == 403
    assert exchange(guarded, "PUT", part, body=b"x").status == 200
    own = exchange(guarded, "POST", target, body=b'{"action": "mpt-upload"}', keys=None)
    part = f"{target}?uploadId={own.body.decode()}&partNumber=1"
    assert exchange(guarded, "PUT", part, body=b"x", keys=None).status == 200
    own = exchange(guarded, "POST", target, body=b'{"action": "mpt-upload"}', keys=OTHER_KEYS)
    part = f"{target}?uploadId={own.body.decode()}&partNumber=1"
    assert exchange(guarded, "PUT", part, body=b"x", keys=OTHER_KEYS).status == 200
