"""Owns the finding and running of client programs that are not Python libraries."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.server import REGION, ROOT_KEYS

NOT_INSTALLED = "is not installed here"
"""What a skip says of a missing program; the run's summary looks for it."""


def find(name: str) -> str:
    """The program's path: beside this interpreter first, then on PATH. Skips the test, loudly, if there is none."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"{name} {NOT_INSTALLED}")
    return found


def run(
    program: str,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    status: int = 0,
    stdin: bytes | None = None,
) -> str:
    """Run a client to its end and give its standard output; any other exit status fails the test with its words."""
    done = run_unchecked(program, *arguments, environment=environment, stdin=stdin)
    said = done.stdout.decode("utf-8", "replace")
    assert done.returncode == status, (
        f"{program} {' '.join(arguments)}: exit {done.returncode}\n{said}\n"
        f"{done.stderr.decode('utf-8', 'replace')}"
    )
    return said


def run_unchecked(
    program: str,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """As `run`, but the caller judges the outcome."""
    return subprocess.run(
        [find(program), *arguments],
        check=False,
        capture_output=True,
        timeout=120,
        input=b"" if stdin is None else stdin,
        env=client_environment() | dict(environment or {}),
    )


def client_environment() -> dict[str, str]:
    """The root keys where clients look for them, and nothing of the caller's own AWS settings or proxies."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "S3_", "RCLONE_", "RESTIC_"))
        and not name.lower().endswith("_proxy")
    }
    kept["AWS_ACCESS_KEY_ID"] = ROOT_KEYS.access_key
    kept["AWS_SECRET_ACCESS_KEY"] = ROOT_KEYS.secret_key
    kept["AWS_DEFAULT_REGION"] = kept["AWS_REGION"] = REGION
    kept["AWS_EC2_METADATA_DISABLED"] = "true"
    return kept
