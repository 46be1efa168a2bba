"""Copies that must be compared with their backend: by the bucket's rule, by the caller's, and those in doubt."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.configs.encryption import DefaultEncryption
from core.errors import BackendDown, NoSuchKey, NotModified
from core.types import BoundedRange, Conditions
from tests.unit.backends.cache_box import BUCKET, LATEST, bucket_with, far_bucket, run
from tests.unit.storage.box import key, pattern

OLD, NEW = pattern(5000, 1), pattern(6000, 2)
VALIDATING = bucket_with(versioning__validate_warm_get="true")
SYNCHRONIZING = bucket_with(versioning__validate_warm_get="true", versioning__synchronize="true")
DOWN = BackendDown(provider="aws", bucket="far", reason="made to", retry_after_s=0)


def test_plain_reads_ask_nobody(tmp_path: Path) -> None:
    async def work() -> None:
        async with far_bucket(tmp_path) as far:
            far.place(OLD)
            assert await far.one.read() == OLD
            far.place(NEW)
            far.backend.faults.fail("*", DOWN, times=-1)
            calls = dict(far.backend.faults.calls)
            assert await far.one.read() == await far.other.read() == OLD
            assert (await far.one.head()).size_bytes == len(OLD)
            assert await far.one.read("k", BoundedRange(5, 9)) == OLD[5:10]
            assert far.backend.faults.calls == calls

    run(work())


@pytest.mark.parametrize("how", ["bucket", "call"])
def test_changes_behind_the_back_are_noticed(tmp_path: Path, how: str) -> None:
    bucket = VALIDATING if how == "bucket" else BUCKET
    asked: dict[str, Any] = {} if how == "bucket" else {"conditions": LATEST}

    async def work() -> None:
        async with far_bucket(tmp_path) as far:
            far.place(OLD)
            assert await far.one.read(bucket=bucket, **asked) == OLD
            assert await far.one.read(bucket=bucket, **asked) == OLD
            assert (far.opens, far.heads) == (1, 1)
            there = far.place(NEW)
            assert (await far.one.head(bucket=bucket, **asked)).etag == there.etag
            assert await far.one.read("k", BoundedRange(5, 9), bucket=bucket, **asked) == NEW[5:10]
            assert await far.other.read(bucket=bucket, **asked) == NEW
            kept = await far.one.kept()
            assert kept is not None
            assert kept.etag == there.etag
            opens = far.opens
            assert await far.one.read(bucket=bucket, **asked) == NEW
            assert far.opens == opens

    run(work())


@pytest.mark.parametrize("synchronizes", [True, False])
def test_what_is_gone_there(tmp_path: Path, synchronizes: bool) -> None:
    bucket = SYNCHRONIZING if synchronizes else VALIDATING

    async def work() -> None:
        async with far_bucket(tmp_path) as far:
            far.place(OLD)
            await far.one.read()
            far.backend.remove("far", "k")
            for ask in (far.one.open, far.one.head):
                with pytest.raises(NoSuchKey):
                    await ask(bucket=bucket)
            assert (await far.one.kept() is None) is synchronizes
            if not synchronizes:
                assert await far.one.read() == OLD

    run(work())


def test_a_backend_that_is_down_is_no_answer(tmp_path: Path) -> None:
    async def work() -> None:
        async with far_bucket(tmp_path) as far:
            far.place(OLD)
            await far.one.read()
            far.backend.faults.fail("head", DOWN, times=-1)
            for ask in (far.one.open, far.one.head):
                with pytest.raises(BackendDown):
                    await ask(conditions=LATEST)
                with pytest.raises(BackendDown):
                    await ask(bucket=VALIDATING)
            assert await far.one.read() == OLD

    run(work())


def test_a_copy_in_doubt_counts_when_it_was_compared(tmp_path: Path) -> None:
    async def work() -> None:
        async with far_bucket(tmp_path) as far:
            etag = far.place(OLD).etag
            await far.one.read()
            await far.one.doubt()
            assert await far.one.read() == OLD
            assert (far.opens, far.heads) == (1, 1)
            kept = await far.one.kept()
            assert kept is not None
            assert kept.remote is not None
            assert not kept.remote.in_doubt
            await far.one.doubt()
            far.place(NEW)
            # What the doubtful copy says decides nothing.
            assert await far.one.read(conditions=Conditions(if_none_match=(etag,))) == NEW
            await far.one.doubt()
            far.backend.remove("far", "k")
            with pytest.raises(NoSuchKey):
                await far.one.open()
            assert await far.one.kept() is None

    run(work())


def test_a_doubt_is_not_settled_while_somebody_writes(tmp_path: Path) -> None:
    async def work() -> None:
        async with far_bucket(tmp_path) as far:
            far.place(OLD)
            await far.one.read()
            async with far.other.store.flights.writing(BUCKET, key("k")):
                await far.other.doubt()
                assert await far.one.read() == OLD
                kept = await far.one.kept()
                assert kept is not None
                assert kept.remote is not None
                assert kept.remote.in_doubt

    run(work())


def test_many_who_ask_at_once_share_the_answers(tmp_path: Path) -> None:
    async def work() -> None:
        async with far_bucket(tmp_path) as far:
            far.place(OLD)
            await far.one.read()
            gate = far.backend.faults.hold("head")
            asking = [asyncio.create_task(far.one.read(conditions=LATEST)) for _ in range(20)]
            await gate.reached()
            # Those who come now may know of a change that this HEAD is too old to see.
            there = far.place(NEW)
            late = [asyncio.create_task(far.one.head(conditions=LATEST)) for _ in range(20)]
            await asyncio.sleep(0.01)
            gate.open()
            await asyncio.gather(*asking)
            assert {info.etag for info in await asyncio.gather(*late)} == {there.etag}
            assert far.heads <= 3

    run(work())


def test_conditions_hold_for_copies_too(tmp_path: Path) -> None:
    async def work() -> None:
        async with far_bucket(tmp_path) as far:
            etag = far.place(OLD).etag
            await far.one.read()
            with pytest.raises(NotModified):
                await far.one.open(conditions=Conditions(if_none_match=(etag,)))
            with pytest.raises(NotModified):
                await far.one.open(conditions=Conditions(if_none_match=(etag,), latest=True))
            assert far.heads == 1

    run(work())


def test_nothing_plain_is_kept_where_all_is_to_be_encrypted(tmp_path: Path) -> None:
    sealed = replace(BUCKET, props=replace(BUCKET.props, encryption=DefaultEncryption()))

    async def work() -> None:
        async with far_bucket(tmp_path) as far:
            far.place(OLD)
            for _ in range(2):
                assert await far.one.read(bucket=sealed) == OLD
            assert await far.one.kept() is None
            assert far.opens == 2

    run(work())
