"""Owns the records of jobs in the embedded control store (core.jobs.JobStore)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from cluster.database import ControlDatabase, connect
from cluster.job_rows import PENDING, SCHEMA, decode, forget_old, insert, load, update, whole
from cluster.wake import Wake
from core.jobs import JobIsRunning, JobProgress, JobRecord, JobState, NoSuchJob

_MAX_DEATHS = 3


class JobRecords:
    """JobStore in the control store's file. Rows are few and read from the file each time.

    Progress is no change that other processes must learn at once, nor one that copies of the control store need, so it
    is not in its change log."""

    def __init__(self, database: ControlDatabase) -> None:
        self._database = database
        with database.transaction() as change:
            for statement in SCHEMA:
                change.execute(statement)
        with database.translated():
            self._reader = connect(database.path)
        self._wake = Wake(database.directory)

    def close(self) -> None:
        """Let go of the database."""
        self._reader.close()

    def open_bell(self) -> int | None:
        """A descriptor that becomes readable when a job was asked for or stopped, by any process; the caller's to
        empty, and to give to `close_bell`. None where the system has no such thing: then look now and then."""
        return self._wake.open_sync()

    def close_bell(self, fd: int) -> None:
        """Of a process that runs jobs no longer."""
        self._wake.close_sync(fd)

    # --- asking ---

    def add_sync(
        self, kind: str, arguments: Mapping[str, str], now_ns: int, *, job_id: str = ""
    ) -> JobRecord:
        with self._database.transaction() as change:
            record = insert(change, kind, arguments, now_ns, job_id=job_id)
        self._wake.ring()
        return record

    def add_due_sync(self, kind: str, slot: int, now_ns: int) -> JobRecord | None:
        with self._database.translated():
            if self._last_slot(kind) >= slot:
                return None
        with self._database.transaction() as change:
            row = change.execute("SELECT slot FROM job_slots WHERE kind = ?", (kind,)).fetchone()
            if row is not None and row[0] >= slot:
                return None
            change.execute("INSERT OR REPLACE INTO job_slots VALUES (?, ?)", (kind, slot))
            pending = change.execute(
                f"SELECT 1 FROM jobs WHERE kind = ? AND {PENDING}", (kind,)
            ).fetchone()
            if pending:
                return None
            return insert(change, kind, {}, now_ns)

    def _last_slot(self, kind: str) -> int:
        row = self._reader.execute("SELECT slot FROM job_slots WHERE kind = ?", (kind,)).fetchone()
        return -1 if row is None else int(row[0])

    def stop_sync(self, job_id: str, now_ns: int) -> JobRecord:
        with self._database.transaction() as change:
            record = load(change, job_id)
            if record.state is JobState.WAITING or (
                record.is_standing and record.state is JobState.RUNNING
            ):
                record = replace(
                    record, state=JobState.STOPPED, is_stop_wanted=True, ended_ns=now_ns
                )
            elif record.state is JobState.RUNNING:
                record = replace(record, is_stop_wanted=True)
            update(change, record)
        self._wake.ring()
        return record

    def remove_sync(self, job_id: str) -> None:
        with self._database.transaction() as change:
            if not load(change, job_id).state.has_ended:
                raise JobIsRunning(job_id=job_id)
            change.execute("DELETE FROM jobs WHERE job_id = ?", (job_id,))

    # --- looking ---

    def get_sync(self, job_id: str) -> JobRecord:
        with self._database.translated():
            row = self._reader.execute(
                "SELECT record FROM jobs WHERE job_id = ?", (job_id,)
            ).fetchone()
        if row is None:
            raise NoSuchJob(job_id=job_id)
        return decode(row[0], job_id)

    def list_sync(self, *, only_pending: bool = False) -> Sequence[JobRecord]:
        where = f" WHERE {PENDING}" if only_pending else ""
        with self._database.translated():
            rows = self._reader.execute(
                f"SELECT job_id, record FROM jobs{where} ORDER BY number DESC"
            ).fetchall()
        return [decode(packed, job_id) for job_id, packed in rows]

    # --- running ---

    def claim_sync(
        self, owner: str, kinds: Sequence[str], now_ns: int, *, job_id: str = ""
    ) -> JobRecord | None:
        if not kinds:
            return None
        marks = ", ".join("?" * len(kinds))
        query = f"SELECT job_id FROM jobs WHERE state = ? AND kind IN ({marks})"
        values: tuple[str, ...] = (JobState.WAITING, *kinds)
        if job_id:
            query, values = f"{query} AND job_id = ?", (*values, job_id)
        query += " ORDER BY number LIMIT 1"
        with self._database.translated():
            # Asked without the lock first: this is done all the time, and mostly there is none.
            if self._reader.execute(query, values).fetchone() is None:
                return None
        with self._database.transaction() as change:
            row = change.execute(query, values).fetchone()
            if row is None:
                return None
            record = load(change, row[0])
            record = replace(
                record,
                state=JobState.RUNNING,
                owner=owner,
                started_ns=record.started_ns or now_ns,
            )
            update(change, record)
            return whole(change, record)

    def save_sync(
        self, job_id: str, owner: str, progress: JobProgress, *, idle_ns: int = 0
    ) -> bool:
        with self._database.transaction() as change:
            record = load(change, job_id)
            if record.state is not JobState.RUNNING or record.owner != owner:
                return True
            if record.progress != progress or record.idle_ns != idle_ns:
                update(change, replace(record, progress=progress, idle_ns=idle_ns))
        return record.is_stop_wanted

    def end_sync(
        self,
        job_id: str,
        owner: str,
        progress: JobProgress,
        state: JobState,
        now_ns: int,
        error: str = "",
    ) -> None:
        with self._database.transaction() as change:
            record = load(change, job_id)
            if record.state is not JobState.RUNNING or record.owner != owner:
                return
            if state is JobState.WAITING and record.is_stop_wanted:
                state = JobState.STOPPED
            elif state is JobState.WAITING and record.idle_ns:
                # Its work is done: nobody need go on with it.
                state = JobState.FINISHED
            record = replace(
                record,
                state=state,
                progress=progress,
                error=error,
                owner="",
                idle_ns=0,
                ended_ns=now_ns if state.has_ended else 0,
            )
            update(change, record)
            forget_old(change, now_ns)

    def recover_sync(self, now_ns: int) -> Sequence[JobRecord]:
        query = "SELECT record, job_id FROM jobs WHERE state = ? ORDER BY number"
        with self._database.translated():
            rows = self._reader.execute(query, (JobState.RUNNING,)).fetchall()
        if all(decode(*row).is_standing for row in rows):
            return []
        with self._database.transaction() as change:
            packed = change.execute(query, (JobState.RUNNING,)).fetchall()
            found = [decode(*row) for row in packed]
            recovered = [_after_death(each, now_ns) for each in found if not each.is_standing]
            for record in recovered:
                update(change, record)
        return recovered


def _after_death(record: JobRecord, now_ns: int) -> JobRecord:
    cursor = record.progress.cursor
    deaths = record.deaths + 1 if record.died_at == cursor else 1
    record = replace(record, state=JobState.WAITING, owner="", deaths=deaths, died_at=cursor)
    if record.is_stop_wanted:
        return replace(record, state=JobState.STOPPED, idle_ns=0, ended_ns=now_ns)
    if record.idle_ns:
        return replace(record, state=JobState.FINISHED, idle_ns=0, ended_ns=now_ns)
    if deaths >= _MAX_DEATHS:
        error = f"{deaths} workers died of it, one after the other"
        return replace(record, state=JobState.FAILED, ended_ns=now_ns, error=error)
    return record
