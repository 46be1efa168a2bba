"""Owns the waiting for jobs in tests."""

from __future__ import annotations

import time

from aistore.sdk import Client
from aistore.sdk.types import JobSnap

_DEADLINE_S = 60


def ended(client: Client, job_id: str) -> tuple[JobSnap, str]:
    """The snapshot of a job once it is idle or over, and what it failed with."""
    job = client.job(job_id)
    deadline = time.monotonic() + _DEADLINE_S
    while time.monotonic() < deadline:
        details = job.get_details()
        if details.list_snapshots() and details.idle_or_aborted():
            return details.list_snapshots()[0], job.status().err
        time.sleep(0.05)
    raise AssertionError(f"job {job_id} has not ended")


def succeeded(client: Client, job_id: str) -> JobSnap:
    """The same, provided that it did not fail."""
    snapshot, error = ended(client, job_id)
    assert not error, error
    assert not snapshot.aborted
    assert not snapshot.abort_err
    return snapshot
