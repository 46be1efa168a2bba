"""Owns the paces that the processes of a node keep together: when the next request of a name is due, in a small file
that all of them map."""

from __future__ import annotations

import fcntl
import mmap
import os
import time
import zlib
from collections.abc import Callable
from pathlib import Path

_SLOTS = 4096
"""Two names may share a slot, and then their pace; with so many slots that is rare."""


class Paces:
    """For each name the time at which its requests so far are paid for (the generic cell rate algorithm). Without a
    path they are this process's alone."""

    def __init__(
        self, path: Path | None = None, now_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._now_ns = now_ns
        self._fd = -1
        if path is None:
            self._map = mmap.mmap(-1, _SLOTS * 8)
        else:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            if os.fstat(self._fd).st_size < _SLOTS * 8:
                # Written, not just extended: on a full disk a hole in a mapped file is a SIGBUS later on.
                os.pwrite(self._fd, bytes(_SLOTS * 8), 0)
            self._map = mmap.mmap(self._fd, _SLOTS * 8)
        self._paid = memoryview(self._map).cast("Q")

    def take(self, name: str, spacing_s: float, burst_s: float, max_wait_s: float) -> float:
        """Seconds to wait for one's turn, which is then taken, unless that is more than `max_wait_s`."""
        slot = zlib.crc32(name.encode()) % _SLOTS
        spacing_ns, burst_ns = int(spacing_s * 1e9), int(burst_s * 1e9)
        max_wait_ns = int(max_wait_s * 1e9)
        if self._fd >= 0:
            fcntl.flock(self._fd, fcntl.LOCK_EX)  # held for microseconds; it ends with its process
        try:
            now_ns = self._now_ns()
            paid_ns = self._paid[slot]
            if paid_ns > now_ns + max_wait_ns + burst_ns + spacing_ns:
                # Of before the machine's last start, or of slower days of this bucket.
                paid_ns = now_ns + max_wait_ns
            paid_ns = max(paid_ns, now_ns) + spacing_ns
            wait_ns = paid_ns - burst_ns - now_ns
            if wait_ns <= max_wait_ns:
                self._paid[slot] = paid_ns
        finally:
            if self._fd >= 0:
                fcntl.flock(self._fd, fcntl.LOCK_UN)
        return max(0, wait_ns) / 1e9

    def close(self) -> None:
        """The file stays as it is."""
        self._paid.release()
        self._map.close()
        if self._fd >= 0:
            os.close(self._fd)
