"""What an eviction gives up: copies of what a backend has, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from core.backends import copies_of
from core.configs.backend import BackendBinding
from core.configs.versioning import Retention, RetentionMode, Versioning
from core.errors import InvalidArgument
from core.job_table import BUCKET as BUCKET_ARGUMENT
from core.job_table import ref_text
from core.jobs import JobProgress, JobRecord
from core.listing import ListQuery
from core.names import BucketName, BucketRef
from core.types import Bucket, BucketProps, ObjectAttributes, ObjectInfo, RemoteFacts
from gateway.service import SingleNodeService
from jobs.eviction import BUCKET_ID, KEEPS_BUCKET, EvictBucketJob, EvictObjectsJob
from jobs.object_group import GroupRequest
from jobs.queue import JobContext
from jobs.selection import Selection
from storage.node import LocalNode
from tests.unit.jobs.remote_place import Control
from tests.unit.storage.box import PLAIN, USER, Box, Clock, key, opened, read_all

THERE = BucketRef(BucketName("there"), "aws")
BOUND = Bucket(THERE, 9, USER, 1, props=BucketProps(backend=BackendBinding(THERE)))
FACTS = RemoteFacts("aws", "etag-there")


class Place:
    def __init__(self, box: Box, bucket: Bucket) -> None:
        self.box = box
        self.bucket = bucket
        self.control = Control(bucket)

    @property
    def node(self) -> LocalNode:
        return self.box.node

    async def keep(
        self,
        name: str,
        *,
        facts: RemoteFacts | None = FACTS,
        attributes: ObjectAttributes = PLAIN,
    ) -> None:
        landing = await self.node.land(copies_of(self.bucket), key(name), 5)
        await landing.pieces[0].write(b"bytes")
        info = ObjectInfo(key(name), 5, "etag-there", 5 * 10**9, attributes, remote=facts)
        await landing.publish(info)

    async def names(self) -> list[str]:
        page = await self.node.list_objects(self.bucket, ListQuery())
        return [info.key for info in page.entries]

    async def evict(self, selection: Selection, cursor: str = "") -> Mapping[str, int]:
        bucket = self.bucket
        request = GroupRequest(bucket.ref, bucket.bucket_id, USER.user_id, selection)
        record = JobRecord("j", "k", request.arguments(), progress=JobProgress(cursor=cursor))
        context = JobContext(record)
        await EvictObjectsJob(self.node, self.control).run(context)
        return context.progress.counters

    async def evict_all(self, *, keeps: bool, deaths: int = 0) -> None:
        arguments = {
            BUCKET_ARGUMENT: ref_text(self.bucket.ref),
            BUCKET_ID: str(self.bucket.bucket_id),
            KEEPS_BUCKET: "yes" if keeps else "no",
        }
        service = SingleNodeService(self.control, self.node, Clock())  # type: ignore[arg-type]
        context = JobContext(JobRecord("j", "k", arguments, deaths=deaths))
        await EvictBucketJob(service).run(context)


@asynccontextmanager
async def place(root: Path, bucket: Bucket = BOUND) -> AsyncIterator[Place]:
    async with opened(root) as box:
        yield Place(box, bucket)


async def test_by_list_prefix_and_template(tmp_path: Path) -> None:
    async with place(tmp_path) as there:
        for number in range(8):
            await there.keep(f"k{number}")
        selection = Selection((key("k0"), key("absent")))
        assert await there.evict(selection) == {"objects": 1, "bytes": 5}
        assert await there.evict(Selection(template="k{1..2}")) == {"objects": 2, "bytes": 10}
        assert await there.evict(Selection(template="k3")) == {"objects": 1, "bytes": 5}
        assert await there.evict(Selection(), cursor="k5") == {"objects": 2, "bytes": 10}
        assert await there.names() == ["k4", "k5"]


async def test_what_is_nowhere_else_stays(tmp_path: Path) -> None:
    async with place(tmp_path) as there:
        await there.keep("copy")
        await there.keep("doubtful", facts=replace(FACTS, in_doubt=True))
        await there.keep("own", facts=None)
        counted = await there.evict(Selection())
        assert counted == {"objects": 2, "bytes": 10, "kept_objects": 1}
        assert await there.names() == ["own"]


async def test_what_is_locked_stays(tmp_path: Path) -> None:
    lock = Retention(RetentionMode.COMPLIANCE, Clock().now_ns() + 3600 * 10**9)
    async with place(tmp_path) as there:
        await there.keep("held", attributes=replace(PLAIN, legal_hold=True))
        await there.keep("locked", attributes=replace(PLAIN, retention=lock))
        await there.keep("free")
        counted = await there.evict(Selection())
        assert counted == {"objects": 1, "bytes": 5, "kept_objects": 2}
        assert await there.names() == ["held", "locked"]


async def test_no_delete_marker_is_left_where_the_bucket_has_versions(tmp_path: Path) -> None:
    props = replace(BOUND.props, versioning=Versioning.ENABLED)
    async with place(tmp_path, replace(BOUND, props=props)) as there:
        await there.keep("k")
        await there.evict(Selection())
        assert await there.node.is_empty(there.bucket)


async def test_who_reads_an_object_keeps_it(tmp_path: Path) -> None:
    async with place(tmp_path) as there:
        await there.keep("k")
        reader = await there.node.get(there.bucket, key("k"))
        await there.evict(Selection())
        assert await read_all(reader) == b"bytes"


async def test_a_bucket_without_backend_is_refused(tmp_path: Path) -> None:
    alone = replace(BOUND, props=BucketProps())
    async with place(tmp_path, alone) as there:
        await there.keep("k")
        with pytest.raises(InvalidArgument):
            await there.evict(Selection())
        with pytest.raises(InvalidArgument):
            await there.evict_all(keeps=False)
        assert await there.names() == ["k"]


async def test_a_bucket_that_is_let_go_of_meanwhile_keeps_the_rest(tmp_path: Path) -> None:
    """What were copies are its own objects from then on."""
    async with place(tmp_path) as there:
        await there.keep("k")
        bucket = there.control.bucket

        def let_go(ref: BucketRef) -> Bucket | None:
            found = bucket(ref)
            looks.append(ref)
            return found if len(looks) < 2 or found is None else replace(found, props=BucketProps())

        looks: list[BucketRef] = []
        there.control.bucket = let_go  # type: ignore[method-assign]
        with pytest.raises(InvalidArgument):
            await there.evict(Selection())
        assert await there.names() == ["k"]


async def test_whole_bucket(tmp_path: Path) -> None:
    async with place(tmp_path) as there:
        await there.keep("k")
        await there.evict_all(keeps=True)
        assert await there.names() == []
        assert there.control.all
        await there.keep("k")
        await there.evict_all(keeps=False)
        assert not there.control.all
        await there.evict_all(keeps=False, deaths=1)
