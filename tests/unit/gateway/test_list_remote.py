"""Native listings of remote buckets: what is here, what is not, and what differs, page by page."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from backends.cache.listing import Listing
from core.errors import BackendDown, InvalidArgument
from core.protocols import ObjectService
from gateway.native.list_entries import CHANGED, REMOVED, UNVERIFIED, entry_maker
from gateway.native.list_query import ListFlag, NativeListQuery, parse_list_query
from gateway.native.list_remote import remote_page
from tests.unit.backends.cached import BUCKET, REF, Cloud, cloud
from tests.unit.storage import box


class Service:
    """What a listing asks of an ObjectService."""

    def __init__(self, setting: Cloud) -> None:
        self.setting = setting
        self.present = setting.node
        self.list_objects = Listing(setting.node, setting.backends).list_objects

    async def listed(self, *, size: int = 0, **fields: Any) -> list[tuple[str, int]]:
        """All names with their flags, as clients go through pages of a size."""
        query = parse_list_query({**fields, "pagesize": size}).usual(BUCKET)
        names: list[tuple[str, int]] = []
        while True:
            found = await remote_page(cast(ObjectService, self), BUCKET, query)
            make = entry_maker(query.props, "", "t1")
            entries = [make(info) for info in found.page.entries]
            page = [(e["n"], e["f"] | found.flags.get(e["n"], 0)) for e in entries]
            names += sorted([*page, *((prefix, 256) for prefix in found.page.common_prefixes)])
            if not found.page.is_truncated:
                return names
            query = replace(query, after=found.page.next_after)


Story = Callable[[Service], Awaitable[None]]
HERE = 64


@pytest.fixture
def run(tmp_path: Path) -> Callable[[Story], None]:
    def run(story: Story) -> None:
        async def told() -> None:
            async with cloud(tmp_path) as setting:
                await story(Service(setting))

        asyncio.run(told())

    return run


async def three_of_six(service: Service) -> None:
    service.setting.place("a", "b", "c", "d/1", "d/2", "e")
    await service.setting.keep("b", "d/2", "e")


@pytest.mark.parametrize("size", [0, 1, 2, 100])
def test_everything_says_what_is_here(run: Callable[[Story], None], size: int) -> None:
    async def story(service: Service) -> None:
        await three_of_six(service)
        assert await service.listed(size=size) == [
            *(("a", 0), ("b", HERE), ("c", 0), ("d/1", 0), ("d/2", HERE), ("e", HERE))
        ]

    run(story)


def test_what_is_cached_is_listed_without_the_backend(run: Callable[[Story], None]) -> None:
    async def story(service: Service) -> None:
        await three_of_six(service)
        service.setting.backend.faults.fail("*", BackendDown(), times=-1)
        found = await service.listed(flags=ListFlag.CACHED.value)
        assert found == [("b", HERE), ("d/2", HERE), ("e", HERE)]
        assert service.setting.backend.faults.calls.total() == 0

    run(story)


@pytest.mark.parametrize("size", [0, 1, 2])
def test_what_is_not_cached_is_listed(run: Callable[[Story], None], size: int) -> None:
    async def story(service: Service) -> None:
        await three_of_six(service)
        found = await service.listed(size=size, flags=ListFlag.NOT_CACHED.value)
        assert found == [("a", 0), ("c", 0), ("d/1", 0)]

    run(story)


def test_directories_are_left_out_on_demand(run: Callable[[Story], None]) -> None:
    async def story(service: Service) -> None:
        await three_of_six(service)
        flat = ListFlag.NO_RECURSION
        assert ("d/", 256) in await service.listed(flags=flat.value)
        found = await service.listed(flags=(flat | ListFlag.NO_DIRS).value)
        assert [name for name, _ in found] == ["a", "b", "c", "e"]

    run(story)


async def drifted(service: Service) -> None:
    await three_of_six(service)
    await service.setting.keep("a")
    service.setting.place("b", data=b"another")
    service.setting.backend.remove(REF.name, "d/2")
    service.setting.backend.remove(REF.name, "e")


@pytest.mark.parametrize("size", [0, 1, 2, 3])
def test_differences_are_flagged(run: Callable[[Story], None], size: int) -> None:
    async def story(service: Service) -> None:
        await drifted(service)
        expected = [
            ("a", HERE),
            ("b", HERE | CHANGED),
            ("c", 0),
            ("d/1", 0),
            ("d/2", HERE | REMOVED),
            ("e", HERE | REMOVED),
        ]
        assert await service.listed(size=size, flags=ListFlag.DIFF.value) == expected
        both = ListFlag.DIFF | ListFlag.CACHED
        found = await service.listed(size=size, flags=both.value)
        assert found == [each for each in expected if each[1] & HERE]

    run(story)


@pytest.mark.parametrize("size", [1, 7, 100])
def test_many_copies_of_nothing_take_many_pages(run: Callable[[Story], None], size: int) -> None:
    async def story(service: Service) -> None:
        names = [f"k{number:02}" for number in range(40)]
        service.setting.place(*names)
        await service.setting.keep(*names)
        for name in names[3:-3]:
            service.setting.backend.remove(REF.name, name)
        found = await service.listed(size=size, flags=ListFlag.DIFF.value)
        assert [name for name, _ in found] == names
        assert [flags & REMOVED for _, flags in found] == [0] * 3 + [REMOVED] * 34 + [0] * 3

    run(story)


def test_copies_cannot_be_compared_with_a_backend_that_is_away(
    run: Callable[[Story], None],
) -> None:
    async def story(service: Service) -> None:
        await three_of_six(service)
        service.setting.backend.faults.fail("list_page", BackendDown(), times=-1)
        both = ListFlag.DIFF | ListFlag.CACHED
        found = await service.listed(flags=both.value)
        assert found == [(name, HERE | UNVERIFIED) for name in ("b", "d/2", "e")]
        with pytest.raises(BackendDown):
            await service.listed(flags=ListFlag.DIFF.value)

    run(story)


def test_properties_are_the_providers(run: Callable[[Story], None]) -> None:
    async def story(service: Service) -> None:
        await three_of_six(service)
        props = "name,size,checksum,atime,version,location,copies,custom"
        query = parse_list_query({"props": props}).usual(BUCKET)
        found = await remote_page(cast(ObjectService, service), BUCKET, query)
        make = entry_maker(query.props, "", "t1")
        absent, present = [make(info) for info in found.page.entries[:2]]
        assert set(absent) == {"n", "s", "cs", "m", "f"}
        assert set(present) == {"n", "s", "cs", "m", "f", "a", "t", "c"}
        etag = found.page.entries[0].etag
        assert absent["cs"] == etag
        assert absent["m"].startswith(f"[source:aws ETag:{etag} LastModified:")

    run(story)


def test_pages_are_as_long_as_is_usual() -> None:
    query = parse_list_query({})
    assert (query.usual(BUCKET).limit, query.usual(box.BUCKET).limit) == (1000, 10_000)
    asked = parse_list_query({"pagesize": 5000})
    assert asked.usual(BUCKET).limit == 5000
    only_here = parse_list_query({"flags": str(ListFlag.CACHED.value)})
    assert only_here.usual(BUCKET).limit == 10_000


@pytest.mark.parametrize(
    "flags",
    [
        ListFlag.CACHED | ListFlag.NOT_CACHED,
        ListFlag.DIFF | ListFlag.NOT_CACHED,
        ListFlag.DIFF | ListFlag.INVENTORY,
        ListFlag.NOT_CACHED | ListFlag.INVENTORY,
        ListFlag.ARCHIVES | ListFlag.INVENTORY,
    ],
)
def test_what_makes_no_sense_together_is_refused(flags: ListFlag) -> None:
    with pytest.raises(InvalidArgument):
        parse_list_query({"flags": str(flags.value)})


def test_an_inventory_is_named_beside_its_flag() -> None:
    flag = str(ListFlag.INVENTORY.value)
    inventories: list[str | None] = [
        parse_list_query({}, "inv").inventory,
        parse_list_query({"flags": flag}).inventory,
        parse_list_query({"flags": flag}, "inv").inventory,
    ]
    assert inventories == [None, "", "inv"]
    with pytest.raises(InvalidArgument):
        parse_list_query({"flags": flag}, "../x")


def test_the_query_knows_what_is_wanted_of_the_store() -> None:
    cached: NativeListQuery = parse_list_query({"props": "name,size,cached"})
    assert cached.detail.value == "size"
