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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.servers import ACCESS_KEY, REPOSITORY, SECRET_KEY, ServerError, Weir

CLOUD_DELAY_MS = 30.0
"""To the first byte of each answer, unless a measurement says otherwise."""

CLOUD_MIB_PER_S = 75.0
"""Of each stream."""


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
        ask(self.front, "POST", f"/v1/buckets/{bucket}", {"action": "create-bck"}, provider="aws")

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


def ask(
    server: Weir, method: str, path: str, message: Mapping[str, Any] | None = None, **query: str
) -> bytes:
    """One native request."""
    connection = http.client.HTTPConnection(*server.address, timeout=600)
    with contextlib.closing(connection):
        body = b"" if message is None else json.dumps(message).encode()
        connection.request(method, server.target(method, path, query), body)
        reply = connection.getresponse()
        answer = reply.read()
        if reply.status >= 300:
            raise ServerError(f"{method} {path} {message} gave {reply.status}: {answer[:300]!r}")
        return answer


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
    store: Path, *, delay_ms: float = CLOUD_DELAY_MS, mib_per_s: float = CLOUD_MIB_PER_S
) -> Iterator[Cloud]:
    """All three, with nothing in them, in a directory that goes with them."""
    home = Path(tempfile.mkdtemp(prefix="weir-bench-", dir=store))
    provider, front = Weir(home / "cloud"), Front(home / "front")
    try:
        provider.start()
        with shaped(provider.port, delay_ms, mib_per_s) as port:
            front.upstream_port = port
            front.start()
            yield Cloud(provider, port, front)
    finally:
        front.stop()
        provider.stop()
        shutil.rmtree(home)
