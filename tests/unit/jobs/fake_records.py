"""Owns a JobStore in memory, for tests of what runs jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from core.jobs import JobIsRunning, JobProgress, JobRecord, JobState, NoSuchJob


class FakeRecords:
    """JobStore as core.jobs says, less the counting of deaths."""

    def __init__(self) -> None:
        self.records: dict[str, JobRecord] = {}
        self.slots: dict[str, int] = {}

    def add_sync(
        self, kind: str, arguments: Mapping[str, str], now_ns: int, *, job_id: str = ""
    ) -> JobRecord:
        record = JobRecord(job_id or f"job{len(self.records)}", kind, arguments, created_ns=now_ns)
        self.records[record.job_id] = record
        return record

    def add_due_sync(self, kind: str, slot: int, now_ns: int) -> JobRecord | None:
        if self.slots.get(kind, -1) >= slot:
            return None
        self.slots[kind] = slot
        return self.add_sync(kind, {}, now_ns)

    def get_sync(self, job_id: str) -> JobRecord:
        if job_id not in self.records:
            raise NoSuchJob(job_id=job_id)
        return self.records[job_id]

    def list_sync(self, *, only_pending: bool = False) -> Sequence[JobRecord]:
        return [r for r in self.records.values() if not (only_pending and r.state.has_ended)]

    def claim_sync(
        self, owner: str, kinds: Sequence[str], now_ns: int, *, job_id: str = ""
    ) -> JobRecord | None:
        for record in self.records.values():
            if (
                record.state is JobState.WAITING
                and record.kind in kinds
                and job_id in ("", record.job_id)
            ):
                return self._put(replace(record, state=JobState.RUNNING, owner=owner))
        return None

    def save_sync(
        self, job_id: str, owner: str, progress: JobProgress, *, idle_ns: int = 0
    ) -> bool:
        record = self._put(replace(self.records[job_id], progress=progress, idle_ns=idle_ns))
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
        record = self.records[job_id]
        if record.is_stop_wanted and state is JobState.WAITING:
            state = JobState.STOPPED
        self._put(replace(record, state=state, progress=progress, error=error, owner=""))

    def stop_sync(self, job_id: str, now_ns: int) -> JobRecord:
        return self._put(replace(self.get_sync(job_id), is_stop_wanted=True))

    def remove_sync(self, job_id: str) -> None:
        if not self.get_sync(job_id).state.has_ended:
            raise JobIsRunning(job_id=job_id)
        del self.records[job_id]

    def recover_sync(self, now_ns: int) -> Sequence[JobRecord]:
        lost = [r for r in self.records.values() if r.state is JobState.RUNNING]
        return [self._put(replace(r, state=JobState.WAITING, owner="")) for r in lost]

    def _put(self, record: JobRecord) -> JobRecord:
        self.records[record.job_id] = record
        return record
