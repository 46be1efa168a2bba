"""The job runner: order, intervals, one at a time, and that a failure stops nothing."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

import pytest

from core.errors import MountpathUnavailable
from jobs.periodic import ShouldStop, ThreadJob
from jobs.runner import JobRunner


@dataclass
class Recorder:
    """Jobs write their names here; the run ends after `last` entries."""

    last: int
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    entries: list[str] = field(default_factory=list)
    running: int = 0

    def add(self, entry: str) -> None:
        self.entries.append(entry)
        if len(self.entries) >= self.last:
            self.stop.set()


@dataclass
class FakeJob:
    name: str
    interval_s: float
    recorder: Recorder
    error: Exception | None = None

    async def run(self, stop: asyncio.Event) -> str | None:
        self.recorder.running += 1
        assert self.recorder.running == 1
        await asyncio.sleep(0)
        self.recorder.running -= 1
        self.recorder.add(self.name)
        if self.error:
            raise self.error
        return None


def run(recorder: Recorder, *jobs: FakeJob | ThreadJob) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(5):
            await JobRunner(jobs).run(recorder.stop)

    asyncio.run(bounded())


def test_each_runs_at_once_and_then_at_its_interval() -> None:
    recorder = Recorder(last=8)
    run(recorder, FakeJob("rare", 1000, recorder), FakeJob("often", 0.001, recorder))
    assert recorder.entries[:2] == ["rare", "often"]
    assert recorder.entries.count("rare") == 1
    assert recorder.entries.count("often") == 7


def test_failure_is_logged_and_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder(last=4)
    bad = FakeJob("bad", 0.001, recorder, ValueError("broken"))
    run(recorder, bad, FakeJob("good", 0.001, recorder))
    assert recorder.entries.count("good") == 2
    assert recorder.entries.count("bad") == 2
    assert "job bad failed" in caplog.text


def test_unavailable_disk_is_worth_a_line_and_no_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    recorder = Recorder(last=1)
    error = MountpathUnavailable(mountpath="/disk1", reason="gone", retry_after_s=5)
    run(recorder, FakeJob("cleanup", 1000, recorder, error))
    assert "job cleanup put off: mountpath='/disk1'" in caplog.text
    assert "Traceback" not in caplog.text


def test_stops_while_waiting() -> None:
    recorder = Recorder(last=1)
    run(recorder, FakeJob("once", 1000, recorder))
    assert recorder.entries == ["once"]


def test_without_jobs() -> None:
    run(Recorder(last=1))


def test_blocking_work_is_told_to_stop(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    recorder = Recorder(last=1)

    def work(should_stop: ShouldStop) -> str:
        assert not should_stop()
        recorder.stop.set()
        assert should_stop()
        return "removed 3 blobs"

    run(recorder, ThreadJob("cleanup", 1000, work))
    assert "job cleanup: removed 3 blobs" in caplog.text
