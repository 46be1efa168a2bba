"""Listings of buckets that live elsewhere: the backend's keys, and what of them is here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from backends.cache.listing import Listing
from backends.memory_backend import MemoryBackend
from core.backends import BackendFeatures
from core.copies import is_current
from core.errors import BackendBroken, BackendBusy
from core.listing import Detail, ListPage, ListQuery, VersionListQuery
from core.names import ObjectKey
from core.types import ObjectAttributes, ObjectInfo, RemoteFacts
from tests.unit.backends.cached import BUCKET, REF, Cloud, cloud

T = TypeVar("T")
Run = Callable[[Callable[[Cloud, Listing], Awaitable[T]]], T]


@pytest.fixture
def run(tmp_path: Path) -> Run[T]:
    def run(story: Callable[[Cloud, Listing], Awaitable[T]]) -> T:
        async def told() -> T:
            async with cloud(tmp_path) as setting:
                return await story(setting, Listing(setting.node, setting.backends))

        return asyncio.run(told())

    return run


def keys_of(page: ListPage) -> list[str]:
    return [info.key for info in page.entries]


def cached_of(page: ListPage) -> list[str]:
    return [info.key for info in page.entries if info.is_cached]


def limit_pages(backend: MemoryBackend, most: int) -> None:
    """Have the provider give at most so many entries at a time."""
    whole = backend.list_page

    async def short(bucket: str, query: ListQuery) -> ListPage:
        return await whole(bucket, replace(query, limit=min(query.limit, most)))

    vars(backend)["list_page"] = short


def test_entries_are_the_backends_and_say_what_is_here(run: Run[None]) -> None:
    async def story(setting: Cloud, listing: Listing) -> None:
        setting.place("a", "b", "dir/c", "dir/d", data=b"12345")
        await setting.keep("b", "dir/c")
        page = await listing.list_objects(BUCKET, ListQuery())
        assert keys_of(page) == ["a", "b", "dir/c", "dir/d"]
        assert cached_of(page) == ["b", "dir/c"]
        assert not page.is_truncated
        truth = await setting.backend.head(REF.name, ObjectKey("a"))
        assert page.entries[0].etag == truth.etag
        assert page.entries[0].size_bytes == 5
        assert page.entries[0].modified_ns == truth.modified_ns
        assert setting.backend.faults.calls["list_page"] == 1

    run(story)


def test_what_only_we_have_is_not_listed(run: Run[None]) -> None:
    async def story(setting: Cloud, listing: Listing) -> None:
        names = [f"k{number:03}" for number in range(60)]
        setting.place(*names)
        await setting.keep(*names)
        for name in names[1:-1]:
            setting.backend.remove(REF.name, name)
        page = await listing.list_objects(BUCKET, ListQuery())
        assert keys_of(page) == cached_of(page) == [names[0], names[-1]]

    run(story)


def test_short_pages_are_joined(run: Run[None]) -> None:
    async def story(setting: Cloud, listing: Listing) -> None:
        names = [f"k{number:03}" for number in range(50)]
        setting.place(*names)
        await setting.keep(*names[::2])
        limit_pages(setting.backend, 7)
        page = await listing.list_objects(BUCKET, ListQuery(limit=30))
        assert keys_of(page) == names[:30]
        assert cached_of(page) == names[:30:2]
        assert (page.is_truncated, page.next_after) == (True, names[29])
        rest = await listing.list_objects(BUCKET, ListQuery(after=page.next_after, limit=10_000))
        assert keys_of(rest) == names[30:]
        assert not rest.is_truncated

    run(story)


@pytest.mark.parametrize("most", [1, 2, 1000])
def test_common_prefixes_and_pages_go_together(run: Run[None], most: int) -> None:
    async def story(setting: Cloud, listing: Listing) -> None:
        names = ["a", "b/1", "b/2", "c", "d/1", "d/e/2", "é", "\U0001f600/x"]
        setting.place(*names)
        await setting.keep("b/2", "c", "é")
        limit_pages(setting.backend, most)
        found: list[str] = []
        after = ""
        while True:
            asked = ListQuery(delimiter="/", after=after, limit=2)
            page = await listing.list_objects(BUCKET, asked)
            found += sorted([*keys_of(page), *page.common_prefixes])
            assert set(cached_of(page)) == {"c", "é"} & set(keys_of(page))
            if not page.is_truncated:
                break
            after = page.next_after
        assert found == ["a", "b/", "c", "d/", "é", "\U0001f600/"]
        inside = await listing.list_objects(BUCKET, ListQuery(prefix="d/", delimiter="/"))
        assert (keys_of(inside), list(inside.common_prefixes)) == (["d/1"], ["d/e/"])

    run(story)


def test_user_metadata_comes_from_copies_that_are_current(run: Run[None]) -> None:
    async def story(setting: Cloud, listing: Listing) -> None:
        setting.place("a", "b", "c")
        await setting.keep("a", "b")
        setting.place("b", data=b"other")
        page = await listing.list_objects(BUCKET, ListQuery(detail=Detail.WHOLE))
        assert cached_of(page) == ["a", "b"]
        assert page.entries[1].size_bytes == 5

    run(story)


def test_writes_and_deletes_at_the_backend_are_on_the_next_page(run: Run[None]) -> None:
    async def story(setting: Cloud, listing: Listing) -> None:
        setting.place("a")
        assert keys_of(await listing.list_objects(BUCKET, ListQuery())) == ["a"]
        setting.place("b")
        setting.backend.remove(REF.name, "a")
        assert keys_of(await listing.list_objects(BUCKET, ListQuery())) == ["b"]

    run(story)


def test_versions_are_what_is_current(run: Run[None]) -> None:
    async def story(setting: Cloud, listing: Listing) -> None:
        setting.place("a", "b", "c/d", "e")
        query = VersionListQuery(delimiter="/", limit=2)
        page = await listing.list_versions(BUCKET, query)
        assert [each.info.key for each in page.versions] == ["a", "b"]
        assert {(each.info.version_id, each.is_latest) for each in page.versions} == {
            ("null", True)
        }
        assert (page.next_key_marker, page.next_version_id_marker) == ("b", "null")
        rest = await listing.list_versions(
            BUCKET, replace(query, key_marker="b", version_id_marker="null")
        )
        assert [each.info.key for each in rest.versions] == ["e"]
        assert list(rest.common_prefixes) == ["c/"]
        assert not rest.is_truncated

    run(story)


def test_a_bucket_is_empty_if_it_is_where_it_lives(run: Run[None]) -> None:
    async def story(setting: Cloud, listing: Listing) -> None:
        setting.place("a")
        await setting.keep("a")
        assert not await listing.is_empty(BUCKET)
        setting.backend.remove(REF.name, "a")
        assert await listing.is_empty(BUCKET)

    run(story)


def test_where_nothing_can_be_listed_copies_are(run: Run[None]) -> None:
    async def story(setting: Cloud, listing: Listing) -> None:
        setting.place("a", "b")
        await setting.keep("b")
        setting.backend.features = BackendFeatures(can_list=False)
        assert keys_of(await listing.list_objects(BUCKET, ListQuery())) == ["b"]
        assert not await listing.is_empty(BUCKET)

    run(story)


def test_a_listing_that_does_not_go_on_or_is_out_of_order_is_refused(run: Run[None]) -> None:
    async def story(setting: Cloud, listing: Listing) -> None:
        setting.place("a", "b")
        good = await setting.backend.list_page(REF.name, ListQuery())
        for bad in (
            replace(good, is_truncated=True, next_after=""),
            replace(good, entries=list(good.entries)[::-1]),
            ListPage((), (), True, ""),
        ):

            async def answer(_bucket: str, _query: ListQuery, bad: ListPage = bad) -> ListPage:
                return bad

            vars(setting.backend)["list_page"] = answer
            with pytest.raises(BackendBroken):
                await listing.list_objects(BUCKET, ListQuery(limit=5))

    run(story)


def test_what_the_backend_refuses_comes_out(run: Run[None]) -> None:
    async def story(setting: Cloud, listing: Listing) -> None:
        setting.backend.faults.fail("list_page", BackendBusy(retry_after_s=1))
        with pytest.raises(BackendBusy):
            await listing.list_objects(BUCKET, ListQuery())

    run(story)


# --- copies ------------------------------------------------------------------------------------------------------


def info_with(remote: RemoteFacts | None, size_bytes: int = 1) -> ObjectInfo:
    return ObjectInfo(ObjectKey("k"), size_bytes, "e", 1, ObjectAttributes(), remote=remote)


MD5, OTHER_MD5 = b"m" * 16, b"n" * 16


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        (RemoteFacts("aws", "1"), RemoteFacts("aws", "1"), True),
        (RemoteFacts("aws", "1", in_doubt=True), RemoteFacts("aws", "1"), True),
        (RemoteFacts("aws", "1"), RemoteFacts("aws", "2"), False),
        (RemoteFacts("aws", "1", "v1"), RemoteFacts("aws", "1", "v2"), False),
        (RemoteFacts("aws", "1", "v1"), RemoteFacts("aws", "1"), True),
        (RemoteFacts("aws", "1"), RemoteFacts("gcp", "1"), False),
        (RemoteFacts("aws", "1", md5=MD5), RemoteFacts("gcp", "2", md5=MD5), True),
        (RemoteFacts("aws", "1", md5=MD5), RemoteFacts("aws", "1", md5=OTHER_MD5), False),
        (RemoteFacts("aws", ""), RemoteFacts("aws", ""), False),
        (None, RemoteFacts("aws", "1"), False),
    ],
)
def test_copies_are_compared_by_what_both_know(
    ours: RemoteFacts | None, theirs: RemoteFacts | None, expected: bool
) -> None:
    assert is_current(info_with(ours), info_with(theirs)) is expected
    assert not is_current(info_with(ours), info_with(theirs, 2))
