"""Owns what the node's disks and memory say of themselves, as native clients see it. The functions block."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class MountpathUse:
    """How full the filesystem of a mountpath is."""

    path: str
    device: int
    total_bytes: int
    used_bytes: int
    available_bytes: int

    @property
    def percent(self) -> int:
        return 100 * self.used_bytes // self.total_bytes if self.total_bytes else 0


def mountpath_uses_sync(directories: Sequence[Path]) -> list[MountpathUse]:
    """Of those that are there."""
    found = []
    for directory in directories:
        try:
            said = os.statvfs(directory)
            device = directory.stat().st_dev
        except OSError:
            continue
        total = said.f_blocks * said.f_frsize
        used = (said.f_blocks - said.f_bfree) * said.f_frsize
        available = said.f_bavail * said.f_frsize
        found.append(MountpathUse(str(directory), device, total, used, available))
    return found


def total_bytes(uses: Sequence[MountpathUse]) -> int:
    """The size of all disks, each counted once."""
    return sum({use.device: use.total_bytes for use in uses}.values())


def capacity_json(uses: Sequence[MountpathUse]) -> dict[str, Any]:
    """What node_status says of mountpaths."""
    percents = [use.percent for use in uses] or [0]
    by_device = {use.device: use for use in uses}.values()
    return {
        "mountpaths": {
            use.path: {
                "used": str(use.used_bytes),
                "avail": str(use.available_bytes),
                "pct_used": use.percent,
                "disks": [],
                "fs": "",
            }
            for use in uses
        },
        "pct_max": max(percents),
        "pct_avg": sum(percents) // len(percents),
        "pct_min": min(percents),
        "used": str(sum(use.used_bytes for use in by_device)),
        "total": str(total_bytes(uses)),
    }


def system_json_sync() -> dict[str, Any]:
    """What node_status says of memory and processors, of the whole machine."""
    memory = _memory_bytes()
    total, available = memory.get("MemTotal", 0), memory.get("MemAvailable", 0)
    used = max(total - available, 0)
    load = os.getloadavg()
    cores = os.cpu_count() or 1
    return {
        "mem_used": str(used),
        "mem_avail": str(available),
        "pct_mem_used": 100 * used / total if total else 0.0,
        "pct_cpu_used": min(100.0, 100 * load[0] / cores),
        "load_avg": {"one": load[0], "five": load[1], "fifteen": load[2]},
        "cpu_util": int(min(100.0, 100 * load[0] / cores)),
    }


def _memory_bytes() -> dict[str, int]:
    found = {}
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            name, _, rest = line.partition(":")
            words = rest.split()
            if words and words[0].isdecimal():
                found[name] = int(words[0]) * 1024
    except OSError:
        pass
    return found
