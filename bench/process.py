"""Owns what the kernel tells of a process tree: CPU time, memory, and how busy the rest of the machine is."""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_CPUCLOCK_SCHED = 2  # linux/posix-timers: the clock id of another process is (~pid << 3) | 2


def tree_pids(root: int) -> list[int]:
    """The process and all its living descendants."""
    pids = [root]
    for pid in pids:
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                pids.extend(int(child) for child in children.read_text().split())
    return pids


def tree_cpu_s(root: int) -> float:
    """User and system time of the tree, with that of children already reaped."""
    return sum(_process_cpu_s(pid) for pid in tree_pids(root))


def _process_cpu_s(pid: int) -> float:
    # The process clock counts nanoseconds, /proc/PID/stat only ticks of 10 ms; the sums are the same.
    try:
        own = time.clock_gettime((~pid << 3) | _CPUCLOCK_SCHED)
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    reaped = (int(fields[13]) + int(fields[14])) / _TICKS_PER_S
    return own + reaped


def machine_cpu_s() -> float:
    """Time that all cores together have been busy since boot."""
    user, nice, system, _idle, _iowait, irq, softirq, steal = (
        int(field) for field in Path("/proc/stat").read_text().split(maxsplit=9)[1:9]
    )
    return (user + nice + system + irq + softirq + steal) / _TICKS_PER_S


def client_cpu_s() -> float:
    """CPU time of this process and of the children it has reaped (wrk)."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


@dataclass(frozen=True, slots=True)
class Memory:
    """The largest process of a tree while it was watched; `anonymous` leaves out mapped files."""

    peak_rss_mib: float
    peak_anonymous_mib: float


class MemoryWatch:
    """Watches the peak memory of every process of a tree while its block runs."""

    def __init__(self, root: int, interval_s: float = 0.1) -> None:
        self._root = root
        self._interval_s = interval_s
        self._anonymous_kib = 0
        self._rss_kib = 0
        self._done = threading.Event()

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        for pid in tree_pids(self._root):
            with contextlib.suppress(OSError):
                Path(f"/proc/{pid}/clear_refs").write_text("5")  # forget the peak so far
        thread = threading.Thread(target=self._sample_until_done)
        thread.start()
        try:
            yield
        finally:
            self._done.set()
            thread.join()
            self._sample()

    def result(self) -> Memory:
        return Memory(self._rss_kib / 1024, self._anonymous_kib / 1024)

    def _sample_until_done(self) -> None:
        while not self._done.wait(self._interval_s):
            self._sample()

    def _sample(self) -> None:
        for pid in tree_pids(self._root):
            with contextlib.suppress(OSError):
                status = Path(f"/proc/{pid}/status").read_text()
                self._rss_kib = max(self._rss_kib, _kib(status, "VmHWM"))
                self._anonymous_kib = max(self._anonymous_kib, _kib(status, "RssAnon"))


def _kib(status: str, field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) if found else 0
