"""The long crash run with a provider behind: `python -m tests.crash.soak_remote --kills 100 [--seed N] [--data DIR]`.

A weir in front of another one, by way of a shaper that goes wrong in every way it can, loses all its processes or one
of them at random moments while clients write, read, copy, evict and bring objects. Every few kills all is checked on
both sides. Prints progress and one summary line; exits with 1 and the evidence at the first broken promise.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.crash.remote_rig import RemoteRig
from tests.crash.rig import ViolatedError

_KILLS_A_ROUND = 4


def main() -> int:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument(
        "--data", type=Path, help="directory to work in (kept); a temporary one otherwise"
    )
    options = parser.parse_args()
    if options.data is not None:
        options.data.mkdir(parents=True, exist_ok=True)
        return soak(options, options.data)
    with tempfile.TemporaryDirectory(prefix="weir-soak-") as directory:
        return soak(options, Path(directory))


def soak(options: argparse.Namespace, directory: Path) -> int:
    started = time.monotonic()
    rig = RemoteRig(directory, options.seed)
    try:
        while rig.totals.kills < options.kills:
            rig.round(_KILLS_A_ROUND)
            print(f"{time.monotonic() - started:6.0f} s  {rig.said()}", flush=True)
    except ViolatedError as error:
        print(f"VIOLATED after {time.monotonic() - started:.0f} s: {error}", flush=True)
        return 1
    finally:
        rig.close()
    print(f"soak passed: seed {options.seed}, {time.monotonic() - started:.0f} s, {rig.said()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
