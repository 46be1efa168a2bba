"""Tags of objects and buckets through boto3, s3cmd and a browser's form."""

from __future__ import annotations

from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from mypy_boto3_s3 import S3Client

from tests.s3compat.boto import code_of
from tests.s3compat.programs import run
from tests.s3compat.wire import host_of
from tests.server import ROOT_KEYS, Server


def tags_of(client: S3Client, bucket: str, key: str) -> dict[str, str]:
    found = client.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
    return {tag["Key"]: tag["Value"] for tag in found}


def test_object_tags(client: S3Client, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="a", Body=b"", Tagging="x=1&y=%C3%BC+%2B")
    assert tags_of(client, bucket, "a") == {"x": "1", "y": "ü +"}
    assert client.head_object(Bucket=bucket, Key="a")["TagCount"] == 2
    modified = client.head_object(Bucket=bucket, Key="a")["LastModified"]
    client.put_object_tagging(
        Bucket=bucket, Key="a", Tagging={"TagSet": [{"Key": "z", "Value": "="}]}
    )
    assert tags_of(client, bucket, "a") == {"z": "="}
    assert client.head_object(Bucket=bucket, Key="a")["LastModified"] == modified
    client.delete_object_tagging(Bucket=bucket, Key="a")
    assert tags_of(client, bucket, "a") == {}


def test_tags_go_with_copies_and_uploads(client: S3Client, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="a", Body=b"a", Tagging="x=1")
    source = f"{bucket}/a"
    client.copy_object(Bucket=bucket, Key="b", CopySource=source)
    assert tags_of(client, bucket, "b") == {"x": "1"}
    client.copy_object(
        Bucket=bucket, Key="c", CopySource=source, Tagging="y=2", TaggingDirective="REPLACE"
    )
    assert tags_of(client, bucket, "c") == {"y": "2"}
    upload = client.create_multipart_upload(Bucket=bucket, Key="d", Tagging="z=3")["UploadId"]
    part = client.upload_part(Bucket=bucket, Key="d", UploadId=upload, PartNumber=1, Body=b"d")
    client.complete_multipart_upload(
        Bucket=bucket,
        Key="d",
        UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    )
    assert tags_of(client, bucket, "d") == {"z": "3"}


def test_tags_refused(client: S3Client, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="a", Body=b"")
    many = [{"Key": str(number), "Value": ""} for number in range(11)]
    for tags in (many, [{"Key": "aws:x", "Value": ""}], [{"Key": "x", "Value": "?"}], many[:1] * 2):
        with pytest.raises(ClientError) as caught:
            client.put_object_tagging(Bucket=bucket, Key="a", Tagging={"TagSet": tags})  # type: ignore[typeddict-item]
        assert code_of(caught.value) == "InvalidTag"
    with pytest.raises(ClientError) as caught:
        client.put_object(Bucket=bucket, Key="a", Body=b"", Tagging="x=1&x=2")
    assert code_of(caught.value) == "InvalidArgument"
    assert tags_of(client, bucket, "a") == {}


def test_bucket_tags(client: S3Client, bucket: str) -> None:
    with pytest.raises(ClientError) as caught:
        client.get_bucket_tagging(Bucket=bucket)
    assert code_of(caught.value) == "NoSuchTagSet"
    tags = [{"Key": f"k{number:02}", "Value": "v"} for number in range(50)]
    client.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags})  # type: ignore[typeddict-item]
    assert client.get_bucket_tagging(Bucket=bucket)["TagSet"] == tags
    client.delete_bucket_tagging(Bucket=bucket)
    with pytest.raises(ClientError) as caught:
        client.get_bucket_tagging(Bucket=bucket)
    assert code_of(caught.value) == "NoSuchTagSet"


def test_s3cmd_tags(client: S3Client, server: Server, bucket: str, tmp_path: Path) -> None:
    config = tmp_path / "s3cfg"
    config.write_text(
        "[default]\n"
        f"access_key = {ROOT_KEYS.access_key}\nsecret_key = {ROOT_KEYS.secret_key}\n"
        f"host_base = {host_of(server)}\nhost_bucket = {host_of(server)}\nuse_https = False\n"
    )
    client.put_object(Bucket=bucket, Key="a", Body=b"")
    s3cmd = ("s3cmd", "--config", str(config))
    run(*s3cmd, "settagging", f"s3://{bucket}/a", "x=1&y=2")
    assert tags_of(client, bucket, "a") == {"x": "1", "y": "2"}
    assert "x:\t1" in run(*s3cmd, "gettagging", f"s3://{bucket}/a")
    run(*s3cmd, "deltagging", f"s3://{bucket}/a")
    assert tags_of(client, bucket, "a") == {}
