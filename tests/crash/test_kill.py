"""The short crash run: a few random kills, and each named commit step once."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from tests.crash.rig import Rig, crash_points

pytestmark = [pytest.mark.crash, pytest.mark.slow]


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    seed = int(os.environ.get("CRASH_SEED", time.time_ns() % 1_000_000))
    made = Rig(tmp_path_factory.mktemp("crash"), seed)
    made.open()
    yield made
    made.close()


def test_kill_at_random_moments(rig: Rig) -> None:
    for _ in range(5):
        rig.kill_at_random()
    rig.check_all()


@pytest.mark.parametrize("point", crash_points())
def test_kill_at_commit_step(rig: Rig, point: str) -> None:
    rig.kill_at_point(point)


def test_everything_after_all_kills(rig: Rig) -> None:
    rig.check_all()
    assert rig.server.stop() == 0
    rig.server.start()
    rig.check_all()
