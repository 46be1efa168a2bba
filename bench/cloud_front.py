"""Owns what the measurements of buckets that live elsewhere have in common: a provider that takes its time, and the
weir in front of it.

The provider is a second weir behind the tests' shaper, a process of its own.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.servers import ACCESS_KEY, REPOSITORY, SECRET_KEY, ServerError, Weir

CLOUD_DELAY_MS = 30.0
"""To the first byte of each answer, unless a measurement says otherwise."""

CLOUD_MIB_PER_S = 75.0
"""Of each stream."""

_BLOCK_BYTES = 1024**2
_JOB_S = 3600.0


@dataclass(frozen=True, slots=True)
class Reached:
    """A budget and what was got."""

    work: str
    limit: float
    is_at_most: bool
    unit: str
    got: float

    @property
    def is_met(self) -> bool:
        return self.got <= self.limit if self.is_at_most else self.got >= self.limit

    def row(self) -> str:
        """Of a table."""
        target = f"{'≤' if self.is_at_most else '≥'} {self.limit:g} {self.unit}"
        return f"| {self.work} | {target} | {self.got:.3g} | {'yes' if self.is_met else '**no**'} |"


class Front(Weir):
    """The weir under measurement; its default account of aws is on a port of this machine."""

    upstream_port = 0

    def environment(self) -> Mapping[str, str]:
        return {
            **super().environment(),
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.upstream_port}",
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }


@dataclass(frozen=True, slots=True)
class Cloud:
    """The provider, what shapes its answers, and the weir in front."""

    provider: Weir
    shaper_port: int
    front: Front

    def adopt(self, bucket: str) -> None:
        """Have the front know a bucket of the provider."""
        Client(self.front).act("POST", f"/v1/buckets/{bucket}", "create-bck")

    def counts(self) -> Mapping[str, Any]:
        """What has gone through the shaper since `forget_counts`."""
        counts: dict[str, Any] = json.loads(self._shaper("GET"))
        return counts

    def forget_counts(self) -> None:
        """Count from now on."""
        self._shaper("POST")

    def _shaper(self, method: str) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.shaper_port, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, "/-/shaper")
            return connection.getresponse().read()


class Client:
    """Requests to a server, each on a connection of its own."""

    def __init__(self, server: Weir) -> None:
        self._server = server

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        **query: str,
    ) -> tuple[bytes, int]:
        """The beginning of the answer, and how long it was. `body`: bytes, or blocks of them with a Content-Length."""
        with contextlib.closing(http.client.HTTPConnection(*self._server.address)) as connection:
            target = self._server.target(method, path, query)
            connection.request(method, target, body, dict(headers or {}))
            reply = connection.getresponse()
            first = reply.read(_BLOCK_BYTES)
            size, block = len(first), bytearray(_BLOCK_BYTES)
            while count := reply.readinto(block):
                size += count
        if reply.status not in (200, 202):
            raise ServerError(f"{method} {path} gave {reply.status}: {first[:300]!r}")
        return first, size

    def act(self, method: str, path: str, action: str, name: str = "", value: Any = None) -> str:
        """A message of the native API about a bucket of aws; its answer."""
        message = json.dumps({"action": action, "name": name, "value": value})
        return self.ask(method, path, message.encode(), provider="aws")[0].decode()

    def job(self, method: str, path: str, action: str, name: str = "", value: Any = None) -> str:
        """Have a job asked for and done; its id."""
        job_id = self.act(method, path, action, name, value)
        asked = json.dumps({"id": job_id}).encode()
        began = time.perf_counter()
        while time.perf_counter() - began < _JOB_S:
            status = json.loads(self.ask("GET", "/v1/cluster", asked, what="status")[0])
            if status.get("end_time"):
                if status.get("err"):
                    raise ServerError(str(status))
                return job_id
            time.sleep(0.05)
        raise ServerError(f"{action} does not come to an end")

    def statistics(self, job_id: str) -> Mapping[str, str]:
        """The counters of a job."""
        asked = json.dumps({"id": job_id}).encode()
        snapshots = json.loads(self.ask("GET", "/v1/cluster", asked, what="qryxstats")[0])
        found: Mapping[str, str] = next(iter(snapshots.values()))[0]["stats"]
        return found


@contextlib.contextmanager
def shaped(port: int, delay_ms: float, mib_per_s: float = 0.0) -> Iterator[int]:
    """A shaper before a port; its own port."""
    command = [
        *(sys.executable, "-m", "tests.shaper", "--target", f"http://127.0.0.1:{port}"),
        *("--delay-ms", str(delay_ms), "--mib-per-s", str(mib_per_s)),
    ]
    shaper = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)
    assert shaper.stdout is not None
    try:
        yield int(shaper.stdout.readline().rpartition(":")[2])
    finally:
        shaper.terminate()
        shaper.wait(10)
        shaper.stdout.close()


@contextlib.contextmanager
def cloud(
    store: Path,
    *,
    delay_ms: float = CLOUD_DELAY_MS,
    mib_per_s: float = CLOUD_MIB_PER_S,
    prepare: Callable[[Weir], None] | None = None,
) -> Iterator[Cloud]:
    """All three, in a directory that goes with them. `prepare` puts in place what the provider has before it starts."""
    home = Path(tempfile.mkdtemp(prefix="weir-bench-", dir=store))
    provider, front = Weir(home / "cloud"), Front(home / "front")
    try:
        if prepare is not None:
            prepare(provider)
        provider.start()
        with shaped(provider.port, delay_ms, mib_per_s) as port:
            front.upstream_port = port
            front.start()
            yield Cloud(provider, port, front)
    finally:
        front.stop()
        provider.stop()
        shutil.rmtree(home)
