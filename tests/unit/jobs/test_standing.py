"""Jobs that request workers do themselves: what they add up to, idleness, stops, and the death of a worker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from cluster.control import EmbeddedControlStore
from cluster.jobs import JobRecords
from cluster.standing_jobs import StandingRecords
from core.errors import OutOfSpace
from core.jobs import JobRecord, JobState
from jobs.standing import SharedJobs
from tests.contract.world import FakeClock

_S = 10**9


class Bench:
    """Two request workers over one store."""

    def __init__(self, records: JobRecords, standing: StandingRecords) -> None:
        self.records = records
        self.standing = standing
        self.clock = FakeClock()
        self.workers = [SharedJobs(standing, self.clock, f"w{n}", sleep=self._rest) for n in (0, 1)]

    async def _rest(self, _: float) -> None:
        await asyncio.Event().wait()  # tests say themselves when to share

    def record(self, job_id: str) -> JobRecord:
        return self.records.get_sync(job_id)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with (
        closing(EmbeddedControlStore(tmp_path)) as control,
        closing(JobRecords(control.database)) as records,
        closing(StandingRecords(control.database)) as standing,
    ):
        yield Bench(records, standing)


def test_workers_add_to_one_job_a_bucket(bench: Bench) -> None:
    async def run() -> None:
        one, two = bench.workers
        first, second = await one.begin("get-batch", "b"), await two.begin("get-batch", "b")
        other = await one.begin("get-batch", "c")
        assert first.job_id == second.job_id != other.job_id
        assert first.job_id.startswith("gbt-")
        first.count(objects=2, size_bytes=10, missing=1)
        second.count(objects=3, size_bytes=5)
        await one.share()
        await two.share()
        record = bench.record(first.job_id)
        assert record.progress.counters == {"objects": 5, "bytes": 15, "missing": 1}
        assert (record.state, record.idle_ns, record.arguments) == ("running", 0, {"bucket": "b"})
        for work in (first, second, other):
            work.end()
            work.end()
        await one.close()
        assert not bench.record(first.job_id).idle_ns
        await two.close()
        assert bench.record(first.job_id).idle_ns

    asyncio.run(run())


def test_a_stopped_job_is_learnt_of_and_the_next_request_begins_another(bench: Bench) -> None:
    async def run() -> None:
        one, _ = bench.workers
        work = await one.begin("get-batch", "b")
        await one.share()
        work.count(objects=3)
        bench.records.stop_sync(work.job_id, 5)
        assert bench.record(work.job_id).state is JobState.STOPPED
        told = [work.is_aborted]
        await one.share()
        told.append(work.is_aborted)
        assert told == [False, True]
        assert bench.record(work.job_id).progress.counters == {"objects": 3}
        work.end()
        later = await one.begin("get-batch", "b")
        assert later.job_id != work.job_id
        later.end()
        await one.close()

    asyncio.run(run())


def test_a_job_is_looked_up_again_only_after_a_change(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = []
    join = bench.standing.join_sync

    def watched(kind: str, arguments: Mapping[str, str], now_ns: int) -> JobRecord:
        looked.append(kind)
        return join(kind, arguments, now_ns)

    monkeypatch.setattr(bench.standing, "join_sync", watched)

    async def run() -> None:
        one, _ = bench.workers
        work = await one.begin("get-batch", "b")
        for _ in range(20):
            work.end()
            work = await one.begin("get-batch", "b")
        work.end()
        # After the job's own making, and the one time that it is written down meanwhile.
        assert 2 <= len(looked) <= 4
        bench.records.stop_sync(work.job_id, 5)
        later = await one.begin("get-batch", "b")
        assert later.job_id != work.job_id
        later.end()
        await one.close()

    asyncio.run(run())


def test_a_job_ends_when_no_request_has_come_for_long(bench: Bench) -> None:
    async def run() -> None:
        one, _ = bench.workers
        work = await one.begin("list", "b")
        work.end()
        await one.close()
        now_ns = bench.clock.now_ns()
        assert not bench.standing.tend_sync(now_ns + 59 * _S)
        ended = bench.standing.tend_sync(now_ns + 61 * _S)
        assert [(each.job_id, each.state) for each in ended] == [(work.job_id, "finished")]
        assert not bench.standing.tend_sync(now_ns + 999 * _S)

    asyncio.run(run())


def test_a_dead_worker_keeps_no_job_at_work(bench: Bench) -> None:
    async def run() -> None:
        one, _ = bench.workers
        work = await one.begin("list", "b")
        await one.share()
        now_ns = bench.clock.now_ns()
        bench.standing.tend_sync(now_ns + 5 * _S)
        assert not bench.record(work.job_id).idle_ns
        bench.standing.tend_sync(now_ns + 20 * _S)
        assert bench.record(work.job_id).idle_ns == now_ns + 20 * _S
        assert not bench.records.recover_sync(now_ns)
        work.end()
        await one.close()

    asyncio.run(run())


def test_what_a_full_disk_refused_is_written_later(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        one, _ = bench.workers
        work = await one.begin("list", "b")
        work.count(objects=4)
        share: Callable[..., bool] = bench.standing.share_sync

        def full(*_: object) -> bool:
            raise OutOfSpace(mountpath="m", retry_after_s=1)

        monkeypatch.setattr(bench.standing, "share_sync", full)
        await one.share()
        monkeypatch.setattr(bench.standing, "share_sync", share)
        work.end()
        await one.close()
        assert bench.record(work.job_id).progress.counters == {"objects": 4}

    asyncio.run(run())
