"""The long crash run: `python -m tests.crash.soak --kills 200 [--seed N] [--data DIR]`.

Random kills, with every named commit step taken in turn between them; a full check every ten rounds and at the end.
Prints progress and one summary line; exits with 1 and the evidence at the first broken promise.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.crash.rig import Rig, ViolatedError, crash_points

_FULL_CHECK_EVERY = 10
_POINT_EVERY = 4


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument(
        "--data", type=Path, help="directory to work in (kept); a temporary one otherwise"
    )
    parser.add_argument("--mountpaths", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    if options.data is not None:
        options.data.mkdir(parents=True, exist_ok=True)
        return soak(options, options.data)
    with tempfile.TemporaryDirectory(prefix="weir-soak-") as directory:
        return soak(options, Path(directory))


def soak(options: argparse.Namespace, directory: Path) -> int:
    rig = Rig(directory, options.seed, options.mountpaths, options.workers)
    points = crash_points()
    started = time.monotonic()
    rig.open()
    try:
        for number in range(1, options.kills + 1):
            if points and number % _POINT_EVERY == 0:
                rig.kill_at_point(points[number // _POINT_EVERY % len(points)])
            else:
                rig.kill_at_random()
            if number % _FULL_CHECK_EVERY == 0:
                rig.check_all()
                print(f"{time.monotonic() - started:6.0f} s  {rig.totals}", flush=True)
        rig.check_all()
    except ViolatedError as error:
        print(f"VIOLATED after {time.monotonic() - started:.0f} s: {error}", flush=True)
        return 1
    finally:
        rig.server.kill()
    print(f"soak passed: seed {options.seed}, {time.monotonic() - started:.0f} s, {rig.totals}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
