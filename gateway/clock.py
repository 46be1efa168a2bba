"""Owns the time that a node goes by."""

from __future__ import annotations

import time


class SystemClock:
    """The Clock of production: the machine's."""

    def now_ns(self) -> int:
        return time.time_ns()
