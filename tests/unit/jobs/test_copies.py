"""Copies between buckets of our own and of a provider: what is sent, what is not, and what goes with the source."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.job_table import BUCKET, TO_BUCKET, ref_text
from core.jobs import JobProgress, JobRecord
from core.types import Bucket, ObjectAttributes
from jobs.buckets import OPTIONS, USER, CopyBucketJob, CopyOptions
from jobs.group_copy import CopyObjectsJob
from jobs.group_delete import DeleteObjectsJob
from jobs.queue import JobContext
from jobs.selection import Selection
from tests.unit.jobs.remote_place import HERE, OTHER, THERE, RemotePlace, named, remote_place
from tests.unit.storage.box import USER as OWNER
from tests.unit.storage.box import Body, key, read_all

OBJECTS = [(f"d/k{number}", b"%d" % number) for number in range(5)]


async def copy(
    place: RemotePlace, source: Bucket, target: Bucket, cursor: str = "", **options: Any
) -> Mapping[str, int]:
    arguments = {
        BUCKET: ref_text(source.ref),
        TO_BUCKET: ref_text(target.ref),
        USER: OWNER.user_id,
        OPTIONS: CopyOptions(**options).text(),
    }
    context = JobContext(JobRecord("j", "copy-bck", arguments, progress=JobProgress(cursor=cursor)))
    await CopyBucketJob(place.service).run(context)
    return context.progress.counters


async def copy_some(
    place: RemotePlace, selection: Selection, target: Bucket = HERE, **options: Any
) -> Mapping[str, int]:
    job = CopyObjectsJob(place.service, place.control, place.node)
    return await place.run(
        job, selection, target=target.ref, target_id=target.bucket_id, options=options
    )


async def read(place: RemotePlace, bucket: Bucket, name: str) -> bytes:
    return await read_all(await place.service.get(bucket, key(name)))


async def test_between_all_kinds_of_buckets(tmp_path: Path) -> None:
    async with remote_place(tmp_path, OBJECTS) as place:
        whole = {"objects": 5, "bytes": 5}
        assert await copy(place, THERE, HERE) == whole
        assert await read(place, HERE, "d/k3") == b"3"
        assert await copy(place, HERE, OTHER, prepend="new/") == whole
        assert place.backend.data("other", "new/d/k4") == b"4"
        assert await copy(place, THERE, OTHER, extensions={"x": "y"}) == whole
        assert place.backend.data("other", "d/k0") == b"0"
        assert place.backend.faults.calls["copy"] == 5  # at the provider


async def test_what_is_there_already_is_not_sent(tmp_path: Path) -> None:
    async with remote_place(tmp_path) as place:
        attributes = ObjectAttributes({"content-type": "a/b"}, {"c": "d"}, owner_id=OWNER.user_id)
        for name, data in OBJECTS:
            await place.service.put(HERE, key(name), Body(data), attributes=attributes)
        assert await copy(place, HERE, THERE) == {"objects": 5, "bytes": 5}
        puts = place.backend.faults.calls["put"]
        assert await copy(place, HERE, THERE) == {"skipped_objects": 5}
        assert place.backend.faults.calls["put"] == puts
        await place.service.put(HERE, key("d/k1"), Body(b"x"), attributes=attributes)
        other = ObjectAttributes({"content-type": "a/b"}, {"c": "e"}, owner_id=OWNER.user_id)
        await place.service.put(HERE, key("d/k2"), Body(b"2"), attributes=other)
        assert await copy(place, HERE, THERE) == {"objects": 2, "bytes": 2, "skipped_objects": 3}
        place.backend.place("there", "d/k3", b"newer")
        counted = await copy(place, HERE, THERE, only_newer=True, latest=True)
        assert counted["skipped_objects"] == 5


async def test_latest_versions_and_what_is_gone(tmp_path: Path) -> None:
    async with remote_place(tmp_path, OBJECTS) as place:
        await copy(place, THERE, HERE)
        for name, _ in OBJECTS:
            await read(place, THERE, name)
        place.backend.place("there", "d/k0", b"changed")
        place.backend.remove("there", "d/k1")
        assert await copy_some(place, named("d/k0", "d/k2")) == {"skipped_objects": 2}
        counted = await copy_some(place, named("d/k1"), prepend="of-what-is-here/")
        assert counted == {"objects": 1, "bytes": 1}
        counted = await copy_some(place, named("d/k0", "d/k1"), latest=True)
        assert counted == {"objects": 1, "bytes": 7}
        assert await read(place, HERE, "d/k0") == b"changed"
        assert await read(place, THERE, "d/k0") == b"0"  # no copy of the source is made for it
        assert "d/k1" in await place.present(HERE)
        counted = await copy_some(place, Selection(template="d/k{0..2}"), synchronizes=True)
        assert counted["removed_objects"] == 1
        assert "d/k1" not in await place.present(HERE)
        assert "d/k1" not in await place.present(THERE)


async def test_buckets_are_kept_alike(tmp_path: Path) -> None:
    async with remote_place(tmp_path, OBJECTS) as place:
        await copy(place, THERE, HERE)
        await read(place, THERE, "d/k2")
        place.backend.remove("there", "d/k2")
        place.backend.place("there", "d/k9", b"9")
        counted = await copy(place, THERE, HERE, removes_extra=True)
        assert (counted["objects"], counted["removed"]) == (1, 1)
        assert await place.present(HERE) == ["d/k0", "d/k1", "d/k3", "d/k4", "d/k9"]
        assert await place.present(THERE) != ["d/k2"]


async def test_a_dry_run_reads_nothing(tmp_path: Path) -> None:
    async with remote_place(tmp_path, OBJECTS) as place:
        assert await copy(place, THERE, OTHER, is_dry_run=True) == {"objects": 5, "bytes": 5}
        assert place.backend.keys("other") == []
        assert place.backend.faults.calls["open"] == place.backend.faults.calls["copy"] == 0


async def test_who_goes_on_begins_at_the_cursor(tmp_path: Path) -> None:
    async with remote_place(tmp_path, OBJECTS) as place:
        assert await copy(place, THERE, OTHER, cursor="cd/k2") == {"objects": 2, "bytes": 2}
        assert place.backend.keys("other") == ["d/k3", "d/k4"]


async def test_deletes_go_through(tmp_path: Path) -> None:
    async with remote_place(tmp_path, OBJECTS) as place:
        await read(place, THERE, "d/k0")
        counted = await place.run(
            DeleteObjectsJob(place.service, place.control), Selection(template="d/k{0..2}")
        )
        assert counted == {"objects": 3, "bytes": 3}
        assert place.backend.keys("there") == ["d/k3", "d/k4"]
        assert await place.present() == []
