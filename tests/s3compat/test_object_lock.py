"""Object Lock through boto3 and aws-cli: what is locked stays, whoever asks."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from botocore.exceptions import ClientError
from mypy_boto3_s3 import S3Client

from tests.s3compat.boto import code_of, purge, status_of
from tests.s3compat.programs import run
from tests.server import Server

UNTIL = datetime(2140, 1, 1, 12, 30, 15, tzinfo=UTC)


@pytest.fixture
def locked(client: S3Client) -> Iterator[str]:
    name = f"test-{secrets.token_hex(6)}"
    client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    yield name
    purge(client, name)


def test_governance(client: S3Client, locked: str) -> None:
    version = client.put_object(
        Bucket=locked,
        Key="a",
        Body=b"a",
        ObjectLockMode="GOVERNANCE",
        ObjectLockRetainUntilDate=UNTIL,
    )["VersionId"]
    found = client.head_object(Bucket=locked, Key="a")
    assert (found["ObjectLockMode"], found["ObjectLockRetainUntilDate"]) == ("GOVERNANCE", UNTIL)
    later = UNTIL + timedelta(milliseconds=250)
    client.put_object_retention(
        Bucket=locked, Key="a", Retention={"Mode": "GOVERNANCE", "RetainUntilDate": later}
    )
    kept = client.get_object_retention(Bucket=locked, Key="a")["Retention"]
    assert kept == {"Mode": "GOVERNANCE", "RetainUntilDate": later}
    # What was read can be put back: no part of a second is lost on the way.
    client.put_object_retention(Bucket=locked, Key="a", Retention=kept)
    with pytest.raises(ClientError) as caught:
        client.delete_object(Bucket=locked, Key="a", VersionId=version)
    assert (code_of(caught.value), status_of(caught.value)) == ("AccessDenied", 403)
    outcome = client.delete_objects(
        Bucket=locked, Delete={"Objects": [{"Key": "a", "VersionId": version}]}
    )
    assert [error["Code"] for error in outcome["Errors"]] == ["AccessDenied"]
    assert client.delete_object(Bucket=locked, Key="a")["DeleteMarker"]
    client.delete_object(Bucket=locked, Key="a", VersionId=version, BypassGovernanceRetention=True)
    with pytest.raises(ClientError) as caught:
        client.head_object(Bucket=locked, Key="a", VersionId=version)
    assert status_of(caught.value) == 404


def test_compliance_outlives_every_bypass(client: S3Client) -> None:
    # What it locks nothing removes, so the bucket is left to the end of the run.
    bucket = f"test-{secrets.token_hex(6)}"
    client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    version = client.put_object(
        Bucket=bucket,
        Key="a",
        Body=b"a",
        ObjectLockMode="COMPLIANCE",
        ObjectLockRetainUntilDate=UNTIL,
    )["VersionId"]
    with pytest.raises(ClientError) as caught:
        client.delete_object(
            Bucket=bucket, Key="a", VersionId=version, BypassGovernanceRetention=True
        )
    assert code_of(caught.value) == "AccessDenied"
    with pytest.raises(ClientError) as caught:
        client.put_object_retention(
            Bucket=bucket,
            Key="a",
            Retention={"Mode": "COMPLIANCE", "RetainUntilDate": UNTIL - timedelta(seconds=1)},
            BypassGovernanceRetention=True,
        )
    assert code_of(caught.value) == "AccessDenied"
    with pytest.raises(ClientError) as caught:
        client.delete_bucket(Bucket=bucket)
    assert code_of(caught.value) == "BucketNotEmpty"


def test_legal_hold(client: S3Client, locked: str) -> None:
    upload = client.create_multipart_upload(Bucket=locked, Key="a", ObjectLockLegalHoldStatus="ON")[
        "UploadId"
    ]
    part = client.upload_part(Bucket=locked, Key="a", UploadId=upload, PartNumber=1, Body=b"a")
    version = client.complete_multipart_upload(
        Bucket=locked,
        Key="a",
        UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    )["VersionId"]
    with pytest.raises(ClientError) as caught:
        client.delete_object(
            Bucket=locked, Key="a", VersionId=version, BypassGovernanceRetention=True
        )
    assert code_of(caught.value) == "AccessDenied"
    client.put_object_legal_hold(Bucket=locked, Key="a", LegalHold={"Status": "OFF"})
    client.delete_object(Bucket=locked, Key="a", VersionId=version)


def test_default_retention(client: S3Client, bucket: str) -> None:
    with pytest.raises(ClientError) as caught:
        client.get_object_lock_configuration(Bucket=bucket)
    assert code_of(caught.value) == "ObjectLockConfigurationNotFoundError"
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}
    configuration = {"ObjectLockEnabled": "Enabled", "Rule": rule}
    with pytest.raises(ClientError) as caught:
        client.put_object_lock_configuration(
            Bucket=bucket,
            ObjectLockConfiguration=configuration,  # type: ignore[arg-type]
        )
    assert (code_of(caught.value), status_of(caught.value)) == ("InvalidBucketState", 409)
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    client.put_object_lock_configuration(
        Bucket=bucket,
        ObjectLockConfiguration=configuration,  # type: ignore[arg-type]
    )
    client.put_object(Bucket=bucket, Key="a", Body=b"a")
    kept = client.get_object_retention(Bucket=bucket, Key="a")["Retention"]
    modified = client.head_object(Bucket=bucket, Key="a")["LastModified"]
    assert kept["Mode"] == "GOVERNANCE"
    assert (
        timedelta(0)
        <= kept["RetainUntilDate"] - modified - timedelta(days=1)
        < timedelta(seconds=1)
    )
    with pytest.raises(ClientError) as caught:
        client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    assert (code_of(caught.value), status_of(caught.value)) == ("InvalidBucketState", 409)


def test_who_does_not_own_the_bucket_may_not_bypass(
    client: S3Client, other_client: S3Client, locked: str
) -> None:
    client.put_bucket_acl(Bucket=locked, ACL="public-read-write")
    version = client.put_object(
        Bucket=locked,
        Key="a",
        Body=b"a",
        ObjectLockMode="GOVERNANCE",
        ObjectLockRetainUntilDate=UNTIL,
    )["VersionId"]
    with pytest.raises(ClientError) as caught:
        other_client.delete_object(
            Bucket=locked, Key="a", VersionId=version, BypassGovernanceRetention=True
        )
    assert code_of(caught.value) == "AccessDenied"
    with pytest.raises(ClientError) as caught:
        other_client.put_object(
            Bucket=locked,
            Key="b",
            Body=b"b",
            ObjectLockMode="GOVERNANCE",
            ObjectLockRetainUntilDate=UNTIL,
        )
    assert code_of(caught.value) == "AccessDenied"


def test_a_lock_and_a_removal_at_once(client: S3Client, locked: str) -> None:
    """Whichever comes first, the other is refused: what is acknowledged as locked is there."""

    def outcome(call: Callable[[], object]) -> str:
        try:
            call()
        except ClientError as error:
            return code_of(error)
        return "done"

    with ThreadPoolExecutor(2) as pool:
        for number in range(16):
            key = f"k{number}"
            version = client.put_object(Bucket=locked, Key=key, Body=b"a")["VersionId"]
            lock = partial(
                client.put_object_retention,
                Bucket=locked,
                Key=key,
                VersionId=version,
                Retention={"Mode": "GOVERNANCE", "RetainUntilDate": UNTIL},
            )
            remove = partial(client.delete_object, Bucket=locked, Key=key, VersionId=version)
            calls = (lock, remove) if number % 2 else (remove, lock)
            outcomes = dict(zip(calls, pool.map(outcome, calls), strict=True))
            if outcomes[lock] == "done":
                assert outcomes[remove] == "AccessDenied"
                client.head_object(Bucket=locked, Key=key, VersionId=version)
            else:
                assert (outcomes[lock], outcomes[remove]) == ("NoSuchVersion", "done")


def test_aws_cli_lock(client: S3Client, server: Server, locked: str) -> None:
    client.put_object(Bucket=locked, Key="a", Body=b"a")
    with pytest.raises(ClientError) as caught:
        client.get_object_legal_hold(Bucket=locked, Key="a")
    assert code_of(caught.value) == "NoSuchObjectLockConfiguration"
    api = ("aws", "--endpoint-url", server.endpoint, "s3api")
    key = ("--bucket", locked, "--key", "a")
    run(*api, "put-object-legal-hold", *key, "--legal-hold", "Status=ON")
    assert client.get_object_legal_hold(Bucket=locked, Key="a")["LegalHold"] == {"Status": "ON"}
    client.put_object_legal_hold(Bucket=locked, Key="a", LegalHold={"Status": "OFF"})
    assert client.head_object(Bucket=locked, Key="a")["ObjectLockLegalHoldStatus"] == "OFF"
