"""Owns what is said of a node's load: what was measured, how bad each of it is, and what follows for jobs and requests.

Values and rules alone; who measures is jobs.load. The levels are AIStore's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

from core.errors import Overloaded

_RETRY_AFTER_S = 2.0


class Level(IntEnum):
    """How loaded a node is, in one respect or, by the worst of them, as a whole."""

    LOW = 1
    MODERATE = 2
    HIGH = 3
    CRITICAL = 4


@dataclass(frozen=True, slots=True)
class Reading:
    """What was measured, mostly as the used part of what there is (0..1). None: it cannot be told here.

    `memory` is the machine's or the container's, whichever is nearer its limit; `process` this process's part of it.
    `cpu` is busy time of all cores. `disk_space` is of the fullest data directory, `disk_busy` and `disk_queue`
    (requests that wait on average) of the busiest. `descriptors` are this process's. `loop_lag_s` is how late the
    event loop came to a timer.
    """

    memory: float | None = None
    process: float | None = None
    cpu: float | None = None
    disk_space: float | None = None
    disk_busy: float | None = None
    disk_queue: float | None = None
    descriptors: float | None = None
    loop_lag_s: float | None = None


_NEVER = float("inf")
# Of each dimension, from where on it is moderate, high, critical. A busy processor or event loop slows all by itself,
# and a disk is busy as soon as it has one request at a time, so alone they are never critical. Nor is a disk that is
# nearly full: the jobs that make room must not be the slow ones.
_LIMITS: Mapping[str, tuple[float, float, float]] = {
    "memory": (0.80, 0.90, 0.95),
    "process": (0.40, 0.60, 0.80),
    "cpu": (0.90, 0.98, _NEVER),
    "disk_space": (0.90, 0.95, _NEVER),
    "disk_busy": (0.80, 0.95, _NEVER),
    "disk_queue": (8, 32, 128),
    "descriptors": (0.70, 0.85, 0.95),
    "loop_lag_s": (0.05, 0.25, _NEVER),
}
_REFUSED = ("memory", "process", "descriptors", "disk_queue")
"""What large reads make worse: while one of these is critical, they are refused."""


@dataclass(frozen=True, slots=True)
class LoadVector:
    """The level of each dimension that could be measured; the worst decides."""

    levels: Mapping[str, Level] = field(default_factory=dict)

    @property
    def worst(self) -> Level:
        return max(self.levels.values(), default=Level.LOW)

    def __str__(self) -> str:
        """What is not low, for people."""
        said = [f"{n} {lv.name.lower()}" for n, lv in self.levels.items() if lv is not Level.LOW]
        return ", ".join(said) or "low"


def rate(reading: Reading) -> LoadVector:
    """The levels of a reading."""
    found: dict[str, Level] = {}
    for name, limits in _LIMITS.items():
        value: float | None = getattr(reading, name)
        if value is not None:
            found[name] = Level(1 + sum(value >= limit for limit in limits))
    return LoadVector(found)


@dataclass(frozen=True, slots=True)
class Advice:
    """What a job does about the load: sleep so long after so many operations, then look again."""

    sleep_s: float
    operations: int


_ADVICE = {
    Level.LOW: Advice(0.0, 8192),
    Level.MODERATE: Advice(0.001, 512),
    Level.HIGH: Advice(0.010, 32),
    Level.CRITICAL: Advice(0.100, 16),
}


def advise(level: Level) -> Advice:
    """As AIStore's jobs do."""
    return _ADVICE[level]


class Load(Protocol):
    """The load as it was measured last. Asking costs nothing and never blocks."""

    @property
    def current(self) -> LoadVector: ...

    def check(self) -> None:
        """To be asked before a large read (a batch) begins. Raises Overloaded where it must be put off."""


def check(vector: LoadVector) -> None:
    """Raises Overloaded if what large reads make worse is critical already."""
    for name in _REFUSED:
        if vector.levels.get(name) is Level.CRITICAL:
            raise Overloaded(what=name.replace("_", " "), retry_after_s=_RETRY_AFTER_S)


class FixedLoad:
    """Load that somebody sets: where nothing is measured, and in tests."""

    def __init__(self, reading: Reading | None = None) -> None:
        self.current = rate(reading or Reading())

    def check(self) -> None:
        """As Load."""
        check(self.current)
