"""aws-cli: `aws s3` and `aws s3api`."""

from __future__ import annotations

import json
import os
import secrets
import time
import urllib.request
from pathlib import Path

import pytest
from mypy_boto3_s3 import S3Client

from tests.s3compat.boto import MIB, list_keys, read
from tests.s3compat.programs import run, run_unchecked
from tests.server import Server


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "sub dir").mkdir(parents=True)
    (root / "a.txt").write_text("a")
    (root / "sub dir" / "ü+%&.bin").write_bytes(secrets.token_bytes(3000))
    (root / "large").write_bytes(secrets.token_bytes(9 * MIB))
    # Listings show whole seconds, as those of S3 do, so a file of this second would look newer than its upload.
    an_hour_ago = time.time() - 3600
    for path in root.rglob("*"):
        os.utime(path, (an_hour_ago, an_hour_ago))
    return root


def aws(server: Server, *arguments: str) -> str:
    return run("aws", "--endpoint-url", server.endpoint, *arguments)


def test_aws_s3_mb_ls_rb(server: Server) -> None:
    name = f"test-{secrets.token_hex(6)}"
    aws(server, "s3", "mb", f"s3://{name}")
    assert name in aws(server, "s3", "ls")
    aws(server, "s3", "rb", f"s3://{name}")
    assert name not in aws(server, "s3", "ls")


def test_aws_s3_sync_both_ways(
    server: Server, client: S3Client, bucket: str, tree: Path, tmp_path: Path
) -> None:
    aws(server, "s3", "sync", str(tree), f"s3://{bucket}/up")
    assert list_keys(client, bucket) == ["up/a.txt", "up/large", "up/sub dir/ü+%&.bin"]
    assert aws(server, "s3", "sync", str(tree), f"s3://{bucket}/up") == ""
    back = tmp_path / "back"
    aws(server, "s3", "sync", f"s3://{bucket}/up", str(back))
    for path in tree.rglob("*"):
        if path.is_file():
            assert (back / path.relative_to(tree)).read_bytes() == path.read_bytes()
    (tree / "a.txt").unlink()
    aws(server, "s3", "sync", "--delete", str(tree), f"s3://{bucket}/up")
    assert list_keys(client, bucket) == ["up/large", "up/sub dir/ü+%&.bin"]


def test_aws_s3_cp_mv_rm(server: Server, client: S3Client, bucket: str, tree: Path) -> None:
    aws(server, "s3", "cp", str(tree / "large"), f"s3://{bucket}/one")
    aws(server, "s3", "cp", f"s3://{bucket}/one", f"s3://{bucket}/two")
    aws(server, "s3", "mv", f"s3://{bucket}/two", f"s3://{bucket}/three")
    assert list_keys(client, bucket) == ["one", "three"]
    assert read(client, bucket, "three") == (tree / "large").read_bytes()
    assert aws(server, "s3", "cp", f"s3://{bucket}/one", "-")
    aws(server, "s3", "rm", "--recursive", f"s3://{bucket}/")
    assert list_keys(client, bucket) == []


def test_aws_s3_presign(server: Server, client: S3Client, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="a b", Body=b"presigned")
    url = aws(server, "s3", "presign", f"s3://{bucket}/a b", "--expires-in", "60").strip()
    with urllib.request.urlopen(url, timeout=10) as reply:
        assert reply.read() == b"presigned"


def test_aws_s3_cp_missing_key(server: Server, bucket: str, tmp_path: Path) -> None:
    done = run_unchecked(
        "aws", "--endpoint-url", server.endpoint,
        "s3", "cp", f"s3://{bucket}/absent", str(tmp_path / "x"),
    )  # fmt: skip
    assert done.returncode == 1
    assert b"404" in done.stderr


def test_aws_s3api_object(server: Server, bucket: str, tree: Path, tmp_path: Path) -> None:
    where = ("--bucket", bucket, "--key", "k")
    put = json.loads(
        aws(
            server, "s3api", "put-object", *where,
            "--body", str(tree / "a.txt"), "--metadata", "one=1", "--checksum-algorithm", "SHA256",
        )
    )  # fmt: skip
    head = json.loads(aws(server, "s3api", "head-object", *where, "--checksum-mode", "ENABLED"))
    assert head["Metadata"] == {"one": "1"}
    assert head["ETag"] == put["ETag"]
    assert head["ChecksumSHA256"] == put["ChecksumSHA256"]
    target = tmp_path / "got"
    aws(server, "s3api", "get-object", *where, "--range", "bytes=0-0", str(target))
    assert target.read_text() == "a"
    listed = json.loads(aws(server, "s3api", "list-objects-v2", "--bucket", bucket))
    assert [entry["Key"] for entry in listed["Contents"]] == ["k"]
    aws(server, "s3api", "delete-object", *where)


def test_aws_s3api_multipart(server: Server, client: S3Client, bucket: str, tree: Path) -> None:
    where = ("--bucket", bucket, "--key", "k")
    upload = json.loads(aws(server, "s3api", "create-multipart-upload", *where))["UploadId"]
    part = json.loads(
        aws(
            server, "s3api", "upload-part", *where, "--upload-id", upload,
            "--part-number", "1", "--body", str(tree / "large"),
        )
    )  # fmt: skip
    parts = json.dumps({"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
    aws(
        server, "s3api", "complete-multipart-upload", *where,
        "--upload-id", upload, "--multipart-upload", parts,
    )  # fmt: skip
    assert read(client, bucket, "k") == (tree / "large").read_bytes()
