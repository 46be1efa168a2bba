"""Owns what a download tells of its single objects: those at work, the last that are done, and the first errors."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

_KEPT = 50
_MAX_NAME = 256
_MAX_REASON = 300


@dataclass(slots=True)
class Task:
    """One object's way here. Times are ns since the epoch, 0 for what has not happened."""

    name: str
    total: int = 0
    downloaded: int = 0
    start_ns: int = 0
    end_ns: int = 0


class Report:
    """What is kept in the record of a job, of bounded size."""

    def __init__(self, text: str = "", now_ns: Callable[[], int] = time.time_ns) -> None:
        told: dict[str, Any] = json.loads(text) if text else {}
        self._now_ns = now_ns
        self._current: dict[int, Task] = {}
        self._finished = deque((Task(**each) for each in told.get("finished", ())), maxlen=_KEPT)
        self._errors: list[dict[str, str]] = list(told.get("errors", ()))

    def begin(self, name: str) -> Task:
        """An object is begun."""
        task = Task(name[:_MAX_NAME], start_ns=self._now_ns())
        self._current[id(task)] = task
        return task

    def end(self, task: Task, *, is_done: bool = True) -> None:
        """It is done, or given up."""
        self._current.pop(id(task), None)
        task.end_ns = self._now_ns()
        if is_done:
            self._finished.append(task)

    def fail(self, name: str, reason: str) -> None:
        """It cannot be had."""
        if len(self._errors) < _KEPT:
            self._errors.append({"name": name[:_MAX_NAME], "error": reason[:_MAX_REASON]})

    def text(self) -> str:
        """As it is kept."""
        return json.dumps(
            {
                "current": [asdict(task) for task in list(self._current.values())[:_KEPT]],
                "finished": [asdict(task) for task in self._finished],
                "errors": self._errors,
            }
        )


def errors_in(text: str) -> list[dict[str, str]]:
    """The errors that a report tells of: name and error of each."""
    return list(json.loads(text).get("errors", ())) if text else []
