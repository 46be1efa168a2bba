"""Owns the measurement of prefetches: a bucket of many small objects and a few large ones, behind a provider that takes
its time and gives each stream its share, brought here with and without a threshold for blob downloads, in one run.

    python -m bench.cloud prefetch

The provider is a second weir behind a shaper (tests.shaper).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.cloud_front import Client, Front, Reached, cloud
from bench.process import MemoryWatch, tree_cpu_s
from bench.servers import ServerError

BUDGET = 2.28
"""How many times as fast the prefetch must be with a threshold as without."""

_BUCKET = "mixed"
_PATH = f"/v1/buckets/{_BUCKET}"
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


def measure(store: Path, load: Load, delay_ms: float, mib_per_s: float) -> dict[str, float]:
    """All figures of one run."""
    with cloud(store, delay_ms=delay_ms, mib_per_s=mib_per_s) as place:
        load.fill(Client(place.provider))
        place.adopt(_BUCKET)
        return _figures(place.front, load)


def _figures(front: Front, load: Load) -> dict[str, float]:
    client = Client(front)
    figures: dict[str, float] = {}
    for name, threshold in (("without", 0), ("with", _THRESHOLD_BYTES)):
        watch = MemoryWatch(front.pid)
        cpu_s, began = tree_cpu_s(front.pid), time.perf_counter()
        with watch.watching():
            value = {"template": "", "blob-threshold": threshold}
            job_id = client.job("POST", _PATH, "prefetch-listrange", "", value)
        figures[f"{name}_s"] = time.perf_counter() - began
        figures[f"{name}_cpu_s"] = tree_cpu_s(front.pid) - cpu_s
        figures[f"{name}_peak_anonymous_mib"] = watch.result().peak_anonymous_mib
        stats = client.statistics(job_id)
        counted = (int(stats["loc-objs"]), int(stats["loc-bytes"]))
        if counted != (load.count, load.size_bytes):
            raise ServerError(f"{name}: {counted} of {load}")
        client.job("DELETE", _PATH, "evict-listrange", "", {"template": ""})
    figures["ratio"] = figures["without_s"] / figures["with_s"]
    return figures


def reached(figures: Mapping[str, float]) -> list[Reached]:
    """The budgets, and what was got."""
    peak_mib = max(each for name, each in figures.items() if "peak" in name)
    return [
        Reached(
            "Prefetch of a mixed bucket, with a threshold",
            BUDGET,
            False,
            "× without",
            figures["ratio"],
        ),
        Reached("Prefetch, memory of a process", 150, True, "MiB", peak_mib),
    ]
