"""The spool of server access logs, and their delivery: what was gathered arrives, once, where it may."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from backends.memory import MemoryStore
from core.configs.logging import Logging, LogGrant, PartitionDateSource
from core.errors import NoSuchBucket
from core.listing import ListQuery
from core.names import BucketName, BucketRef, UserId
from core.server_logs import Row, Source, object_key
from core.types import (
    Bucket,
    BucketProps,
    CannedAcl,
    Grant,
    Group,
    Permission,
    User,
)
from jobs.log_spool import SpoolWriter, finished_files_sync, read_sync, taken
from jobs.server_logs import ServerLogJob

OWNER = User(UserId("owner"), "owner", "Owner")
SOURCE = Source("source", "owner", "us-east-1")
TARGET = Logging("target", "log/")
EVERYBODY = LogGrant("READ", group=Group.ALL_USERS.value)
NS = 10**9


class Clock:
    def now_ns(self) -> int:
        return NS


@dataclass(frozen=True, slots=True)
class Buckets:
    """The buckets of a MemoryStore, as a control store has them."""

    store: MemoryStore

    def bucket(self, ref: BucketRef) -> Bucket | None:
        try:
            return self.store.get_bucket(ref)
        except NoSuchBucket:
            return None


def row(line: str, target: Logging = TARGET, time_ns: int = NS) -> Row:
    return Row(SOURCE, target, time_ns, line)


def writer(directory: Path, roll_interval_s: float = 3600) -> SpoolWriter:
    return SpoolWriter(directory, flush_interval_s=0.001, roll_interval_s=roll_interval_s)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.001)


async def spooled(directory: Path, *rows: Row) -> None:
    spool = writer(directory)
    for each in rows:
        spool.write(each)
    spool.close()


async def target_store(acl: CannedAcl = CannedAcl.LOG_DELIVERY_WRITE) -> MemoryStore:
    store = MemoryStore(Clock())
    ref = BucketRef(BucketName("target"))
    await store.create_bucket(ref, owner=OWNER, region="us-east-1", props=BucketProps(acl=acl))
    return store


async def delivered(store: MemoryStore, directory: Path) -> dict[str, str]:
    """The log objects after a run of the job."""
    job = ServerLogJob(1, directory, Buckets(store), store)
    await job.run(asyncio.Event())
    bucket = store.get_bucket(BucketRef(BucketName("target")))
    page = await store.list_objects(bucket, ListQuery())
    found = {}
    for info in page.entries:
        reader = await store.get(bucket, info.key)
        assert reader.data is not None
        found[str(info.key)] = reader.data.decode()
    return found


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    async def run() -> None:
        partitioned = Logging("target", 'p"/ü', PartitionDateSource.DELIVERY_TIME, (EVERYBODY,))
        rows = [row("one"), row('two "quoted" ü', partitioned, 5)]
        await spooled(tmp_path, *rows)
        (path,) = finished_files_sync(tmp_path)
        assert read_sync(path)[0] == rows

    asyncio.run(run())


def test_a_file_is_its_writers_until_it_is_rolled(tmp_path: Path) -> None:
    async def run() -> None:
        spool = writer(tmp_path)
        spool.write(row("one"))
        await until(lambda: bool(finished_files_sync(tmp_path)))
        (path,) = finished_files_sync(tmp_path)
        with taken(path) as is_ours:
            assert not is_ours
        spool.close()
        with taken(path) as is_ours:
            assert is_ours

    asyncio.run(run())


def test_a_file_is_given_up_without_further_rows(tmp_path: Path) -> None:
    async def run() -> None:
        spool = writer(tmp_path, roll_interval_s=0.001)
        spool.write(row("one"))
        await until(lambda: bool(finished_files_sync(tmp_path)))
        (path,) = finished_files_sync(tmp_path)

        def is_free() -> bool:
            with taken(path) as is_ours:
                return is_ours

        await until(is_free)
        spool.close()

    asyncio.run(run())


def test_torn_lines_are_left_out(tmp_path: Path) -> None:
    async def run() -> None:
        await spooled(tmp_path, row("one"))
        (path,) = finished_files_sync(tmp_path)
        with path.open("ab") as file:
            file.write(b'{}\n[["source","ow')
        assert read_sync(path)[0] == [row("one")]

    asyncio.run(run())


def test_delivery(tmp_path: Path) -> None:
    async def run() -> None:
        store = await target_store()
        days = Logging("target", "day/", PartitionDateSource.EVENT_TIME)
        await spooled(
            tmp_path,
            row("one"),
            row("two"),
            row("three", days, 0),
            row("four", days, 86_400 * NS),
        )
        found = await delivered(store, tmp_path)
        assert sorted(found.values()) == ["four\n", "one\ntwo\n", "three\n"]
        places = {key.rpartition("/")[0] for key in found}
        assert places == {
            "log",
            "day/owner/us-east-1/source/1970/01/01",
            "day/owner/us-east-1/source/1970/01/02",
        }
        assert list(tmp_path.iterdir()) == []

    asyncio.run(run())


def test_delivery_again_replaces_itself(tmp_path: Path) -> None:
    """As after a crash between the last put and the removal of the file."""

    async def run() -> None:
        store = await target_store()
        await spooled(tmp_path, row("one"))
        (path,) = finished_files_sync(tmp_path)
        kept = path.with_suffix(".kept")
        kept.hardlink_to(path)
        first = await delivered(store, tmp_path)
        kept.rename(path)
        assert await delivered(store, tmp_path) == first

    asyncio.run(run())


def test_log_objects_are_the_owners_with_the_grants(tmp_path: Path) -> None:
    async def run() -> None:
        store = await target_store()
        await spooled(tmp_path, row("one", replace(TARGET, grants=(EVERYBODY,))))
        await delivered(store, tmp_path)
        bucket = store.get_bucket(BucketRef(BucketName("target")))
        (info,) = (await store.list_objects(bucket, ListQuery())).entries
        attributes = (await store.head(bucket, info.key)).attributes
        assert attributes.owner_id == "owner"
        assert attributes.acl == (
            Grant(Permission.FULL_CONTROL, UserId("owner")),
            Grant(Permission.READ, group=Group.ALL_USERS),
        )

    asyncio.run(run())


def test_what_no_bucket_takes_is_dropped(tmp_path: Path) -> None:
    async def run() -> None:
        store = await target_store(CannedAcl.PRIVATE)
        await spooled(tmp_path, row("one"), row("two", Logging("absent", "")))
        assert await delivered(store, tmp_path) == {}
        assert list(tmp_path.iterdir()) == []

    asyncio.run(run())


def test_object_key() -> None:
    simple = object_key(SOURCE, TARGET, "", 86_400 * NS, "seed")
    assert simple.startswith("log/1970-01-02-00-00-00-")
    assert simple == object_key(SOURCE, TARGET, "", 86_400 * NS, "seed")
    assert simple != object_key(SOURCE, TARGET, "", 86_400 * NS, "another")
