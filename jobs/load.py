"""Owns the measuring of a node's load: memory, processor, disks and descriptors from /proc and the container's limits,
and how late the event loop is. Once a second, in a thread; what is missing on a system is left out.
"""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from core.load import LoadVector, Reading, check, rate

logger = logging.getLogger(__name__)

_INTERVAL_S = 1.0
_LAG_TIMER_S = 0.1
_DISK_FIELDS = 14


class LoadMonitor:
    """Load of this process and its machine, measured again and again while `run` is."""

    def __init__(self, probe: Callable[[], Reading], *, interval_s: float = _INTERVAL_S) -> None:
        self._probe = probe
        self._interval_s = interval_s
        self.current = LoadVector()

    def check(self) -> None:
        """As Load."""
        check(self.current)

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            before = time.monotonic()
            await asyncio.sleep(_LAG_TIMER_S)
            lag_s = max(0.0, time.monotonic() - before - _LAG_TIMER_S)
            try:
                reading = await asyncio.to_thread(self._probe)
            except (OSError, ValueError, IndexError) as error:
                # Of a system that writes these files otherwise; jobs go on as if the load were what it was.
                logger.warning("load cannot be measured: %s", error)
            else:
                self.current = rate(replace(reading, loop_lag_s=lag_s))
            await asyncio.sleep(self._interval_s - _LAG_TIMER_S)


@dataclass(frozen=True, slots=True)
class _Ticks:
    """Counters that only differences of mean something."""

    at_s: float
    cpu_busy: float
    cpu_all: float
    disks: dict[str, tuple[float, float]]


class SystemProbe:
    """Reads a Linux system. Blocking. `proc` and `cgroup` are where its files are."""

    def __init__(
        self,
        directories: Sequence[Path],
        proc: Path = Path("/proc"),
        cgroup: Path = Path("/sys/fs/cgroup"),
    ) -> None:
        self._directories = directories
        self._proc = proc
        self._cgroup = cgroup
        self._last = self._ticks()

    def __call__(self) -> Reading:
        last, now = self._last, self._ticks()
        self._last = now
        busy, queue = _disk_use(last, now)
        cpu_all = now.cpu_all - last.cpu_all
        total = self._memory_bytes()
        used = [u for u in (self._machine_memory(), self._container_memory()) if u is not None]
        return Reading(
            memory=max(used, default=None),
            process=self._own_bytes() / total if total else None,
            cpu=(now.cpu_busy - last.cpu_busy) / cpu_all if cpu_all > 0 else None,
            disk_space=max(filter(None, map(_used_space, self._directories)), default=None),
            disk_busy=busy,
            disk_queue=queue,
            descriptors=self._descriptors(),
        )

    # --- memory ---

    def _machine_memory(self) -> float | None:
        sizes = self._meminfo()
        total, free = sizes.get("MemTotal"), sizes.get("MemAvailable")
        return None if not total or free is None else 1 - free / total

    def _meminfo(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for line in _text(self._proc / "meminfo").splitlines():
            name, _, rest = line.partition(":")
            if name in ("MemTotal", "MemAvailable"):
                found[name] = int(rest.split()[0]) * 1024
        return found

    def _container_memory(self) -> float | None:
        limit, used = self._container_limit(), _number(self._cgroup / "memory.current")
        if limit is None or used is None:
            return None
        for line in _text(self._cgroup / "memory.stat").splitlines():
            name, _, value = line.partition(" ")
            if name == "inactive_file":
                # Pages of files that go as soon as somebody wants memory.
                used -= int(value)
        return max(0.0, used / limit)

    def _container_limit(self) -> int | None:
        return _number(self._cgroup / "memory.max") or None

    def _memory_bytes(self) -> int:
        """What this process could use at most."""
        limits = (self._container_limit(), self._meminfo().get("MemTotal"))
        return min((limit for limit in limits if limit), default=0)

    def _own_bytes(self) -> int:
        words = _text(self._proc / "self/statm").split()
        return int(words[1]) * os.sysconf("SC_PAGE_SIZE") if len(words) > 1 else 0

    # --- the rest ---

    def _descriptors(self) -> float | None:
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        try:
            count = len(os.listdir(self._proc / "self/fd"))
        except OSError:
            return None
        return None if limit in (0, resource.RLIM_INFINITY) else count / limit

    def _ticks(self) -> _Ticks:
        words = _text(self._proc / "stat").partition("\n")[0].split()[1:9]
        ticks = [float(word) for word in words]
        idle = sum(ticks[3:5])
        return _Ticks(time.monotonic(), sum(ticks) - idle, sum(ticks), self._disk_ticks())

    def _disk_ticks(self) -> dict[str, tuple[float, float]]:
        """Of each disk under the data directories: milliseconds busy, and those times the requests in it."""
        wanted: set[str] = set()
        for directory in self._directories:
            with suppress(OSError):
                device = os.stat(directory).st_dev
                wanted.add(f"{os.major(device)}:{os.minor(device)}")
        found: dict[str, tuple[float, float]] = {}
        for line in _text(self._proc / "diskstats").splitlines():
            words = line.split()
            if len(words) >= _DISK_FIELDS and f"{words[0]}:{words[1]}" in wanted:
                found[words[2]] = float(words[12]), float(words[13])
        return found


def _disk_use(last: _Ticks, now: _Ticks) -> tuple[float | None, float | None]:
    past_ms = (now.at_s - last.at_s) * 1000
    both = now.disks.keys() & last.disks.keys()
    if not both or past_ms <= 0:
        return None, None
    busy = max(now.disks[name][0] - last.disks[name][0] for name in both)
    queued = max(now.disks[name][1] - last.disks[name][1] for name in both)
    return min(1.0, busy / past_ms), queued / past_ms


def _used_space(directory: Path) -> float | None:
    try:
        found = os.statvfs(directory)
    except OSError:
        return None
    return 1 - found.f_bavail / found.f_blocks if found.f_blocks else None


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdecimal() else None
