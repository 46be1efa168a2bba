"""Owns the number by which the processes of a node tell one another of commits to a mountpath.

It is odd while a commit is being made, and even and new after it: what was read while it was even, and is still the
same, is what the index says now.
"""

from __future__ import annotations

from core.shared_number import SharedNumber
from storage.layout import Layout


class CommitSignal(SharedNumber):
    """Tells the readers of all processes of commits. A process that dies in one leaves the number odd, and nothing is
    remembered until the next commit ends."""

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout.commit_signal)

    def begin(self) -> None:
        """A commit is about to be made. Call with the write lock held."""
        if not self.cell[0] & 1:
            self.add(1)

    def end(self) -> None:
        """It was made, or was not. Call before the lock is given up, and before any writer is told."""
        self.add(1)
