"""Owns the dying of the process tree at a named point between two steps, for tests. Which points there are, their
packages say.

Nothing here reads the environment: the composition root arms a point, from its configuration.
"""

from __future__ import annotations

import os
import signal

_armed: dict[str, int] = {}


def arm(name: str, *, skip: int = 0) -> None:
    """Have the process group killed when `name` is reached for the (skip + 1)th time."""
    _armed[name] = skip


def reach(name: str) -> None:
    """Die here if armed. Costs one look at an empty dictionary otherwise."""
    if not _armed or name not in _armed:
        return
    if _armed[name] > 0:
        _armed[name] -= 1
        return
    os.killpg(os.getpgid(0), signal.SIGKILL)
