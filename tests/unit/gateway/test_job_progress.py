"""How a job is followed on a terminal and in a log."""

from __future__ import annotations

import io

import pytest

from core.jobs import JobProgress, JobRecord, JobState
from gateway.cli.job_progress import JobProgressLine, state_text


class Terminal(io.StringIO):
    """A stream that says that it is one."""

    def isatty(self) -> bool:
        return True


class Follower:
    """A line with a clock that tests set."""

    def __init__(self, stream: io.StringIO) -> None:
        self.stream = stream
        self.now_s = 100.0
        self.line = JobProgressLine(stream=stream, now_s=lambda: self.now_s)

    def show(self, objects: int, *, total: int = 0, after_s: float = 1.0) -> None:
        self.now_s += after_s
        counters = {"objects": objects, "bytes": objects * 1024}
        progress = JobProgress(counters, "copying", total=total)
        self.line.show(JobRecord("j", "copy-bck", state=JobState.RUNNING, progress=progress))

    @property
    def drawn(self) -> list[str]:
        return [line for line in self.stream.getvalue().split("\r\x1b[K") if line]


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def test_a_bar_where_the_end_is_known() -> None:
    follower = Follower(Terminal())
    follower.show(0, total=4000)
    follower.show(1000, total=4000)
    assert follower.drawn[-1] == (
        "copy-bck [######..................]  25% 1,000 of 4,000 objects, 1000.0 KiB,"
        " 1,000 objects/s, 1000.0 KiB/s, copying"
    )


def test_a_sign_of_life_where_it_is_not() -> None:
    follower = Follower(Terminal())
    follower.show(0)
    follower.show(2)
    assert follower.drawn == [
        "copy-bck / 0 objects, 0 bytes, copying",
        "copy-bck - 2 objects, 2.0 KiB, 2 objects/s, 2.0 KiB/s, copying",
    ]


def test_the_line_is_not_redrawn_too_often_and_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    follower = Follower(Terminal())
    for _ in range(10):
        follower.show(1, after_s=0.05)
    assert 2 <= len(follower.drawn) <= 4
    assert all(len(line) < 30 for line in follower.drawn)


def test_the_line_is_wiped_in_the_end() -> None:
    follower = Follower(Terminal())
    with follower.line:
        follower.show(1)
    assert follower.stream.getvalue().endswith("\r\x1b[K")


def test_plain_lines_where_no_terminal_is() -> None:
    follower = Follower(io.StringIO())
    with follower.line:
        follower.show(0, total=50)
        follower.show(1, total=50)
        follower.show(10, total=50, after_s=5)
    lines = follower.stream.getvalue().splitlines()
    assert lines[0] == "copy-bck j: 0%, 0 of 50 objects, 0 bytes, copying"
    assert lines[1].startswith("copy-bck j: 20%, 10 of 50 objects, 10.0 KiB, ")
    assert len(lines) == 2
    assert "\x1b" not in follower.stream.getvalue()


def test_states_between_the_states() -> None:
    assert state_text(JobRecord("j", "k")) == "waiting"
    assert state_text(JobRecord("j", "k", state=JobState.RUNNING, idle_ns=5)) == "idle"
    assert state_text(JobRecord("j", "k", state=JobState.RUNNING, is_stop_wanted=True)) == (
        "stopping"
    )
    assert state_text(JobRecord("j", "k", state=JobState.STOPPED, is_stop_wanted=True)) == "stopped"
