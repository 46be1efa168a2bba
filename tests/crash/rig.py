"""Owns one crash round: start, load, death, restart, check."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash.check import Checker
from tests.crash.ledger import Ledger
from tests.crash.load import BUCKET, Caller, Load, Report
from tests.crash.versions import ENABLE, VERSIONED
from tests.server import REPOSITORY, Server, ServerFailedError, ServerOptions

SETTINGS: Mapping[str, str] = {
    # Leftovers must be safe to remove at once, and must be gone soon.
    "WEIR_JOBS_SPACE_CLEANUP_INTERVAL_S": "1",
    "WEIR_JOBS_SPACE_CLEANUP_AGE_S": "0",
    "WEIR_LOG_ACCESS": "false",
}
ARM = "WEIR_DEBUG_CRASH_AT"
PUBLISHERS = ("put", "copy", "part")
"""What goes through storage.publish, each with its own names for the same steps."""


class ViolatedError(AssertionError):
    """The server broke a promise; the message says which."""


@dataclass(slots=True)
class Totals:
    """What the rounds of a rig did."""

    kills: int = 0
    requests: int = 0
    acknowledged: int = 0
    checked: int = 0
    refusals: dict[int, int] = field(default_factory=dict)

    def __str__(self) -> str:
        refused = ", ".join(f"{n} × {status}" for status, n in sorted(self.refusals.items()))
        return (
            f"{self.kills} kills, {self.requests} requests, {self.acknowledged} acknowledged writes, "
            f"{self.checked} reads checked, refused: {refused or 'none'}"
        )


class Rig:
    """A server, its ledger, and rounds over them. The server runs between rounds."""

    def __init__(
        self,
        directory: Path,
        seed: int,
        mountpaths: int = 2,
        workers: int = 2,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        data = [directory / f"data{number}" for number in range(mountpaths)]
        environment = {**SETTINGS, **(settings or {})}
        self.server = Server(ServerOptions(data, workers=workers, environment=environment))
        self.ledger = Ledger(seed)
        self.random = random.Random(seed)
        self.totals = Totals()

    def open(self) -> None:
        self.server.start()
        caller = Caller(self.server)
        replies = [
            caller.send("PUT", f"/{BUCKET}"),
            caller.send("PUT", f"/{VERSIONED}"),
            caller.send("PUT", f"/{VERSIONED}?versioning", ENABLE),
        ]
        caller.close()
        assert all(reply.status == 200 for reply in replies), replies

    def close(self) -> None:
        self.server.stop()

    def kill_at_random(self, longest_s: float = 0.8) -> None:
        """One round whose end comes at a random moment."""
        load = Load(self.server, self.ledger)
        load.start()
        time.sleep(self.random.uniform(0.02, longest_s))
        self.server.kill()
        self.totals.kills += 1
        self._finish(load)

    def kill_at_point(self, point: str, wait_s: float = 15.0) -> None:
        """One round that ends where a commit step named `point` begins."""
        if point.startswith("cleanup:"):
            # There must be something to clean up, so another death comes right before.
            self._die_at("complete:committed", wait_s)
        self._raise(self._die_at(point, wait_s).violations)
        self._recover()

    def _die_at(self, point: str, wait_s: float) -> Report:
        """Start armed, and be loaded until the whole tree is dead."""
        self.server.kill()
        self.totals.kills += 1
        try:
            self.server.start({ARM: point})
        except ServerFailedError:
            # The cleanup runs at the start already.
            return Report()
        load = Load(self.server, self.ledger)
        load.start()
        is_dead = self.server.wait_death(wait_s)
        self.server.kill()
        report = load.stop()
        self._count(report)
        if not is_dead:
            raise ViolatedError(f"{point} was not reached in {wait_s} s")
        return report

    def run_load(self, disturb: Callable[[], None]) -> None:
        """A load while `disturb` runs, with the server alive at its end (started again if it is not)."""
        load = Load(self.server, self.ledger)
        load.start()
        try:
            disturb()
        finally:
            self._finish(load)

    def check_all(self) -> None:
        """Every key that was ever written, and the store itself: no damage, and nothing without a name."""
        self._check(set(self.ledger.keys()), with_all_versions=True)
        self._check_store()

    def _finish(self, load: Load) -> None:
        report = load.stop()
        self._count(report)
        self._raise(report.violations)
        self._recover()

    def _count(self, report: Report) -> None:
        self.totals.requests += report.requests
        self.totals.acknowledged = self.ledger.acknowledged
        for status, count in report.refusals.items():
            self.totals.refusals[status] = self.totals.refusals.get(status, 0) + count

    def _recover(self) -> None:
        if not self.server.is_running:
            self.server.start()
        self._check(self.ledger.take_touched())

    def _check(self, keys: set[str], *, with_all_versions: bool = False) -> None:
        checker = Checker(self.server, self.ledger)
        violations = checker.check(keys, with_all_versions=with_all_versions)
        self.totals.checked += checker.checked
        self._raise(violations)

    def _check_store(self, timeout_s: float = 20.0) -> None:
        """The doctor must find nothing wrong at once, and no leftovers once the space cleanup has run."""
        deadline = time.monotonic() + timeout_s
        while True:
            done = self.server.admin("doctor", is_checked=False)
            if done.returncode != 0:
                self._raise([f"doctor: {done.stdout}{done.stderr}"])
            if not leftovers(done.stdout):
                return
            if time.monotonic() > deadline:
                self._raise([f"leftovers stay: {done.stdout}"])
            time.sleep(0.5)

    def _raise(self, violations: list[str]) -> None:
        if violations:
            lines = "\n".join(violations[:20])
            raise ViolatedError(
                f"seed {self.ledger.seed}, {self.totals}:\n{lines}\n--- log ---\n"
                f"{self.server.log_tail()}"
            )


def crash_points() -> list[str]:
    """The names of the commit steps, from the source that passes them; those of shards have tests of their own."""
    found: set[str] = set()
    for path in (REPOSITORY / "storage").glob("*.py"):
        for name in re.findall(r'crashpoints\.reach\(\s*f?"([^"]+)"', path.read_text()):
            if name.startswith(("bucket:", "chunks:")):
                continue  # no load destroys buckets or makes chunks; see test_destroy, test_chunks
            names = [name.replace("{point}", each) for each in PUBLISHERS]
            found.update(names if "{point}" in name else [name])
    return sorted(found)


def leftovers(said: str) -> int:
    """How many blobs and rows without a name a doctor's report counts."""
    line = re.search(r"^leftovers +(.*)$", said, re.MULTILINE)
    assert line, said
    return 0 if line[1] == "none" else sum(map(int, re.findall(r"\d+", line[1])))
