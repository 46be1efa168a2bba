"""Owns the measurement of inventories: a bucket behind a provider that takes its time, listed whole from there, and
from an inventory of it, in one run.

    python -m bench.cloud_listing [--keys 100000] [--latency-ms 30] [--rounds 3]

The provider is a second weir, whose answers begin late (tests.shaper). All goes through weir's native API, a page after
the other, by one client; pages are as long as is usual.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgpack

from bench.fill import bucket_of
from bench.load import load_keys
from bench.process import MemoryWatch
from bench.servers import ACCESS_KEY, REPOSITORY, SECRET_KEY, ServerError, Weir

BUDGET = 17.0
"""How many times as fast as the remote listing the inventory's must be."""

_NBI = 1 << 15
_JOB_S = 600.0


class Front(Weir):
    """The weir under measurement; its default account of aws is on this machine."""

    upstream = ""

    def environment(self) -> Mapping[str, str]:
        return {
            **super().environment(),
            "AWS_ENDPOINT_URL": self.upstream,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }


class Client:
    """Native requests on one connection."""

    def __init__(self, front: Front, bucket: str) -> None:
        self._front = front
        self._path = f"/v1/buckets/{bucket}"
        self._connection = http.client.HTTPConnection(*front.address, timeout=120)

    def ask(self, method: str, message: Mapping[str, Any], path: str = "", **query: str) -> bytes:
        target = self._front.target(method, path or self._path, query or {"provider": "aws"})
        headers = {"Accept": "application/msgpack"}
        self._connection.request(method, target, json.dumps(message).encode(), headers)
        reply = self._connection.getresponse()
        body = reply.read()
        if reply.status != 200:
            raise ServerError(f"{message} gave {reply.status}: {body[:300]!r}")
        return body

    def list_all(self, flags: int = 0, page_size: int = 0) -> tuple[float, int]:
        """The seconds that a whole listing took, and how many names it had."""
        began, names, token = time.perf_counter(), 0, ""
        while True:
            value = {"flags": str(flags), "pagesize": page_size, "continuation_token": token}
            page = msgpack.unpackb(self.ask("GET", {"action": "list", "value": value}))
            names += len(page["Entries"])
            token = page["ContinuationToken"]
            if not token:
                return time.perf_counter() - began, names

    def take_inventory(self) -> float:
        """Have one made; the seconds it took."""
        began = time.perf_counter()
        job_id = self.ask("POST", {"action": "create-inventory", "value": {}}).decode()
        while time.perf_counter() - began < _JOB_S:
            status = json.loads(self.ask("GET", {"id": job_id}, path="/v1/cluster", what="status"))
            if status.get("end_time"):
                return time.perf_counter() - began
            time.sleep(0.1)
        raise ServerError("the inventory does not come to an end")


@contextlib.contextmanager
def late(port: int, latency_ms: float) -> Iterator[str]:
    """A shaper before a port; its endpoint."""
    command = [*(sys.executable, "-m", "tests.shaper", "--target", f"http://127.0.0.1:{port}")]
    command += ["--delay-ms", str(latency_ms)]
    shaper = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=REPOSITORY, text=True)
    assert shaper.stdout is not None
    try:
        endpoint = shaper.stdout.readline().rpartition(" on ")[2].strip()
        if not endpoint:
            raise ServerError("the shaper did not come up")
        yield endpoint
    finally:
        shaper.terminate()
        shaper.wait(10)
        shaper.stdout.close()


def measure(home: Path, keys: int, latency_ms: float, rounds: int) -> dict[str, float]:
    """All figures of one run."""
    cloud, front = Weir(home / "cloud"), Front(home / "front")
    load_keys(cloud, [keys])
    cloud.start()
    try:
        with late(cloud.port, latency_ms) as endpoint:
            front.upstream = endpoint
            front.start()
            try:
                return _figures(front, keys, rounds)
            finally:
                front.stop()
    finally:
        cloud.stop()


def _figures(front: Front, keys: int, rounds: int) -> dict[str, float]:
    client = Client(front, bucket_of(keys))
    client.ask("GET", {"action": "list", "value": {"pagesize": 1}})  # adds the bucket
    took: dict[str, list[float]] = {"remote": [], "remote_long_pages": [], "inventory": []}
    ways = {"remote": (0, 0), "remote_long_pages": (0, 10_000), "inventory": (_NBI, 0)}
    watch = MemoryWatch(front.pid)
    with watch.watching():
        taken_s = client.take_inventory()
        for _ in range(rounds):
            for name, (flags, page_size) in ways.items():
                seconds, names = client.list_all(flags, page_size)
                if names != keys:
                    raise ServerError(f"{name}: {names} names of {keys}")
                took[name].append(seconds)
    figures = {f"{name}_s": statistics.median(each) for name, each in took.items()}
    figures["taken_s"] = taken_s
    figures["ratio"] = figures["remote_s"] / figures["inventory_s"]
    figures["peak_rss_mib"] = watch.result().peak_rss_mib
    return figures


def main() -> int:
    """The exit status is 1 if the budget is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench.cloud_listing")
    parser.add_argument("--keys", type=int, default=100_000)
    parser.add_argument("--latency-ms", type=float, default=30.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--store", type=Path, default=Path("/var/tmp"))
    options = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="weir-bench-", dir=options.store))
    try:
        figures = measure(home, options.keys, options.latency_ms, options.rounds)
    finally:
        shutil.rmtree(home)
    for name, figure in figures.items():
        print(f"{name:20} {figure:10.3f}")
    is_met = figures["ratio"] >= BUDGET
    print(f"inventory: {figures['ratio']:.1f} × the remote listing; at least {BUDGET:g} ×")
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())
