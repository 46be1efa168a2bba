"""Object ownership and public access blocks through boto3."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError
from mypy_boto3_s3 import S3Client

from tests.s3compat.boto import code_of, purge
from tests.s3compat.wire import exchange
from tests.server import Server

ENFORCED = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
BLOCKED = {
    "BlockPublicAcls": False,
    "IgnorePublicAcls": False,
    "BlockPublicPolicy": False,
    "RestrictPublicBuckets": False,
}


@pytest.fixture
def shared(client: S3Client) -> Iterator[str]:
    """A bucket that everybody may write to."""
    name = f"test-{secrets.token_hex(6)}"
    client.create_bucket(Bucket=name, ACL="public-read-write")
    yield name
    purge(client, name)


def refusal(call: object, **arguments: object) -> str:
    with pytest.raises(ClientError) as caught:
        call(**arguments)  # type: ignore[operator]
    return code_of(caught.value)


def owner_of(client: S3Client, bucket: str, key: str) -> str:
    return client.get_object_acl(Bucket=bucket, Key=key)["Owner"]["ID"]


def test_ownership_controls(client: S3Client, bucket: str) -> None:
    absent = "OwnershipControlsNotFoundError"
    assert refusal(client.get_bucket_ownership_controls, Bucket=bucket) == absent
    client.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=ENFORCED)  # type: ignore[arg-type]
    shown = client.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]
    assert shown == ENFORCED
    client.delete_bucket_ownership_controls(Bucket=bucket)
    assert refusal(client.get_bucket_ownership_controls, Bucket=bucket) == absent


def test_enforced_bucket_has_no_acls(client: S3Client) -> None:
    name = f"test-{secrets.token_hex(6)}"
    client.create_bucket(Bucket=name, ObjectOwnership="BucketOwnerEnforced")
    try:
        unsupported = "AccessControlListNotSupported"
        client.put_object(Bucket=name, Key="k", ACL="bucket-owner-full-control")
        for acl in ("private", "public-read"):
            assert refusal(client.put_object, Bucket=name, Key="k", ACL=acl) == unsupported
            assert refusal(client.put_object_acl, Bucket=name, Key="k", ACL=acl) == unsupported
            assert refusal(client.put_bucket_acl, Bucket=name, ACL=acl) == unsupported
        assert len(client.get_object_acl(Bucket=name, Key="k")["Grants"]) == 1
    finally:
        purge(client, name)


def test_public_bucket_cannot_become_enforced(client: S3Client, shared: str) -> None:
    code = "InvalidBucketAclWithObjectOwnership"
    put = client.put_bucket_ownership_controls
    assert refusal(put, Bucket=shared, OwnershipControls=ENFORCED) == code


def test_enforcing_takes_what_others_wrote(
    server: Server, client: S3Client, other_client: S3Client, shared: str
) -> None:
    other_client.put_object(Bucket=shared, Key="theirs", Body=b"x", ACL="public-read")
    root = client.list_buckets()["Owner"]["ID"]
    assert owner_of(client, shared, "theirs") != root
    client.put_bucket_acl(Bucket=shared, ACL="private")
    client.put_bucket_ownership_controls(Bucket=shared, OwnershipControls=ENFORCED)  # type: ignore[arg-type]
    assert owner_of(client, shared, "theirs") == root
    assert exchange(server, "GET", f"/{shared}/theirs", keys=None).status == 403
    assert refusal(other_client.get_object, Bucket=shared, Key="theirs") == "AccessDenied"
    client.delete_bucket_ownership_controls(Bucket=shared)
    assert exchange(server, "GET", f"/{shared}/theirs", keys=None).status == 200


def test_preferred_owner(client: S3Client, other_client: S3Client, shared: str) -> None:
    preferred = {"Rules": [{"ObjectOwnership": "BucketOwnerPreferred"}]}
    client.put_bucket_ownership_controls(Bucket=shared, OwnershipControls=preferred)  # type: ignore[arg-type]
    root = client.list_buckets()["Owner"]["ID"]
    other_client.put_object(Bucket=shared, Key="given", ACL="bucket-owner-full-control")
    other_client.put_object(Bucket=shared, Key="kept")
    begun = other_client.create_multipart_upload(
        Bucket=shared, Key="parts", ACL="bucket-owner-full-control"
    )["UploadId"]
    listed = client.list_parts(Bucket=shared, Key="parts", UploadId=begun)
    assert listed["Owner"]["ID"] == root
    client.abort_multipart_upload(Bucket=shared, Key="parts", UploadId=begun)
    assert owner_of(client, shared, "given") == root
    assert owner_of(client, shared, "kept") != root


def test_public_access_block(server: Server, client: S3Client, shared: str) -> None:
    absent = "NoSuchPublicAccessBlockConfiguration"
    assert refusal(client.get_public_access_block, Bucket=shared) == absent
    client.put_object(Bucket=shared, Key="k", Body=b"x", ACL="public-read")
    client.put_public_access_block(
        Bucket=shared, PublicAccessBlockConfiguration={"BlockPublicAcls": True}
    )
    shown = client.get_public_access_block(Bucket=shared)["PublicAccessBlockConfiguration"]
    assert shown == {**BLOCKED, "BlockPublicAcls": True}
    denied = "AccessDenied"
    assert refusal(client.put_bucket_acl, Bucket=shared, ACL="public-read") == denied
    assert refusal(client.put_object_acl, Bucket=shared, Key="k", ACL="public-read") == denied
    assert refusal(client.put_object, Bucket=shared, Key="n", ACL="authenticated-read") == denied
    assert exchange(server, "GET", f"/{shared}/k", keys=None).status == 200
    client.put_public_access_block(
        Bucket=shared, PublicAccessBlockConfiguration={"IgnorePublicAcls": True}
    )
    assert exchange(server, "GET", f"/{shared}/k", keys=None).status == 403
    assert exchange(server, "GET", f"/{shared}", keys=None).status == 403
    client.put_object(Bucket=shared, Key="n", ACL="public-read")
    client.delete_public_access_block(Bucket=shared)
    assert exchange(server, "GET", f"/{shared}/k", keys=None).status == 200
    assert refusal(client.get_public_access_block, Bucket=shared) == absent
