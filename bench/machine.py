"""Owns the facts that a result depends on: the machine, its disk and the limits of one core."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

_MIB = 1024**2


@dataclass(frozen=True, slots=True)
class Machine:
    """What ran the measurements. Rates are of one thread, in the same run."""

    processor: str
    cores: int
    memory_gib: float
    kernel: str
    python: str
    filesystem: str
    md5_mb_s: float
    sha256_mb_s: float
    disk_write_mb_s: float
    disk_commit_us: float


def describe(directory: Path) -> Machine:
    """Look at the machine and measure its limits; `directory` is where the stores will be."""
    return Machine(
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)),
        memory_gib=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1024**3,
        kernel=platform.release(),
        python=platform.python_version(),
        filesystem=filesystem_of(directory),
        md5_mb_s=_hash_rate("md5"),
        sha256_mb_s=_hash_rate("sha256"),
        disk_write_mb_s=_write_rate(directory),
        disk_commit_us=_commit_time(directory),
    )


def filesystem_of(directory: Path) -> str:
    """The type of the filesystem that holds a directory (ext4, tmpfs, ...)."""
    best, kind = "", "unknown"
    for line in Path("/proc/mounts").read_text().splitlines():
        _, mounted_at, name, *_ = line.split()
        if directory.resolve().is_relative_to(mounted_at) and len(mounted_at) >= len(best):
            best, kind = mounted_at, name
    return kind


def _processor() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _hash_rate(name: str) -> float:
    block = os.urandom(_MIB)
    rates = []
    for _ in range(3):
        digest = hashlib.new(name, usedforsecurity=False)
        begun = time.thread_time()
        for _ in range(64):
            digest.update(block)
        rates.append(64 * _MIB / 1e6 / (time.thread_time() - begun))
    return statistics.median(rates)


def _write_rate(directory: Path) -> float:
    """Writing 64 MiB to a new file and syncing it."""
    block = os.urandom(_MIB)
    rates = []
    for _ in range(4):
        with tempfile.TemporaryFile(dir=directory) as file:
            begun = time.perf_counter()
            for _ in range(64):
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
            rates.append(64 * _MIB / 1e6 / (time.perf_counter() - begun))
    return statistics.median(rates)


def _commit_time(directory: Path) -> float:
    """Appending 4 KiB and syncing it, in microseconds: the least that a durable write can take alone."""
    times = []
    with tempfile.TemporaryFile(dir=directory) as file:
        for _ in range(200):
            begun = time.perf_counter()
            file.write(bytes(4096))
            file.flush()
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - begun) * 1e6)
    return statistics.median(times)
