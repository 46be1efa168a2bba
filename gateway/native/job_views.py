"""Owns how jobs look to native clients: statuses, snapshots, and the names of those that run."""

from __future__ import annotations

import json
from typing import Any

from core.job_table import BUCKET, SEALED, TO_BUCKET, parse_ref
from core.jobs import BYTES, OBJECTS, JobRecord, JobState
from core.names import BucketRef
from gateway.native.props import bucket_json
from gateway.native.times import rfc3339

BUCKETS = "buckets"
"""The argument of a job over several buckets: their names as JSON."""

_STOPPED = "stopped on demand"
_WORKERS_SHIFT, _WORKERS_MASK = 10, 0x3FF
_STATS = {
    "loc-objs": OBJECTS,
    "loc-bytes": BYTES,
    "out-objs": "out_objects",
    "out-bytes": "out_bytes",
    "in-objs": "in_objects",
    "in-bytes": "in_bytes",
}
"""Names on the wire → counters. What else a kind counts is told beside them."""
_NO_BUCKET = {"name": "", "provider": "", "namespace": {"uuid": "", "name": ""}}


def status_json(record: JobRecord) -> dict[str, Any]:
    """A job's status. Times are integers, 0 for what has not happened."""
    return {
        "kind": record.kind,
        "uuid": record.job_id,
        "err": record.error,
        "end_time": record.ended_ns,
        "aborted": _is_aborted(record),
        "is_idle": _is_idle(record),
    }


def snapshot_json(record: JobRecord) -> dict[str, Any]:
    """A job's snapshot. Counters are strings."""
    counters = record.progress.counters
    source, target = _ref(record, BUCKET), _ref(record, TO_BUCKET)
    more = {name: str(n) for name, n in counters.items() if name not in _STATS.values()}
    workers = min(record.progress.workers, _WORKERS_MASK)
    return {
        "ext": more or None,
        "start-time": rfc3339(record.started_ns or record.created_ns),
        "end-time": rfc3339(record.ended_ns),
        "bck": _NO_BUCKET if source is None else bucket_json(source),
        "src-bck": _NO_BUCKET if source is None or target is None else bucket_json(source),
        "dst-bck": _NO_BUCKET if target is None else bucket_json(target),
        "id": record.job_id,
        "kind": record.kind,
        "ctlmsg": record.progress.message or _arguments(record),
        "abort-err": (record.error or _STOPPED) if _is_aborted(record) else "",
        "err": record.error,
        "glob.id": str(workers << _WORKERS_SHIFT),
        "stats": {name: str(counters.get(counter, 0)) for name, counter in _STATS.items()},
        "aborted": _is_aborted(record),
        "is_idle": _is_idle(record),
    }


def running_text(record: JobRecord) -> str:
    """A job that runs, as lists of these name it."""
    return f"{record.kind}[{record.job_id}]"


def touches(record: JobRecord, ref: BucketRef) -> bool:
    """Whether the job reads or writes a bucket."""
    return ref in (_ref(record, BUCKET), _ref(record, TO_BUCKET))


def refs_of(record: JobRecord) -> frozenset[BucketRef]:
    """The buckets that a job names."""
    named = (record.arguments.get(BUCKET), record.arguments.get(TO_BUCKET))
    several = json.loads(record.arguments.get(BUCKETS, "[]"))
    return frozenset(parse_ref(text) for text in (*named, *several) if text)


def _is_aborted(record: JobRecord) -> bool:
    return record.state in (JobState.STOPPED, JobState.FAILED)


def _is_idle(record: JobRecord) -> bool:
    """What has ended counts as idle: clients wait for that."""
    return record.state.has_ended or record.idle_ns > 0


def _ref(record: JobRecord, argument: str) -> BucketRef | None:
    text = record.arguments.get(argument)
    return parse_ref(text) if text else None


def _arguments(record: JobRecord) -> str:
    told = ((name, value) for name, value in record.arguments.items() if name != SEALED)
    return ", ".join(f"{name}: {value[:200]}" for name, value in told)
