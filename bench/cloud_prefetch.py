"""Owns the measurement of prefetches: a bucket of many small objects and a few large ones, behind a provider that takes
its time and gives each stream its share, brought here with and without a threshold for blob downloads, in one run.

    python -m bench.cloud_prefetch [--small 1000] [--large 1] [--large-mib 2048] [--mib-per-s 30] [--store DIR]

The provider is a second weir behind a shaper (tests.shaper).
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.cloud_listing import Front
from bench.process import MemoryWatch, tree_cpu_s
from bench.servers import REPOSITORY, ServerError, Weir

BUDGET = 2.28
"""How many times as fast the prefetch must be with a threshold as without."""

_BUCKET = "mixed"
_MIB = 1024**2
_SMALL_BYTES = 64 * 1024
_BLOCK = os.urandom(_MIB)
_JOB_S = 3600.0
_THRESHOLD_BYTES = 64 * _MIB


@dataclass(frozen=True, slots=True)
class Load:
    """What is in the bucket."""

    small: int
    large: int
    large_mib: int

    @property
    def count(self) -> int:
        return self.small + self.large

    @property
    def size_bytes(self) -> int:
        return self.small * _SMALL_BYTES + self.large * self.large_mib * _MIB

    def fill(self, there: Client) -> None:
        """Write it, where it is to live."""
        there.ask("PUT", f"/{_BUCKET}")
        for number in range(self.small):
            there.ask(
                "PUT", f"/{_BUCKET}/small/{number:06}", _BLOCK[number : number + _SMALL_BYTES]
            )
        length = {"Content-Length": str(self.large_mib * _MIB)}
        for number in range(self.large):
            there.ask("PUT", f"/{_BUCKET}/large/{number:03}", self._large(number), length)

    def _large(self, number: int) -> Iterator[bytes]:
        for block in range(self.large_mib):
            yield (number * self.large_mib + block).to_bytes(8, "big") + _BLOCK[8:]


class Client:
    """Requests to one server, on one connection."""

    def __init__(self, server: Weir) -> None:
        self._server = server
        self._connection = http.client.HTTPConnection(*server.address, timeout=600)

    def ask(
        self, method: str, path: str, body: Any = None, headers: Any = None, **query: str
    ) -> bytes:
        target = self._server.target(method, path, query)
        self._connection.request(method, target, body, dict(headers or {}))
        reply = self._connection.getresponse()
        answer = reply.read()
        if reply.status not in (200, 202):
            raise ServerError(f"{method} {path} gave {reply.status}: {answer[:300]!r}")
        return answer

    def job(self, method: str, action: str, value: Any) -> dict[str, Any]:
        """Have one done; its snapshot."""
        message = json.dumps({"action": action, "name": "", "value": value})
        job_id = self.ask(method, f"/v1/buckets/{_BUCKET}", message, provider="aws").decode()
        asked = json.dumps({"id": job_id})
        began = time.perf_counter()
        while time.perf_counter() - began < _JOB_S:
            status = json.loads(self.ask("GET", "/v1/cluster", asked, what="status"))
            if status.get("end_time"):
                if status.get("err"):
                    raise ServerError(str(status))
                snapshots = json.loads(self.ask("GET", "/v1/cluster", asked, what="qryxstats"))
                found: dict[str, Any] = next(iter(snapshots.values()))[0]
                return found
            time.sleep(0.05)
        raise ServerError("the job does not come to an end")


@contextlib.contextmanager
def _shaped(port: int, delay_ms: float, mib_per_s: float) -> Iterator[int]:
    """A shaper before a port; its own port."""
    command = [sys.executable, "-m", "tests.shaper", "--target", f"http://127.0.0.1:{port}"]
    command += ["--delay-ms", str(delay_ms), "--mib-per-s", str(mib_per_s)]
    shaper = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=REPOSITORY)
    assert shaper.stdout is not None
    try:
        yield int(shaper.stdout.readline().rpartition(b":")[2])
    finally:
        shaper.terminate()
        shaper.wait(10)
        shaper.stdout.close()


def measure(home: Path, load: Load, delay_ms: float, mib_per_s: float) -> dict[str, float]:
    """All figures of one run."""
    cloud, front = Weir(home / "cloud"), Front(home / "front")
    cloud.start()
    try:
        load.fill(Client(cloud))
        with _shaped(cloud.port, delay_ms, mib_per_s) as port:
            front.upstream_port = port
            front.start()
            try:
                return _figures(front, load)
            finally:
                front.stop()
    finally:
        cloud.stop()


def _figures(front: Front, load: Load) -> dict[str, float]:
    client = Client(front)
    client.ask("HEAD", f"/v1/buckets/{_BUCKET}", provider="aws")  # adds the bucket
    figures: dict[str, float] = {}
    for name, threshold in (("without", 0), ("with", _THRESHOLD_BYTES)):
        watch = MemoryWatch(front.pid)
        cpu_s, began = tree_cpu_s(front.pid), time.perf_counter()
        with watch.watching():
            value = {"template": "", "blob-threshold": threshold}
            stats = client.job("POST", "prefetch-listrange", value)["stats"]
        figures[f"{name}_s"] = time.perf_counter() - began
        figures[f"{name}_cpu_s"] = tree_cpu_s(front.pid) - cpu_s
        figures[f"{name}_peak_anonymous_mib"] = watch.result().peak_anonymous_mib
        counted = (int(stats["loc-objs"]), int(stats["loc-bytes"]))
        if counted != (load.count, load.size_bytes):
            raise ServerError(f"{name}: {counted} of {load}")
        client.job("DELETE", "evict-listrange", {"template": ""})
    figures["ratio"] = figures["without_s"] / figures["with_s"]
    return figures


def main() -> int:
    """The exit status is 1 if the budget is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench.cloud_prefetch")
    parser.add_argument("--small", type=int, default=1000)
    parser.add_argument("--large", type=int, default=1)
    parser.add_argument("--large-mib", type=int, default=2048)
    parser.add_argument("--delay-ms", type=float, default=40.0)
    parser.add_argument("--mib-per-s", type=float, default=30.0)
    parser.add_argument("--store", type=Path, default=Path("/var/tmp"))
    options = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="weir-bench-", dir=options.store))
    load = Load(options.small, options.large, options.large_mib)
    try:
        figures = measure(home, load, options.delay_ms, options.mib_per_s)
    finally:
        shutil.rmtree(home)
    for name, figure in figures.items():
        print(f"{name:32} {figure:10.3f}")
    ratio = figures["ratio"]
    print(f"prefetch: {ratio:.2f} × as fast with a threshold; at least {BUDGET:g} ×")
    return 0 if ratio >= BUDGET else 1


if __name__ == "__main__":
    sys.exit(main())
