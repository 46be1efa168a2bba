"""s5cmd."""

from __future__ import annotations

import secrets
from pathlib import Path

from mypy_boto3_s3 import S3Client

from tests.s3compat.boto import MIB, list_keys, read
from tests.s3compat.programs import run
from tests.server import Server


def test_s5cmd(server: Server, client: S3Client, bucket: str, tmp_path: Path) -> None:
    root = tmp_path / "tree"
    root.mkdir()
    (root / "small é").write_text("small")
    (root / "large").write_bytes(secrets.token_bytes(12 * MIB))
    s5cmd = ("s5cmd", "--endpoint-url", server.endpoint)
    run(*s5cmd, "cp", "--part-size", "5", f"{root}/*", f"s3://{bucket}/up/")
    assert list_keys(client, bucket) == ["up/large", "up/small é"]
    assert "large" in run(*s5cmd, "ls", f"s3://{bucket}/up/*")
    run(*s5cmd, "cp", f"s3://{bucket}/up/large", f"s3://{bucket}/copy")
    assert read(client, bucket, "copy") == (root / "large").read_bytes()
    back = tmp_path / "back"
    run(*s5cmd, "sync", f"s3://{bucket}/up/*", f"{back}/")
    assert (back / "small é").read_text() == "small"
    assert run(*s5cmd, "cat", f"s3://{bucket}/up/small é") == "small"
    run(*s5cmd, "rm", f"s3://{bucket}/*")
    assert list_keys(client, bucket) == []
