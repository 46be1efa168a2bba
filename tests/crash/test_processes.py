"""Single processes of the tree that die, and an orderly stop, under load."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.rig import Rig

pytestmark = [pytest.mark.crash, pytest.mark.slow]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path, time.time_ns() % 1_000_000)
    made.open()
    yield made
    made.close()


def test_children_killed_one_by_one(rig: Rig) -> None:
    server = rig.server
    children = sorted(server.tree() - {server.pid})
    assert len(children) >= server.options.workers

    def kill_each() -> None:
        for pid in children:
            time.sleep(0.3)
            os.kill(pid, signal.SIGKILL)
            assert server.health() == 200
        deadline = time.monotonic() + 15
        while len(server.tree()) < 1 + len(children):
            assert time.monotonic() < deadline, "a dead process was not replaced"
            time.sleep(0.1)

    rig.run_load(kill_each)
    assert server.is_running
    rig.check_all()


def test_stop_under_load(rig: Rig) -> None:
    def stop() -> None:
        time.sleep(0.5)
        assert rig.server.stop() == 0

    rig.run_load(stop)
    rig.check_all()


def test_main_process_killed_alone(rig: Rig) -> None:
    # Its children must not serve on without it: a second start would find the store and the port taken.
    server = rig.server
    children = server.tree() - {server.pid}

    def kill_main() -> None:
        time.sleep(0.3)
        os.kill(server.pid, signal.SIGKILL)
        server.wait_death(5)
        deadline = time.monotonic() + 10
        while any(Path(f"/proc/{pid}").exists() for pid in children):
            assert time.monotonic() < deadline, "children outlive the main process"
            time.sleep(0.1)

    rig.run_load(kill_main)
    rig.check_all()


def test_full_store_under_load(tmp_path: Path) -> None:
    rig = Rig(
        tmp_path,
        time.time_ns() % 1_000_000,
        settings={
            "WEIR_STORAGE_QUOTA_BYTES": str(12 * 1024**2),
        },
    )
    rig.open()
    try:
        rig.run_load(lambda: time.sleep(2.5))
        assert set(rig.totals.refusals) <= {503, 507}
        assert rig.totals.refusals.get(507), f"the quota never took hold: {rig.totals}"
        rig.kill_at_random()
        rig.check_all()
    finally:
        rig.server.kill()
