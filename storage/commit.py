"""Owns the commits of one mountpath in one process: operations queue up, a thread runs all that wait in one
transaction.

That is group commit: writes that arrive together share one fsync. What an operation raises is its own affair; what
COMMIT raises is everybody's.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from core import cpus
from core.errors import MountpathUnavailable, OutOfSpace, Overloaded, StoreError
from storage import crashpoints
from storage.batch import Waiting, resolve, run_all
from storage.database import Writer, checkpoint_sync, start_logs_over_sync
from storage.faults import RETRY_AFTER_S, translate, unavailable
from storage.layout import Layout
from storage.records import Refs
from storage.signal import CommitSignal
from storage.transaction import NAMED, Operation, Sync, Together, Transaction, begin
from storage.write_lock import FileLock

_log = logging.getLogger(__name__)

T = TypeVar("T")

_MAX_QUEUED = 4096
_MAX_BATCH = 256
_LAZY_WAIT_S = 0.05
# A WAL as long as this is folded to its end with the write lock held, so that it starts over (32 MiB, frames of 8 KiB),
# as soon as no more than a little of it is left to fold, and at twice the length in any case.
_WAL_LIMIT_FRAMES = 4096
_WAL_HUGE_FRAMES = 2 * _WAL_LIMIT_FRAMES
_WAL_LITTLE_FRAMES = 128
# From here on the mountpath folds it beside the commits: 8 MiB.
_WAL_FOLD_FRAMES = 1024
_FOLD_INTERVAL_S = 0.05
_CLOSE_TIMEOUT_S = 30.0
# Small rows that are looked at when a mountpath opens: some 15 µs each.
_MAX_UNNOTED = 1000


@dataclass(frozen=True, slots=True)
class CommitHooks:
    """What the mountpath hears of, in the committing thread. `on_commit` gets the garbage of a committed batch and
    whether the batch is durable in the index, too; `on_wal_grown` asks for a checkpoint beside the commits; `on_full`
    to give what room it can to operations that free more. `redo` (storage.redo) runs before all else is committed."""

    on_commit: Callable[[Sequence[tuple[int, Refs]], bool], None]
    on_wal_grown: Callable[[], None]
    on_full: Callable[[], None]
    redo: Operation[int]


class Committer:
    """The writing end of a mountpath."""

    def __init__(self, layout: Layout, hooks: CommitHooks) -> None:
        self._layout = layout
        self._hooks = hooks
        self._queue: queue.SimpleQueue[Waiting | None] = queue.SimpleQueue()
        self._lazy: list[Waiting] = []
        self._writer: Writer | None = None
        self._next_fold = 0.0
        # Whether the index on disk is sure to have a note, and the small rows that came after the last.
        self._has_noted = False
        self._unnoted = 0
        # Whether objects that wait together are likely to replace nothing, as the last did.
        self._expects_new = True
        # Whether a log may have a hole, because a sync of it failed.
        self._is_torn = False
        self._lock = FileLock(layout)
        try:
            self._signal = CommitSignal(layout)
            with self._lock:
                self._writer = self._open_writer()
        except BaseException:
            self._lock.close()
            raise
        self._is_closed = False
        self._thread = threading.Thread(
            target=self._run, name=f"commit:{layout.directory.name}", daemon=True
        )
        self._thread.start()

    # --- for callers ---

    async def commit(
        self,
        operation: Operation[T],
        *,
        is_durable: bool = True,
        frees: bool = False,
        together: Together[T] | None = None,
    ) -> T:
        """Run an operation in a transaction and return its value once that is committed (and durable if asked).

        A cancelled caller's operation still runs to its end. `frees` has it go through even on a full disk, where that
        is possible. `together` may run it with others that wait and name the same. Raises what the operation raised,
        Overloaded for a full queue, or the fault of the commit; then nothing of the operation is kept.
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._enqueue(Waiting(operation, is_durable, future, frees, False, together))
        return await future

    def commit_sync(self, operation: Operation[T], *, is_durable: bool = True) -> T:
        """`commit` for threads."""
        future: concurrent.futures.Future[T] = concurrent.futures.Future()
        self._enqueue(Waiting(operation, is_durable, future))
        return future.result()

    def enqueue_lazily(self, operation: Operation[Any]) -> None:
        """Run an operation with the next batch, or soon if there is none. Nobody waits for it, nothing syncs it."""
        if not self._is_closed:
            self._queue.put(Waiting(operation, False, None, frees=True, is_lazy=True))

    def close(self) -> None:
        """Run what waits, then end the thread and close the databases."""
        if self._is_closed:
            return
        self._is_closed = True
        self._queue.put(None)
        self._thread.join(_CLOSE_TIMEOUT_S)

    def _enqueue(self, waiting: Waiting) -> None:
        if self._is_closed:
            raise MountpathUnavailable(
                mountpath=str(self._layout.directory), reason="closed", retry_after_s=RETRY_AFTER_S
            )
        if self._queue.qsize() >= _MAX_QUEUED:
            raise Overloaded(what="commit queue", retry_after_s=1)
        self._queue.put(waiting)

    # --- the thread ---

    def _run(self) -> None:
        cpus.join_main_thread()
        is_open = True
        while is_open:
            batch, is_open = self._next_batch()
            while batch:
                left: Sequence[Waiting] = ()
                try:
                    left = self._commit_batch(batch)
                except Exception as error:
                    # Callers wait for an answer whatever is wrong with this code.
                    _log.exception("commit thread failed directory=%s", self._layout.directory)
                    for waiting in batch:
                        waiting.error = waiting.error or error
                resolve([each for each in batch if each not in left] if left else batch)
                batch = list(left)
        self._drop_writer()
        self._signal.close()
        self._lock.close()

    def _next_batch(self) -> tuple[list[Waiting], bool]:
        """All that wait, up to a bound; lazy operations alone are held back for a moment. False with the last."""
        batch: list[Waiting] = []
        try:
            waiting = self._queue.get(timeout=_LAZY_WAIT_S if self._lazy else None)
        except queue.Empty:
            batch, self._lazy = self._lazy, batch
            return batch, True
        if waiting is None:
            return self._lazy, False
        (self._lazy if waiting.is_lazy else batch).append(waiting)
        self._gather(batch)
        if batch or len(self._lazy) >= _MAX_BATCH:
            batch, self._lazy = [*batch, *self._lazy], []
        return batch, True

    def _gather(self, batch: list[Waiting]) -> None:
        """Add what is in the queue, without waiting."""
        while len(batch) < _MAX_BATCH:
            try:
                waiting = self._queue.get_nowait()
            except queue.Empty:
                return
            if waiting is None:
                self._queue.put(None)  # the end comes after this batch
                return
            (self._lazy if waiting.is_lazy else batch).append(waiting)

    def _commit_batch(self, batch: list[Waiting]) -> Sequence[Waiting]:
        """Gives those that are left for another transaction."""
        error, left = self._attempt(batch, self._gather)
        if error is None:
            return left
        for waiting in batch:
            waiting.error = error
        freeing = [waiting for waiting in batch if waiting.frees]
        again: StoreError | None = error
        if isinstance(error, OutOfSpace) and freeing:
            # First with the room that is given up for this, then with what folding the logs makes of them.
            for make_room in (self._hooks.on_full, self._fold):
                make_room()
                again, _ = self._attempt(freeing)
                if not isinstance(again, OutOfSpace):
                    break
            if again is not None:
                for waiting in freeing:
                    waiting.error = again
        return ()

    def _fold(self) -> None:
        """So that the log's room can be used again."""
        try:
            if self._writer is not None:
                with self._lock:
                    checkpoint_sync(self._writer.connection)
        except sqlite3.Error as error:
            _log.warning("checkpoint failed directory=%s error=%r", self._layout.directory, error)

    def _attempt(
        self, batch: list[Waiting], gather: Callable[[list[Waiting]], None] | None = None
    ) -> tuple[StoreError | None, Sequence[Waiting]]:
        """Run and commit a batch. A fault of the transaction comes back, and those that were left out of one that only
        adds; the operations' own faults are noted on them."""
        try:
            with self._lock:
                if gather is not None:
                    # What came while another process committed: larger batches give two workers a fifth more
                    # durable puts a second.
                    gather(batch)
                if self._writer is None:
                    # After a fault of the disk, in case it has come back.
                    self._writer = self._open_writer()
                self._writer.require_present()
                sync = self._sync_for(batch)
                tx = begin(self._writer, sync)
                alone = run_all(tx, batch)
                notes = self._note(self._writer, tx, sync, alone)
                crashpoints.reach("commit:run")
                self._commit(tx)
                pending = self._fold_if_huge(self._writer)
            self._unnoted = 0 if notes else self._unnoted + tx.added_small
            if sync is Sync.AFTER:
                self._expects_new = not alone
            elif not alone:
                self._expects_new = not tx.garbage
            is_indexed = self._sync_past_the_lock(self._writer, tx, sync, alone)
        except (sqlite3.Error, OSError, StoreError) as error:
            _log.warning("commit failed mountpath=%s error=%r", self._layout.directory, error)
            fault = translate(error, self._layout.directory)
            self._roll_back(fault)
            return fault, ()
        self._hooks.on_commit(tx.garbage, is_indexed)
        if pending:
            self._ask_for_fold()
        return None, alone if sync is Sync.AFTER else ()

    def _sync_for(self, batch: Sequence[Waiting]) -> Sync:
        """How the rows of a batch are to become durable. Those that only add need not hold others up for that, but
        whether they do is known when they have run, so it is taken from how it went the last time."""
        if not any(waiting.is_durable for waiting in batch):
            return Sync.NONE
        only_adds = (
            self._expects_new
            and self._has_noted
            and self._unnoted < _MAX_UNNOTED
            and all(waiting.together is not None and waiting.is_durable for waiting in batch)
        )
        return Sync.AFTER if only_adds else Sync.WITHIN

    def _note(self, writer: Writer, tx: Transaction, sync: Sync, alone: Sequence[Waiting]) -> bool:
        """Leave in the index what whoever opens it after a power cut must know (storage.redo). Tells whether it notes
        that it has heard of all rows."""
        # Whoever takes a name away runs alone, and is not to be undone.
        notes = sync is not Sync.AFTER and (
            bool(alone) or not self._has_noted or self._unnoted >= _MAX_UNNOTED
        )
        if notes:
            tx.note_indexed()
        if sync is not Sync.WITHIN:
            if tx.added_small:
                tx.note_named(tx.last_small)
        elif notes and tx.noted(NAMED):
            if not tx.added_small:
                writer.sync_rows()  # COMMIT syncs no log that it adds nothing to
            tx.note_named(0)
        return notes

    def _sync_past_the_lock(
        self, writer: Writer, tx: Transaction, sync: Sync, alone: Sequence[Waiting]
    ) -> bool:
        """What a batch need not be synced for under the lock: beside the next batch of another process, which has it by
        now. Tells whether the index is durable, too.

        What others read meanwhile a power cut may still undo, but nothing that was acknowledged: whoever builds on it
        syncs the same logs. A fault leaves the batch committed, so it must not look as if that were not so (a full
        disk, after which blobs are taken away). Raises MountpathUnavailable."""
        needs_index = sync is Sync.WITHIN and (
            not self._has_noted or any(each.is_durable for each in alone)
        )
        try:
            if sync is Sync.AFTER and tx.added_small:
                writer.sync_rows()
            elif needs_index:
                writer.sync_index()
                self._has_noted = True
        except OSError as error:
            self._is_torn = True
            raise unavailable(self._layout.directory, error) from error
        return needs_index

    def _open_writer(self) -> Writer:
        """Call with the lock held."""
        writer = Writer(self._layout)
        try:
            self._has_noted = False
            if self._is_torn:
                start_logs_over_sync(writer.connection)
                self._is_torn = False
            tx = begin(writer, Sync.WITHIN)
            count = self._hooks.redo(tx)
            self._commit(tx)
            if count:
                writer.sync_index()
                _log.warning(
                    "the index is again as small.db has it, after a power cut directory=%s count=%d",
                    *(self._layout.directory, count),
                )
        except BaseException:
            writer.close()
            raise
        return writer

    def _commit(self, tx: Transaction) -> None:
        self._signal.begin()
        try:
            tx.connection.execute("COMMIT")
            crashpoints.reach("commit:committed")
        finally:
            self._signal.end()

    def _fold_if_huge(self, writer: Writer) -> bool:
        """A WAL starts over only when all of it is folded while nobody writes, which is now: so when the mountpath,
        which folds and syncs beside the commits, has left little to do. Else this took 30 ms, in which nobody could
        commit. Tells whether there is something to fold for the mountpath.

        A checkpoint that fails must not make a batch look failed that is committed: blobs would be taken away.
        """
        try:
            length, pending = writer.log_frames()
            if length <= _WAL_LIMIT_FRAMES:
                return pending > _WAL_FOLD_FRAMES
            if length <= _WAL_HUGE_FRAMES and pending > _WAL_LITTLE_FRAMES:
                return True
            checkpoint_sync(writer.connection)
        except (sqlite3.Error, OSError) as error:
            _log.warning("checkpoint failed mountpath=%s error=%r", self._layout.directory, error)
        return False

    def _roll_back(self, fault: StoreError) -> None:
        if self._writer is None:
            return
        try:
            if self._writer.connection.in_transaction:
                self._writer.connection.execute("ROLLBACK")
        except sqlite3.Error:
            self._drop_writer()
        if isinstance(fault, MountpathUnavailable):
            self._drop_writer()

    def _drop_writer(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def _ask_for_fold(self) -> None:
        now = time.monotonic()
        if now >= self._next_fold:
            self._next_fold = now + _FOLD_INTERVAL_S
            self._hooks.on_wal_grown()
