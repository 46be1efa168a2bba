"""The jobs of shard indexes over a store in memory: where they go on, what they pass over, and what upkeep removes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from backends.memory import MemoryStore
from core.errors import InvalidArgument, NoSuchBucket, Unavailable
from core.events import PendingEvent
from core.jobs import JobProgress, JobRecord
from core.listing import ListQuery
from core.names import BucketName, BucketRef
from core.shard_indexes import INDEX_BUCKET, index_key, shard_message
from core.types import Bucket, BucketProps
from jobs.queue import JobContext
from jobs.shard_index import (
    WORKERS,
    IndexShardJob,
    ShardCount,
    ShardSummaryJob,
    index_arguments,
    summary_arguments,
)
from jobs.shard_upkeep import ChangedShards, OrphanedIndexes
from storage.shards.indexes import ShardIndexes
from storage.shards.service import LocalShards
from tests.contract.world import PLAIN, USER, Body, FakeClock
from tests.unit.storage.archives import in_loop, tar
from tests.unit.storage.box import key

REF = BucketRef(BucketName("bucket"))


class Scene:
    """A store with a bucket, shards over it, and what stands for the control store."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = MemoryStore(self.clock)
        self.shards = LocalShards(self.store, indexes=ShardIndexes(self.store, self.store))

    def bucket(self, ref: BucketRef) -> Bucket | None:
        try:
            return self.store.get_bucket(ref)
        except NoSuchBucket:
            return None

    @property
    def here(self) -> Bucket:
        return self.store.get_bucket(REF)

    async def put(self, name: str, data: bytes) -> None:
        await self.store.put(self.here, key(name), Body(data), attributes=PLAIN)

    async def flagged(self) -> list[str]:
        page = await self.store.list_objects(self.here, ListQuery())
        return [info.key for info in page.entries if info.has_shard_index]

    async def indexes(self) -> list[str]:
        home = self.bucket(INDEX_BUCKET)
        if home is None:
            return []
        return [info.key for info in (await self.store.list_objects(home, ListQuery())).entries]


@asynccontextmanager
async def scene() -> AsyncIterator[Scene]:
    made = Scene()
    await made.store.create_bucket(REF, owner=USER, region="", props=BucketProps())
    try:
        yield made
    finally:
        made.shards.close()


def context_of(arguments: dict[str, str], cursor: str = "") -> JobContext:
    return JobContext(JobRecord("j", "k", arguments, progress=JobProgress(cursor=cursor)))


@in_loop
async def test_a_job_goes_on_after_its_cursor() -> None:
    async with scene() as made:
        for number in range(6):
            await made.put(f"{number}.tar", tar({"x": b"x"}))
        await made.put("2x.txt", b"no shard")
        await made.put("bad.tar", b"no archive")
        job = IndexShardJob(made.store, made.shards, made)
        context = context_of(index_arguments(REF), cursor="2.tar")
        await job.run(context)
        assert await made.flagged() == ["3.tar", "4.tar", "5.tar"]
        assert context.progress.counters == {
            "objects": 3,
            "bytes": 3 * len(tar({"x": b"x"})),
            "members": 3,
            "bad_shards": 1,
        }
        assert "bad.tar" in context.progress.message
        assert context.cursor == "bad.tar"
        await job.run(context_of(index_arguments(REF, prefix="0", workers=1)))
        assert await made.flagged() == ["0.tar", "3.tar", "4.tar", "5.tar"]


@in_loop
async def test_jobs_refuse_what_is_not_there() -> None:
    async with scene() as made:
        job = IndexShardJob(made.store, made.shards, made)
        with pytest.raises(NoSuchBucket):
            await job.run(context_of(index_arguments(BucketRef(BucketName("absent")))))
        with pytest.raises(InvalidArgument):
            await job.run(context_of({**index_arguments(REF), WORKERS: "1000"}))
        summary = ShardSummaryJob(made.store, made.shards, made)
        other = replace(made.here, bucket_id=999)
        with pytest.raises(NoSuchBucket):
            await summary.run(context_of(summary_arguments(other, "")))


@in_loop
async def test_a_summary_goes_on_with_its_count() -> None:
    async with scene() as made:
        for number in range(3):
            await made.put(f"{number}.tar", tar({"x": b"x", "y": b"y"}))
        await made.shards.index(made.here, key("1.tar"))
        begun = json.dumps({"after": "0.tar", "tars": 7, "unknown": 1})
        context = context_of(summary_arguments(made.here, ""), begun)
        await ShardSummaryJob(made.store, made.shards, made).run(context)
        count = ShardCount.read(context.cursor)
        assert (count.tars, count.indexed, count.members, count.after) == (9, 1, 2, "2.tar")


def word(name: str, event_id: int) -> PendingEvent:
    return PendingEvent(0, event_id, name.encode(), shard_message(REF, key(name)))


@in_loop
async def test_word_of_changed_shards() -> None:
    async with scene() as made:
        for name in ("kept.tar", "gone.tar", "again.tar"):
            await made.put(name, tar({"x": b"x"}))
            await made.shards.index(made.here, key(name))
        await made.put("new.tar", tar({"x": b"x"}))
        await made.store.delete(made.here, key("gone.tar"))
        await made.put("again.tar", tar({"y": b"y"}))
        events = [
            word(name, number)
            for number, name in enumerate(("kept.tar", "gone.tar", "again.tar", "new.tar") * 2)
        ]
        changed = ChangedShards(made.store, made.shards, made)
        sent = await changed.send(events)
        assert (len(sent.taken), sent.failure) == (8, "")
        assert await made.indexes() == [index_key(REF, key("kept.tar"))]
        native = replace(made.here.props.native, index_shards=True)
        await made.store.update_bucket_props(made.here, lambda props: replace(props, native=native))
        await changed.send(events)
        assert await made.flagged() == ["again.tar", "kept.tar", "new.tar"]


@in_loop
async def test_word_that_cannot_be_seen_to_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    async with scene() as made:

        async def fail(ref: BucketRef, name: str) -> None:
            raise Unavailable(retry_after_s=1)

        monkeypatch.setattr(made.shards, "drop_index", fail)
        sent = await ChangedShards(made.store, made.shards, made).send([word("gone.tar", 1)])
        assert not sent.taken
        assert sent.failure


@in_loop
async def test_orphans_are_removed() -> None:
    async with scene() as made:
        for name in ("kept.tar", "gone.tar", "young.tar"):
            await made.put(name, tar({"x": b"x"}))
        for name in ("kept.tar", "gone.tar"):
            await made.shards.index(made.here, key(name))
        home = made.store.get_bucket(INDEX_BUCKET)
        lost = index_key(BucketRef(BucketName("lost-bucket")), key("s.tar"))
        hashed = index_key(REF, key("s" * 1020))
        for name in (lost, hashed, key("what.ever")):
            await made.store.put(home, name, Body(b""), attributes=PLAIN)
        await made.store.delete(made.here, key("gone.tar"))
        job = OrphanedIndexes(1.0, made.store, made, made.clock)
        assert await job.run(asyncio.Event()) is None
        made.clock.advance(7200)
        young = index_key(REF, key("young.tar"))
        await made.store.put(home, young, Body(b""), attributes=PLAIN)
        assert await job.run(asyncio.Event()) == "removed 2 shard indexes"
        kept = index_key(REF, key("kept.tar"))
        assert sorted(await made.indexes()) == sorted([kept, hashed, young, "what.ever"])
