"""S3 with bearer tokens: as boto3's session token with any key pair, and as plain Bearer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests
from botocore.exceptions import ClientError

from tests.native.tokens import Guarded, start_guarded
from tests.s3compat.boto import code_of, read, status_of
from tests.server import OTHER_KEYS, ROOT_KEYS

BUCKET = "guarded"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """A server with a bucket, an object and another user."""
    made = start_guarded(tmp_path_factory.mktemp("tokens") / "data")
    try:
        made.server.add_user("alice", OTHER_KEYS)
        admin = made.s3(made.issue("--admin"))
        admin.create_bucket(Bucket=BUCKET)
        admin.put_object(Bucket=BUCKET, Key="k", Body=b"data")
        yield made
    finally:
        made.server.stop()


@contextmanager
def refused(code: str, status: int) -> Iterator[None]:
    with pytest.raises(ClientError) as caught:
        yield
    assert (code_of(caught.value), status_of(caught.value)) == (code, status)


def test_tokens_admin_with_any_key(guarded: Guarded) -> None:
    client = guarded.s3(guarded.issue("--admin"))
    data = bytes(range(256)) * 1000
    client.put_object(Bucket=BUCKET, Key="big", Body=data)
    assert read(client, BUCKET, "big") == data
    assert BUCKET in {each["Name"] for each in client.list_buckets()["Buckets"]}
    upload = client.create_multipart_upload(Bucket=BUCKET, Key="parts")["UploadId"]
    part = client.upload_part(
        Bucket=BUCKET, Key="parts", UploadId=upload, PartNumber=1, Body=b"part"
    )
    client.complete_multipart_upload(
        Bucket=BUCKET,
        Key="parts",
        UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    )
    client.delete_object(Bucket=BUCKET, Key="parts")


def test_tokens_made_objects_are_roots(guarded: Guarded) -> None:
    client = guarded.s3(guarded.issue("--bucket", f"{BUCKET}=rw"))
    client.put_object(Bucket=BUCKET, Key="mine", Body=b"")
    listed = client.list_objects_v2(Bucket=BUCKET, Prefix="mine", FetchOwner=True)["Contents"]
    assert listed[0]["Owner"]["DisplayName"] == "root"


def test_tokens_read_only(guarded: Guarded) -> None:
    client = guarded.s3(guarded.issue("--bucket", f"{BUCKET}=ro"))
    assert read(client, BUCKET, "k") == b"data"
    client.head_object(Bucket=BUCKET, Key="k")
    client.head_bucket(Bucket=BUCKET)
    client.list_objects_v2(Bucket=BUCKET)
    with refused("AccessDenied", 403):
        client.put_object(Bucket=BUCKET, Key="k", Body=b"x")
    with refused("AccessDenied", 403):
        client.delete_object(Bucket=BUCKET, Key="k")
    with refused("AccessDenied", 403):
        client.copy_object(Bucket=BUCKET, Key="k2", CopySource=f"{BUCKET}/k")
    with refused("AccessDenied", 403):
        client.create_multipart_upload(Bucket=BUCKET, Key="k")
    with refused("AccessDenied", 403):
        client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    with refused("AccessDenied", 403):
        client.delete_bucket(Bucket=BUCKET)
    with refused("AccessDenied", 403):
        client.list_buckets()
    with refused("AccessDenied", 403):
        client.create_bucket(Bucket="another-one")
    errors = client.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "k"}]})["Errors"]
    assert errors[0]["Code"] == "AccessDenied"


def test_tokens_read_write(guarded: Guarded) -> None:
    client = guarded.s3(guarded.issue("--bucket", f"{BUCKET}=rw", "--cluster", "list-buckets"))
    client.put_object(Bucket=BUCKET, Key="w", Body=b"x")
    client.copy_object(Bucket=BUCKET, Key="w2", CopySource=f"{BUCKET}/w")
    client.delete_object(Bucket=BUCKET, Key="w2")
    client.list_buckets()
    with refused("AccessDenied", 403):
        client.put_object(Bucket=BUCKET, Key="w", Body=b"x", ACL="public-read")
    with refused("AccessDenied", 403):
        client.put_object_acl(Bucket=BUCKET, Key="w", ACL="public-read")
    with refused("AccessDenied", 403):
        client.put_object_tagging(Bucket=BUCKET, Key="w", Tagging={"TagSet": []})


def test_tokens_of_a_bucket_are_of_no_other(guarded: Guarded) -> None:
    root = guarded.s3(guarded.issue("--admin"))
    root.create_bucket(Bucket="elsewhere")
    root.put_object(Bucket="elsewhere", Key="k", Body=b"secret")
    client = guarded.s3(guarded.issue("--bucket", f"{BUCKET}=all"))
    with refused("AccessDenied", 403):
        client.get_object(Bucket="elsewhere", Key="k")
    with refused("AccessDenied", 403):
        client.copy_object(Bucket=BUCKET, Key="stolen", CopySource="elsewhere/k")
    narrowed = guarded.s3(guarded.issue("--cluster", "all", "--bucket", "elsewhere=0"))
    with refused("AccessDenied", 403):
        narrowed.get_object(Bucket="elsewhere", Key="k")
    assert read(narrowed, BUCKET, "k") == b"data"


def test_tokens_of_a_user_are_held_to_its_account(guarded: Guarded) -> None:
    client = guarded.s3(guarded.issue("--cluster", "all", subject="alice"))
    with refused("AccessDenied", 403):
        client.get_object(Bucket=BUCKET, Key="k")
    client.create_bucket(Bucket="alices")
    assert [each["Name"] for each in client.list_buckets()["Buckets"]] == ["alices"]


def test_tokens_presigned(guarded: Guarded) -> None:
    client = guarded.s3(guarded.issue("--bucket", f"{BUCKET}=ro"))
    where = {"Bucket": BUCKET, "Key": "k"}
    assert requests.get(client.generate_presigned_url("get_object", where), timeout=60).content == (
        b"data"
    )
    url = client.generate_presigned_url("put_object", where)
    assert requests.put(url, data=b"x", timeout=60).status_code == 403


def test_tokens_known_key_must_sign_rightly(guarded: Guarded) -> None:
    token = guarded.issue("--bucket", f"{BUCKET}=ro")
    good = guarded.s3(token, ROOT_KEYS.access_key, ROOT_KEYS.secret_key)
    assert read(good, BUCKET, "k") == b"data"
    with refused("AccessDenied", 403):
        good.delete_object(Bucket=BUCKET, Key="k")
    with refused("SignatureDoesNotMatch", 403):
        guarded.s3(token, ROOT_KEYS.access_key, "wrong").get_object(Bucket=BUCKET, Key="k")


def test_tokens_bearer(guarded: Guarded) -> None:
    token = guarded.issue("--bucket", f"{BUCKET}=ro")
    assert guarded.ask("GET", f"/{BUCKET}/k", token).content == b"data"
    assert guarded.ask("PUT", f"/{BUCKET}/k", token, data=b"x").status_code == 403
    assert guarded.ask("GET", f"/{BUCKET}/k").status_code == 403


def test_tokens_bad(guarded: Guarded) -> None:
    token = guarded.issue("--admin")
    damaged = token[:-10] + ("A" if token[-10] != "A" else "B") + token[-9:]
    for bad in (damaged, "x.y.z"):
        with refused("InvalidToken", 400):
            guarded.s3(bad).list_buckets()
        reply = guarded.ask("GET", "/", bad)
        assert reply.status_code == 400
        assert "<Code>InvalidToken</Code>" in reply.text
        assert bad not in reply.text


def test_tokens_revoked(guarded: Guarded) -> None:
    token = guarded.issue("--admin", subject="gone")
    client = guarded.s3(token)
    client.list_buckets()
    guarded.server.admin("token", "revoke", token)
    with refused("InvalidToken", 400):
        client.list_buckets()


def test_tokens_never_in_the_log(guarded: Guarded) -> None:
    token = guarded.issue("--admin")
    guarded.s3(token).list_buckets()
    guarded.ask("GET", "/", token)
    guarded.ask("GET", "/v1/health", token[:-1])
    assert token[:60] not in guarded.server.log_path.read_text()
