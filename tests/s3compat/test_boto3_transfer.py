"""boto3's transfer manager: managed multipart uploads, ranged downloads, copies."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pytest
from boto3.s3.transfer import TransferConfig
from mypy_boto3_s3 import S3Client

from tests.s3compat.boto import MIB

SIZE = 100 * MIB


@pytest.fixture(scope="module")
def large_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("transfer") / "large"
    block = hashlib.shake_256(b"transfer").digest(MIB)
    with path.open("wb") as file:
        for number in range(SIZE // MIB):
            file.write(number.to_bytes(4, "big") + block[4:])
    return path


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def test_transfer_large_multipart(
    client: S3Client, bucket: str, large_file: Path, tmp_path: Path
) -> None:
    config = TransferConfig(multipart_chunksize=8 * MIB, max_concurrency=4)
    client.upload_file(str(large_file), bucket, "large", Config=config)
    head = client.head_object(Bucket=bucket, Key="large")
    assert head["ContentLength"] == SIZE
    assert head["ETag"].endswith('-13"')
    client.copy({"Bucket": bucket, "Key": "large"}, bucket, "copied", Config=config)
    for key in ("large", "copied"):
        fetched = tmp_path / key
        client.download_file(bucket, key, str(fetched), Config=config)
        assert digest(fetched) == digest(large_file)
        fetched.unlink()


def test_transfer_small_and_empty(client: S3Client, bucket: str) -> None:
    for data in (b"", b"small"):
        client.upload_fileobj(io.BytesIO(data), bucket, "k", ExtraArgs={"ContentType": "text/x-a"})
        target = io.BytesIO()
        client.download_fileobj(bucket, "k", target)
        assert target.getvalue() == data
        assert client.head_object(Bucket=bucket, Key="k")["ContentType"] == "text/x-a"
