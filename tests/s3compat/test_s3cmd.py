"""s3cmd, with both of its signature versions."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest
from mypy_boto3_s3 import S3Client

from tests.s3compat.boto import MIB, list_keys, read
from tests.s3compat.programs import run
from tests.s3compat.wire import host_of
from tests.server import ROOT_KEYS, Server


@pytest.fixture(params=["v4", "v2"])
def configured(request: pytest.FixtureRequest, server: Server, tmp_path: Path) -> tuple[str, ...]:
    config = tmp_path / "s3cfg"
    config.write_text(
        "[default]\n"
        f"access_key = {ROOT_KEYS.access_key}\nsecret_key = {ROOT_KEYS.secret_key}\n"
        f"host_base = {host_of(server)}\nhost_bucket = {host_of(server)}\nuse_https = False\n"
        f"signature_v2 = {request.param == 'v2'}\n"
    )
    return ("--config", str(config), "--no-progress")


def test_s3cmd_put_get_sync_del(
    client: S3Client, bucket: str, configured: tuple[str, ...], tmp_path: Path
) -> None:
    root = tmp_path / "tree"
    root.mkdir()
    (root / "small é").write_text("small")
    (root / "large").write_bytes(secrets.token_bytes(16 * MIB))
    assert bucket in run("s3cmd", *configured, "ls")
    run("s3cmd", *configured, "sync", f"{root}/", f"s3://{bucket}/up/")
    assert list_keys(client, bucket) == ["up/large", "up/small é"]
    assert read(client, bucket, "up/large") == (root / "large").read_bytes()
    back = tmp_path / "back"
    back.mkdir()
    run("s3cmd", *configured, "sync", f"s3://{bucket}/up/", f"{back}/")
    assert (back / "large").read_bytes() == (root / "large").read_bytes()
    run("s3cmd", *configured, "cp", f"s3://{bucket}/up/small é", f"s3://{bucket}/copy")
    assert read(client, bucket, "copy") == b"small"
    assert "5" in run("s3cmd", *configured, "info", f"s3://{bucket}/copy")
    run("s3cmd", *configured, "del", "--recursive", "--force", f"s3://{bucket}/")
    assert list_keys(client, bucket) == []


def test_s3cmd_bucket(configured: tuple[str, ...]) -> None:
    name = f"test-{secrets.token_hex(6)}"
    run("s3cmd", *configured, "mb", f"s3://{name}")
    run("s3cmd", *configured, "rb", f"s3://{name}")
