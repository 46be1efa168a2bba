"""The measuring of load, from files as Linux writes them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from core.load import Level, Reading
from jobs.load import LoadMonitor, SystemProbe

_GIB = 1024**3


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def system(tmp_path: Path) -> Path:
    """A /proc with 8 GiB of which 2 are free, and no container limits."""
    proc = tmp_path / "proc"
    write(
        proc / "meminfo", f"MemTotal: {8 * 2**20} kB\nMemFree: 1 kB\nMemAvailable: {2 * 2**20} kB\n"
    )
    write(proc / "stat", "cpu  100 0 100 800 0 0 0 0 0 0\ncpu0 1 2 3\n")
    write(proc / "self/statm", "1000 500 100 1 0 400 0\n")
    (proc / "self/fd").mkdir()
    return tmp_path


def probe(system: Path) -> SystemProbe:
    return SystemProbe([system], system / "proc", system / "cgroup")


def test_memory_of_the_machine_and_processor_time_since_the_last_look(system: Path) -> None:
    measure = probe(system)
    write(system / "proc/stat", "cpu  160 0 130 810 0 0 0 0 0 0\n")
    reading = measure()
    assert reading.memory == pytest.approx(0.75)
    assert reading.cpu == pytest.approx(0.9)
    assert reading.process is not None
    assert 0 < reading.process < 0.01
    assert reading.disk_space is not None
    assert reading.disk_busy is None


def test_the_limit_of_a_container_counts_where_it_is_nearer(system: Path) -> None:
    write(system / "cgroup/memory.max", f"{_GIB}\n")
    write(system / "cgroup/memory.current", f"{_GIB}\n")
    write(system / "cgroup/memory.stat", f"anon 1\ninactive_file {_GIB // 10}\n")
    assert probe(system)().memory == pytest.approx(0.9, abs=0.01)
    write(system / "cgroup/memory.max", "max\n")
    assert probe(system)().memory == pytest.approx(0.75)


def test_a_system_that_tells_nothing(tmp_path: Path) -> None:
    reading = SystemProbe([tmp_path / "gone"], tmp_path / "proc", tmp_path / "cgroup")()
    assert reading == Reading()


def test_the_monitor_keeps_what_it_measured_last() -> None:
    async def run() -> Level:
        monitor = LoadMonitor(lambda: Reading(memory=0.96), interval_s=0.1)
        task = asyncio.create_task(monitor.run())
        async with asyncio.timeout(30):
            while monitor.current.worst is Level.LOW:
                await asyncio.sleep(0.001)
        task.cancel()
        return monitor.current.levels["memory"]

    assert asyncio.run(run()) is Level.CRITICAL
