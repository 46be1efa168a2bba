"""Owns the line on a terminal that says how far a command has come, and sizes for people."""

from __future__ import annotations

import sys
import time

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")
_REDRAW_S = 0.2


def size_text(count: float) -> str:
    """A size in the unit that suits it."""
    for unit in _UNITS[:-1]:
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} {_UNITS[-1]}"


class Progress:
    """One line on a terminal, redrawn a few times a second and wiped at the end. Elsewhere, nothing."""

    def __init__(self, *, is_wanted: bool = True) -> None:
        self._is_shown = is_wanted and sys.stderr.isatty()
        self._drawn_at = 0.0

    def __enter__(self) -> Progress:
        return self

    def show(self, text: str) -> None:
        now = time.monotonic()
        if self._is_shown and now - self._drawn_at >= _REDRAW_S:
            self._drawn_at = now
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()

    def __exit__(self, *_: object) -> None:
        if self._is_shown and self._drawn_at:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
