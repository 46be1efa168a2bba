"""Owns profiles: `python -m bench.profile CASE` says in which functions weir's processes spend a case's time."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.load import load_keys
from bench.runner import FEW_KEYS, all_cases
from bench.servers import Weir

# py-spy takes a thread for running that waits in C for a queue or a selector.
_WAITING = (
    "_worker (concurrent/",
    "Committer._next_batch (",
    "EpollSelector.select (",
    "Supervisor.run (",
    "wait (threading.py",
)


def main() -> int:
    """Run one case on weir under py-spy, and print the functions with the most samples."""
    options = _parser().parse_args()
    case = next((c for c in all_cases(options.keys) if c.name == options.case), None)
    if case is None:
        print("no such case; there are:", *(c.name for c in all_cases(options.keys)))
        return 2
    home = Path(tempfile.mkdtemp(prefix="bench-profile-", dir=options.store))
    server = Weir(home)
    try:
        if case.needs_many_keys:
            load_keys(server, (FEW_KEYS, options.keys))
        server.start()
        case.prepare(server)
        case.run(server, 1)
        with ThreadPoolExecutor(1) as pool:
            load = pool.submit(case.run, server, options.seconds + 1)
            stacks = _record(server.pid, options)
            sample = load.result()
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)
    print(f"{case.title}: {sample.rate:.0f}/s while profiled, {sample.errors} errors")
    _print_top("in the function itself", _count_self(stacks), options.top)
    _print_top("in it and below", _count_below(stacks), options.top)
    return 0


def _record(pid: int, options: argparse.Namespace) -> Counter[tuple[str, ...]]:
    """Samples by stack, outermost first, of the process and its children."""
    output = options.out or Path(tempfile.gettempdir()) / f"bench-{options.case}.stacks"
    command = [
        *("py-spy", "record", "--pid", str(pid), "--subprocesses"),
        *("--rate", "200", "--duration", str(options.seconds), "--format", "raw"),
        *("--output", str(output), *(["--native"] if options.native else [])),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"py-spy: {done.stderr}")
    stacks: Counter[tuple[str, ...]] = Counter()
    for line in output.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        frames = tuple(f for f in stack.split(";") if not f.startswith(("process ", "thread ")))
        if frames and not frames[-1].startswith(_WAITING):
            stacks[frames] += int(count)
    return stacks


def _count_self(stacks: Counter[tuple[str, ...]]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for stack, count in stacks.items():
        counts[stack[-1].rpartition(":")[0] or stack[-1]] += count
    return counts


def _count_below(stacks: Counter[tuple[str, ...]]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for stack, count in stacks.items():
        for function in {frame.rpartition(":")[0] or frame for frame in stack}:
            counts[function] += count
    return counts


def _print_top(what: str, counts: Counter[str], top: int) -> None:
    total = counts.total() if what.startswith("in the") else max(counts.values(), default=1)
    print(f"\n% of samples {what}")
    rows: Iterable[tuple[str, int]] = counts.most_common(top)
    for name, count in rows:
        print(f"{100 * count / total:6.1f}  {name}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.profile", description=main.__doc__)
    parser.add_argument("case")
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--native", action="store_true", help="also frames of C libraries")
    parser.add_argument("--keys", type=int, default=100_000, help="size of the large bucket")
    parser.add_argument("--store", type=Path, default=Path("/var/tmp"))
    parser.add_argument("--out", type=Path, help="keep the collapsed stacks here (flamegraph.pl)")
    parser.add_argument("--top", type=int, default=30)
    return parser


if __name__ == "__main__":
    sys.exit(main())
