"""Records of jobs: who gets which, what is kept, and what becomes of the jobs of dead workers."""

from __future__ import annotations

import os
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


def test_old_records_are_forgotten_but_none_that_ended_within_minutes(
    records: JobRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cluster.job_rows._KEPT_ENDED", 2)
    waiting = records.add_sync("sort", {}, 1).job_id
    minute_ns = 60 * 10**9

    def end_one(now_ns: int) -> str:
        job_id = records.add_sync("count", {}, now_ns).job_id
        records.claim_sync("w", ["count"], now_ns)
        records.end_sync(job_id, "w", JobProgress(), JobState.FINISHED, now_ns)
        return job_id

    ended = [end_one(minute_ns + n) for n in range(4)]
    assert [each.job_id for each in records.list_sync()] == [*reversed(ended), waiting]
    ended.append(end_one(20 * minute_ns))
    assert [each.job_id for each in records.list_sync()] == [ended[4], ended[3], waiting]
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


def test_ids_begin_as_their_kind_has_it(records: JobRecords) -> None:
    assert records.add_sync("copy-listrange", {}, 1).job_id.startswith("tco-")
    assert records.add_sync("create-inventory", {}, 1).job_id.startswith("inv-")
    assert records.add_sync("rebalance", {}, 1).job_id == "g3"


def test_an_idle_job_that_lost_its_worker_has_finished(records: JobRecords) -> None:
    job_id = records.add_sync("archive", {}, 1).job_id
    records.claim_sync("w", ["archive"], 2)
    records.save_sync(job_id, "w", JobProgress({"objects": 1}), idle_ns=3)
    assert records.get_sync(job_id).idle_ns == 3
    assert [each.state for each in records.recover_sync(9)] == [JobState.FINISHED]
    assert records.get_sync(job_id).ended_ns == 9


def test_an_idle_job_whose_worker_leaves_has_finished(records: JobRecords) -> None:
    for is_stopped in (False, True):
        job_id = records.add_sync("archive", {}, 1).job_id
        records.claim_sync("w", ["archive"], 2)
        records.save_sync(job_id, "w", JobProgress(), idle_ns=3)
        if is_stopped:
            records.stop_sync(job_id, 4)
        records.end_sync(job_id, "w", JobProgress(), JobState.WAITING, 5)
        expected = JobState.STOPPED if is_stopped else JobState.FINISHED
        assert records.get_sync(job_id).state is expected


def test_whoever_asks_for_or_stops_a_job_rings_the_bell(records: JobRecords) -> None:
    bell = records.open_bell()
    assert bell is not None
    with pytest.raises(BlockingIOError):
        os.read(bell, 10)
    job_id = records.add_sync("count", {}, 1).job_id
    assert os.read(bell, 10) == b"!"
    records.stop_sync(job_id, 2)
    assert os.read(bell, 10) == b"!"
    records.close_bell(bell)
    records.add_sync("count", {}, 1)  # nobody listens: no matter
