"""Owns the question whether a mountpath has room: what the disk has left above a reserve, or a set quota.

Deletes need room too, in the write-ahead log. The reserve leaves them some; should others fill the disk, the ballast
does, a file that is given up then.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable

from core.errors import OutOfSpace
from storage.database import database_bytes, trim_logs_sync
from storage.faults import RETRY_AFTER_S
from storage.layout import Layout
from storage.options import StorageOptions

_log = logging.getLogger(__name__)

ROW_COST_BYTES = 48 * 1024
"""What a commit of one row may add to the write-ahead logs: some six pages."""

_REFRESH_S = 0.1
_RECHECK_S = 0.02
_TRIM_INTERVAL_S = 1.0
_RESERVE_SHARE = 20
_MIN_RESERVE_BYTES = 4 * 1024**2
_MIN_RESERVE_SHARE = 6
_BALLAST_BYTES = 8 * 1024**2
_MIN_BALLAST_BYTES = 1024**2
_BALLAST_SHARE = 64
# A scan for the quota may take this share of the time at most.
_SCAN_SHARE = 20


class Capacity:
    """Room as last seen, less what was written since. `refresh_sync` and `took` may come from any thread.
    `is_out_for_copies`: whether there is none for copies of what backends have, which leave some to all else."""

    def __init__(
        self, layout: Layout, options: StorageOptions, connect: Callable[[], sqlite3.Connection]
    ) -> None:
        self._layout = layout
        self._options = options
        self._connect = connect
        self._lock = threading.Lock()
        self._room = 0
        self.is_out_for_copies = False
        self._refreshed_at = 0.0
        self._scan_due_at = 0.0
        self._trim_due_at = 0.0
        self._blob_bytes = 0

    def has_room(self, size_bytes: int) -> bool:
        """By what is known; never blocks."""
        return size_bytes <= self._room

    @property
    def is_cheap(self) -> bool:
        """Whether a look at the disk costs a system call or two."""
        return self._options.capacity_bytes is None

    @property
    def is_ageing(self) -> bool:
        """Whether a cheap look is worth its while."""
        return time.monotonic() - self._refreshed_at > _RECHECK_S

    @property
    def is_stale(self) -> bool:
        return time.monotonic() - self._refreshed_at > _REFRESH_S

    def took(self, size_bytes: int, *, is_blob: bool = False) -> None:
        """Bytes are being written."""
        self._room -= size_bytes
        if is_blob:
            # Until the next scan sees them.
            self._blob_bytes += size_bytes

    def require_sync(self, size_bytes: int) -> None:
        """Look again, and raise OutOfSpace if there is no room for so many bytes."""
        if self.is_ageing:
            self.refresh_sync()
            if not self.has_room(size_bytes) and time.monotonic() >= self._trim_due_at:
                self._trim_due_at = time.monotonic() + _TRIM_INTERVAL_S
                trim_logs_sync(self._connect())
                self.refresh_sync()
        if not self.has_room(size_bytes):
            raise OutOfSpace(mountpath=str(self._layout.directory), retry_after_s=RETRY_AFTER_S)

    def refresh_sync(self) -> None:
        """Look at the disk. Raises OSError."""
        stats = os.statvfs(self._layout.directory)
        disk_bytes = stats.f_blocks * stats.f_frsize
        # Below the floor there is no room to fold the write-ahead logs; above the ceiling a small disk would be all
        # reserve.
        floor = min(_MIN_RESERVE_BYTES, disk_bytes // _MIN_RESERVE_SHARE)
        ceiling = max(disk_bytes // _RESERVE_SHARE, floor)
        reserve = min(max(self._options.free_space_reserve_bytes, floor), ceiling)
        room = stats.f_bavail * stats.f_frsize - reserve
        if not self._layout.ballast.exists():
            room -= ballast_bytes(stats)
        quota = self._options.capacity_bytes
        if quota is not None:
            room = min(room, quota - self._used_bytes())
        self._room = room
        used, total = self._use_sync(stats)
        self.is_out_for_copies = used > total * self._options.copies_end_at_percent / 100
        self._refreshed_at = time.monotonic()

    def use_sync(self) -> tuple[int, int]:
        """How much is used, of how much: of the quota, or of the disk whoever uses it. Raises OSError."""
        return self._use_sync(os.statvfs(self._layout.directory))

    def _use_sync(self, stats: os.statvfs_result) -> tuple[int, int]:
        quota = self._options.capacity_bytes
        if quota is not None:
            return self._used_bytes(), quota
        # As df has it: what only the system may use does not count.
        used = (stats.f_blocks - stats.f_bfree) * stats.f_frsize
        return used, used + stats.f_bavail * stats.f_frsize

    def _used_bytes(self) -> int:
        with self._lock:
            now = time.monotonic()
            if now >= self._scan_due_at:
                self._blob_bytes = self._scan_sync()
                took = time.monotonic() - now
                self._scan_due_at = now + took * _SCAN_SHARE
            return self._blob_bytes + database_bytes(self._connect())

    def _scan_sync(self) -> int:
        total = 0
        for directory in self._layout.blob_directories():
            with os.scandir(directory) as entries:
                for entry in entries:
                    try:
                        total += entry.stat().st_blocks * 512
                    except FileNotFoundError:
                        continue
        return total


def ballast_bytes(stats: os.statvfs_result) -> int:
    """How large the ballast of a disk is."""
    share = stats.f_blocks * stats.f_frsize // _BALLAST_SHARE
    return max(_MIN_BALLAST_BYTES, min(_BALLAST_BYTES, share))


class Ballast:
    """Room that is kept for deletes on a disk that others have filled. Blocking."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self.is_out = True

    def release_sync(self) -> None:
        """Give the room up."""
        self.is_out = True
        self._layout.ballast.unlink(missing_ok=True)

    def restore_sync(self, capacity: Capacity) -> None:
        """Take the room again, if there is enough."""
        # Without the ballast its size counts as taken, so any room left is beyond it.
        if not capacity.has_room(0):
            return
        size_bytes = ballast_bytes(os.statvfs(self._layout.directory))
        fd = os.open(self._layout.ballast, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(fd, 0, size_bytes)
            self.is_out = False
        except OSError as error:
            # A filesystem without it, or the room went meanwhile.
            _log.info("no ballast directory=%s error=%r", self._layout.directory, error)
        finally:
            os.close(fd)
