"""Owns how a job is followed: a line with a bar on a terminal, plain lines now and then elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import TextIO

from core.jobs import BYTES, OBJECTS, JobRecord, JobState
from gateway.cli.progress import size_text

_REDRAW_S = 0.2
_LINES_S = 5.0
_RATE_S = 5.0
_BAR = 24
_SPINNER = "|/-\\"


class JobProgressLine:
    """Shows records of one job as they come. On a terminal the line is redrawn, and wiped at the end; elsewhere one is
    written when something has changed, at most every few seconds."""

    def __init__(
        self,
        *,
        is_wanted: bool = True,
        stream: TextIO | None = None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._is_wanted = is_wanted
        self._is_terminal = self._stream.isatty()
        self._now_s = now_s
        self._shown_s = float("-inf")
        self._shown = ""
        self._turn = 0
        self._seen: deque[tuple[float, int, int]] = deque()

    def __enter__(self) -> JobProgressLine:
        return self

    def show(self, record: JobRecord) -> None:
        """To be called again and again."""
        if not self._is_wanted:
            return
        now_s = self._now_s()
        rates = self._rates(record, now_s)
        if now_s - self._shown_s < (_REDRAW_S if self._is_terminal else _LINES_S):
            return
        line = ", ".join(part for part in (_counts(record), rates, _stage(record)) if part)
        if self._is_terminal:
            self._shown_s = now_s
            self._redraw(f"{self._bar(record)} {line}")
        elif line != self._shown:
            self._shown_s, self._shown = now_s, line
            self._stream.write(f"{record.kind} {record.job_id}: {_percent(record)}{line}\n")
            self._stream.flush()

    def _redraw(self, line: str) -> None:
        columns = shutil.get_terminal_size().columns
        self._stream.write(f"\r\x1b[K{line[: columns - 1]}")
        self._stream.flush()

    def _bar(self, record: JobRecord) -> str:
        part = _part(record)
        if part is None:
            self._turn += 1
            return f"{record.kind} {_SPINNER[self._turn % len(_SPINNER)]}"
        full = int(part * _BAR)
        return f"{record.kind} [{'#' * full}{'.' * (_BAR - full)}] {part:4.0%}"

    def _rates(self, record: JobRecord, now_s: float) -> str:
        counters = record.progress.counters
        seen = self._seen
        seen.append((now_s, counters.get(OBJECTS, 0), counters.get(BYTES, 0)))
        while len(seen) > 2 and seen[0][0] < now_s - _RATE_S:
            seen.popleft()
        past_s = now_s - seen[0][0]
        if past_s <= 0:
            return ""
        objects, size_bytes = (seen[-1][n] - seen[0][n] for n in (1, 2))
        if not objects and not size_bytes:
            return ""
        return f"{objects / past_s:,.0f} objects/s, {size_text(size_bytes / past_s)}/s"

    def __exit__(self, *_: object) -> None:
        if self._is_wanted and self._is_terminal and self._turn + self._shown_s > float("-inf"):
            self._stream.write("\r\x1b[K")
            self._stream.flush()


def state_text(record: JobRecord) -> str:
    """The state for people: with what is between the states."""
    if record.is_stop_wanted and not record.state.has_ended:
        return "stopping"
    if record.state is JobState.RUNNING and record.idle_ns:
        return "idle"
    return record.state.value


def _part(record: JobRecord) -> float | None:
    total = record.progress.total
    if not total:
        return None
    return min(1.0, record.progress.counters.get(OBJECTS, 0) / total)


def _percent(record: JobRecord) -> str:
    part = _part(record)
    return "" if part is None else f"{part:.0%}, "


def _counts(record: JobRecord) -> str:
    counters, total = record.progress.counters, record.progress.total
    objects = f"{counters.get(OBJECTS, 0):,}" + (f" of {total:,}" if total else "")
    text = f"{objects} objects, {size_text(counters.get(BYTES, 0))}"
    if counters.get("errors"):
        text += f", {counters['errors']:,} errors"
    return text


def _stage(record: JobRecord) -> str:
    if record.state is JobState.RUNNING and not record.is_stop_wanted and not record.idle_ns:
        return record.progress.message
    return state_text(record)
