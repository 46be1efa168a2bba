"""Lifecycle rules of a bucket that lives elsewhere: what expires goes there too, and so do abandoned uploads."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.configs.lifecycle import (
    Expiration,
    Lifecycle,
    LifecycleFilter,
    LifecycleRule,
    Transition,
)
from core.jobs import JobRecord
from core.lifecycle import Terms
from core.listing import ObjectVersion
from core.names import BucketRef
from core.types import Bucket, ObjectInfo
from jobs.lifecycle import LifecycleJob
from jobs.queue import JobContext
from tests.unit.backends.through import THERE, Place, run_in
from tests.unit.storage.box import PLAIN, USER, key

DAY_NS = 24 * 3600 * 10**9
RULES = (
    LifecycleRule(
        "expire", True, LifecycleFilter(prefix="log/"), expiration=Expiration(days=1), abort_days=1
    ),
    LifecycleRule(
        "move", True, LifecycleFilter(prefix="keep"), transitions=(Transition("COLD", days=1),)
    ),
)
BUCKET = replace(THERE, props=replace(THERE.props, lifecycle=Lifecycle(RULES)))


class Later:
    """The control store of one bucket, and the clock of a week later."""

    def now_ns(self) -> int:
        return time.time_ns() + 7 * DAY_NS

    def bucket(self, ref: BucketRef) -> Bucket | None:
        return BUCKET if ref == BUCKET.ref else None

    def buckets(self) -> Sequence[Bucket]:
        return [BUCKET]

    async def change_class(self, bucket: Bucket, seen: ObjectVersion, name: str) -> ObjectInfo:
        raise AssertionError("nothing that lives elsewhere is moved")


def test_expired_objects_and_uploads_go_there_too(tmp_path: Path) -> None:
    async def work(place: Place) -> None:
        await place.put(b"data", "log/cached", attributes=replace(PLAIN, tags={"a": "1"}))
        await place.put(b"data", "keep")
        place.backend.place("there", "log/cold", b"data")
        await place.cached.create_upload(BUCKET, key("log/u"), attributes=PLAIN, initiator=USER)
        later: Any = Later()
        terms = Terms(classes=("STANDARD", "COLD"), minimum_bytes=0)
        store: Any = place.cached
        job = LifecycleJob(store, later, later, later, terms, None, 1e9, lambda: 0.0)
        context = JobContext(JobRecord("j", "lifecycle", {}))
        await job.run(context)
        assert place.backend.keys("there") == ["keep"]
        assert place.backend.uploads("there") == []
        assert await place.copy_of("log/cached") is None
        assert await place.copy_of("keep") is not None
        counters = context.progress.counters
        assert (counters["removed"], counters["aborted"]) == (2, 1)

    run_in(tmp_path, work)
