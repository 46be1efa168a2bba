"""Owns the picture of a run: one panel a kind of work, one bar a server, the target as a line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.runner import Outcome, Plan
from bench.samples import Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = {"weir": "#1f6f8b", "rclone": "#e07a5f", "nginx": "#b0b0b0"}


@dataclass(frozen=True, slots=True)
class _Panel:
    title: str
    cases: Sequence[tuple[str, str]]
    figure: Callable[[Summary], float]
    limit: float | None = None


_PANELS = (
    _Panel("GET 4 KiB: server CPU, µs", (("get-4k", ""),), lambda s: s.cpu_us, 120),
    _Panel("PUT 4 KiB: server CPU, µs", (("put-4k", ""),), lambda s: s.cpu_us, 350),
    _Panel(
        "List: server CPU, ms a page",
        (
            ("list-few", "10 k"),
            ("list-many", "large"),
            ("list-few-delimiter", "10 k, /"),
            ("list-many-delimiter", "large, /"),
        ),
        lambda s: s.cpu_us / 1e3,
        6,
    ),
    _Panel("GET 64 MiB: MB/s", (("get-64m", ""),), lambda s: s.mb_s),
    _Panel(
        "PUT 64 MiB: MB/s", (("put-64m", "disk"), ("put-64m-memory", "memory")), lambda s: s.mb_s
    ),
    _Panel(
        "Transfer manager, 100 MiB: MB/s",
        (("transfer-upload", "upload"), ("transfer-download", "download")),
        lambda s: s.mb_s,
    ),
)


def write_plot(path: Path, plan: Plan, outcome: Outcome) -> None:
    """Draw what the outcome has; panels without data stay empty."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.patches import Rectangle

    figure, grid = plt.subplots(2, 3, figsize=(12, 6), constrained_layout=True)
    for axes, panel in zip(grid.flat, _PANELS, strict=True):
        _draw(axes, panel, plan, outcome)
    handles = [Rectangle((0, 0), 1, 1, color=_COLOURS[name]) for name in plan.servers]
    figure.legend(handles, plan.servers, loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _draw(axes: Axes, panel: _Panel, plan: Plan, outcome: Outcome) -> None:
    axes.set_title(panel.title, fontsize=10)
    ticks: list[float] = []
    position = 0.0
    for case, _ in panel.cases:
        first = position
        for name in plan.servers:
            summary = outcome.find(case, name)
            if summary is not None:
                height = panel.figure(summary)
                axes.bar(position, height, width=0.9, color=_COLOURS[name])
                axes.text(
                    position,
                    height,
                    f"{height:,.3g}" if height < 1000 else f"{height:,.0f}",
                    ha="center",
                    va="bottom",
                    fontsize=8,
                )
                position += 1
        ticks.append((first + max(first, position - 1)) / 2)
        position += 0.7
    if panel.limit is not None:
        axes.axhline(panel.limit, color="black", linestyle="--", linewidth=0.8)
        axes.text(axes.get_xlim()[1], panel.limit, "target", ha="right", va="bottom", fontsize=7)
    axes.set_xticks(ticks, [label for _, label in panel.cases])
    axes.margins(y=0.18)
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right"]].set_visible(False)
