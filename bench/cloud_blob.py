"""Owns the measurement of blob downloads: one large object behind a provider that takes its time and gives each stream
its share, brought here by one read, by a blob download, and by a GET that downloads so, in one run.

    python -m bench.cloud_blob [--size-mib 4096] [--delay-ms 40] [--mib-per-s 50] [--store DIR]

The provider is a second weir behind a shaper (tests.shaper). The object's bytes do not compress, and all are compared
by their MD5, which the provider promises.
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
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.cloud_listing import Front
from bench.process import MemoryWatch, tree_cpu_s
from bench.servers import REPOSITORY, ServerError, Weir

BUDGET = 4.0
"""How many times as fast as one read the blob download must be."""

_BUCKET, _KEY = "blobs", "large"
_MIB = 1024**2
_BLOCK = os.urandom(_MIB)
_JOB_S = 3600.0


class Client:
    """Requests to one server, each on a connection of its own."""

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
        """The beginning of the answer, and how long it was."""
        connection = http.client.HTTPConnection(*self._server.address, timeout=600)
        try:
            target = self._server.target(method, path, query)
            connection.request(method, target, body, dict(headers or {}))
            reply = connection.getresponse()
            first = reply.read(_MIB)
            size = len(first)
            buffer = bytearray(_MIB)
            while count := reply.readinto(buffer):
                size += count
            if reply.status not in (200, 202):
                raise ServerError(f"{method} {path} gave {reply.status}: {first[:300]!r}")
            return first, size
        finally:
            connection.close()

    def act(self, method: str, path: str, action: str, name: str = "", value: Any = None) -> str:
        """A message of the native API; its answer."""
        message = json.dumps({"action": action, "name": name, "value": value})
        return self.ask(method, path, message.encode(), provider="aws")[0].decode()

    def done(self, job_id: str) -> None:
        """Wait for a job."""
        began = time.perf_counter()
        while time.perf_counter() - began < _JOB_S:
            status = json.loads(
                self.ask("GET", "/v1/cluster", json.dumps({"id": job_id}), what="status")[0]
            )
            if status.get("end_time"):
                if status.get("err"):
                    raise ServerError(str(status))
                return
            time.sleep(0.05)
        raise ServerError("the job does not come to an end")


def _content(size_mib: int) -> Iterator[bytes]:
    for number in range(size_mib):
        yield number.to_bytes(8, "big") + _BLOCK[8:]


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


def measure(home: Path, size_mib: int, delay_ms: float, mib_per_s: float) -> dict[str, float]:
    """All figures of one run."""
    cloud, front = Weir(home / "cloud"), Front(home / "front")
    cloud.start()
    try:
        there = Client(cloud)
        there.ask("PUT", f"/{_BUCKET}")
        length = {"Content-Length": str(size_mib * _MIB)}
        there.ask("PUT", f"/{_BUCKET}/{_KEY}", _content(size_mib), length)
        with _shaped(cloud.port, delay_ms, mib_per_s) as port:
            front.upstream_port = port
            front.start()
            try:
                return _figures(front, size_mib)
            finally:
                front.stop()
    finally:
        cloud.stop()


def _figures(front: Front, size_mib: int) -> dict[str, float]:
    client = Client(front)
    objects = f"/v1/objects/{_BUCKET}"
    figures: dict[str, float] = {}

    def read(**headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        _, size = client.ask("GET", f"{objects}/{_KEY}", None, named, provider="aws")
        if size != size_mib * _MIB:
            raise ServerError(f"{size} bytes of {size_mib} MiB")

    def job() -> None:
        client.done(client.act("POST", objects, "blob-download", _KEY, {"latest-ver": False}))

    ways = {"one_read": read, "job": job, "get": lambda: read(Ais_Blob_Download="true")}
    for name, work in ways.items():
        watch = MemoryWatch(front.pid)
        cpu_s, began = tree_cpu_s(front.pid), time.perf_counter()
        with watch.watching():
            work()
        figures[f"{name}_s"] = time.perf_counter() - began
        figures[f"{name}_cpu_s"] = tree_cpu_s(front.pid) - cpu_s
        figures[f"{name}_peak_anonymous_mib"] = watch.result().peak_anonymous_mib
        began = time.perf_counter()
        read()
        figures[f"warm_after_{name}_s"] = time.perf_counter() - began
        client.act("DELETE", f"{objects}/{_KEY}", "evict-listrange")
    for name in ("job", "get"):
        figures[f"ratio_{name}"] = figures["one_read_s"] / figures[f"{name}_s"]
    return figures


def main() -> int:
    """The exit status is 1 if the budget is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench.cloud_blob")
    parser.add_argument("--size-mib", type=int, default=4096)
    parser.add_argument("--delay-ms", type=float, default=40.0)
    parser.add_argument("--mib-per-s", type=float, default=50.0)
    parser.add_argument("--store", type=Path, default=Path("/var/tmp"))
    options = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="weir-bench-", dir=options.store))
    try:
        figures = measure(home, options.size_mib, options.delay_ms, options.mib_per_s)
    finally:
        shutil.rmtree(home)
    for name, figure in figures.items():
        print(f"{name:32} {figure:10.3f}")
    ratio = figures["ratio_job"]
    print(f"blob download: {ratio:.1f} × one read; at least {BUDGET:g} ×")
    return 0 if ratio >= BUDGET else 1


if __name__ == "__main__":
    sys.exit(main())
