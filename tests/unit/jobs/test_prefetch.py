"""What a prefetch brings here: what is absent or stale, small ones by fetching, large ones by jobs of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from core.blob_jobs import BlobRequest
from core.errors import BackendDown, InvalidArgument, NoSuchKey
from core.jobs import JobProgress, JobState
from core.load import FixedLoad, Reading
from jobs.object_group import GroupRequest
from jobs.prefetch import BlobDownloadFailed, PrefetchJob, PrefetchOptions
from jobs.queue import JobStopped
from jobs.selection import Selection
from tests.unit.jobs.remote_place import HERE, THERE, RemotePlace, named, remote_place
from tests.unit.storage.box import USER, key, read_all

MIB = 1024**2


def job(place: RemotePlace) -> PrefetchJob:
    service = place.service
    return PrefetchJob(service, place.node, place.backends, place.control, place.cached.bring)


async def prefetch(place: RemotePlace, *names: str, **options: Any) -> Mapping[str, int]:
    told = asdict(PrefetchOptions(**options))
    return await place.run(job(place), named(*names), options=told, goes_on=True)


async def test_what_is_absent_is_fetched_once(tmp_path: Path) -> None:
    objects = [(f"k{number}", b"12345") for number in range(40)]
    async with remote_place(tmp_path, objects) as place:
        names = [name for name, _ in objects]
        assert await prefetch(place, *names[:10]) == {"objects": 10, "bytes": 50}
        counted = await prefetch(place, *names)
        assert counted == {"objects": 30, "bytes": 150, "skipped_objects": 10}
        assert await place.present() == sorted(names)
        assert place.backend.faults.calls["open"] == 40
        assert place.backend.faults.calls["head"] == 0


async def test_latest_versions(tmp_path: Path) -> None:
    async with remote_place(tmp_path, [("same", b"1"), ("changed", b"1")]) as place:
        await prefetch(place, "same", "changed")
        place.backend.place("there", "changed", b"22")
        assert await prefetch(place, "same", "changed") == {"skipped_objects": 2}
        opened_before = place.backend.faults.calls["open"]
        counted = await prefetch(place, "same", "changed", latest=True)
        assert counted["skipped_objects"] == 1
        assert place.backend.faults.calls["open"] <= opened_before + 1


async def test_absent_names_fail_and_single_errors_are_counted(tmp_path: Path) -> None:
    async with remote_place(tmp_path, [("a", b"1"), ("b", b"1")]) as place:
        with pytest.raises(NoSuchKey):
            await place.run(job(place), named("absent"))
        place.backend.faults.fail("open", BackendDown(provider="aws"), key="a")
        counted = await prefetch(place, "absent", "a", "b")
        assert counted == {"objects": 1, "bytes": 1, "failed_objects": 2}
        assert not await place.run(job(place), Selection(template="no-{1..3}"))


async def test_a_bucket_of_our_own_has_nothing_to_fetch(tmp_path: Path) -> None:
    async with remote_place(tmp_path) as place:
        with pytest.raises(InvalidArgument):
            await place.run(job(place), Selection(), bucket=HERE)


async def test_large_ones_are_jobs_of_their_own(tmp_path: Path) -> None:
    objects = [("large", bytes(MIB)), ("small", bytes(MIB - 1))]
    async with remote_place(tmp_path, objects) as place:
        running = asyncio.create_task(prefetch(place, "large", "small", blob_threshold=5))
        record = await _child(place)
        request = BlobRequest.of_arguments(record.arguments)
        assert (request.key, request.origin) == ("large", "parent:prefetch[j]")
        progress = JobProgress({"objects": 1, "bytes": MIB})
        place.records.end_sync(record.job_id, "", progress, JobState.FINISHED, 1)
        assert await running == {"objects": 2, "bytes": 2 * MIB - 1}
        assert await place.present() == ["small"]


async def test_a_large_one_that_fails(tmp_path: Path) -> None:
    async with remote_place(tmp_path, [("large", bytes(MIB))]) as place:
        for goes_on in (True, False):
            options = asdict(PrefetchOptions(blob_threshold=MIB))
            running = asyncio.create_task(
                place.run(job(place), named("large"), options=options, goes_on=goes_on)
            )
            record = await _child(place)
            place.records.end_sync(record.job_id, "", JobProgress(), JobState.FAILED, 1, "broken")
            if goes_on:
                assert await running == {"failed_objects": 1}
            else:
                with pytest.raises(BlobDownloadFailed):
                    await running


async def test_who_goes_on_waits_for_the_large_ones_of_before(tmp_path: Path) -> None:
    async with remote_place(tmp_path, [("small", b"1")]) as place:
        blob = BlobRequest(THERE.ref, 9, named("x").names[0], USER.user_id, parent="j")  # type: ignore[index]
        child = place.records.add_sync("blob-download", blob.arguments(), 1, job_id="c")
        running = asyncio.create_task(prefetch(place, "small"))
        while await place.present() != ["small"]:
            await asyncio.sleep(0.01)
        assert not running.done()
        progress = JobProgress({"bytes": 7})
        place.records.end_sync(child.job_id, "", progress, JobState.FINISHED, 1)
        assert await running == {"objects": 2, "bytes": 8}


async def test_a_job_that_is_stopped_leaves_off_at_once(tmp_path: Path) -> None:
    async with remote_place(tmp_path, [("large", bytes(MIB))]) as place:
        request = GroupRequest(
            THERE.ref, 9, USER.user_id, named("large"), options={"blob_threshold": MIB}
        )
        context = place.context(request)
        running = asyncio.create_task(job(place).run(context))
        record = await _child(place)
        context.stop()
        with pytest.raises(JobStopped):
            await running
        assert context.children is not None
        # It goes on later, and so does its child; once it has ended, so does the child.
        await context.children.stop_with()
        assert not place.records.records[record.job_id].is_stop_wanted
        parent = place.records.records["j"]
        place.records.records["j"] = replace(parent, state=JobState.STOPPED)
        await context.children.stop_with()
        assert place.records.records[record.job_id].is_stop_wanted


async def test_workers_are_what_was_asked_for_as_far_as_the_load_allows(tmp_path: Path) -> None:
    async with remote_place(tmp_path, [("k", b"1")]) as place:
        for asked, memory, expected in ((0, 0.1, 16), (3, 0.1, 3), (9, 0.92, 4), (9, 0.99, 1)):
            request = GroupRequest(
                THERE.ref, 9, USER.user_id, named("k"), options={"workers": asked}
            )
            context = place.context(request, load=FixedLoad(Reading(memory=memory)))
            await job(place).run(context)
            assert context.progress.workers == expected


async def _child(place: RemotePlace) -> Any:
    while True:
        for record in place.records.list_sync(only_pending=True):
            if record.kind == "blob-download" and not record.is_stop_wanted:
                return record
        await asyncio.sleep(0.01)


async def test_what_the_backend_has_no_more_goes_where_that_is_wanted(tmp_path: Path) -> None:
    objects = [(f"{where}/k{number}", b"1") for where in ("a", "b") for number in range(3)]
    async with remote_place(tmp_path, objects) as place:
        await prefetch(place, *(name for name, _ in objects))
        for name in ("a/k0", "a/k2", "b/k1"):
            place.backend.remove("there", name)
        counted = await prefetch(place, "a/k0", "a/k1", latest=True)
        assert counted == {"skipped_objects": 1, "failed_objects": 1}
        counted = await prefetch(place, "a/k0", "a/k1", latest=True, synchronizes=True)
        assert counted == {"skipped_objects": 1, "removed_objects": 1}
        options = asdict(PrefetchOptions(latest=True, synchronizes=True))
        counted = await place.run(job(place), Selection(template="a/"), options=options)
        assert counted["removed_objects"] == 1
        assert await place.present() == ["a/k1", "b/k0", "b/k1", "b/k2"]


async def test_readers_and_prefetches_share_one_fetch(tmp_path: Path) -> None:
    async with remote_place(tmp_path, [("k", bytes(300_000))]) as place:
        gate = place.backend.faults.hold_read(100_000)
        running = asyncio.create_task(prefetch(place, "k"))
        await gate.reached()
        reader = await place.service.get(THERE, key("k"))
        gate.open()
        assert await read_all(reader) == bytes(300_000)
        assert await running == {"objects": 1, "bytes": 300_000}
        assert place.backend.faults.calls["open"] == 1
