"""Owns the rows of jobs in the embedded control store: their tables, their form, and how long those that ended stay."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, replace

import msgspec

from cluster.database import Transaction
from core.errors import Corrupt
from core.job_table import describe
from core.jobs import JobRecord, JobState, NoSuchJob

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS jobs (job_id TEXT PRIMARY KEY, number INTEGER NOT NULL UNIQUE, kind TEXT NOT NULL,"
    " state TEXT NOT NULL, record BLOB NOT NULL) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state, number)",
    "CREATE TABLE IF NOT EXISTS job_slots (kind TEXT PRIMARY KEY, slot INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS standing_jobs (kind TEXT NOT NULL, scope TEXT NOT NULL, job_id TEXT NOT NULL,"
    " PRIMARY KEY (kind, scope)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS standing_work (job_id TEXT NOT NULL, owner TEXT NOT NULL, active INTEGER NOT NULL,"
    " seen_ns INTEGER NOT NULL, PRIMARY KEY (job_id, owner)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS job_arguments (job_id TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,"
    " PRIMARY KEY (job_id, name))",
)
Rows = Transaction | sqlite3.Connection
"""Where rows are read."""

PENDING = f"state IN ('{JobState.WAITING}', '{JobState.RUNNING}')"

_VERSION = 1
_KEPT_ENDED = 500
_KEPT_NS = 15 * 60 * 10**9
"""Whoever started a job may ask for it so long after its end, however many have come since."""
_FORGOTTEN_AT_ONCE = 50
_LONG_ARGUMENT = 2048
"""Longer arguments (lists of names) lie apart: only who carries the job out needs them, while records are read and
written all the time. They go when the job ends."""
_SHOWN = 100
_ID_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"
_ID_LENGTH = 10
_NUMBERED = "rebalance"


def insert(
    change: Transaction,
    kind: str,
    arguments: Mapping[str, str],
    now_ns: int,
    *,
    job_id: str = "",
    is_standing: bool = False,
) -> JobRecord:
    """A new job, under an id of its kind. One that stands runs from the beginning."""
    number = change.execute("SELECT coalesce(max(number), 0) + 1 FROM jobs").fetchone()[0]
    job_id = job_id or _new_id(kind, number)
    short = dict(arguments)
    for name, value in arguments.items():
        if len(value) > _LONG_ARGUMENT:
            change.execute("INSERT INTO job_arguments VALUES (?, ?, ?)", (job_id, name, value))
            short[name] = f"{value[:_SHOWN]}..."
    record = JobRecord(
        job_id,
        kind,
        short,
        JobState.RUNNING if is_standing else JobState.WAITING,
        created_ns=now_ns,
        started_ns=now_ns if is_standing else 0,
        is_standing=is_standing,
    )
    change.execute(
        "INSERT INTO jobs (job_id, number, kind, state, record) VALUES (?, ?, ?, ?, ?)",
        (record.job_id, number, record.kind, record.state, _encode(record)),
    )
    return record


def _new_id(kind: str, number: int) -> str:
    found = describe(kind)
    prefix = "" if found is None else found.prefix
    if kind == _NUMBERED:
        return f"{prefix}{number}"
    return prefix + "".join(secrets.choice(_ID_LETTERS) for _ in range(_ID_LENGTH))


def update(change: Transaction, record: JobRecord) -> None:
    """Put a record in place of what it was."""
    if record.state.has_ended:
        change.execute("DELETE FROM job_arguments WHERE job_id = ?", (record.job_id,))
    change.execute(
        "UPDATE jobs SET state = ?, record = ? WHERE job_id = ?",
        (record.state, _encode(record), record.job_id),
    )


def load(change: Rows, job_id: str) -> JobRecord:
    """Raises NoSuchJob."""
    row = change.execute("SELECT record FROM jobs WHERE job_id = ?", (job_id,)).fetchone()
    if row is None:
        raise NoSuchJob(job_id=job_id)
    return decode(row[0], job_id)


def whole(change: Rows, record: JobRecord) -> JobRecord:
    """The record with its long arguments."""
    rows = change.execute(
        "SELECT name, value FROM job_arguments WHERE job_id = ?", (record.job_id,)
    ).fetchall()
    return replace(record, arguments={**record.arguments, **dict(rows)}) if rows else record


def forget_old(change: Transaction, now_ns: int) -> None:
    """Drop some of those that ended long ago, where there are many."""
    count = change.execute(f"SELECT count(*) FROM jobs WHERE NOT {PENDING}").fetchone()[0]
    surplus = min(count - _KEPT_ENDED, _FORGOTTEN_AT_ONCE)
    if surplus <= 0:
        return
    oldest = change.execute(
        f"SELECT record, job_id FROM jobs WHERE NOT {PENDING} ORDER BY number LIMIT ?", (surplus,)
    ).fetchall()
    for packed, job_id in oldest:
        if decode(packed, job_id).ended_ns < now_ns - _KEPT_NS:
            change.execute("DELETE FROM jobs WHERE job_id = ?", (job_id,))


@dataclass(frozen=True, slots=True)
class _StoredRecord:
    """A field that is absent has its default, one that is not known is passed over: so versions can live together."""

    v: int
    record: JobRecord


_DECODER = msgspec.msgpack.Decoder(_StoredRecord)


def _encode(record: JobRecord) -> bytes:
    return msgspec.msgpack.encode(_StoredRecord(_VERSION, record))


def decode(packed: bytes, job_id: str) -> JobRecord:
    """A record as it was kept. Raises Corrupt."""
    try:
        return _DECODER.decode(packed).record
    except msgspec.MsgspecError as error:
        raise Corrupt(what="job record", where=job_id) from error
