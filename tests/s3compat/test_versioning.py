"""Versions through boto3, rclone and aws-cli, on a real server."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from mypy_boto3_s3 import S3Client

from tests.s3compat.boto import MIB, code_of, read, status_of
from tests.s3compat.programs import run
from tests.server import REGION, ROOT_KEYS, Server


@pytest.fixture
def versioned(client: S3Client, bucket: str) -> str:
    set_versioning(client, bucket, "Enabled")
    return bucket


def set_versioning(client: S3Client, bucket: str, status: str) -> None:
    client.put_bucket_versioning(
        Bucket=bucket,
        VersioningConfiguration={"Status": status},  # type: ignore[typeddict-item]
    )


def put(client: S3Client, bucket: str, key: str, body: bytes) -> str:
    return client.put_object(Bucket=bucket, Key=key, Body=body)["VersionId"]


def listed(client: S3Client, bucket: str, key: str) -> list[str]:
    """The ids of a key's versions, newest first, page by page."""
    pages = client.get_paginator("list_object_versions").paginate(
        Bucket=bucket, Prefix=key, PaginationConfig={"PageSize": 7}
    )
    return [version["VersionId"] for page in pages for version in page.get("Versions", [])]


def test_versions_from_first_to_last(client: S3Client, versioned: str) -> None:
    assert client.get_bucket_versioning(Bucket=versioned)["Status"] == "Enabled"
    first, second = (put(client, versioned, "a", body) for body in (b"1", b"22"))
    marker = client.delete_object(Bucket=versioned, Key="a")
    assert marker["DeleteMarker"]
    with pytest.raises(ClientError) as caught:
        client.get_object(Bucket=versioned, Key="a")
    assert code_of(caught.value) == "NoSuchKey"
    with pytest.raises(ClientError) as caught:
        client.get_object(Bucket=versioned, Key="a", VersionId=marker["VersionId"])
    assert (code_of(caught.value), status_of(caught.value)) == ("MethodNotAllowed", 405)
    headers = caught.value.response["ResponseMetadata"]["HTTPHeaders"]
    assert (headers["allow"], headers["x-amz-delete-marker"]) == ("DELETE", "true")
    assert "last-modified" in headers
    found = client.get_object(Bucket=versioned, Key="a", VersionId=first)
    assert (found["Body"].read(), found["VersionId"]) == (b"1", first)
    client.delete_object(Bucket=versioned, Key="a", VersionId=marker["VersionId"])
    assert client.head_object(Bucket=versioned, Key="a")["VersionId"] == second
    client.delete_object(Bucket=versioned, Key="a", VersionId=second)
    assert read(client, versioned, "a") == b"1"


def test_null_versions(client: S3Client, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="a", Body=b"before")
    set_versioning(client, bucket, "Enabled")
    kept = put(client, bucket, "a", b"kept")
    assert listed(client, bucket, "a") == [kept, "null"]
    set_versioning(client, bucket, "Suspended")
    client.put_object(Bucket=bucket, Key="a", Body=b"after")
    assert listed(client, bucket, "a") == ["null", kept]
    assert client.get_object(Bucket=bucket, Key="a", VersionId="null")["Body"].read() == b"after"
    assert client.delete_object(Bucket=bucket, Key="a")["VersionId"] == "null"
    assert listed(client, bucket, "a") == [kept]


def test_listing_with_delimiter_and_encoding(client: S3Client, versioned: str) -> None:
    for key in ("a b", "dir/1", "dir/2", "é+%"):
        put(client, versioned, key, b"")
    page = client.list_object_versions(Bucket=versioned, Delimiter="/", MaxKeys=2)
    assert [version["Key"] for version in page["Versions"]] == ["a b"]
    assert page["CommonPrefixes"] == [{"Prefix": "dir/"}]
    assert (page["IsTruncated"], page["NextKeyMarker"]) == (True, "dir/")
    page = client.list_object_versions(
        Bucket=versioned, Delimiter="/", KeyMarker=page["NextKeyMarker"]
    )
    assert [version["Key"] for version in page["Versions"]] == ["é+%"]


def test_copies_and_uploads_have_versions(client: S3Client, versioned: str) -> None:
    first = put(client, versioned, "a", b"1")
    put(client, versioned, "a", b"22")
    source = {"Bucket": versioned, "Key": "a", "VersionId": first}
    copied = client.copy_object(Bucket=versioned, Key="a", CopySource=source)  # type: ignore[arg-type]
    assert copied["CopySourceVersionId"] == first
    assert listed(client, versioned, "a")[0] == copied["VersionId"]
    assert read(client, versioned, "a") == b"1"
    upload = client.create_multipart_upload(Bucket=versioned, Key="a")["UploadId"]
    part = client.upload_part(
        Bucket=versioned, Key="a", UploadId=upload, PartNumber=1, Body=b"x" * MIB
    )
    done = client.complete_multipart_upload(
        Bucket=versioned,
        Key="a",
        UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    )
    assert listed(client, versioned, "a")[0] == done["VersionId"]


def test_conditions_meet_the_current_version(client: S3Client, versioned: str) -> None:
    put(client, versioned, "a", b"1")
    etag = client.put_object(Bucket=versioned, Key="a", Body=b"2", IfMatch="*")["ETag"]
    with pytest.raises(ClientError) as caught:
        client.put_object(Bucket=versioned, Key="a", Body=b"3", IfNoneMatch="*")
    assert code_of(caught.value) == "PreconditionFailed"
    with pytest.raises(ClientError) as caught:
        client.delete_object(Bucket=versioned, Key="a", IfMatch='"x"')
    assert code_of(caught.value) == "PreconditionFailed"
    client.delete_object(Bucket=versioned, Key="a", IfMatch=etag)
    with pytest.raises(ClientError) as caught:
        client.put_object(Bucket=versioned, Key="a", Body=b"4", IfMatch=etag)
    assert code_of(caught.value) == "NoSuchKey"
    client.put_object(Bucket=versioned, Key="a", Body=b"5", IfNoneMatch="*")
    assert len(listed(client, versioned, "a")) == 3


def test_one_conditional_writer_of_many_wins(client: S3Client, versioned: str) -> None:
    put(client, versioned, "a", b"0")
    client.delete_object(Bucket=versioned, Key="a")

    def create(number: int) -> str:
        try:
            body = str(number).encode()
            client.put_object(Bucket=versioned, Key="a", Body=body, IfNoneMatch="*")
        except ClientError as error:
            return code_of(error)
        return "created"

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(create, range(24)))
    assert outcomes.count("created") == 1
    assert set(outcomes) <= {"created", "PreconditionFailed", "ConditionalRequestConflict"}


def test_concurrent_writers_leave_every_version_in_one_order(
    client: S3Client, versioned: str
) -> None:
    """Small bodies and large, whole and in parts, deletes between them: what was acknowledged is there, newest first,
    and the key reads as the first of them."""
    writers, rounds = 8, 6

    def write(writer: int) -> list[tuple[str, bytes]]:
        made = []
        for number in range(rounds):
            body = b"%d/%d" % (writer, number)
            if writer == 1:
                client.delete_object(Bucket=versioned, Key="a")
                continue
            if writer == 0:
                body += bytes(2 * MIB)
            made.append((put(client, versioned, "a", body), body[:16]))
        return made

    with ThreadPoolExecutor(writers) as pool:
        made = [pair for pairs in pool.map(write, range(writers)) for pair in pairs]
    order = listed(client, versioned, "a")
    assert sorted(order) == sorted(version for version, _ in made)
    assert listed(client, versioned, "a") == order
    for writer in range(writers):
        # One writer's versions come in the order in which it wrote them.
        own = [version for version, body in made if body.startswith(b"%d/" % writer)]
        assert [version for version in order if version in own] == own[::-1]
    bodies = dict(made)
    for version in order[::5]:
        found = client.get_object(Bucket=versioned, Key="a", VersionId=version)
        assert found["Body"].read()[:16] == bodies[version]
    latest = [
        version["VersionId"]
        for version in client.list_object_versions(Bucket=versioned)["Versions"]
        if version["IsLatest"]
    ]
    if latest:
        assert latest == [client.head_object(Bucket=versioned, Key="a")["VersionId"]] == order[:1]


def test_delete_objects_by_version(client: S3Client, versioned: str) -> None:
    versions = [put(client, versioned, "a", body) for body in (b"1", b"2", b"3")]
    deleted = client.delete_objects(Bucket=versioned, Delete={"Objects": [{"Key": "a"}]})
    assert deleted["Deleted"][0]["DeleteMarker"]
    marker = deleted["Deleted"][0]["DeleteMarkerVersionId"]
    deleted = client.delete_objects(
        Bucket=versioned,
        Delete={"Objects": [{"Key": "a", "VersionId": each} for each in (marker, versions[1])]},
    )
    assert deleted["Deleted"] == [
        {"Key": "a", "VersionId": marker, "DeleteMarker": True, "DeleteMarkerVersionId": marker},
        {"Key": "a", "VersionId": versions[1]},
    ]
    assert listed(client, versioned, "a") == [versions[2], versions[0]]


def test_bucket_with_versions_is_kept(client: S3Client, versioned: str) -> None:
    client.delete_object(Bucket=versioned, Key="a")
    with pytest.raises(ClientError) as caught:
        client.delete_bucket(Bucket=versioned)
    assert code_of(caught.value) == "BucketNotEmpty"


def test_rclone_lists_and_copies_old_versions(
    client: S3Client, server: Server, versioned: str, tmp_path: Path
) -> None:
    settings = {
        "RCLONE_CONFIG": str(tmp_path / "rclone.conf"),
        "RCLONE_CONFIG_W_TYPE": "s3",
        "RCLONE_CONFIG_W_PROVIDER": "Other",
        "RCLONE_CONFIG_W_ENDPOINT": server.endpoint,
        "RCLONE_CONFIG_W_ACCESS_KEY_ID": ROOT_KEYS.access_key,
        "RCLONE_CONFIG_W_SECRET_ACCESS_KEY": ROOT_KEYS.secret_key,
        "RCLONE_CONFIG_W_REGION": REGION,
    }
    for body in (b"1", b"22", b"333"):
        put(client, versioned, "a.txt", body)
    remote = f"W:{versioned}"
    run("rclone", "copy", "--s3-versions", remote, str(tmp_path / "out"), environment=settings)
    # rclone names old versions by their time in seconds, so those of one second are one file to it.
    assert b"333" in [path.read_bytes() for path in (tmp_path / "out").iterdir()]
    run("rclone", "backend", "cleanup-hidden", remote, environment=settings)
    assert [
        version["Size"] for version in client.list_object_versions(Bucket=versioned)["Versions"]
    ] == [3]


def test_aws_cli_versions(client: S3Client, server: Server, versioned: str, tmp_path: Path) -> None:
    first = put(client, versioned, "a", b"1")
    put(client, versioned, "a", b"22")
    api = ("aws", "--endpoint-url", server.endpoint, "s3api")
    status = ("get-bucket-versioning", "--bucket", versioned, "--query", "Status")
    assert run(*api, *status).strip() == '"Enabled"'
    target = tmp_path / "out"
    key = ("--bucket", versioned, "--key", "a", "--version-id", first)
    run(*api, "get-object", *key, str(target))
    assert target.read_bytes() == b"1"
