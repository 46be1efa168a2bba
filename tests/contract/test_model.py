"""Stores driven by random steps, each compared with the model; LocalNode on real disk, across restarts and with its
index made anew from what its bytes say of themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

from core.configs.versioning import Versioning
from tests.contract import model, world
from tests.contract.local_world import LocalWorld
from tests.contract.machine import PLACES
from tests.contract.machine_judged import JudgedSteps
from tests.contract.machine_listings import ListSteps
from tests.contract.machine_objects import ObjectSteps
from tests.contract.machine_uploads import UploadSteps
from tests.contract.memory_world import MemoryWorld
from tests.contract.world import World

assert model.MIN_PART_BYTES == world.MIN_PART_BYTES


class Machine(ObjectSteps, UploadSteps, ListSteps, JudgedSteps):
    """All steps, and what happens to a bucket and to a store now and then."""

    @rule(place=PLACES, versioning=st.sampled_from([Versioning.ENABLED, Versioning.SUSPENDED]))
    def set_versioning(self, place: int, versioning: Versioning) -> None:
        self.models[place].versioning = versioning

    @rule(place=PLACES, days=st.sampled_from([0, 0, 1]))
    def set_default_retention(self, place: int, days: int) -> None:
        self.models[place].default_days = days

    @rule(seconds=st.sampled_from([10, 1000, 3 * 86_400]))
    def pass_time(self, seconds: int) -> None:
        self.world.clock.advance(seconds)
        self.forget_completions()

    @rule()
    def restart(self) -> None:
        self.run(self.world.restart())

    @rule()
    def rebuild(self) -> None:
        self.run(self.world.settle())
        self.run(self.world.rebuild())
        self.forget_completions()
        self.check_all()

    def teardown(self) -> None:
        self.check_all()
        for place in range(len(self.models)):
            self.list_all_versions(place, 1000)
        self.run(self.world.settle())
        assert not self.world.leftovers()


def _drive(world: World, examples: int) -> None:
    machine = type("WorldMachine", (Machine,), {"world": world})
    try:
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=examples,
                stateful_step_count=40,
                deadline=None,
                derandomize=True,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        world.close()


@pytest.mark.slow
def test_memory_store_agrees_with_the_model() -> None:
    _drive(MemoryWorld(), 50)


@pytest.mark.slow
@pytest.mark.parametrize("mountpath_count", [1, 3])
def test_local_node_agrees_with_the_model(tmp_path: Path, mountpath_count: int) -> None:
    _drive(LocalWorld(tmp_path, mountpath_count, small_limit_bytes=1024), 10)
