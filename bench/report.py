"""Owns the report: the measured part of performance.md (the rest of that page is kept), its data and its plot."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bench.budgets import BUDGETS
from bench.features import FEATURES, FeatureCase
from bench.machine import Machine
from bench.runner import Outcome, Plan
from bench.samples import Summary

_BEGIN, _END = "<!-- measured: begin -->", "<!-- measured: end -->"
_NOISY_CORES = 0.2


def write_report(directory: Path, machine: Machine, plan: Plan, outcome: Outcome) -> None:
    """Write performance.md, performance.json and performance.png into the directory."""
    directory.mkdir(parents=True, exist_ok=True)
    page = directory / "performance.md"
    text = page.read_text() if page.exists() else f"# Performance\n\n{_BEGIN}\n{_END}\n"
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    measured = "\n\n".join(_sections(machine, plan, outcome))
    page.write_text(f"{before}{_BEGIN}\n\n{measured}\n\n{_END}{after}")
    data = {
        "machine": asdict(machine),
        "versions": outcome.versions,
        "rounds": plan.rounds,
        "seconds": plan.seconds,
        "summaries": [asdict(summary) for summary in outcome.summaries],
        "failures": outcome.failures,
    }
    (directory / "performance.json").write_text(json.dumps(data, indent=1) + "\n")
    from bench.plot import write_plot

    write_plot(directory / "performance.png", plan, outcome)


def _sections(machine: Machine, plan: Plan, outcome: Outcome) -> list[str]:
    today = dt.datetime.now(dt.UTC).date().isoformat()
    sections = [
        f"Measured {today}: "
        + ", ".join(outcome.versions[name] for name in sorted(outcome.versions))
        + ".",
        "### Targets\n\n" + _budget_table(machine, outcome),
        "![server CPU and throughput](performance.png)",
        "### What features add\n\n" + _feature_table(outcome),
        "### Every case\n\n" + _case_table(plan, outcome),
        "### The machine\n\n" + _machine_table(machine),
    ]
    noisy = [s for s in outcome.summaries if s.foreign_cores > _NOISY_CORES]
    if noisy:
        worst = max(s.foreign_cores for s in noisy)
        sections.append(
            f"Other programs used up to {worst:.1f} cores in {len(noisy)} of {len(outcome.summaries)} measurements "
            "(marked ~): there, trust CPU times, not rates."
        )
    if outcome.failures:
        sections.append(
            "### Failed\n\n" + "\n".join(f"- {' '.join(note.split())}" for note in outcome.failures)
        )
    return sections


def _budget_table(machine: Machine, outcome: Outcome) -> str:
    rows = []
    for budget in BUDGETS:
        got = budget.figure(outcome, machine)
        if got is None:
            rows.append((budget.work, budget.target(), "not measured", ""))
        else:
            rows.append(
                (
                    budget.work,
                    budget.target(),
                    _number(got),
                    "yes" if budget.is_met(got) else "**no**",
                )
            )
    return _table(("work", "target", "got", "met"), rows)


def _feature_table(outcome: Outcome) -> str:
    """Server CPU of small requests on buckets with one feature each, beside a plain bucket of the same run."""
    rows = []
    for feature in FEATURES:
        row = [feature.title]
        for method in ("get", "put"):
            plain = outcome.find(f"feature-{method}-plain", "weir")
            summary = outcome.find(f"feature-{method}-{feature.name}", "weir")
            if plain is None or summary is None:
                row += ["not measured", ""]
            else:
                added = summary.cpu_us - plain.cpu_us
                row += [_number(summary.cpu_us), f"{added:+.0f}" if summary is not plain else ""]
        rows.append(tuple(row))
    header = ("bucket with", "GET 4 KiB, CPU µs", "added", "PUT 4 KiB, CPU µs", "added")
    return _table(header, rows)


def _case_table(plan: Plan, outcome: Outcome) -> str:
    rows = []
    for case in plan.cases:
        if isinstance(case, FeatureCase):
            continue
        weir = outcome.find(case.name, "weir")
        for name in plan.servers:
            summary = outcome.find(case.name, name)
            if summary is not None:
                rows.append((case.title, *_cells(summary, weir)))
    header = (
        *("case", "server", "requests/s", "MB/s", "p50 ms", "p99 ms", "server CPU µs/request"),
        *("weir's rate ×", "weir's CPU ×", "notes"),
    )
    return _table(header, rows)


def _cells(summary: Summary, weir: Summary | None) -> tuple[str, ...]:
    has_ratio = weir is not None and weir is not summary
    notes = [
        f"{_EXTRA[name]} {_number(value)}"
        for name, value in sorted(summary.extra.items(), reverse=True)
    ]
    if summary.errors:
        notes.append(f"{summary.errors} errors")
    if summary.foreign_cores > _NOISY_CORES:
        notes.append("~")
    if not summary.rate:  # a case that only looks at memory
        return (summary.server, *[""] * 7, ", ".join(notes))
    return (
        summary.server,
        _number(summary.rate),
        _number(summary.mb_s) if summary.mb_s else "",
        _number(summary.p50_ms),
        _number(summary.p99_ms),
        _number(summary.cpu_us),
        _number(_ratio(weir.rate, summary.rate)) if weir and has_ratio else "",
        _number(_ratio(weir.cpu_us, summary.cpu_us)) if weir and has_ratio else "",
        ", ".join(notes),
    )


_EXTRA = {
    "more_mib": "largest process, anonymous memory more than before, in MiB:",
    "disk_ratio": "× the rate of reading the file from disk:",
    "rss_mib": "largest process, peak RSS in MiB:",
    "anonymous_mib": "its anonymous part:",
    "keys_s": "keys/s:",
    "start_s": "seconds to /-/health:",
}


def _machine_table(machine: Machine) -> str:
    rows = [
        ("processor", f"{machine.processor}, {machine.cores} cores"),
        ("memory", f"{machine.memory_gib:.0f} GiB"),
        ("kernel, Python", f"Linux {machine.kernel}, {machine.python}"),
        ("filesystem of the stores", machine.filesystem),
        ("MD5, one core", f"{machine.md5_mb_s:.0f} MB/s"),
        ("SHA-256, one core", f"{machine.sha256_mb_s:.0f} MB/s"),
        ("write and sync 64 MiB", f"{machine.disk_write_mb_s:.0f} MB/s"),
        ("append and sync 4 KiB", f"{machine.disk_commit_us:.0f} µs"),
    ]
    return _table(("fact", "value"), rows)


def _ratio(over: float, under: float) -> float:
    return over / under if under else float("nan")


def _number(value: float) -> str:
    if math.isnan(value):
        return ""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)
