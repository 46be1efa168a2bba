"""Owns the measurement of inventories: a bucket behind a provider that takes its time, listed whole from there, and
from an inventory of it, in one run.

    python -m bench.cloud listing

The provider is a second weir, whose answers begin late (tests.shaper). All goes through weir's native API, a page after
the other, by one client; pages are as long as is usual.
"""

from __future__ import annotations

import http.client
import json
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgpack

from bench.cloud_front import Front, Reached, cloud
from bench.fill import bucket_of
from bench.load import load_keys
from bench.process import MemoryWatch
from bench.servers import ServerError

BUDGET = 17.0
"""How many times as fast as the remote listing the inventory's must be."""

_NBI = 1 << 15
_JOB_S = 600.0


class Lister:
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


def measure(store: Path, keys: int, latency_ms: float, rounds: int) -> dict[str, float]:
    """All figures of one run."""
    with cloud(
        store,
        delay_ms=latency_ms,
        mib_per_s=0,
        prepare=lambda provider: load_keys(provider, [keys]),
    ) as place:
        return _figures(place.front, keys, rounds)


def _figures(front: Front, keys: int, rounds: int) -> dict[str, float]:
    client = Lister(front, bucket_of(keys))
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


def reached(figures: Mapping[str, float]) -> list[Reached]:
    """The budgets, and what was got."""
    peak_mib = max(each for name, each in figures.items() if "peak" in name)
    return [
        Reached(
            "Listing 100,000 names from an inventory",
            BUDGET,
            False,
            "× the remote listing",
            figures["ratio"],
        ),
        Reached("Listing, memory of a process", 150, True, "MiB", peak_mib),
    ]
