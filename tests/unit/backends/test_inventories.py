"""Inventories: taken by their job, read page by page, made anew under their readers, and told from damaged ones."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backends.cache import inventory_pages
from backends.cache.inventory_pages import past
from backends.memory_listing import page_of_objects
from core.configs.backend import BackendBinding
from core.errors import BackendDown, InventoryExists, NoSuchBucket, NoSuchInventory
from core.inventories import inventory_key
from core.inventory_format import Chunk
from core.listing import Detail, ListQuery
from core.types import Bucket, BucketProps
from jobs import inventory
from jobs.queue import JobContext, JobStopped
from tests.unit.backends.cached import BUCKET, REF, cloud
from tests.unit.backends.inventory_world import HOME, World, names_of, world
from tests.unit.storage import box

Story = Callable[[World], Awaitable[None]]
Run = Callable[[Story], None]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def run(story: Story) -> None:
        async def told() -> None:
            async with world(tmp_path) as here:
                await story(here)

        asyncio.run(told())

    return run


NAMES = [f"k{number:03}" for number in range(50)]


def test_an_inventory_answers_without_the_backend(run: Run) -> None:
    async def story(here: World) -> None:
        here.setting.place(*NAMES, data=b"12345")
        context = await here.take(names_per_chunk=7)
        assert context.progress.counters == {"objects": 50, "bytes": 250}
        before = here.setting.backend.faults.calls.total()
        here.setting.backend.faults.fail("*", BackendDown(), times=-1)
        assert await here.keys(limit=10_000) == NAMES
        assert await here.keys(limit=3) == NAMES
        assert await here.keys(limit=7, prefix="k02") == NAMES[20:30]
        assert await here.keys(after="k040x", limit=2) == NAMES[41:]
        assert here.setting.backend.faults.calls.total() == before
        (found,) = await here.inventories.find(BUCKET)
        assert (found.chunks, found.facts.count) == (8, 50)
        assert found.key == "aws/@#/cloud/inv-1"
        assert 0 < found.facts.started_ns <= found.facts.finished_ns

    run(story)


def test_entries_are_as_the_backend_listed_them(run: Run) -> None:
    async def story(here: World) -> None:
        here.setting.place("a", "b", data=b"12345")
        await here.setting.keep("b")
        truth = await here.setting.backend.list_page(REF.name, ListQuery())
        await here.take()
        page = await here.listing.list_objects(BUCKET, ListQuery(inventory=""))
        assert list(page.entries) == [
            truth.entries[0],
            replace(truth.entries[1], is_cached=True),
        ]
        sized = await here.listing.list_objects(BUCKET, ListQuery(inventory="", detail=Detail.SIZE))
        assert [(e.key, e.size_bytes, e.is_cached) for e in sized.entries] == [
            ("a", 5, False),
            ("b", 5, True),
        ]

    run(story)


def test_what_is_here_is_told_as_of_now(run: Run) -> None:
    async def story(here: World) -> None:
        here.setting.place("a", "b")
        await here.take()
        await here.setting.keep("b")
        page = await here.listing.list_objects(BUCKET, ListQuery(inventory=""))
        assert [info.is_cached for info in page.entries] == [False, True]

    run(story)


TREE = st.lists(
    st.text(st.sampled_from("ab/\0\x7fé\ud7ff\ue000\U0001f600\U0010ffff"), min_size=1, max_size=5),
    max_size=30,
    unique=True,
)


PREFIXES = ("", "a", "a/", "/", "é", "\U0010ffff")
DELIMITERS = ("", "/", "a/", "\U0010ffff")


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(names=TREE, limit=st.integers(1, 7), per_chunk=st.integers(2, 6))
def test_any_listing_is_what_the_backend_gave(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], limit: int, per_chunk: int
) -> None:
    async def story() -> None:
        async with world(tmp_path_factory.mktemp("inventory")) as here:
            here.setting.place(*names)
            await here.take(names_per_chunk=per_chunk)
            held = (await here.setting.backend.list_page(REF.name, ListQuery())).entries
            for prefix, delimiter in itertools.product(PREFIXES, DELIMITERS):
                query = ListQuery(prefix, delimiter, limit=limit, inventory="")
                for page in await here.pages(query):
                    expected = page_of_objects(held, query)
                    assert names_of(page) == names_of(expected)
                    assert page.is_truncated == expected.is_truncated
                    assert page.common_prefixes == expected.common_prefixes
                    query = replace(query, after=page.next_after)

    asyncio.run(story())


def test_past_is_behind_all_that_begins_so() -> None:
    assert [past(text) for text in ("", "a", "a\U0010ffff", "\ud7ff", "\U0010ffff")] == [
        *(None, "b", "b", "\ue000", None)
    ]


def test_there_is_one_unless_several_are_wanted(run: Run) -> None:
    async def story(here: World) -> None:
        here.setting.place("a/1", "b/1")
        await here.take(name="first")
        for order in ({"name": "second"}, {"name": "first"}, {}, {"name": "first", "multi": True}):
            with pytest.raises(InventoryExists):
                await here.take(**order)
        assert await here.names() == ["first"]
        await here.take(name="second", prefix="b/", multi=True)
        assert await here.names() == ["first", "second"]
        await here.take(name="third", force=True)
        assert await here.names() == ["third"]

    run(story)


def test_the_inventory_that_fits_answers(run: Run) -> None:
    async def story(here: World) -> None:
        here.setting.place("a/1", "b/1")
        await here.take(name="a", prefix="a/", multi=True)
        assert await here.keys() == ["a/1"]  # the only one
        await here.take(name="b", prefix="b/", multi=True)
        assert await here.keys(prefix="b/") == ["b/1"]
        assert await here.keys(inventory="a") == ["a/1"]
        with pytest.raises(NoSuchInventory):
            await here.keys()
        with pytest.raises(NoSuchInventory):
            await here.keys(inventory="c")

    run(story)


def test_one_that_is_made_anew_leaves_readers_alone(run: Run) -> None:
    async def story(here: World) -> None:
        here.setting.place(*NAMES)
        await here.take(name="inv", names_per_chunk=5)
        first = await here.listing.list_objects(BUCKET, ListQuery(limit=20, inventory="inv"))
        here.setting.place("k019x", "k040x")
        here.setting.backend.remove(REF.name, "k030")
        assert await here.keys(inventory="inv") == NAMES
        await here.take(name="inv", force=True)
        rest = await here.keys(inventory="inv", after=first.next_after)
        assert rest == sorted({*NAMES[20:], "k019x", "k040x"} - {"k030"})

    run(story)


def test_all_are_made_anew_on_demand(run: Run) -> None:
    async def story(here: World) -> None:
        here.setting.place("a/1", "b/1")
        await here.take(renew=True)
        assert await here.names() == ["inv-1"]
        for name in "ab":
            await here.take(name=name, prefix=f"{name}/", multi=True, refresh_s=60)
        here.setting.place("a/2", "b/2")
        context = await here.take(renew=True, prefix="a/")
        assert context.progress.counters["objects"] == 2
        assert await here.keys(inventory="a") == ["a/1", "a/2"]
        assert await here.keys(inventory="b") == ["b/1"]
        context = await here.take(renew=True)
        assert context.progress.counters["objects"] == 2 + 2 + 4
        assert await here.names() == ["a", "b", "inv-1"]
        assert await here.keys(inventory="b") == ["b/1", "b/2"]
        found = await here.inventories.find(BUCKET)
        assert [each.facts.refresh_s for each in found] == [60, 60, 0]

    run(story)


def test_one_that_is_replaced_while_a_page_is_read_is_read_anew(run: Run) -> None:
    async def story(here: World) -> None:
        here.setting.place(*NAMES)
        await here.take(name="inv")
        opened = here.inventories.open

        async def late(bucket: Bucket, name: str, prefix: str) -> Any:
            found = await opened(bucket, name, prefix)
            here.inventories.open = opened  # type: ignore[method-assign]
            here.setting.place("new")
            await here.take(name="inv", force=True)
            return found

        here.inventories.open = late  # type: ignore[method-assign]
        assert await here.keys(limit=1000) == [*NAMES, "new"]

    run(story)


@pytest.mark.parametrize("name", ["inv", "other"])
def test_half_an_inventory_is_never_there(
    run: Run, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(inventory, "_PAGE", 10)

    async def story(here: World) -> None:
        here.setting.place(*NAMES)
        await here.take(name="inv")
        here.setting.place("new")
        context = here.context(name=name, force=True, names_per_chunk=2)

        async def stop_in_the_middle() -> None:
            if context.progress.counters.get("objects", 0) >= 20:
                context.stop()

        here.setting.backend.faults.act("list_page", stop_in_the_middle, times=-1)
        with pytest.raises(JobStopped):
            await here.run(context)
        assert context.progress.counters["objects"] == 30
        assert await here.names() == ["inv"]
        assert await here.keys(inventory="inv") == NAMES

    run(story)


def test_a_backend_that_is_away_for_a_moment_is_waited_for(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no_pause(_: JobContext, __: float) -> None:
        return

    monkeypatch.setattr(JobContext, "pause", no_pause)

    async def story(here: World) -> None:
        here.setting.place(*NAMES)
        here.setting.backend.faults.fail("list_page", BackendDown(), times=2)
        await here.take()
        assert await here.keys() == NAMES
        here.setting.backend.faults.fail("list_page", BackendDown(), times=-1)
        with pytest.raises(BackendDown):
            await here.take(force=True)
        assert await here.keys() == NAMES

    run(story)


def test_a_job_that_died_begins_anew_and_counts_anew(run: Run) -> None:
    async def story(here: World) -> None:
        here.setting.place(*NAMES)
        context = here.context(name="inv")
        context.count(objects=30, size_bytes=120)
        await here.run(context)
        assert context.progress.counters["objects"] == 50
        calls = here.setting.backend.faults.calls["list_page"]
        await here.run(context)  # died after the inventory was there
        assert here.setting.backend.faults.calls["list_page"] == calls

    run(story)


def test_another_binding_has_no_inventory(run: Run) -> None:
    async def story(here: World) -> None:
        here.setting.place("a")
        await here.take()
        other = replace(BUCKET, props=BucketProps(backend=BackendBinding(REF, "elsewhere")))
        again = replace(BUCKET, bucket_id=32)
        for bucket in (other, again):
            assert await here.inventories.find(bucket) == []
            with pytest.raises(NoSuchInventory):
                await here.listing.list_objects(bucket, ListQuery(inventory=""))
        with pytest.raises(NoSuchBucket):
            await here.run(here.context(again))

    run(story)


def test_a_damaged_one_is_not_found(run: Run) -> None:
    async def story(here: World) -> None:
        garbage = random.Random(1).randbytes(2000)
        for number, data in enumerate(
            (b"", b"short", garbage, garbage + b"WEIRINV1" + b"\xff" * 8)
        ):
            key = inventory_key(REF, f"bad-{number}")
            attributes = box.PLAIN
            await here.setting.node.put(HOME, key, box.Body(data), attributes=attributes)
        assert await here.inventories.find(BUCKET) == []

    run(story)


def test_chunks_in_memory_have_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[Chunk] = []
    original = Chunk.__init__

    def counted(chunk: Chunk, raw: bytes) -> None:
        original(chunk, raw)
        decoded.append(chunk)

    monkeypatch.setattr(Chunk, "__init__", counted)

    async def story() -> None:
        async with cloud(tmp_path) as setting:
            here = World(setting, memory_bytes=1)
            setting.place(*NAMES)
            await here.take(names_per_chunk=10)
            assert await here.keys(limit=10) == NAMES
            assert len(decoded) >= 5
            decoded.clear()
            large = World(setting)
            assert await large.keys(limit=10) == NAMES
            assert await large.keys(limit=10) == NAMES
            assert len(decoded) == 5

    asyncio.run(story())


def test_many_readers_read_a_chunk_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[Chunk] = []
    original = Chunk.__init__

    def counted(chunk: Chunk, raw: bytes) -> None:
        original(chunk, raw)
        decoded.append(chunk)

    monkeypatch.setattr(Chunk, "__init__", counted)

    async def story(here: World) -> None:
        here.setting.place(*NAMES)
        await here.take()
        query = ListQuery(inventory="", limit=10)
        pages = await asyncio.gather(*(here.listing.list_objects(BUCKET, query) for _ in range(20)))
        assert {tuple(names_of(page)) for page in pages} == {tuple(NAMES[:10])}
        assert len(decoded) == 1

    run(story)


def test_a_page_that_takes_long_ends_early(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory_pages, "_BUDGET_S", -1.0)

    async def story(here: World) -> None:
        here.setting.place(*(f"{name}/x" for name in NAMES))
        await here.take(names_per_chunk=2)
        query = ListQuery(delimiter="/", inventory="")
        pages = await here.pages(query)
        assert len(pages) > 10
        assert [name for page in pages for name in page.common_prefixes] == [
            f"{name}/" for name in NAMES
        ]

    run(story)
