"""rclone: copies, `sync` and `check`."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest
from mypy_boto3_s3 import S3Client

from tests.s3compat.boto import MIB, list_keys
from tests.s3compat.programs import run, run_unchecked
from tests.server import REGION, ROOT_KEYS, Server


@pytest.fixture
def settings(server: Server, tmp_path: Path) -> dict[str, str]:
    return {
        "RCLONE_CONFIG": str(tmp_path / "rclone.conf"),
        "RCLONE_CONFIG_W_TYPE": "s3",
        "RCLONE_CONFIG_W_PROVIDER": "Other",
        "RCLONE_CONFIG_W_ENDPOINT": server.endpoint,
        "RCLONE_CONFIG_W_ACCESS_KEY_ID": ROOT_KEYS.access_key,
        "RCLONE_CONFIG_W_SECRET_ACCESS_KEY": ROOT_KEYS.secret_key,
        "RCLONE_CONFIG_W_REGION": REGION,
    }


def test_rclone_sync_and_check(
    client: S3Client, bucket: str, settings: dict[str, str], tmp_path: Path
) -> None:
    root = tmp_path / "tree"
    (root / "a/b c").mkdir(parents=True)
    (root / "empty").write_bytes(b"")
    (root / "a/1").write_text("one")
    (root / "a/b c/ü%2F+").write_text("two")
    (root / "large").write_bytes(secrets.token_bytes(12 * MIB))
    chunks = ("--s3-upload-cutoff", "6M", "--s3-chunk-size", "5M")
    run("rclone", "sync", str(root), f"W:{bucket}/x", *chunks, environment=settings)
    run("rclone", "check", "--download", str(root), f"W:{bucket}/x", environment=settings)
    (root / "a/1").write_text("changed")
    (root / "empty").unlink()
    assert run_unchecked(
        "rclone", "check", str(root), f"W:{bucket}/x", environment=settings
    ).returncode
    run("rclone", "sync", str(root), f"W:{bucket}/x", environment=settings)
    run("rclone", "check", str(root), f"W:{bucket}/x", environment=settings)
    assert list_keys(client, bucket) == ["x/a/1", "x/a/b c/ü%2F+", "x/large"]


def test_rclone_server_side_copy_and_move(
    client: S3Client, bucket: str, settings: dict[str, str]
) -> None:
    client.put_object(Bucket=bucket, Key="one", Body=b"1")
    run("rclone", "copyto", f"W:{bucket}/one", f"W:{bucket}/two", environment=settings)
    run("rclone", "moveto", f"W:{bucket}/two", f"W:{bucket}/three", environment=settings)
    assert list_keys(client, bucket) == ["one", "three"]
    assert run("rclone", "cat", f"W:{bucket}/three", environment=settings) == "1"


def test_rclone_streams_unknown_length(
    client: S3Client, bucket: str, settings: dict[str, str]
) -> None:
    data = secrets.token_bytes(6 * MIB)
    run("rclone", "rcat", f"W:{bucket}/stream", environment=settings, stdin=data)
    assert client.get_object(Bucket=bucket, Key="stream")["Body"].read() == data
