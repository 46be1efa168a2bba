"""Owns a counterpart: somebody else's server (or a second weir) as a process on loopback, for tests to talk to."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

NOT_INSTALLED = "is not installed here"
"""What a skip says of a missing program (the same words as tests.s3compat.programs)."""


def program(name: str) -> str:
    """The path of a program: beside this interpreter first. Skips, loudly, if there is none."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"{name} {NOT_INSTALLED}")
    return found


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


def clean_environment() -> dict[str, str]:
    """The environment without the caller's own settings of clouds and proxies."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(
            ("AWS_", "S3_", "RCLONE_", "WEIR_", "AZURE_", "GOOGLE_", "MOTO_", "OCI_", "GCP_")
        )
        and not name.lower().endswith("_proxy")
    } | {"AWS_EC2_METADATA_DISABLED": "true"}


class CounterpartFailedError(RuntimeError):
    """It did not come up; the message holds its log."""


class Counterpart:
    """A server process that answers HTTP on loopback. Its port is kept over restarts."""

    def __init__(
        self,
        command: Sequence[str],
        port: int,
        log_path: Path,
        *,
        health: str = "/",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.port = port
        self.endpoint = f"http://127.0.0.1:{port}"
        self._command = list(command)
        self._log_path = log_path
        self._health = f"{self.endpoint}{health}"
        self._environment = clean_environment() | dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, within_s: float = 60.0) -> None:
        """Start it, and wait until it answers anything."""
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,
            )
        deadline = time.monotonic() + within_s
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = self._log_path.read_text(errors="replace")[-4000:]
                self.stop()
                raise CounterpartFailedError(f"{self._command[0]} did not come up\n{said}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End it with all that it started. Idempotent."""
        if self._process is None:
            return
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait()
        self._process = None

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(self._health, timeout=2).close()
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True
