"""Owns the space cleanup: what crashes, dead workers and busy readers left behind is removed. Blocking.

Three sources of leftovers: garbage rows (see storage.reclaim) whose process died or met a busy reader; blobs that a
dead worker never named; small rows whose transaction reached small.db but not the index. Each run looks only at what
no earlier one has cleared: a dead worker makes no new blobs, and small rows only become unnamed by way of a garbage row
once they are named.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, fields
from pathlib import Path

from core.errors import Corrupt, StoreError
from storage import crashpoints
from storage.commit import CommitHooks, Committer
from storage.database import checkpoint_sync, open_reader_sync
from storage.faults import translate
from storage.layout import (
    Layout,
    MountpathSpec,
    layout_of,
    live_workers_sync,
    worker_of,
)
from storage.names import is_named, named_blobs
from storage.reclaim import Garbage, forget_garbage, remove_blobs_sync, sync_index_log
from storage.records import decode_description, decode_refs
from storage.redo import redo
from storage.transaction import INDEXED, NAMED, Operation, Transaction
from storage.uploads import forget_completions

_log = logging.getLogger(__name__)

_CHUNK = 200
# Garbage younger than this is being worked off by the process that made it.
_GARBAGE_AGE_S = 2.0
_COMPLETIONS_AGE_NS = 24 * 3600 * 10**9
_SWEPT_ROWS = "small"


@dataclass(slots=True)
class CleanupReport:
    """What a run removed. `busy`: objects whose removal waits for a reader."""

    blobs: int = 0
    blob_bytes: int = 0
    small_rows: int = 0
    garbage_rows: int = 0
    busy: int = 0

    def __str__(self) -> str:
        said = [
            f"{getattr(self, each.name)} {each.name.replace('_', ' ')}"
            for each in fields(self)
            if getattr(self, each.name)
        ]
        return f"removed {', '.join(said)}" if said else ""


def clean_sync(
    specs: Sequence[MountpathSpec],
    *,
    min_age_s: float,
    should_stop: Callable[[], bool] = lambda: False,
) -> CleanupReport:
    """Clean every mountpath that is there; safe beside running workers. `min_age_s` spares younger blobs."""
    report = CleanupReport()
    for spec in specs:
        if should_stop():
            break
        try:
            layout = layout_of(spec, specs)
        except StoreError as error:
            _log.info("space cleanup skips mountpath uuid=%s error=%r", spec.uuid, error)
            continue
        try:
            with closing(Committer(layout, _NO_HOOKS)) as committer:
                _Cleaner(layout, committer, report, should_stop).clean(min_age_s)
        except (OSError, sqlite3.Error) as error:
            raise translate(error, layout.directory) from error
    return report


def _ignore_commit(garbage: Sequence[Garbage], is_durable: bool) -> None:
    """Only forgetting is committed here, which makes no garbage."""


_NO_HOOKS = CommitHooks(_ignore_commit, lambda: None, lambda: None, redo)


class _Cleaner:
    """One run over one mountpath."""

    def __init__(
        self,
        layout: Layout,
        committer: Committer,
        report: CleanupReport,
        should_stop: Callable[[], bool],
    ) -> None:
        self._layout = layout
        self._committer = committer
        self._report = report
        self._should_stop = should_stop

    def clean(self, min_age_s: float) -> None:
        with closing(open_reader_sync(self._layout)) as reader:
            self._work_off_garbage(reader, min(min_age_s, _GARBAGE_AGE_S))
            if self._should_stop():
                return
            self._sweep_blobs(reader, min_age_s)
            self._sweep_small_rows(reader)
            before_ns = time.time_ns() - _COMPLETIONS_AGE_NS
            self._committer.commit_sync(forget_completions(before_ns))
            checkpoint_sync(reader)

    # --- garbage rows ---

    def _work_off_garbage(self, reader: sqlite3.Connection, min_age_s: float) -> None:
        last_id = 0
        before_ns = time.time_ns() - int(min_age_s * 10**9)
        while not self._should_stop():
            rows = reader.execute(
                "SELECT id, refs FROM idx.garbage WHERE id > ? AND id < ? ORDER BY id LIMIT ?",
                (last_id, before_ns, _CHUNK),
            ).fetchall()
            if not rows:
                return
            last_id = rows[-1][0]
            sync_index_log(self._layout)
            garbage = [(garbage_id, decode_refs(refs)) for garbage_id, refs in rows]
            done = [item for item in garbage if remove_blobs_sync(self._layout, item[1])]
            crashpoints.reach("cleanup:garbage-unlinked")
            if done:
                self._committer.commit_sync(forget_garbage(done))
            self._report.garbage_rows += len(done)
            self._report.busy += len(garbage) - len(done)

    # --- blobs ---

    def _sweep_blobs(self, reader: sqlite3.Connection, min_age_s: float) -> None:
        """Blobs are listed first, then the dead told from the living, then the index read: a blob of the list whose
        maker is dead by then is named in that index, or never will be."""
        swept = {name for (name,) in reader.execute("SELECT name FROM idx.swept")}
        made: dict[str, list[Path]] = {}
        known: set[str] = set()
        for directory in self._layout.blob_directories():
            for name in os.listdir(directory):
                known.add(worker_of(name))
                if worker_of(name) not in swept:
                    made.setdefault(worker_of(name), []).append(directory / name)
        alive = live_workers_sync(self._layout)
        dead = {worker: paths for worker, paths in made.items() if worker not in alive}
        young = time.time() - min_age_s
        sizes = {path: stat for paths in dead.values() for path in paths if (stat := _stat(path))}
        old = {path: stat.st_size for path, stat in sizes.items() if stat.st_mtime <= young}
        unnamed = {path.name: path for path in old}
        if unnamed:
            for blob_id in named_blobs(reader):
                unnamed.pop(blob_id, None)
        for path in unnamed.values():
            path.unlink(missing_ok=True)
            self._report.blobs += 1
            self._report.blob_bytes += old[path]
        crashpoints.reach("cleanup:blobs-removed")
        done = [worker for worker, paths in dead.items() if all(path in old for path in paths)]
        if not self._layout.is_whole:
            done = []  # they may have left more on a disk that is not there
        self._note_swept(done, swept - known)

    def _note_swept(self, workers: Sequence[str], obsolete: set[str]) -> None:
        obsolete = obsolete - {_SWEPT_ROWS, INDEXED, NAMED}
        if not workers and not obsolete:
            return

        def run(tx: Transaction) -> None:
            tx.connection.executemany(
                "INSERT OR REPLACE INTO idx.swept (name, upto) VALUES (?, 0)",
                [(worker,) for worker in workers],
            )
            tx.connection.executemany(
                "DELETE FROM idx.swept WHERE name = ?", [(worker,) for worker in obsolete]
            )

        self._committer.commit_sync(run)

    # --- small rows ---

    def _sweep_small_rows(self, reader: sqlite3.Connection) -> None:
        row = reader.execute("SELECT upto FROM idx.swept WHERE name = ?", (_SWEPT_ROWS,)).fetchone()
        upto = 0 if row is None else row[0]
        while not self._should_stop():
            rows = reader.execute(
                "SELECT id FROM small WHERE id > ? ORDER BY id LIMIT ?", (upto, _CHUNK)
            ).fetchall()
            if not rows:
                return
            ids = [row[0] for row in rows]
            upto = ids[-1]
            suspects = [small_id for small_id in ids if not _is_row_named(reader, small_id)]
            removed = self._committer.commit_sync(_remove_unnamed(suspects, upto))
            self._report.small_rows += removed


def _remove_unnamed(suspects: Sequence[int], upto: int) -> Operation[int]:
    """Looks again inside the transaction: a row is in small.db a moment before the index names it."""

    def run(tx: Transaction) -> int:
        removed = [
            (small_id,)
            for small_id in suspects
            if not _is_row_named(tx.connection, small_id) and not _is_garbage(tx, small_id)
        ]
        tx.connection.executemany("DELETE FROM small WHERE id = ?", removed)
        tx.connection.execute(
            "INSERT OR REPLACE INTO idx.swept (name, upto) VALUES (?, ?)", (_SWEPT_ROWS, upto)
        )
        return len(removed)

    return run


def _is_row_named(connection: sqlite3.Connection, small_id: int) -> bool:
    row = connection.execute("SELECT record FROM small WHERE id = ?", (small_id,)).fetchone()
    if row is None:
        return True
    try:
        description = decode_description(row[0], f"small row {small_id}")
        return is_named(connection, description, small_id)
    except Corrupt as error:
        _log.error("space cleanup leaves a corrupt row id=%s error=%r", small_id, error)
        return True


def _is_garbage(tx: Transaction, small_id: int) -> bool:
    """A row that a garbage row names is that row's business. Rows become garbage after they were made, so only later
    garbage rows can name it; there are few at any time."""
    rows = tx.connection.execute("SELECT refs FROM idx.garbage WHERE id > ?", (small_id,))
    return any(small_id in decode_refs(refs).small_ids for (refs,) in rows)


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None
