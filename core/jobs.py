"""Owns what is kept of a job: background work that was asked for, by a person or a schedule, and has an end.

Records lie in the control store, so that whoever asks, any process that runs jobs, and the next one after its death
meet there. Who runs jobs: of a store the one process that has it for itself, which is the server's job worker, or a
command while no server runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from core.errors import Conflict, NotFound


class NoSuchJob(NotFound):
    """Fields: job_id."""


class JobIsRunning(Conflict):
    """Fields: job_id."""


class JobState(StrEnum):
    """WAITING for a worker (it may have had one before), RUNNING, or ended: done, stopped on demand, or failed."""

    WAITING = "waiting"
    RUNNING = "running"
    FINISHED = "finished"
    STOPPED = "stopped"
    FAILED = "failed"

    @property
    def has_ended(self) -> bool:
        return self in (JobState.FINISHED, JobState.STOPPED, JobState.FAILED)


OBJECTS = "objects"
BYTES = "bytes"
"""The counters that every kind of job has: what it has worked on so far."""


@dataclass(frozen=True, slots=True)
class JobProgress:
    """What a job says of itself while it runs.

    `cursor`: from where another worker may go on, in the job's own words; "" for the beginning. `message`: its
    parameters and stage, for people. `counters`: OBJECTS, BYTES and what else the kind counts. `workers`: how many
    pieces of work it does at a time, 0 where it does one after the other. `total`: how many objects there will be in
    the end, 0 where that is not known. `report`: what it tells beyond that, in the kind's own form and of bounded size.
    """

    counters: Mapping[str, int] = field(default_factory=dict)
    message: str = ""
    cursor: str = ""
    workers: int = 0
    total: int = 0
    report: str = ""


@dataclass(frozen=True, slots=True)
class JobRecord:
    """One job. `arguments` are what it was started with; `owner` is the worker that has it; `deaths` counts the workers
    that died at the same cursor. Times are 0 for what has not happened.

    `idle_ns`: since when a running job has had nothing to do, and waits for more work before it ends; 0 while it works.
    `is_standing`: it is no worker's, but what request workers do of a kind; see StandingStore."""

    job_id: str
    kind: str
    arguments: Mapping[str, str] = field(default_factory=dict)
    state: JobState = JobState.WAITING
    created_ns: int = 0
    started_ns: int = 0
    ended_ns: int = 0
    progress: JobProgress = JobProgress()
    owner: str = ""
    is_stop_wanted: bool = False
    error: str = ""
    deaths: int = 0
    died_at: str = ""
    idle_ns: int = 0
    is_standing: bool = False


class JobStore(Protocol):
    """The records of jobs. Calls block, so async callers run them in a thread; changes are durable on return."""

    def add_sync(
        self, kind: str, arguments: Mapping[str, str], now_ns: int, *, job_id: str = ""
    ) -> JobRecord:
        """Ask for a job. `job_id`: "" for a new one."""

    def add_due_sync(self, kind: str, slot: int, now_ns: int) -> JobRecord | None:
        """Ask for the scheduled job of a slot of time, unless this or a later slot had its turn, or such a job has not
        ended yet (it counts for this slot too)."""

    def get_sync(self, job_id: str) -> JobRecord:
        """Raises NoSuchJob."""

    def list_sync(self, *, only_pending: bool = False) -> Sequence[JobRecord]:
        """Newest first; `only_pending`: those that have not ended."""

    def claim_sync(
        self, owner: str, kinds: Sequence[str], now_ns: int, *, job_id: str = ""
    ) -> JobRecord | None:
        """The oldest waiting job of these kinds, or the one named, now RUNNING and the owner's; None: there is none.
        Only this gives long arguments whole; elsewhere their beginning stands for them."""

    def save_sync(
        self, job_id: str, owner: str, progress: JobProgress, *, idle_ns: int = 0
    ) -> bool:
        """Keep a running job's progress, and since when it is idle; whether it should stop. Also true if the job is no
        longer the owner's."""

    def end_sync(
        self,
        job_id: str,
        owner: str,
        progress: JobProgress,
        state: JobState,
        now_ns: int,
        error: str = "",
    ) -> None:
        """End the owner's job, or with WAITING give it back for another worker to go on. No effect on others' jobs."""

    def stop_sync(self, job_id: str, now_ns: int) -> JobRecord:
        """End a waiting or standing job, and ask any other to stop that runs. Raises NoSuchJob."""

    def remove_sync(self, job_id: str) -> None:
        """Forget a job that has ended. Raises NoSuchJob; JobIsRunning."""

    def recover_sync(self, now_ns: int) -> Sequence[JobRecord]:
        """Take the jobs of dead workers back: all that are RUNNING, as the caller runs none yet and is alone. Each
        waits again, but one that was idle has FINISHED, and one that has seen too many deaths at the same place has
        FAILED. Gives them as they are now."""


class StandingStore(Protocol):
    """The records of standing jobs: of what request workers do of a kind (batches, listings), one job for each bucket,
    which several processes add to. It begins with the first request and ends when none has come for long."""

    def join_sync(self, kind: str, arguments: Mapping[str, str], now_ns: int) -> JobRecord:
        """The standing job of the kind and the arguments, or a new one."""

    def change(self) -> int:
        """A number that is another one after any change that was told of, whoever made it. Costs next to nothing."""

    def share_sync(
        self, job_id: str, owner: str, counters: Mapping[str, int], active: int, now_ns: int
    ) -> bool:
        """Add what a process has counted since it last did, and say how many requests it is at. Whether the job goes
        on; false once it has ended or was stopped."""

    def tend_sync(self, now_ns: int) -> Sequence[JobRecord]:
        """Take the requests of dead processes off the jobs, and end those that have been idle for long; gives these."""


class StandingJob(Protocol):
    """A request's part in a standing job."""

    @property
    def job_id(self) -> str: ...
    @property
    def is_aborted(self) -> bool:
        """Whether the job was stopped, or its end came otherwise: leave off. Costs nothing; true within a second."""

    def count(self, *, objects: int = 0, size_bytes: int = 0, **counters: int) -> None:
        """Add to the job's counters; they are in its record within about a second. Costs next to nothing."""

    def end(self) -> None:
        """The request is done, however it went. Idempotent."""


class StandingJobs(Protocol):
    """What a request worker counts its part of standing jobs with."""

    async def begin(self, kind: str, bucket: str = "") -> StandingJob:
        """Take part, with a request about a bucket (core.job_table.ref_text). Call `end` of what it gives."""
