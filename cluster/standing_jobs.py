"""Owns the records of standing jobs in the embedded control store (core.jobs.StandingStore)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from cluster.database import ControlDatabase, Transaction, connect
from cluster.job_rows import Rows, forget_old, insert, load, update
from core.job_table import BUCKET
from core.jobs import JobProgress, JobRecord, JobState, NoSuchJob

_NS_PER_S = 10**9
_SEEN_NS = 15 * _NS_PER_S
"""A process that is at work says so about once a second; after this time it must be dead."""
_IDLE_NS = 60 * _NS_PER_S
"""After this time without a request a job ends (AIStore: a minute)."""


class StandingRecords:
    """StandingStore in the control store's file."""

    def __init__(self, database: ControlDatabase) -> None:
        """The tables are there: cluster.jobs makes them."""
        self._database = database
        self._cell = database.generation.cell
        with database.translated():
            self._reader = connect(database.path)

    def close(self) -> None:
        """Let go of the database."""
        self._reader.close()

    def join_sync(self, kind: str, arguments: Mapping[str, str], now_ns: int) -> JobRecord:
        scope = arguments.get(BUCKET, "")
        with self._database.translated():
            # Asked without the lock first: this is done at every request but the first ones.
            present = _find(self._reader, kind, scope)
        if present is not None:
            return present
        with self._database.transaction() as change:
            found = _find(change, kind, scope)
            if found is not None:
                return found
            record = insert(change, kind, arguments, now_ns, is_standing=True)
            change.execute(
                "INSERT OR REPLACE INTO standing_jobs VALUES (?, ?, ?)",
                (kind, scope, record.job_id),
            )
        return record

    def change(self) -> int:
        return self._cell[0]

    def share_sync(
        self, job_id: str, owner: str, counters: Mapping[str, int], active: int, now_ns: int
    ) -> bool:
        with self._database.transaction() as change:
            try:
                record = load(change, job_id)
            except NoSuchJob:
                return False
            if record.state is not JobState.RUNNING:
                # What was done before it was stopped was done.
                update(change, _added(record, counters))
                return False
            change.execute(
                "INSERT OR REPLACE INTO standing_work VALUES (?, ?, ?, ?)",
                (job_id, owner, active, now_ns),
            )
            update(change, _at_work(change, _added(record, counters), now_ns))
        return True

    def tend_sync(self, now_ns: int) -> Sequence[JobRecord]:
        with self._database.translated():
            if self._reader.execute("SELECT 1 FROM standing_jobs").fetchone() is None:
                return []
        ended: list[JobRecord] = []
        with self._database.transaction() as change:
            rows = change.execute("SELECT job_id FROM standing_jobs").fetchall()
            for (job_id,) in rows:
                record = _tended(change, job_id, now_ns)
                if record is not None and record.state is JobState.RUNNING:
                    continue
                change.execute("DELETE FROM standing_jobs WHERE job_id = ?", (job_id,))
                change.execute("DELETE FROM standing_work WHERE job_id = ?", (job_id,))
                if record is not None:
                    ended.append(record)
            forget_old(change, now_ns)
        return ended


def _find(change: Rows, kind: str, scope: str) -> JobRecord | None:
    row = change.execute(
        "SELECT job_id FROM standing_jobs WHERE kind = ? AND scope = ?", (kind, scope)
    ).fetchone()
    if row is None:
        return None
    try:
        record = load(change, row[0])
    except NoSuchJob:
        return None
    return record if record.state is JobState.RUNNING else None


def _added(record: JobRecord, counters: Mapping[str, int]) -> JobRecord:
    if not counters:
        return record
    summed = dict(record.progress.counters)
    for name, more in counters.items():
        summed[name] = summed.get(name, 0) + more
    return replace(record, progress=JobProgress(summed, record.progress.message))


def _at_work(change: Transaction, record: JobRecord, now_ns: int) -> JobRecord:
    """The record, idle since now if no process that lives is at a request, unless it was idle before."""
    active = change.execute(
        "SELECT coalesce(sum(active), 0) FROM standing_work WHERE job_id = ? AND seen_ns > ?",
        (record.job_id, now_ns - _SEEN_NS),
    ).fetchone()[0]
    return replace(record, idle_ns=0 if active else record.idle_ns or now_ns)


def _tended(change: Transaction, job_id: str, now_ns: int) -> JobRecord | None:
    try:
        record = load(change, job_id)
    except NoSuchJob:
        return None
    if record.state is not JobState.RUNNING:
        return record
    tended = _at_work(change, record, now_ns)
    if tended.idle_ns and tended.idle_ns < now_ns - _IDLE_NS:
        tended = replace(tended, state=JobState.FINISHED, idle_ns=0, ended_ns=now_ns)
    if tended != record:
        update(change, tended)
    return tended
