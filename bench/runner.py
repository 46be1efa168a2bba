"""Owns a run: which cases, on which servers, in interleaved rounds, and the CPU time around each."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.batches import batch_cases
from bench.cases import (
    Case,
    LargeGet,
    LargePut,
    LargePutInMemory,
    Listing,
    Memory,
    SmallGet,
    SmallPut,
    StartUp,
)
from bench.clients import Boto3Calls, Transfer
from bench.features import feature_cases
from bench.load import load_keys
from bench.pages import Pages
from bench.process import client_cpu_s, machine_cpu_s
from bench.samples import Sample, Summary, summarize
from bench.servers import KINDS, Server, ServerError, Weir
from bench.shards import shard_cases

FEW_KEYS = 10_000
_SETTLE_S = 90.0
_SETTLE_STEP_S = 0.3


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure and for how long. `disk` and `memory` are where stores are made (and removed again)."""

    cases: Sequence[Case]
    servers: Sequence[str]
    rounds: int
    seconds: float
    disk: Path
    memory: Path
    key_counts: tuple[int, int]


@dataclass(slots=True)
class Outcome:
    """What came of a plan. `failures` says which server could not do which case, and why."""

    summaries: list[Summary] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    load_s: float = 0.0

    def find(self, case: str, server: str) -> Summary | None:
        """The summary of a server in a case, if it has one."""
        for summary in self.summaries:
            if (summary.case, summary.server) == (case, server):
                return summary
        return None


def all_cases(many_keys: int) -> list[Case]:
    """Every case, in the order of the report. `many_keys` is the size of the large bucket."""
    return [
        SmallGet(),
        SmallPut(),
        LargeGet(),
        LargePut(),
        LargePutInMemory(),
        Listing(FEW_KEYS, "few"),
        Listing(many_keys, "many"),
        Listing(FEW_KEYS, "few", "/"),
        Listing(many_keys, "many", "/"),
        Pages(many_keys, "s3"),
        Pages(many_keys, "native"),
        Boto3Calls(),
        Transfer("upload"),
        Transfer("download"),
        Memory("GET"),
        Memory("PUT"),
        *batch_cases(),
        *feature_cases(),
        *shard_cases(),
        StartUp(many_keys),
    ]


def run(plan: Plan) -> Outcome:
    """Measure. Servers live as long as the run, so that rounds can alternate between them."""
    outcome = Outcome()
    with contextlib.ExitStack() as stack:
        fleet = stack.enter_context(_fleet(plan, outcome))
        for case in plan.cases:
            servers = [
                fleet[case.store, name]
                for name in plan.servers
                if name in case.servers and (case.store, name) in fleet
            ]
            _measure(plan, case, servers, outcome)
    return outcome


def _measure(plan: Plan, case: Case, servers: Sequence[Server], outcome: Outcome) -> None:
    able: dict[str, Server] = {}
    for server in servers:
        with _noting(case, server, outcome):
            case.prepare(server)
            able[server.name] = server
    samples: dict[str, list[Sample]] = {name: [] for name in able}
    for _ in range(min(plan.rounds, case.max_rounds)):
        for name, server in list(able.items()):
            del able[name]
            with _noting(case, server, outcome):
                samples[name].append(_sample(case, server, plan.seconds))
                able[name] = server
    for name, taken in samples.items():
        if taken:
            summary = summarize(case.name, name, taken)
            outcome.summaries.append(summary)
            print(
                f"{case.name:20} {name:7} {summary.rate:9.1f}/s {summary.mb_s:8.1f} MB/s "
                f"p50 {summary.p50_ms:8.2f} ms  p99 {summary.p99_ms:8.2f} ms  "
                f"{summary.cpu_us:10.1f} µs CPU  {summary.errors} errors",
                flush=True,
            )


def _sample(case: Case, server: Server, seconds: float) -> Sample:
    # What the round before left in memory, of another server's writes too, would be written at this one's cost.
    os.sync()
    is_new = case.name == "start"  # the case starts another process: all its CPU time counts
    before = 0.0 if is_new else server.cpu_s()
    client, machine, begun = client_cpu_s(), machine_cpu_s(), time.perf_counter()
    sample = case.run(server, seconds)
    elapsed = time.perf_counter() - begun
    used = server.cpu_s() - before
    foreign_s = machine_cpu_s() - machine - used - (client_cpu_s() - client)
    return replace(sample, cpu_s=used, foreign_cores=max(0.0, foreign_s / elapsed))


@contextlib.contextmanager
def _noting(case: Case, server: Server, outcome: Outcome) -> Iterator[None]:
    """A server that fails a case loses that case alone, and the report says so."""
    try:
        yield
    except Exception as error:
        note = f"{case.name} on {server.name}: {type(error).__name__}: {error}"
        outcome.failures.append(note)
        print(f"FAILED {note}", flush=True)


def _settle(server: Server) -> None:
    """Wait until a started server has no work of its own (weir looks over a store for leftovers), or long enough."""
    deadline = time.perf_counter() + _SETTLE_S
    while time.perf_counter() < deadline:
        before = server.cpu_s()
        time.sleep(_SETTLE_STEP_S)
        if server.cpu_s() - before < _SETTLE_STEP_S * 0.05:
            return


@contextlib.contextmanager
def _fleet(plan: Plan, outcome: Outcome) -> Iterator[dict[tuple[str, str], Server]]:
    wanted = [
        (store, name)
        for store in ("disk", "memory")
        for name in plan.servers
        if any(case.store == store and name in case.servers for case in plan.cases)
    ]
    fleet: dict[tuple[str, str], Server] = {}
    homes: list[Path] = []
    try:
        for store, name in wanted:
            parent = plan.disk if store == "disk" else plan.memory
            homes.append(Path(tempfile.mkdtemp(prefix=f"bench-{name}-", dir=parent)))
            server = KINDS[name](homes[-1])
            try:
                needs_keys = [c for c in plan.cases if c.needs_many_keys and name in c.servers]
                if store == "disk" and needs_keys:
                    begun = time.perf_counter()
                    counts = plan.key_counts if isinstance(server, Weir) else plan.key_counts[:1]
                    load_keys(server, counts)
                    if isinstance(server, Weir):
                        outcome.load_s = time.perf_counter() - begun
                server.start()
                _settle(server)
                fleet[store, name] = server
                outcome.versions[name] = server.version()
            except (ServerError, OSError) as error:
                outcome.failures.append(f"{name}: {error}")
                print(f"FAILED {name}: {error}", flush=True)
        yield fleet
    finally:
        for server in fleet.values():
            server.stop()
        for home in homes:
            shutil.rmtree(home, ignore_errors=True)
