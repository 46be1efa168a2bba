"""Buckets of Google and Oracle behind a weir, by unmodified clients: over servers that refuse what those refuse."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from mypy_boto3_s3 import S3Client

from tests.counterparts import strict
from tests.counterparts.started import S3Endpoint
from tests.remote.clients import Weir, running
from tests.s3compat.boto import MIB, list_keys, read
from tests.shaper import Request, Shaper, shaped


@dataclass(frozen=True, slots=True)
class Cloud:
    """A weir with an account of a provider, and the provider."""

    provider: str
    weir: Weir
    there: S3Client
    strict: Shaper

    def new_bucket(self) -> str:
        name = f"cloud-{secrets.token_hex(6)}"
        self.there.create_bucket(Bucket=name)
        self.weir.add_bucket(name, f"provider={self.provider}")
        return name


def keep_refusals(
    refuses: Callable[[Request], str], refused: list[str]
) -> Callable[[Request], str]:
    """As `refuses`, remembering what was."""

    def remember(request: Request) -> str:
        code = refuses(request)
        if code:
            refused.append(f"{request.method} {request.target} {request.headers}")
        return code

    return remember


@pytest.fixture(scope="module", params=["gcp", "oci"])
def cloud(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    second_weir: S3Endpoint,
) -> Iterator[Cloud]:
    provider: str = request.param
    refuses = {"gcp": strict.refused_by_gcp, "oci": strict.refused_by_oci}[provider]
    refused: list[str] = []
    keys = {"KEY": second_weir.keys.access_key, "SECRET": second_weir.keys.secret_key}
    directory: Path = tmp_path_factory.mktemp(provider) / "data"
    with shaped(second_weir.endpoint) as front, running(directory, keys) as weir:
        front.refuses = keep_refusals(refuses, refused)
        said = ("--endpoint", front.endpoint, "--account-region", second_weir.region)
        hidden = ("--secret", "access_key=env:KEY", "--secret", "secret_key=env:SECRET")
        weir.server.admin("account", "add", provider, *said, *hidden)
        yield Cloud(provider, weir, second_weir.client(), front)
    assert not refused


def test_s3_clients(cloud: Cloud) -> None:
    bucket, s3 = cloud.new_bucket(), cloud.weir.s3
    data = secrets.token_bytes(3 * MIB)
    cloud.there.put_object(Bucket=bucket, Key="a b/ü+%", Body=data, ContentType="x/y")
    assert read(s3, bucket, "a b/ü+%") == data
    assert s3.head_object(Bucket=bucket, Key="a b/ü+%")["ContentType"] == "x/y"
    for size_bytes in (0, 5, 2 * MIB):
        s3.put_object(
            Bucket=bucket, Key=f"new/{size_bytes}", Body=data[:size_bytes], Metadata={"a": "b"}
        )
        assert read(cloud.there, bucket, f"new/{size_bytes}") == data[:size_bytes]
    found = cloud.there.head_object(Bucket=bucket, Key="new/5")
    assert found["Metadata"] == {"a": "b"}
    assert list_keys(s3, bucket) == ["a b/ü+%", "new/0", f"new/{2 * MIB}", "new/5"]
    page = s3.list_objects_v2(Bucket=bucket, Delimiter="/", MaxKeys=1)
    assert [each["Prefix"] for each in page["CommonPrefixes"]] == ["a b/"]
    page = s3.list_objects_v2(
        Bucket=bucket, Delimiter="/", ContinuationToken=page["NextContinuationToken"]
    )
    assert [each["Prefix"] for each in page["CommonPrefixes"]] == ["new/"]
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "new/5"})
    assert read(cloud.there, bucket, "copy") == data[:5]
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "copy"}, {"Key": "new/0"}]})
    assert list_keys(cloud.there, bucket) == ["a b/ü+%", f"new/{2 * MIB}", "new/5"]


def test_multipart(cloud: Cloud) -> None:
    bucket, s3 = cloud.new_bucket(), cloud.weir.s3
    data = secrets.token_bytes(6 * MIB)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    parts = []
    for number, part in ((1, data[: 5 * MIB]), (2, data[5 * MIB :])):
        made = s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=number, Body=part)
        parts.append({"PartNumber": number, "ETag": made["ETag"]})
    s3.complete_multipart_upload(
        Bucket=bucket,
        Key="k",
        UploadId=upload,
        MultipartUpload={"Parts": parts},  # type: ignore[typeddict-item]
    )
    assert read(cloud.there, bucket, "k") == data
    assert read(s3, bucket, "k") == data


def test_gzip_stays_packed(cloud: Cloud) -> None:
    bucket = cloud.new_bucket()
    cloud.there.put_object(Bucket=bucket, Key="k", Body=b"packed", ContentEncoding="gzip")
    found = cloud.weir.s3.get_object(Bucket=bucket, Key="k")
    assert found["Body"].read() == b"packed"
    assert found["ContentEncoding"] == "gzip"


def test_sdk(cloud: Cloud) -> None:
    name = cloud.new_bucket()
    bucket = cloud.weir.sdk.bucket(name, provider=cloud.provider)
    bucket.object("dir/k").get_writer().put_content(b"native")
    assert read(cloud.there, name, "dir/k") == b"native"
    cloud.there.put_object(Bucket=name, Key="other", Body=b"theirs")
    assert bucket.object("other").get_reader().read_all() == b"theirs"
    assert [each.name for each in bucket.list_all_objects()] == ["dir/k", "other"]
    bucket.object("dir/k").delete()
    assert list_keys(cloud.there, name) == ["other"]
