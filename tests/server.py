"""Owns the real weir process that tests talk to: its start, its death of every kind, and its restart.

A server runs in its own session, so that a kill reaches the whole process tree and nothing else. Its port is kept
over restarts, so that clients need not learn a new one.
"""

from __future__ import annotations

import os
import re
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

REPOSITORY = Path(__file__).resolve().parent.parent
WEIR = (sys.executable, "-m", "gateway.cli.main")
REGION = "us-east-1"

_READY = re.compile(r"weir serving on (https?)://(\[[^\]]+\]|[^:\s]+):(\d+)")


@dataclass(frozen=True, slots=True)
class Keys:
    """An access key pair."""

    access_key: str
    secret_key: str


ROOT_KEYS = Keys("WEIRROOTKEY000000001", "root/secret+key=of0the1test2server345678")
OTHER_KEYS = Keys("WEIROTHERKEY00000002", "other/secret+key=of0the1test2server34567")


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How to run the process. `arguments` go to `weir serve` as they are."""

    data_dirs: Sequence[Path]
    workers: int = 2
    arguments: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    start_timeout_s: float = 30.0


_SETTINGS = ("WEIR_", "AWS_", "AZURE_", "GS_", "GOOGLE_", "OCI_")
# A provider that a test names without having one behind is nowhere: nothing leaves this machine.
_LOOPBACK_ALONE = {
    **dict.fromkeys(
        ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9"
    ),
    **dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1,localhost"),
    "AWS_EC2_METADATA_DISABLED": "true",
}


class ServerFailedError(RuntimeError):
    """The process did not come up; the message holds its log."""


class Server:
    """One weir process tree over given data directories."""

    def __init__(self, options: ServerOptions) -> None:
        self.options = options
        self.scheme = "http"
        self.host = "127.0.0.1"
        self.port = 0
        self.log_path = options.data_dirs[0].parent / f"{options.data_dirs[0].name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._known: set[int] = set()

    @property
    def endpoint(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, environment: Mapping[str, str] | None = None) -> None:
        """Start and wait until /-/health answers 200. `environment` adds to the options' for this start alone."""
        assert not self.is_running
        command = [*WEIR, "serve"]
        for directory in self.options.data_dirs:
            command += ["--data", str(directory)]
        command += ["--listen", f"{self.host}:{self.port}", "--workers", str(self.options.workers)]
        command += self.options.arguments
        log_start = self.log_path.stat().st_size if self.log_path.exists() else 0
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=REPOSITORY,
                env=self._environment(environment or {}),
                start_new_session=True,
            )
        self._wait_ready(log_start)

    def stop(self, timeout_s: float = 15.0) -> int:
        """End it as an operator would (SIGTERM) and give the exit status; a tree that stays is killed and fails."""
        if self._process is None:
            return 0
        self._known.update(self.tree())
        if self.is_running:
            self._process.send_signal(signal.SIGTERM)
        try:
            status = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ServerFailedError(
                f"still running {timeout_s} s after SIGTERM\n{self.log_tail()}"
            ) from None
        self._process = None
        return status

    def kill(self) -> None:
        """SIGKILL the whole tree at once, and wait until it is gone."""
        if self._process is None:
            return
        pids = self.tree() | self._known
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait()
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and any(_is_ours(pid, self._process.pid) for pid in pids):
            time.sleep(0.01)
        self._process = None
        self._known.clear()

    def wait_death(self, timeout_s: float) -> bool:
        """Wait until the main process has ended by itself; False if it lives on."""
        assert self._process is not None
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def tree(self) -> set[int]:
        """The main process and everything below it."""
        if self._process is None or self._process.poll() is not None:
            return set()
        children: dict[int, list[int]] = {}
        for pid, parent in _process_table():
            children.setdefault(parent, []).append(pid)
        found: set[int] = set()
        queue = [self._process.pid]
        while queue:
            pid = queue.pop()
            found.add(pid)
            queue += children.get(pid, [])
        return found

    def descriptors(self) -> int:
        """Open file descriptors of the whole tree."""
        return sum(_descriptor_count(pid) for pid in self.tree())

    def resident_bytes(self) -> int:
        """The largest resident memory of any one process of the tree."""
        return max(_resident_bytes(pid) for pid in self.tree())

    def log_tail(self, size: int = 6000) -> str:
        text = self.log_path.read_bytes() if self.log_path.exists() else b""
        return text[-size:].decode("utf-8", "replace")

    def admin(self, *arguments: str, is_checked: bool = True) -> subprocess.CompletedProcess[str]:
        """Run an administrative command (`weir ARGUMENTS --data DIR ...`) against this server's store."""
        command = [*WEIR, *arguments]
        for directory in self.options.data_dirs:
            command += ["--data", str(directory)]
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
            cwd=REPOSITORY,
            env=self._environment({}),
        )
        if is_checked and done.returncode != 0:
            raise ServerFailedError(
                f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
            )
        return done

    def add_user(self, name: str, keys: Keys, *options: str) -> None:
        """Add a user with a key pair of ours."""
        secret = ("--access-key", keys.access_key, "--secret-key", keys.secret_key)
        self.admin("user", "add", name, *secret, *options)

    def health(self) -> int:
        """The status of /-/health; 0 if nobody answers."""
        context = ssl._create_unverified_context() if self.scheme == "https" else None
        try:
            with urllib.request.urlopen(
                f"{self.endpoint}/-/health", timeout=5, context=context
            ) as reply:
                return int(reply.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def _environment(self, extra: Mapping[str, str]) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(_SETTINGS) and not name.lower().endswith("_proxy")
        }
        kept |= _LOOPBACK_ALONE
        kept["WEIR_ROOT_ACCESS_KEY"] = ROOT_KEYS.access_key
        kept["WEIR_ROOT_SECRET_KEY"] = ROOT_KEYS.secret_key
        kept["PYTHONPATH"] = str(REPOSITORY)
        return {**kept, **self.options.environment, **extra}

    def _wait_ready(self, log_start: int) -> None:
        assert self._process is not None
        deadline = time.monotonic() + self.options.start_timeout_s
        while time.monotonic() < deadline:
            said = _READY.search(_read_from(self.log_path, log_start))
            if said:
                self.scheme, self.host, self.port = said[1], said[2], int(said[3])
                if self.health() == 200:
                    self._known = self.tree()
                    return
            if self._process.poll() is not None:
                break
            time.sleep(0.02)
        log = self.log_tail()
        self.kill()
        raise ServerFailedError(f"did not come up:\n{log}")


def _read_from(path: Path, offset: int) -> str:
    file: IO[bytes]
    with path.open("rb") as file:
        file.seek(offset)
        return file.read().decode("utf-8", "replace")


def _process_table() -> list[tuple[int, int]]:
    """(pid, parent pid) of every process. Linux only, as the server's tests are."""
    table = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _stat_fields(int(entry.name))
            if fields:
                table.append((int(entry.name), int(fields[1])))
    return table


def _stat_fields(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the state on (the name before it may hold spaces); empty if gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return []
    return text[text.rindex(")") + 2 :].split()


def _is_ours(pid: int, session: int) -> bool:
    """Whether a living (not zombie) process of that session has this pid."""
    fields = _stat_fields(pid)
    return bool(fields) and fields[0] != "Z" and int(fields[3]) == session


def _descriptor_count(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return 0


def _resident_bytes(pid: int) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
