"""Owns one open mountpath in this process: its connections, threads, commits, and whether its disk is still there."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import resource
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from core import cpus
from core.errors import MountpathUnavailable, OutOfSpace, StoreError
from storage.blobs import BlobWriter
from storage.capacity import Ballast, Capacity
from storage.commit import CommitHooks, Committer
from storage.database import (
    OTHER_CACHE_KIB,
    POINT_CACHE_KIB,
    SCAN_CACHE_KIB,
    HeldFiles,
    checkpoint_sync,
    open_reader_sync,
)
from storage.faults import RETRY_AFTER_S, translate
from storage.hot import HotObjects
from storage.layout import (
    Layout,
    MountpathSpec,
    WorkerLock,
    check_identity_sync,
    host_name,
    lodged,
)
from storage.open_blobs import OpenBlobs
from storage.options import StorageOptions
from storage.reclaim import Garbage, Reclaimer
from storage.redo import redo
from storage.transaction import Operation, Together

_log = logging.getLogger(__name__)

T = TypeVar("T")

# An index read takes some 7 µs from memory. One that took this long met a disk; the loop must not wait for the next.
_SLOW_READ_S = 0.001
_SLOW_PENALTY_S = 0.25
_WATCH_INTERVAL_S = 1.0


class Mountpath:
    """A member of the store's set. Its methods raise MountpathUnavailable while its disk is not there."""

    def __init__(
        self, spec: MountpathSpec, options: StorageOptions, specs: Sequence[MountpathSpec] = ()
    ) -> None:
        self.spec = spec
        self._hosts = {host_name(each): each.directory for each in specs if each is not spec}
        self.options = options
        self.executor = cpus.patient_pool(options.threads, f"mountpath-{spec.uuid[:6]}")
        self._open: _OpenMountpath | None = None
        self._fault: StoreError | None = None
        self._retry_at = 0.0
        self._watch_at = 0.0
        self._slow_until = 0.0
        self._blocks_read = 0
        self._is_closed = False
        self._opening = threading.Lock()

    # --- its life ---

    def open_sync(self) -> None:
        """Open it if it is there; else its operations say why not, and try again from time to time."""
        with self._opening:
            if self._open is not None or self._is_closed:
                return
            try:
                directory = check_identity_sync(self.spec)
                try:
                    self._open = _OpenMountpath(
                        Layout(directory, self.spec.uuid, self._hosts), self.options, self.executor
                    )
                except (OSError, sqlite3.Error) as error:
                    raise translate(error, directory) from error
                self._fault = None
            except StoreError as error:
                self._fault = error
                _log.warning("mountpath unavailable uuid=%s error=%r", self.spec.uuid, error)

    def close_sync(self) -> None:
        """Commit what waits and give everything back."""
        self._is_closed = True
        opened = self._open
        if opened is not None:
            opened.committer.close()
        self.executor.shutdown(wait=True)
        self._drop()

    @property
    def fault(self) -> StoreError | None:
        """Why it is not open, if it is not."""
        return self._fault if self._open is None else None

    def opened(self) -> _OpenMountpath:
        """What an open mountpath has. Raises MountpathUnavailable; never blocks."""
        opened = self._open
        now = time.monotonic()
        if opened is None:
            if now >= self._retry_at and not self._is_closed:
                self._retry_at = now + RETRY_AFTER_S
                self.executor.submit(self.open_sync)
            raise self._fault or MountpathUnavailable(
                mountpath=self.spec.uuid, reason="not open", retry_after_s=RETRY_AFTER_S
            )
        if now >= self._watch_at:
            self._watch_at = now + _WATCH_INTERVAL_S
            if not self._is_closed:
                self.executor.submit(self.watch_sync)
        return opened

    @property
    def layout(self) -> Layout:
        return self.opened().layout

    def watch_sync(self) -> None:
        """Open files outlive a directory that was unmounted or removed; this is what notices."""
        try:
            check_identity_sync(self.spec)
        except StoreError as error:
            _log.warning("mountpath lost uuid=%s error=%r", self.spec.uuid, error)
            self._fault = error
            self._drop()

    def _drop(self) -> None:
        opened, self._open = self._open, None
        if opened is not None:
            opened.close_sync()

    # --- reading ---

    @property
    def is_fast(self) -> bool:
        """Whether reads of the index come from memory, so that the event loop may do one itself."""
        return time.monotonic() >= self._slow_until

    def read_inline(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Run a point read on the event loop's own connection; only while `is_fast`."""
        started = time.monotonic()
        try:
            return query(self.opened().inline_connection)
        except (sqlite3.Error, OSError) as error:
            raise self.translate(error) from error
        finally:
            ended = time.monotonic()
            if ended - started > _SLOW_READ_S and self._met_disk():
                self._slow_until = ended + _SLOW_PENALTY_S

    def _met_disk(self) -> bool:
        """Whether this thread has read from a disk since it was asked last. On a busy machine a read can also be slow
        because the thread lost its core; leaving the loop for that cost 60 µs more for each of the next reads."""
        blocks_read = resource.getrusage(resource.RUSAGE_THREAD).ru_inblock
        has_met = blocks_read != self._blocks_read
        self._blocks_read = blocks_read
        return has_met

    async def read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Run a query in a thread of this mountpath, on that thread's connection."""
        opened = self.opened()
        return await self.run(lambda: query(opened.thread_connection()))

    async def run(
        self, function: Callable[[], T], executor: concurrent.futures.Executor | None = None
    ) -> T:
        """Run a blocking function in a thread, one of this mountpath's if not told otherwise; its OSError and
        sqlite3.Error come back as ours."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(executor or self.executor, function)
        except (sqlite3.Error, OSError) as error:
            raise self.translate(error) from error

    def translate(self, error: Exception) -> StoreError:
        """Our error for a fault of this mountpath."""
        directory = self.spec.directory
        assert directory is not None
        return translate(error, directory)

    # --- writing ---

    async def commit(
        self,
        operation: Operation[T],
        *,
        is_durable: bool = True,
        frees: bool = False,
        together: Together[T] | None = None,
    ) -> T:
        """See Committer.commit."""
        committer = self.opened().committer
        return await committer.commit(
            operation, is_durable=is_durable, frees=frees, together=together
        )

    async def require_room_for_copies(self) -> None:
        """Raises OutOfSpace if the disk is too full for copies of what backends have."""
        capacity = self.opened().capacity
        if capacity.is_stale and capacity.is_out_for_copies:
            await self.run(capacity.refresh_sync)
        if capacity.is_out_for_copies:
            raise OutOfSpace(mountpath=str(self.spec.directory), retry_after_s=RETRY_AFTER_S)

    def expect_bytes(self) -> None:
        """Have the disk's room looked at in a thread, if that is to be known anew, so that who brings bytes in a moment
        need not wait for it."""
        opened = self._open
        if opened is not None and opened.capacity.is_stale:
            opened.look_again()

    async def require_room(self, size_bytes: int) -> None:
        """Raises OutOfSpace if so many bytes would leave less than the reserve."""
        capacity = self.opened().capacity
        # What other processes wrote meanwhile is not in a view that has grown old.
        if capacity.is_stale or not capacity.has_room(size_bytes):
            await self.run(lambda: capacity.require_sync(size_bytes))


class _OpenMountpath:
    """What there is while the disk is."""

    def __init__(
        self,
        layout: Layout,
        options: StorageOptions,
        executor: concurrent.futures.ThreadPoolExecutor,
    ) -> None:
        self.layout = layout
        self._executor = executor
        self._folding = threading.Lock()
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._stamp_lock = threading.Lock()
        self._last_stamp = 0
        layout.create_directories_sync()
        self.open_blobs = OpenBlobs(layout)
        self.ballast = Ballast(layout)
        self.capacity = Capacity(layout, options, self.thread_connection)
        self.worker = WorkerLock(layout)
        try:
            self.committer = Committer(layout, self._hooks())
        except BaseException:
            self.worker.close()
            raise
        self._files: HeldFiles | None = None
        try:
            self._files = HeldFiles(layout)
            self.reclaimer = Reclaimer(layout, self.committer, executor)
            self.inline_connection = self._connect(POINT_CACHE_KIB)
            self.hot = HotObjects(layout, options.hot_bytes)
            self.capacity.refresh_sync()
            self.ballast.restore_sync(self.capacity)
        except BaseException:
            self.close_sync()
            raise

    def thread_connection(self) -> sqlite3.Connection:
        """The calling thread's connection for queries."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._connect()
        return connection

    def scan_connection(self) -> sqlite3.Connection:
        """The calling thread's connection for listings, with a larger cache."""
        connection: sqlite3.Connection | None = getattr(self._local, "scan_connection", None)
        if connection is None:
            connection = self._local.scan_connection = self._connect(SCAN_CACHE_KIB)
        return connection

    def new_blob(self, host: MountpathSpec | None = None) -> BlobWriter:
        """A blob file to be made, under a new id; on another mountpath's disk if `host` is given."""
        with self._stamp_lock:
            blob_id = self.worker.next_blob_id()
        if host is not None:
            blob_id = lodged(blob_id, host)
        return BlobWriter(self.layout, blob_id)

    def next_stamp(self) -> int:
        """A stamp for a blob's trailer, from this worker's clock; see index.publish_object for how it is put in
        order with other workers'."""
        with self._stamp_lock:
            self._last_stamp = max(self._last_stamp + 1, time.time_ns())
            return self._last_stamp

    def close_sync(self) -> None:
        self.committer.close()
        self.open_blobs.close()
        for connection in self._connections:
            connection.close()
        if self._files is not None:
            self._files.close()
        try:
            self.worker.close()
        except OSError:
            _log.info(
                "worker lock of a lost mountpath left behind directory=%s", self.layout.directory
            )

    def look_again(self) -> None:
        """Have the disk's room looked at, in a thread."""
        self._submit(self.capacity.refresh_sync)

    def checkpoint_sync(self) -> None:
        """Fold the write-ahead logs into the databases, without holding commits up."""
        checkpoint_sync(self.thread_connection())
        if self._files is not None:
            # SQLite leaves this to the fold that reaches a log's end, which holds commits up.
            self._files.sync_databases()

    def _hooks(self) -> CommitHooks:
        return CommitHooks(self._on_commit, self._on_wal_grown, self._on_full, redo)

    def _on_commit(self, garbage: Sequence[Garbage], is_durable: bool) -> None:
        self.reclaimer.collect(garbage, is_durable=is_durable)
        if self.capacity.is_cheap:
            if self.capacity.is_ageing:
                self._run_quietly(self.capacity.refresh_sync)
        elif self.capacity.is_stale:
            self._submit(self.capacity.refresh_sync)
        if self.ballast.is_out and self.capacity.has_room(0):
            self._submit(lambda: self.ballast.restore_sync(self.capacity))

    def _on_full(self) -> None:
        self._run_quietly(self.ballast.release_sync)

    def _on_wal_grown(self) -> None:
        if self._folding.acquire(blocking=False):
            self._submit(self._fold)

    def _fold(self) -> None:
        try:
            self.checkpoint_sync()
        finally:
            self._folding.release()

    def _submit(self, function: Callable[[], None]) -> None:
        try:
            self._executor.submit(self._run_quietly, function)
        except RuntimeError:
            _log.debug("closing: no more background work")

    def _run_quietly(self, function: Callable[[], None]) -> None:
        try:
            function()
        except (sqlite3.Error, OSError) as error:
            _log.warning("disk fault directory=%s error=%r", self.layout.directory, error)

    def _connect(self, cache_kib: int = OTHER_CACHE_KIB) -> sqlite3.Connection:
        connection = open_reader_sync(self.layout, cache_kib)
        self._connections.append(connection)
        return connection
