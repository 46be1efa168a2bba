"""Records of jobs: who gets which, what is kept, and what becomes of the jobs of dead workers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cluster.control import EmbeddedControlStore
from cluster.jobs import JobRecords
from core.jobs import JobProgress, JobState, NoSuchJob

KINDS = ["count", "sort"]


@pytest.fixture
def records(tmp_path: Path) -> Iterator[JobRecords]:
    with (
        closing(EmbeddedControlStore(tmp_path)) as control,
        closing(JobRecords(control.database)) as opened,
    ):
        yield opened


def test_a_job_is_claimed_once_and_in_order(records: JobRecords) -> None:
    first = records.add_sync("count", {"bucket": "b"}, 1)
    second = records.add_sync("sort", {}, 2)
    assert records.claim_sync("w", ["other"], 3) is None
    assert records.claim_sync("w", [], 3) is None
    claimed = records.claim_sync("w", KINDS, 3)
    assert claimed is not None
    assert (claimed.job_id, claimed.state, claimed.owner) == (first.job_id, "running", "w")
    assert claimed.arguments == {"bucket": "b"}
    next_one = records.claim_sync("w", KINDS, 3)
    assert next_one is not None
    assert next_one.job_id == second.job_id
    assert records.claim_sync("w", KINDS, 3) is None
    assert [each.job_id for each in records.list_sync()] == [second.job_id, first.job_id]


def test_claim_by_id(records: JobRecords) -> None:
    records.add_sync("count", {}, 1)
    wanted = records.add_sync("count", {}, 1, job_id="mine")
    claimed = records.claim_sync("w", KINDS, 2, job_id="mine")
    assert claimed is not None
    assert claimed.job_id == wanted.job_id


def test_progress_is_kept_for_its_owner_alone(records: JobRecords) -> None:
    job_id = records.add_sync("count", {}, 1).job_id
    records.claim_sync("w", KINDS, 2)
    progress = JobProgress({"objects": 3}, "halfway", "k")
    assert not records.save_sync(job_id, "w", progress)
    assert records.save_sync(job_id, "late", JobProgress())
    assert records.get_sync(job_id).progress == progress
    records.end_sync(job_id, "late", JobProgress(), JobState.FAILED, 3)
    assert records.get_sync(job_id).state is JobState.RUNNING
    records.end_sync(job_id, "w", progress, JobState.FINISHED, 4)
    ended = records.get_sync(job_id)
    assert (ended.state, ended.started_ns, ended.ended_ns) == (JobState.FINISHED, 2, 4)
    assert ended.state.has_ended


def test_stop(records: JobRecords) -> None:
    job_id = records.add_sync("count", {}, 1).job_id
    waiting = records.add_sync("sort", {}, 1).job_id
    assert records.stop_sync(waiting, 2).state is JobState.STOPPED
    records.claim_sync("w", ["count"], 3)
    assert records.stop_sync(job_id, 4).state is JobState.RUNNING
    assert records.save_sync(job_id, "w", JobProgress())
    records.end_sync(job_id, "w", JobProgress(), JobState.WAITING, 5)
    assert records.get_sync(job_id).state is JobState.STOPPED
    assert records.stop_sync(job_id, 6).ended_ns == 5
    with pytest.raises(NoSuchJob):
        records.stop_sync("nothing", 1)
    with pytest.raises(NoSuchJob):
        records.get_sync("nothing")


def test_a_job_given_back_goes_on(records: JobRecords) -> None:
    job_id = records.add_sync("count", {}, 1).job_id
    records.claim_sync("w", KINDS, 2)
    records.end_sync(job_id, "w", JobProgress(cursor="k"), JobState.WAITING, 3)
    again = records.claim_sync("v", KINDS, 4)
    assert again is not None
    assert (again.progress.cursor, again.started_ns, again.deaths) == ("k", 2, 0)


def test_jobs_of_a_dead_worker_go_on_but_not_forever(records: JobRecords) -> None:
    job_id = records.add_sync("count", {}, 1).job_id
    assert records.recover_sync(1) == []
    for cursor in ("a", "b", "b"):
        records.claim_sync("w", KINDS, 2)
        records.save_sync(job_id, "w", JobProgress(cursor=cursor))
        assert [each.state for each in records.recover_sync(3)] == [JobState.WAITING]
    records.claim_sync("w", KINDS, 4)
    (failed,) = records.recover_sync(5)
    assert failed.state is JobState.FAILED
    assert "workers died" in failed.error


def test_a_stop_outlives_the_worker(records: JobRecords) -> None:
    job_id = records.add_sync("count", {}, 1).job_id
    records.claim_sync("w", KINDS, 2)
    records.stop_sync(job_id, 3)
    records.recover_sync(4)
    assert records.get_sync(job_id).state is JobState.STOPPED


def test_a_slot_has_one_job(records: JobRecords) -> None:
    made = records.add_due_sync("count", 7, 1)
    assert made is not None
    assert records.add_due_sync("count", 7, 2) is None
    assert records.add_due_sync("count", 8, 2) is None, "the one of slot 7 has not ended"
    records.claim_sync("w", KINDS, 3)
    records.end_sync(made.job_id, "w", JobProgress(), JobState.FINISHED, 4)
    assert records.add_due_sync("count", 8, 5) is None, "it had its turn"
    assert records.add_due_sync("count", 9, 5) is not None
    assert records.add_due_sync("sort", 1, 5) is not None


def test_old_records_are_forgotten(records: JobRecords, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cluster.jobs._KEPT_ENDED", 2)
    waiting = records.add_sync("sort", {}, 1).job_id
    ended = []
    for _ in range(4):
        ended.append(records.add_sync("count", {}, 1).job_id)
        records.claim_sync("w", ["count"], 2)
        records.end_sync(ended[-1], "w", JobProgress(), JobState.FINISHED, 3)
    assert [each.job_id for each in records.list_sync()] == [ended[3], ended[2], waiting]
    assert [each.job_id for each in records.list_sync(only_pending=True)] == [waiting]


def test_records_outlive_the_process(tmp_path: Path) -> None:
    with (
        closing(EmbeddedControlStore(tmp_path)) as control,
        closing(JobRecords(control.database)) as records,
    ):
        made = records.add_sync("count", {"bucket": "b"}, 1)
    with (
        closing(EmbeddedControlStore(tmp_path)) as control,
        closing(JobRecords(control.database)) as records,
    ):
        assert records.get_sync(made.job_id) == made
