"""Owns the budgets: what must be reached, and what a run says of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.machine import Machine
from bench.runner import Outcome
from bench.samples import Summary

_Figure = Callable[[Outcome, Machine], float | None]


@dataclass(frozen=True, slots=True)
class Budget:
    """A target: `figure` finds what was got (None if the run has no answer), in `unit`."""

    work: str
    limit: float
    is_at_most: bool
    unit: str
    figure: _Figure

    def target(self) -> str:
        return f"{'≤' if self.is_at_most else '≥'} {self.limit:g} {self.unit}"

    def is_met(self, got: float) -> bool:
        return got <= self.limit if self.is_at_most else got >= self.limit


def _of(case: str, figure: Callable[[Summary], float], server: str = "weir") -> _Figure:
    def find(outcome: Outcome, _machine: Machine) -> float | None:
        summary = outcome.find(case, server)
        return None if summary is None else figure(summary)

    return find


def _ratio(over: _Figure, under: _Figure) -> _Figure:
    def find(outcome: Outcome, machine: Machine) -> float | None:
        top, bottom = over(outcome, machine), under(outcome, machine)
        return None if top is None or not bottom else top / bottom

    return find


def _cpu_us(summary: Summary) -> float:
    return summary.cpu_us


def _cpu_ms(summary: Summary) -> float:
    return summary.cpu_us / 1e3


def _rate(summary: Summary) -> float:
    return summary.rate


def _mb_s(summary: Summary) -> float:
    return summary.mb_s


def _keys_s(summary: Summary) -> float:
    return summary.extra["keys_s"]


def _md5(_outcome: Outcome, machine: Machine) -> float | None:
    return machine.md5_mb_s


BUDGETS: Sequence[Budget] = (
    Budget("GET 4 KiB, server CPU", 120, True, "µs", _of("get-4k", _cpu_us)),
    Budget(
        "GET 4 KiB, requests/s",
        1.5,
        False,
        "× rclone",
        _ratio(_of("get-4k", _rate), _of("get-4k", _rate, "rclone")),
    ),
    Budget("PUT 4 KiB durable, server CPU", 350, True, "µs", _of("put-4k", _cpu_us)),
    Budget(
        "PUT 4 KiB durable, requests/s",
        3,
        False,
        "× rclone (not durable)",
        _ratio(_of("put-4k", _rate), _of("put-4k", _rate, "rclone")),
    ),
    Budget(
        "GET 64 MiB, MB/s",
        0.8,
        False,
        "× nginx sendfile",
        _ratio(_of("get-64m", _mb_s), _of("get-64m", _mb_s, "nginx")),
    ),
    Budget(
        "PUT 64 MiB on disk, MB/s",
        0.8,
        False,
        "× MD5 of a core",
        _ratio(_of("put-64m", _mb_s), _md5),
    ),
    Budget(
        "PUT 64 MiB in memory, MB/s",
        0.8,
        False,
        "× MD5 of a core",
        _ratio(_of("put-64m-memory", _mb_s), _md5),
    ),
    Budget("List 1,000 keys, small bucket, server CPU", 6, True, "ms", _of("list-few", _cpu_ms)),
    Budget("List 1,000 keys, large bucket, server CPU", 6, True, "ms", _of("list-many", _cpu_ms)),
    Budget(
        "List 1,000 prefixes, small bucket, server CPU",
        6,
        True,
        "ms",
        _of("list-few-delimiter", _cpu_ms),
    ),
    Budget(
        "List 1,000 prefixes, large bucket, server CPU",
        6,
        True,
        "ms",
        _of("list-many-delimiter", _cpu_ms),
    ),
    Budget(
        "List, large bucket, server CPU",
        1.2,
        True,
        "× small bucket",
        _ratio(_of("list-many", _cpu_us), _of("list-few", _cpu_us)),
    ),
    Budget(
        "Plain GETs of the size of shard members, requests/s",
        1.3,
        True,
        "× members by index",
        _ratio(_of("shard-objects", _rate), _of("shard-members", _rate)),
    ),
    Budget(
        "Native GETs of 4 KiB objects, requests/s",
        1.3,
        True,
        "× members of 4 KiB by index",
        _ratio(_of("shard-small-objects", _rate), _of("shard-small-members", _rate)),
    ),
    Budget(
        "Members by index, requests/s",
        100,
        False,
        "× members by scan",
        _ratio(_of("shard-members", _rate), _of("shard-scan", _rate)),
    ),
    Budget(
        "Get-batch, 1,000 × 4 KiB",
        25,
        False,
        "× boto3 GETs in turn",
        _ratio(_of("batch", _rate), _of("batch-boto3", _rate)),
    ),
    Budget(
        "Get-batch, 1,000 × 4 KiB, with the SDK",
        25,
        False,
        "× boto3 GETs in turn",
        _ratio(_of("batch-sdk", _rate), _of("batch-boto3", _rate)),
    ),
    Budget(
        "Get-batch, 1,000 × 4 KiB",
        2,
        True,
        "× time of one object",
        _ratio(_of("batch-whole", _rate), _of("batch", _rate)),
    ),
    Budget(
        "Get-batch, 10,000 × 4 KiB, extra memory",
        64,
        True,
        "MiB",
        _of("batch-memory", lambda summary: summary.extra["more_mib"]),
    ),
    Budget(
        "Indexing a TAR of members of 100 KiB",
        0.8,
        False,
        "× reading it from disk",
        _of("shard-indexing", lambda summary: summary.extra["disk_ratio"]),
    ),
    Budget(
        "Paging through the large bucket natively, keys/s",
        1,
        False,
        "× S3",
        _ratio(_of("pages-native", _keys_s), _of("pages-s3", _keys_s)),
    ),
    Budget(
        "Memory of a worker, 256 GETs",
        150,
        True,
        "MiB",
        _of("memory-get", lambda summary: summary.extra["rss_mib"]),
    ),
    Budget(
        "Memory of a worker, 256 PUTs",
        150,
        True,
        "MiB",
        _of("memory-put", lambda summary: summary.extra["rss_mib"]),
    ),
    Budget(
        "Start on the large store",
        1.5,
        True,
        "s",
        _of("start", lambda summary: summary.extra["start_s"]),
    ),
)
