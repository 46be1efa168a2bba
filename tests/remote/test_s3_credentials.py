"""Credentials of the standard chain of AWS, as they come, go and change while a process runs."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from backends import s3_account
from backends.s3 import s3_backend
from core.accounts import Account
from core.errors import BackendDenied
from tests.counterparts.started import S3Endpoint


def write_keys(path: Path, access_key: str, secret_key: str, profile: str = "default") -> None:
    lines = (f"aws_access_key_id = {access_key}", f"aws_secret_access_key = {secret_key}")
    path.write_text("\n".join((f"[{profile}]", *lines, "")))


@pytest.fixture
def keys_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of credentials, and nothing else that the chain could find."""
    path = tmp_path / "credentials"
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return path


def test_keys_that_come_and_change(
    keys_file: Path, second_weir: S3Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = second_weir.keys

    async def whole() -> None:
        backend = s3_backend(Account("aws", endpoint=second_weir.endpoint, region="us-east-1"))
        try:
            with pytest.raises(BackendDenied):
                await backend.list_buckets()
            write_keys(keys_file, good.access_key, good.secret_key)
            # Not at once: each look takes a while.
            with pytest.raises(BackendDenied):
                await backend.list_buckets()
            monkeypatch.setattr(s3_account, "RENEW_AFTER_S", 0.0)
            with pytest.raises(BackendDenied):
                await backend.list_buckets()
            await backend.list_buckets()
            assert backend.busy_connections == 0
        finally:
            await backend.close()

    asyncio.run(whole())


def test_profiles(keys_file: Path, second_weir: S3Endpoint) -> None:
    good = second_weir.keys
    write_keys(keys_file, good.access_key, good.secret_key, "work")

    async def whole(profile: str) -> None:
        backend = s3_backend(
            Account("aws", endpoint=second_weir.endpoint, region="us-east-1", profile=profile)
        )
        try:
            await backend.list_buckets()
        finally:
            await backend.close()

    asyncio.run(whole("work"))
    with pytest.raises(BackendDenied, match="ProfileNotFound"):
        asyncio.run(whole("other"))
