"""Owns the records of jobs in the embedded control store (core.jobs.JobStore)."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from cluster.database import ControlDatabase, Transaction, connect
from core.errors import Corrupt
from core.jobs import JobProgress, JobRecord, JobState, NoSuchJob

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS jobs (job_id TEXT PRIMARY KEY, number INTEGER NOT NULL UNIQUE, kind TEXT NOT NULL,"
    " state TEXT NOT NULL, record BLOB NOT NULL) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state, number)",
    "CREATE TABLE IF NOT EXISTS job_slots (kind TEXT PRIMARY KEY, slot INTEGER NOT NULL) WITHOUT ROWID",
)
_PENDING = f"state IN ('{JobState.WAITING}', '{JobState.RUNNING}')"
_VERSION = 1
_KEPT_ENDED = 500
_MAX_DEATHS = 3
_ID_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"
_ID_LENGTH = 10


class JobRecords:
    """JobStore in the control store's file. Rows are few and read from the file each time.

    Progress is no change that other processes must learn at once, nor one that copies of the control store need, so it
    is not in its change log."""

    def __init__(self, database: ControlDatabase) -> None:
        self._database = database
        with database.transaction() as change:
            for statement in _SCHEMA:
                change.execute(statement)
        with database.translated():
            self._reader = connect(database.path)

    def close(self) -> None:
        """Let go of the database."""
        self._reader.close()

    # --- asking ---

    def add_sync(
        self, kind: str, arguments: Mapping[str, str], now_ns: int, *, job_id: str = ""
    ) -> JobRecord:
        record = JobRecord(job_id or _new_id(), kind, dict(arguments), created_ns=now_ns)
        with self._database.transaction() as change:
            _insert(change, record)
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
                f"SELECT 1 FROM jobs WHERE kind = ? AND {_PENDING}", (kind,)
            ).fetchone()
            if pending:
                return None
            record = JobRecord(_new_id(), kind, created_ns=now_ns)
            _insert(change, record)
        return record

    def _last_slot(self, kind: str) -> int:
        row = self._reader.execute("SELECT slot FROM job_slots WHERE kind = ?", (kind,)).fetchone()
        return -1 if row is None else int(row[0])

    def stop_sync(self, job_id: str, now_ns: int) -> JobRecord:
        with self._database.transaction() as change:
            record = _load(change, job_id)
            if record.state is JobState.WAITING:
                record = replace(record, state=JobState.STOPPED, ended_ns=now_ns)
            elif record.state is JobState.RUNNING:
                record = replace(record, is_stop_wanted=True)
            _update(change, record)
        return record

    # --- looking ---

    def get_sync(self, job_id: str) -> JobRecord:
        with self._database.translated():
            row = self._reader.execute(
                "SELECT record FROM jobs WHERE job_id = ?", (job_id,)
            ).fetchone()
        if row is None:
            raise NoSuchJob(job_id=job_id)
        return _decode(row[0], job_id)

    def list_sync(self, *, only_pending: bool = False) -> Sequence[JobRecord]:
        where = f" WHERE {_PENDING}" if only_pending else ""
        with self._database.translated():
            rows = self._reader.execute(
                f"SELECT job_id, record FROM jobs{where} ORDER BY number DESC"
            ).fetchall()
        return [_decode(packed, job_id) for job_id, packed in rows]

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
            record = _load(change, row[0])
            record = replace(
                record,
                state=JobState.RUNNING,
                owner=owner,
                started_ns=record.started_ns or now_ns,
            )
            _update(change, record)
        return record

    def save_sync(self, job_id: str, owner: str, progress: JobProgress) -> bool:
        with self._database.transaction() as change:
            record = _load(change, job_id)
            if record.state is not JobState.RUNNING or record.owner != owner:
                return True
            if record.progress != progress:
                _update(change, replace(record, progress=progress))
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
            record = _load(change, job_id)
            if record.state is not JobState.RUNNING or record.owner != owner:
                return
            if record.is_stop_wanted and state is JobState.WAITING:
                state = JobState.STOPPED
            record = replace(
                record,
                state=state,
                progress=progress,
                error=error,
                owner="",
                ended_ns=now_ns if state.has_ended else 0,
            )
            _update(change, record)
            _forget_old(change)

    def recover_sync(self, now_ns: int) -> Sequence[JobRecord]:
        with self._database.translated():
            rows = self._reader.execute(
                "SELECT 1 FROM jobs WHERE state = ? LIMIT 1", (JobState.RUNNING,)
            ).fetchone()
        if rows is None:
            return []
        with self._database.transaction() as change:
            packed = change.execute(
                "SELECT record, job_id FROM jobs WHERE state = ? ORDER BY number",
                (JobState.RUNNING,),
            ).fetchall()
            recovered = [_after_death(_decode(*row), now_ns) for row in packed]
            for record in recovered:
                _update(change, record)
        return recovered


def _after_death(record: JobRecord, now_ns: int) -> JobRecord:
    cursor = record.progress.cursor
    deaths = record.deaths + 1 if record.died_at == cursor else 1
    record = replace(record, state=JobState.WAITING, owner="", deaths=deaths, died_at=cursor)
    if record.is_stop_wanted:
        return replace(record, state=JobState.STOPPED, ended_ns=now_ns)
    if deaths >= _MAX_DEATHS:
        error = f"{deaths} workers died of it, one after the other"
        return replace(record, state=JobState.FAILED, ended_ns=now_ns, error=error)
    return record


def _new_id() -> str:
    return "".join(secrets.choice(_ID_LETTERS) for _ in range(_ID_LENGTH))


def _insert(change: Transaction, record: JobRecord) -> None:
    change.execute(
        "INSERT INTO jobs (job_id, number, kind, state, record)"
        " SELECT ?, coalesce(max(number), 0) + 1, ?, ?, ? FROM jobs",
        (record.job_id, record.kind, record.state, _encode(record)),
    )


def _update(change: Transaction, record: JobRecord) -> None:
    change.execute(
        "UPDATE jobs SET state = ?, record = ? WHERE job_id = ?",
        (record.state, _encode(record), record.job_id),
    )


def _load(change: Transaction, job_id: str) -> JobRecord:
    row = change.execute("SELECT record FROM jobs WHERE job_id = ?", (job_id,)).fetchone()
    if row is None:
        raise NoSuchJob(job_id=job_id)
    return _decode(row[0], job_id)


def _forget_old(change: Transaction) -> None:
    change.execute(
        f"DELETE FROM jobs WHERE NOT {_PENDING} AND number <="
        f" (SELECT number FROM jobs WHERE NOT {_PENDING} ORDER BY number DESC LIMIT 1 OFFSET ?)",
        (_KEPT_ENDED,),
    )


@dataclass(frozen=True, slots=True)
class _StoredRecord:
    """A field that is absent has its default, one that is not known is passed over: so versions can live together."""

    v: int
    record: JobRecord


_DECODER = msgspec.msgpack.Decoder(_StoredRecord)


def _encode(record: JobRecord) -> bytes:
    return msgspec.msgpack.encode(_StoredRecord(_VERSION, record))


def _decode(packed: bytes, job_id: str) -> JobRecord:
    try:
        return _DECODER.decode(packed).record
    except msgspec.MsgspecError as error:
        raise Corrupt(what="job record", where=job_id) from error
