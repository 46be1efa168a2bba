"""Owns the measurement of blob downloads: one large object behind a provider that takes its time and gives each stream
its share, brought here by one read, by a blob download, and by a GET that downloads so, in one run.

    python -m bench.cloud blob

The provider is a second weir behind a shaper (tests.shaper). The object's bytes do not compress, and all are compared
by their MD5, which the provider promises.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from bench.cloud_front import Client, Front, Reached, cloud
from bench.process import MemoryWatch, tree_cpu_s
from bench.servers import ServerError

BUDGET = 4.0
"""How many times as fast as one read the blob download must be."""

_BUCKET, _KEY = "blobs", "large"
_MIB = 1024**2
_BLOCK = os.urandom(_MIB)
_JOB_S = 3600.0


def _content(size_mib: int) -> Iterator[bytes]:
    for number in range(size_mib):
        yield number.to_bytes(8, "big") + _BLOCK[8:]


def measure(store: Path, size_mib: int, delay_ms: float, mib_per_s: float) -> dict[str, float]:
    """All figures of one run."""
    with cloud(store, delay_ms=delay_ms, mib_per_s=mib_per_s) as place:
        there = Client(place.provider)
        there.ask("PUT", f"/{_BUCKET}")
        length = {"Content-Length": str(size_mib * _MIB)}
        there.ask("PUT", f"/{_BUCKET}/{_KEY}", _content(size_mib), length)
        return _figures(place.front, size_mib)


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
        client.job("POST", objects, "blob-download", _KEY, {"latest-ver": False})

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


def reached(figures: Mapping[str, float]) -> list[Reached]:
    """The budgets, and what was got."""
    peak_mib = max(each for name, each in figures.items() if "peak" in name)
    return [
        Reached(
            "Blob download of a large object, time",
            BUDGET,
            False,
            "× one read",
            figures["ratio_job"],
        ),
        Reached(
            "GET that downloads by blob, time", BUDGET, False, "× one read", figures["ratio_get"]
        ),
        Reached("Blob, memory of a process", 150, True, "MiB", peak_mib),
    ]
