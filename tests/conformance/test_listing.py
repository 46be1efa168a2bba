"""Conformance of Backend: buckets and the pages of their keys."""

from __future__ import annotations

import asyncio

import pytest

from core.backends import Backend
from core.listing import ListPage, ListQuery
from tests.conformance.names import ODD_NAMES
from tests.conformance.subject import Subject, key, put
from tests.contract.world import etag_of


async def pages(backend: Backend, bucket: str, query: ListQuery) -> list[ListPage]:
    """All pages of a listing."""
    found: list[ListPage] = []
    while True:
        page = await backend.list_page(bucket, query)
        assert len(page.entries) + len(page.common_prefixes) <= query.limit
        found.append(page)
        if not page.is_truncated:
            return found
        assert page.next_after.encode() > query.after.encode()
        assert len(found) < 1000
        query = ListQuery(query.prefix, query.delimiter, page.next_after, query.limit)


async def keys(backend: Backend, bucket: str, query: ListQuery | None = None) -> list[str]:
    found = await pages(backend, bucket, query or ListQuery())
    return [entry.key for page in found for entry in page.entries]


async def place_all(subject: Subject, bucket: str, names: list[str]) -> None:
    for first in range(0, len(names), 8):
        placed = (subject.place(bucket, name, name.encode()) for name in names[first : first + 8])
        await asyncio.gather(*placed)


async def test_head_bucket(subject: Subject, bucket: str) -> None:
    assert (await subject.backend.head_bucket(bucket)).name == bucket


async def test_list_buckets(subject: Subject, bucket: str) -> None:
    subject.need("list buckets")
    assert bucket in [each.name for each in await subject.backend.list_buckets()]


async def test_empty_bucket(subject: Subject, bucket: str) -> None:
    subject.need("list")
    page = await subject.backend.list_page(bucket, ListQuery())
    assert (list(page.entries), list(page.common_prefixes)) == ([], [])
    assert not page.is_truncated


async def test_what_an_entry_tells(subject: Subject, bucket: str) -> None:
    subject.need("list")
    await subject.place(bucket, "dir/k", b"data")
    (entry,) = (await subject.backend.list_page(bucket, ListQuery())).entries
    found = await subject.backend.head(bucket, key("dir/k"))
    assert (entry.key, entry.size_bytes, entry.is_cached) == ("dir/k", 4, False)
    assert (entry.etag, entry.modified_ns) == (found.etag, found.modified_ns)
    assert entry.remote is not None
    assert found.remote is not None
    assert entry.remote.etag == found.remote.etag
    assert entry.remote.md5 in (b"", bytes.fromhex(etag_of(b"data")))


async def test_order_is_that_of_utf8(subject: Subject, bucket: str) -> None:
    subject.need("list")
    names = ["B", "a", "a!", "a-", "a.", "a0", "aa", "z", "é", "￿", "\U00010000"]
    names = [name for name in names if f"name {name}" not in subject.cannot]
    await place_all(subject, bucket, names)
    for limit in (1000, 3):
        found = await keys(subject.backend, bucket, ListQuery(limit=limit))
        assert found == sorted(names, key=str.encode)


async def test_odd_names_are_listed(subject: Subject, bucket: str) -> None:
    subject.need("list")
    names = [
        name
        for name in ODD_NAMES
        if (f"name {name}" if len(name) < 100 else "long names") not in subject.cannot
    ]
    await place_all(subject, bucket, names)
    expected = sorted(names, key=str.encode)
    for limit in (1000, 2):
        assert await keys(subject.backend, bucket, ListQuery(limit=limit)) == expected
    for name in names:
        assert name in await keys(subject.backend, bucket, ListQuery(prefix=name))
        after = await keys(subject.backend, bucket, ListQuery(after=name))
        assert after == expected[expected.index(name) + 1 :]


async def test_prefix(subject: Subject, bucket: str) -> None:
    subject.need("list")
    await place_all(subject, bucket, ["a/1", "a/2", "ab", "b/1", "c d/+%"])
    for prefix, expected in (
        ("a", ["a/1", "a/2", "ab"]),
        ("a/", ["a/1", "a/2"]),
        ("c d/+", ["c d/+%"]),
        ("absent", []),
    ):
        assert await keys(subject.backend, bucket, ListQuery(prefix=prefix)) == expected


@pytest.mark.parametrize("limit", [1000, 2, 1])
async def test_delimiter(subject: Subject, bucket: str, limit: int) -> None:
    subject.need("list")
    names = ["a-", "a/1", "a/2", "b-", "b/x/1", "b/x/2", "b/y", "c+ d/1", "e"]
    await place_all(subject, bucket, names)
    for query, entries, prefixes in (
        (ListQuery(delimiter="/", limit=limit), ["a-", "b-", "e"], ["a/", "b/", "c+ d/"]),
        (ListQuery("b/", "/", limit=limit), ["b/y"], ["b/x/"]),
        (ListQuery(delimiter="/", after="a/", limit=limit), ["b-", "e"], ["b/", "c+ d/"]),
    ):
        found = await pages(subject.backend, bucket, query)
        listed = [entry.key for page in found for entry in page.entries]
        groups = [group for page in found for group in page.common_prefixes]
        assert (listed, groups) == (entries, prefixes)


async def test_keys_below_keys(subject: Subject, bucket: str) -> None:
    subject.need("list", "keys below keys")
    await place_all(subject, bucket, ["a", "a/1", "a/1/2"])
    assert await keys(subject.backend, bucket) == ["a", "a/1", "a/1/2"]
    page = await subject.backend.list_page(bucket, ListQuery("a/", "/"))
    assert [entry.key for entry in page.entries] == ["a/1"]
    assert list(page.common_prefixes) == ["a/1/"]


@pytest.mark.parametrize("after", ["", "k05", "k05x", "k", "zzz", "k09"])
async def test_after(subject: Subject, bucket: str, after: str) -> None:
    subject.need("list")
    names = [f"k{number:02}" for number in range(10)]
    await place_all(subject, bucket, names)
    expected = [name for name in names if name > after]
    for limit in (1000, 4):
        assert await keys(subject.backend, bucket, ListQuery(after=after, limit=limit)) == expected


async def test_paging(subject: Subject, bucket: str) -> None:
    subject.need("list")
    names = sorted(f"k{number:03}" for number in range(25))
    await place_all(subject, bucket, names)
    found = await pages(subject.backend, bucket, ListQuery(limit=10))
    assert [entry.key for page in found for entry in page.entries] == names
    assert found[0].next_after == found[0].entries[-1].key


async def test_limits(subject: Subject, bucket: str) -> None:
    subject.need("list")
    await place_all(subject, bucket, ["a", "b", "c"])
    page = await subject.backend.list_page(bucket, ListQuery(limit=0))
    assert not page.entries
    page = await subject.backend.list_page(bucket, ListQuery(limit=10_000))
    assert [entry.key for entry in page.entries] == ["a", "b", "c"]
    page = await subject.backend.list_page(bucket, ListQuery(limit=3))
    assert not page.is_truncated


async def test_changes_show_at_once(subject: Subject, bucket: str) -> None:
    subject.need("list", "write")
    await put(subject.backend, bucket, "a", b"1")
    await put(subject.backend, bucket, "b", b"1")
    assert await keys(subject.backend, bucket) == ["a", "b"]
    await subject.backend.delete(bucket, key("a"))
    assert await keys(subject.backend, bucket) == ["b"]
