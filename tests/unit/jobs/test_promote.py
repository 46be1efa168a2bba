"""Promotion of a directory as a job: in order, resumable, and what fails does not keep the rest back."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from backends.memory import MemoryStore
from core.errors import InvalidArgument, NoSuchBucket
from core.jobs import JobProgress, JobRecord
from core.listing import ListQuery
from core.names import BucketName, BucketRef
from core.types import Bucket, BucketProps
from jobs.promote import PROMOTE, PromoteJob, Promotion, PromotionIncomplete
from jobs.queue import JobContext
from tests.contract.world import USER, FakeClock

REF = BucketRef(BucketName("bucket"))


class Control:
    """Knows one bucket, or none."""

    def __init__(self, bucket: Bucket | None) -> None:
        self._bucket = bucket

    def bucket(self, ref: BucketRef) -> Bucket | None:
        return self._bucket if self._bucket is not None and ref == REF else None


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for name in ("a", "b/c", "d"):
        path = tmp_path / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "source"


def promotion(source: Path) -> Promotion:
    return Promotion(REF, str(source), "p/", USER.user_id, is_recursive=True)


def run(
    wanted: Promotion, roots: list[Path], *, cursor: str = "", has_bucket: bool = True
) -> tuple[dict[str, bytes], JobContext]:
    """Carry a promotion out on an empty bucket; what is in it then."""

    async def work() -> tuple[dict[str, bytes], JobContext]:
        store = MemoryStore(FakeClock())
        bucket = await store.create_bucket(REF, owner=USER, region="", props=BucketProps())
        progress = JobProgress(cursor=cursor)
        record = JobRecord("id", PROMOTE, wanted.arguments(), progress=progress)
        context = JobContext(record)
        try:
            await PromoteJob(store, Control(bucket if has_bucket else None), roots).run(context)
        except PromotionIncomplete as error:
            context.say(str(error.reason))
        found = {}
        for info in (await store.list_objects(bucket, ListQuery())).entries:
            found[str(info.key)] = (await store.get(bucket, info.key)).data
        return found, context

    return asyncio.run(work())


def test_directory(source: Path) -> None:
    found, context = run(promotion(source), [source.parent])
    assert found == {"p/a": b"a", "p/b/c": b"b/c", "p/d": b"d"}
    assert context.progress.counters == {"objects": 3, "bytes": 5}
    assert json.loads(context.cursor) == ["d"]


def test_goes_on_at_its_cursor(source: Path) -> None:
    found, _ = run(promotion(source), [source.parent], cursor='["b", "c"]')
    assert found == {"p/d": b"d"}


def test_sources_go_once_their_objects_are_there(source: Path) -> None:
    found, _ = run(replace(promotion(source), deletes_source=True), [source])
    assert len(found) == 3
    assert not [path for path in source.rglob("*") if path.is_file()]


def test_file_as_a_job(source: Path) -> None:
    named = replace(promotion(source / "a"), prefix="name")
    assert run(named, [source])[0] == {"name": b"a"}
    assert run(promotion(source / "a"), [source])[0] == {"p/a": b"a"}


def test_names_that_are_too_long_keep_nothing_back(source: Path) -> None:
    wanted = replace(promotion(source), prefix="p" * 1022)
    found, context = run(wanted, [source])
    assert sorted(found) == ["p" * 1022 + "a", "p" * 1022 + "d"]
    assert context.progress.counters["failed"] == 1


def test_bucket_that_has_gone(source: Path) -> None:
    with pytest.raises(NoSuchBucket):
        run(promotion(source), [source], has_bucket=False)


def test_directory_that_is_not_allowed_any_more(source: Path) -> None:
    with pytest.raises(InvalidArgument):
        run(promotion(source), [])


def test_arguments_round_trip(source: Path) -> None:
    wanted = replace(promotion(source), overwrites=True, deletes_source=True)
    assert Promotion.parse(wanted.arguments()) == wanted
