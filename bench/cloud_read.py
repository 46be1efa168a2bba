"""Owns the measurement of reads of buckets that live elsewhere: cold ones against the provider's own, warm ones against
local objects, and many readers of one cold object, in one run.

    python -m bench.cloud read
"""

from __future__ import annotations

import http.client
import statistics
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from bench.cases import KIB, MIB, wrk
from bench.cloud_front import Cloud, Reached, cloud
from bench.fill import ensure_objects
from bench.process import MemoryWatch
from bench.servers import ServerError

TTFB_BUDGET_MS = 5.0
"""By how much the first byte of a cold GET may come after the provider's own."""

WARM_BUDGET = 0.95
"""What share of the rate of local objects a warm one must have; the rest is noise."""

MEMORY_BUDGET_MIB = 150.0
_LOCAL, _THERE = "local", "there"
_READERS = 64
_COLD = 24


def first_byte_ms(port: int, target: str) -> float:
    """From sending a request to the first byte of its answer's body, on a connection that is open."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=120)) as connection:
        connection.connect()
        began = time.perf_counter()
        connection.request("GET", target)
        reply = connection.getresponse()
        if reply.status != 200 or not reply.read(1):
            raise ServerError(f"GET {target} gave {reply.status}")
        took = (time.perf_counter() - began) * 1e3
        reply.read()
        return took


def measure_cold(place: Cloud, size_bytes: int, count: int) -> dict[str, float]:
    """First bytes of cold GETs and of the provider's own, in turn."""
    keys = [f"cold/{size_bytes}/{number}" for number in range(count)]
    ensure_objects(place.provider, keys, size_bytes, _THERE)
    own, cold = [], []
    for number, key in enumerate(keys):
        # Signed for the provider itself, which is where the shaper sends it.
        direct = place.provider.target("GET", f"/{_THERE}/{key}")
        own.append(_direct_ms(place, direct))
        took = first_byte_ms(place.front.port, place.front.target("GET", f"/{_THERE}/{key}"))
        if number >= count // 6:  # the first ones open connections
            cold.append(took)
    name = f"{size_bytes // KIB}k"
    own_ms, cold_ms = statistics.median(own), statistics.median(cold)
    return {
        f"own_{name}_ms": own_ms,
        f"cold_{name}_ms": cold_ms,
        f"more_{name}_ms": cold_ms - own_ms,
    }


def _direct_ms(place: Cloud, target: str) -> float:
    """The provider's own first byte, through the shaper; the signature is for its own address."""
    host = f"127.0.0.1:{place.provider.port}"
    with closing(http.client.HTTPConnection("127.0.0.1", place.shaper_port, timeout=120)) as link:
        link.connect()
        began = time.perf_counter()
        link.request("GET", target, headers={"Host": host})
        reply = link.getresponse()
        if reply.status != 200 or not reply.read(1):
            raise ServerError(f"GET {target} gave {reply.status}")
        took = (time.perf_counter() - began) * 1e3
        reply.read()
        return took


def measure_warm(place: Cloud, rounds: int) -> dict[str, float]:
    """Rates of warm GETs and of GETs of local objects, in turn."""
    figures: dict[str, float] = {}
    for name, size_bytes, count, connections in (("4k", 4 * KIB, 500, 32), ("64m", 64 * MIB, 2, 4)):
        keys = [f"warm/{name}/{number}" for number in range(count)]
        ensure_objects(place.provider, keys, size_bytes, _THERE)
        # The names of local objects are others: what is filled is known by name.
        own = [f"own/{name}/{number}" for number in range(count)]
        ensure_objects(place.front, own, size_bytes, _LOCAL)
        front = place.front
        there = [front.target("GET", f"/{_THERE}/{key}") for key in keys]
        here = [front.target("GET", f"/{_LOCAL}/{key}") for key in own]
        for target in there:
            first_byte_ms(front.port, target)
        rates: dict[str, list[float]] = {_THERE: [], _LOCAL: []}
        pair = [(_THERE, there), (_LOCAL, here)]
        for _ in range(rounds):
            pair.reverse()  # whichever comes second has the warmer machine
            for where, targets in pair:
                how = {"reply_bytes": size_bytes, "connections": connections}
                rates[where].append(wrk(front, "GET", targets, 3, **how).rate)
        ratio = statistics.median(rates[_THERE]) / statistics.median(rates[_LOCAL])
        figures |= {
            f"warm_{name}_rate": statistics.median(rates[_THERE]),
            f"warm_{name}_ratio": ratio,
        }
    return figures


def measure_readers(place: Cloud, size_bytes: int) -> dict[str, float]:
    """Many readers of one cold object: how often the provider was asked, and the memory of the front meanwhile."""
    key = "many/readers"
    ensure_objects(place.provider, [key], size_bytes, _THERE)
    targets = [place.front.target("GET", f"/{_THERE}/{key}") for _ in range(_READERS)]

    def read(target: str) -> int:
        link = http.client.HTTPConnection(*place.front.address, timeout=600)
        with closing(link):
            link.request("GET", target)
            reply = link.getresponse()
            count, block = 0, bytearray(MIB)
            while got := reply.readinto(block):
                count += got
            return count

    place.forget_counts()
    watch = MemoryWatch(place.front.pid)
    began = time.perf_counter()
    with watch.watching(), ThreadPoolExecutor(_READERS) as pool:
        sizes = set(pool.map(read, targets))
    if sizes != {size_bytes}:
        raise ServerError(f"readers got {sizes} bytes")
    counts = place.counts()
    return {
        "readers_s": time.perf_counter() - began,
        "readers_backend_gets": counts["requests"].get("GET", 0),
        "readers_backend_objects": counts["down_bytes"] / size_bytes,
        "readers_peak_anonymous_mib": watch.result().peak_anonymous_mib,
    }


def measure(store: Path, rounds: int, large_bytes: int) -> dict[str, float]:
    """All figures of one run."""
    with cloud(store) as place:
        ensure_objects(place.provider, ["probe"], 1, _THERE)
        place.adopt(_THERE)
        figures = measure_cold(place, 4 * KIB, _COLD) | measure_cold(place, 8 * MIB, _COLD // 2)
        figures |= measure_warm(place, rounds)
        return figures | measure_readers(place, large_bytes)


def reached(figures: Mapping[str, float]) -> list[Reached]:
    """The budgets, and what was got."""
    most_ms, least = TTFB_BUDGET_MS, WARM_BUDGET
    return [
        Reached(
            "Cold GET of 4 KiB, first byte",
            most_ms,
            True,
            "ms after the provider's",
            figures["more_4k_ms"],
        ),
        Reached(
            "Cold GET of 8 MiB, first byte",
            most_ms,
            True,
            "ms after the provider's",
            figures["more_8192k_ms"],
        ),
        Reached(
            "Warm GET of 4 KiB, requests/s",
            least,
            False,
            "× a local object's",
            figures["warm_4k_ratio"],
        ),
        Reached(
            "Warm GET of 64 MiB, requests/s",
            least,
            False,
            "× a local object's",
            figures["warm_64m_ratio"],
        ),
        Reached(
            f"{_READERS} readers of a cold object",
            1,
            True,
            "reads of the backend",
            figures["readers_backend_gets"],
        ),
        Reached(
            f"{_READERS} readers, memory of a worker",
            MEMORY_BUDGET_MIB,
            True,
            "MiB",
            figures["readers_peak_anonymous_mib"],
        ),
    ]
