"""Owns the removal of what no record names any more, soon after the commit that unnamed it.

Files go first, then in a later commit the small rows together with the garbage row: small.db commits before the index,
so a small row may only go when the commit that unnamed it is over. A crash in between leaves a garbage row, which the
space cleanup (storage.space) works off. So does a reader that is still busy with a blob of several.
"""

from __future__ import annotations

import concurrent.futures
import fcntl
import logging
import os
import threading
from collections.abc import Sequence

from core.errors import MountpathUnavailable
from storage import crashpoints
from storage.commit import Committer
from storage.database import index_log
from storage.layout import Layout
from storage.records import Refs
from storage.transaction import Operation, Transaction

_log = logging.getLogger(__name__)

Garbage = tuple[int, Refs]
"""A garbage row's id, and what it names."""


class Reclaimer:
    """Works off the garbage of this process's commits in the mountpath's threads, one job at a time."""

    def __init__(
        self, layout: Layout, committer: Committer, executor: concurrent.futures.Executor
    ) -> None:
        self._layout = layout
        self._committer = committer
        self._executor = executor
        self._lock = threading.Lock()
        self._pending: list[Garbage] = []
        self._needs_sync = False
        self._is_running = False

    def collect(self, garbage: Sequence[Garbage], *, is_durable: bool) -> None:
        """Take over the garbage of a commit, in the committing thread."""
        if not garbage:
            return
        if is_durable and not any(refs.blob_ids for _, refs in garbage):
            self._committer.enqueue_lazily(forget_garbage(garbage))
            return
        with self._lock:
            self._pending.extend(garbage)
            self._needs_sync |= not is_durable
            must_start, self._is_running = not self._is_running, True
        if must_start:
            try:
                self._executor.submit(self._work)
            except RuntimeError:
                _log.debug("closing: garbage is left to the space cleanup")

    def _work(self) -> None:
        while True:
            with self._lock:
                pending, self._pending = self._pending, []
                needs_sync, self._needs_sync = self._needs_sync, False
                if not pending:
                    self._is_running = False
                    return
            try:
                if needs_sync:
                    # A relaxed commit may still be undone by a power cut; what it unnamed must not be gone then.
                    sync_index_log(self._layout)
                done = [item for item in pending if remove_blobs_sync(self._layout, item[1])]
            except OSError as error:
                _log.warning("garbage left directory=%s error=%r", self._layout.directory, error)
                continue
            crashpoints.reach("reclaim:unlinked")
            if done:
                self._committer.enqueue_lazily(forget_garbage(done))


def remove_blobs_sync(layout: Layout, refs: Refs) -> bool:
    """Unlink the blobs of one object. False if a reader holds them, or a disk is not there: then none was removed."""
    if not refs.blob_ids:
        return True
    try:
        for blob_id in refs.blob_ids:
            layout.check_host_sync(blob_id)
    except MountpathUnavailable:
        return False
    first, *others = (layout.blob(blob_id) for blob_id in refs.blob_ids)
    if not others and not refs.small_ids:
        # Its reader has it open, which is enough for one file and nothing else.
        _unlink(first)
        return True
    try:
        fd = os.open(first, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        fd = -1
    try:
        if fd >= 0:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The first, which readers lock, goes last: while it is there, so is the claim to the others.
        for path in others:
            _unlink(path)
        _unlink(first)
    except BlockingIOError:
        return False
    finally:
        if fd >= 0:
            os.close(fd)
    return True


def forget_garbage(garbage: Sequence[Garbage]) -> Operation[None]:
    """Remove small rows and the garbage rows that named them, after their blobs are gone."""
    small_ids = [(small_id,) for _, refs in garbage for small_id in refs.small_ids]
    garbage_ids = [(garbage_id,) for garbage_id, _ in garbage]

    def forget(tx: Transaction) -> None:
        if small_ids:
            tx.connection.executemany("DELETE FROM small WHERE id = ?", small_ids)
        tx.connection.executemany("DELETE FROM idx.garbage WHERE id = ?", garbage_ids)

    return forget


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def sync_index_log(layout: Layout) -> None:
    """Make every commit so far durable in the index."""
    fd = os.open(index_log(layout), os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fdatasync(fd)
    finally:
        os.close(fd)
