"""Owns the command line: `python -m bench [--quick] [--cases ...] [--peers ...] [--out DIR]`."""

from __future__ import annotations

import argparse
import fnmatch
import sys
from pathlib import Path

from bench.machine import describe
from bench.report import write_report
from bench.runner import FEW_KEYS, Plan, all_cases, run
from bench.servers import PEERS

_FULL_KEYS, _QUICK_KEYS = 1_000_000, 100_000


def main() -> int:
    """Run what the arguments ask for; the exit status is 1 if a server failed a case."""
    options = _parser().parse_args()
    many_keys = options.keys or (_QUICK_KEYS if options.quick else _FULL_KEYS)
    cases = all_cases(many_keys)
    if options.cases:
        patterns = options.cases.split(",")
        cases = [c for c in cases if any(fnmatch.fnmatch(c.name, p) for p in patterns)]
        if not cases:
            print("no such case:", options.cases, "of", *(c.name for c in all_cases(many_keys)))
            return 2
    peers = [peer for peer in options.peers.split(",") if peer]
    plan = Plan(
        cases=cases,
        servers=([] if options.without_weir else ["weir"]) + peers,
        rounds=options.rounds or (2 if options.quick else 3),
        seconds=options.seconds or (2.0 if options.quick else 3.0),
        disk=options.store,
        memory=Path("/dev/shm"),
        key_counts=(FEW_KEYS, many_keys),
    )
    machine = describe(plan.disk)
    outcome = run(plan)
    if options.out:
        write_report(options.out, machine, plan, outcome)
    return 1 if outcome.failures else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure weir against its peers on this machine, everything on loopback.",
    )
    parser.add_argument("--quick", action="store_true", help="under two minutes; 100,000 keys")
    parser.add_argument("--cases", metavar="A,B*", help="only these cases (shell patterns)")
    parser.add_argument("--peers", default=",".join(PEERS), help="default: %(default)s; may be ''")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="write performance.md, .json and .png there"
    )
    parser.add_argument(
        "--store",
        type=Path,
        default=Path("/var/tmp"),
        metavar="DIR",
        help="where stores are made, on a real disk (default: %(default)s); /dev/shm takes the disk out",
    )
    parser.add_argument("--rounds", type=int, help="rounds a case (default 3; quick 2)")
    parser.add_argument("--seconds", type=float, help="time a round (default 3; quick 2)")
    parser.add_argument("--keys", type=int, help="size of the large bucket (default 1,000,000)")
    parser.add_argument("--without-weir", action="store_true", help="peers alone")
    return parser


if __name__ == "__main__":
    sys.exit(main())
