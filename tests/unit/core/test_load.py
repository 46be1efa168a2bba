"""What readings of a node's load mean, and what follows from them."""

from __future__ import annotations

import pytest

from core.errors import Overloaded
from core.load import FixedLoad, Level, Reading, advise, rate


def test_nothing_measured_is_low() -> None:
    assert rate(Reading()).worst is Level.LOW
    assert str(rate(Reading(cpu=0.1))) == "low"


@pytest.mark.parametrize(
    ("reading", "worst"),
    [
        (Reading(memory=0.79, cpu=0.2), Level.LOW),
        (Reading(memory=0.80), Level.MODERATE),
        (Reading(memory=0.92), Level.HIGH),
        (Reading(memory=0.95), Level.CRITICAL),
        (Reading(process=0.85, memory=0.1), Level.CRITICAL),
        (Reading(cpu=1.0), Level.HIGH),
        (Reading(disk_busy=1.0, disk_queue=1), Level.HIGH),
        (Reading(disk_queue=200), Level.CRITICAL),
        (Reading(disk_space=0.99), Level.HIGH),
        (Reading(descriptors=0.9, cpu=0.95), Level.HIGH),
        (Reading(loop_lag_s=0.1), Level.MODERATE),
    ],
)
def test_the_worst_dimension_decides(reading: Reading, worst: Level) -> None:
    assert rate(reading).worst is worst


def test_what_is_not_low_is_told() -> None:
    assert str(rate(Reading(memory=0.99, cpu=0.5, disk_queue=10))) == (
        "memory critical, disk_queue moderate"
    )


def test_advice_grows_with_load() -> None:
    advice = [advise(level) for level in Level]
    assert [each.sleep_s for each in advice] == [0.0, 0.001, 0.01, 0.1]
    assert [each.operations for each in advice] == [8192, 512, 32, 16]


def test_large_reads_are_refused_for_want_of_memory_descriptors_or_disks() -> None:
    FixedLoad().check()
    FixedLoad(Reading(memory=0.94, cpu=1.0, disk_space=1.0, disk_busy=1.0)).check()
    for reading in (
        Reading(memory=0.99),
        Reading(process=0.9),
        Reading(descriptors=0.99),
        Reading(disk_queue=500),
    ):
        with pytest.raises(Overloaded) as raised:
            FixedLoad(reading).check()
        assert raised.value.fields["retry_after_s"] > 0
