"""Owns the command line for what is measured of buckets that live elsewhere, and the table of what was got.

    python -m bench.cloud [read] [blob] [prefetch] [listing] [--size-mib 4096] [--readers-mib 1024] [--store DIR]

Without names all of them, in one run. The exit status is 1 if a budget is missed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from bench import cloud_blob, cloud_listing, cloud_prefetch, cloud_read
from bench.cloud_front import Reached

_MIB = 1024**2
_PREFETCHED = cloud_prefetch.Load(small=1000, large=1, large_mib=2048)

Figures = Mapping[str, float]


def main() -> int:
    """Measure what the arguments name."""
    options = _parser().parse_args()
    store: Path = options.store
    measures: Mapping[str, tuple[Callable[[], Figures], Callable[[Figures], list[Reached]]]] = {
        "read": (
            lambda: cloud_read.measure(store, options.rounds, options.readers_mib * _MIB),
            cloud_read.reached,
        ),
        "blob": (
            lambda: cloud_blob.measure(store, options.size_mib, 40.0, options.mib_per_s),
            cloud_blob.reached,
        ),
        "prefetch": (
            lambda: cloud_prefetch.measure(store, _PREFETCHED, 40.0, 30.0),
            cloud_prefetch.reached,
        ),
        "listing": (
            lambda: cloud_listing.measure(store, 100_000, 30.0, options.rounds),
            cloud_listing.reached,
        ),
    }
    found: list[Reached] = []
    for name in options.names or measures:
        if name not in measures:
            print("no such measurement:", name, "of", *measures)
            return 2
        measure, reached = measures[name]
        figures = measure()
        for label, figure in figures.items():
            print(f"{name}.{label:32} {figure:12.3f}", flush=True)
        found += reached(figures)
    print("", "| work | target | got | met |", "|---|---|---|---|", sep="\n")
    for each in found:
        print(each.row())
    return 0 if all(each.is_met for each in found) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.cloud",
        description="Measure buckets that live elsewhere, behind a provider that takes its time, all on loopback.",
    )
    parser.add_argument("names", nargs="*", help="read, blob, prefetch, listing; default: all")
    parser.add_argument("--size-mib", type=int, default=4096, help="object of the blob download")
    parser.add_argument(
        "--mib-per-s", type=float, default=25.0, help="that a stream of the blob download gets"
    )
    parser.add_argument("--readers-mib", type=int, default=1024, help="object that many read")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--store", type=Path, default=Path("/var/tmp"), help="where stores are made, on a real disk"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
