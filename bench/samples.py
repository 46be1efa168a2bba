"""Owns what one measurement yields, and the median over the rounds of a case."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Sample:
    """One server under one case for one round.

    `bytes` counts payload. `cpu_s` is the CPU time of the server's whole process tree, `foreign_cores` how many cores
    others than server and client used meanwhile (above 0.2 the rates, but not the CPU times, are suspect).
    """

    requests: int
    bytes: int
    seconds: float
    p50_ms: float
    p99_ms: float
    errors: int
    cpu_s: float = 0.0
    foreign_cores: float = 0.0
    extra: Mapping[str, float] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds if self.seconds else 0.0

    @property
    def mb_s(self) -> float:
        """Payload in 10^6 bytes a second."""
        return self.bytes / self.seconds / 1e6 if self.seconds else 0.0

    @property
    def cpu_us(self) -> float:
        """Server CPU a request, in microseconds."""
        return self.cpu_s / self.requests * 1e6 if self.requests else float("nan")


@dataclass(frozen=True, slots=True)
class Summary:
    """The medians of a server's rounds in a case."""

    case: str
    server: str
    rounds: int
    rate: float
    mb_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    errors: int
    foreign_cores: float
    extra: Mapping[str, float]


def summarize(case: str, server: str, samples: Sequence[Sample]) -> Summary:
    """Median of each figure by itself; errors are summed."""

    def median(figure: Callable[[Sample], float]) -> float:
        return statistics.median(figure(sample) for sample in samples)

    names = sorted({name for sample in samples for name in sample.extra})
    return Summary(
        case=case,
        server=server,
        rounds=len(samples),
        rate=median(lambda sample: sample.rate),
        mb_s=median(lambda sample: sample.mb_s),
        p50_ms=median(lambda sample: sample.p50_ms),
        p99_ms=median(lambda sample: sample.p99_ms),
        cpu_us=median(lambda sample: sample.cpu_us),
        errors=sum(sample.errors for sample in samples),
        foreign_cores=median(lambda sample: sample.foreign_cores),
        extra={
            name: statistics.median(
                sample.extra[name] for sample in samples if name in sample.extra
            )
            for name in names
        },
    )
