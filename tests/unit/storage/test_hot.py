"""The memory of small objects: never behind the index, whoever wrote, and bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.errors import NoSuchKey, PreconditionFailed
from core.types import BoundedRange, Conditions
from storage.hot import HotObjects
from storage.layout import Layout
from storage.signal import CommitSignal
from tests.unit.storage.box import BUCKET, SMALL, Box, key, opened


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(coroutine)


def hot_of(box: Box) -> HotObjects:
    (mountpath,) = box.node.mountpaths.all
    return mountpath.opened().hot


def layout_of(box: Box) -> Layout:
    directory = box.specs[0].directory
    assert directory is not None
    return Layout(directory)


class TestOneProcess:
    def test_is_kept_until_the_next_commit(self, tmp_path: Path) -> None:
        async def story() -> None:
            async with opened(tmp_path) as box:
                await box.put("a", b"one")
                assert hot_of(box).find(BUCKET.bucket_id, key("a")) is None
                assert await box.read("a") == b"one"
                assert hot_of(box).find(BUCKET.bucket_id, key("a")) is not None
                assert await box.read("a", BoundedRange(1, 1)) == b"n"
                await box.put("b", b"other")
                assert hot_of(box).find(BUCKET.bucket_id, key("a")) is None
                await box.put("a", b"two")
                assert await box.read("a") == b"two"

        run(story())

    def test_conditions_hold_for_what_is_kept(self, tmp_path: Path) -> None:
        async def story() -> None:
            async with opened(tmp_path) as box:
                info = await box.put("a", b"one")
                await box.read("a")
                with pytest.raises(PreconditionFailed):
                    await box.node.get(BUCKET, key("a"), conditions=Conditions(if_match=("x",)))
                reader = await box.node.get(
                    BUCKET, key("a"), conditions=Conditions(if_match=(info.etag,))
                )
                assert reader.data == b"one"

        run(story())

    def test_is_of_its_bucket(self, tmp_path: Path) -> None:
        async def story() -> None:
            async with opened(tmp_path) as box:
                await box.put("a", b"one")
                await box.read("a")
                with pytest.raises(NoSuchKey):
                    await box.node.get(replace(BUCKET, bucket_id=99), key("a"))

        run(story())

    def test_is_bounded(self, tmp_path: Path) -> None:
        async def story() -> None:
            async with opened(tmp_path, replace(SMALL, hot_bytes=8000)) as box:
                names = [f"k{number}" for number in range(20)]
                for name in names:
                    await box.put(name, name.encode() * 100)
                for name in [*names, *reversed(names)]:
                    assert await box.read(name) == name.encode() * 100
                kept = [n for n in names if hot_of(box).find(BUCKET.bucket_id, key(n))]
                assert 0 < len(kept) <= 4

        run(story())

    def test_none_is_kept_without_room(self, tmp_path: Path) -> None:
        async def story() -> None:
            async with opened(tmp_path, replace(SMALL, hot_bytes=0)) as box:
                await box.put("a", b"one")
                assert await box.read("a") == b"one"
                assert hot_of(box).find(BUCKET.bucket_id, key("a")) is None

        run(story())


class TestOtherProcesses:
    def test_what_another_wrote_is_seen_at_once(self, tmp_path: Path) -> None:
        async def story() -> None:
            async with opened(tmp_path) as box, opened(tmp_path) as other:
                for number in range(20):
                    await other.put("a", b"%d" % number)
                    assert await box.read("a") == b"%d" % number
                    assert await box.read("a") == b"%d" % number
                await other.node.delete(BUCKET, key("a"))
                with pytest.raises(NoSuchKey):
                    await box.read("a")

        run(story())

    def test_while_a_commit_is_made_the_index_is_asked(self, tmp_path: Path) -> None:
        async def story() -> None:
            async with opened(tmp_path) as box:
                await box.put("a", b"one")
                await box.read("a")
                signal = CommitSignal(layout_of(box))
                signal.begin()
                assert hot_of(box).find(BUCKET.bucket_id, key("a")) is None
                assert await box.read("a") == b"one"
                assert hot_of(box).find(BUCKET.bucket_id, key("a")) is None
                signal.end()
                assert await box.read("a") == b"one"
                assert hot_of(box).find(BUCKET.bucket_id, key("a")) is not None
                signal.close()

        run(story())

    def test_one_that_died_in_a_commit_is_got_over(self, tmp_path: Path) -> None:
        async def story() -> None:
            async with opened(tmp_path) as box:
                await box.put("a", b"one")
                dead = CommitSignal(layout_of(box))
                dead.begin()
                dead.close()
                assert await box.read("a") == b"one"
                await box.put("a", b"two")
                assert await box.read("a") == b"two"
                assert hot_of(box).find(BUCKET.bucket_id, key("a")) is not None

        run(story())

    def test_what_was_read_before_a_commit_is_not_kept(self, tmp_path: Path) -> None:
        async def story() -> None:
            async with opened(tmp_path) as box:
                await box.put("a", b"one")
                await box.read("a")
                hot = hot_of(box)
                found, before = hot.find(BUCKET.bucket_id, key("a")), hot.now
                assert found is not None
                await box.put("a", b"two")
                hot.keep(BUCKET.bucket_id, key("a"), found, before)
                assert await box.read("a") == b"two"

        run(story())
