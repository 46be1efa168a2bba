"""restic: a repository in a bucket, from init to restore."""

from __future__ import annotations

import secrets
from pathlib import Path

from tests.s3compat.boto import MIB
from tests.s3compat.programs import run
from tests.server import Server


def test_restic(server: Server, bucket: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "large").write_bytes(secrets.token_bytes(10 * MIB))
    (source / "ü").write_text("small")
    settings = {
        "RESTIC_REPOSITORY": f"s3:{server.endpoint}/{bucket}/repository",
        "RESTIC_PASSWORD": "not a secret",
        "RESTIC_CACHE_DIR": str(tmp_path / "cache"),
    }
    run("restic", "init", environment=settings)
    run("restic", "backup", str(source), environment=settings)
    (source / "ü").write_text("changed")
    run("restic", "backup", str(source), environment=settings)
    run("restic", "check", "--read-data", environment=settings)
    target = tmp_path / "target"
    run("restic", "restore", "latest", "--target", str(target), environment=settings)
    restored = target / source.relative_to("/")
    assert (restored / "large").read_bytes() == (source / "large").read_bytes()
    assert (restored / "ü").read_text() == "changed"
    run("restic", "forget", "--keep-last", "1", "--prune", environment=settings)
    run("restic", "check", environment=settings)
