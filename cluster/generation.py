"""Owns the signal by which every process learns at once that the control store has changed: one shared number."""

from __future__ import annotations

from core.shared_number import SharedNumber


class Generation(SharedNumber):
    """It only says "different from before"; the database holds the truth."""

    def bump(self) -> None:
        """Tell all processes. Call under the writers' lock, after the commit."""
        self.add(1)
