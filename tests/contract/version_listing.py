"""The conformance suite of listings where there are versions: every page of them, and what listings of keys leave out.

Source: AWS, ListObjectVersions; Listing objects in a versioning-enabled bucket.
"""

from __future__ import annotations

import pytest

from core.errors import KeyIsDeleted
from core.listing import ListQuery, VersionListQuery
from core.types import (
    NULL_VERSION,
    Bucket,
    ObjectAttributes,
    ObjectInfo,
)
from tests.contract.world import (
    PLAIN,
    START_NS,
    USER,
    Body,
    World,
    as_listed,
    enabled,
    key,
    mark_deleted,
    pattern,
    put,
    put_version,
    suspended,
)

Item = tuple[str, str]
"""A key and the id of a version; or a common prefix and nothing."""

TAGGED = ObjectAttributes(
    headers={"content-type": "text/plain"}, owner_id=USER.user_id, tags={"a": "b"}
)


async def make_history(world: World, bucket: Bucket) -> list[Item]:
    """Keys with versions, null versions and markers of all sorts; gives them in the order of a listing."""
    null, off = bucket, suspended(bucket)
    bucket = enabled(bucket)
    found: dict[str, list[str]] = {}

    async def write(where: Bucket, *names: str) -> None:
        for name in names:
            world.clock.advance(1)
            info = await put_version(world.store, where, name, name.encode())
            _add(name, info.version_id)

    async def mark(where: Bucket, *names: str) -> None:
        for name in names:
            world.clock.advance(1)
            _add(name, await mark_deleted(world.store, where, name))

    def _add(name: str, version_id: str) -> None:
        ids = found.setdefault(name, [])
        if version_id == NULL_VERSION and version_id in ids:
            ids.remove(version_id)
        ids.insert(0, version_id)

    await write(null, "a", "a/1", "b", "d/x/1", "￿")
    await write(bucket, "a", "a", "a/1", "a/2", "b/", "d/x/2", "d/y", "\U00010000")
    await mark(bucket, "b", "d/x/2", "gone", "a/2")
    await write(bucket, "a", "d/x/1", "d/y", "e")
    await write(off, "d/y", "e", "a/1")
    await mark(off, "e", "f")
    await write(bucket, "d/y", "￿", "f")
    await mark(bucket, "d/y", "gone")
    return [
        (name, version_id) for name in sorted(found, key=str.encode) for version_id in found[name]
    ]


def grouped(items: list[Item], prefix: str, delimiter: str) -> list[Item]:
    """What a listing with a prefix and a delimiter shows of these."""
    shown: list[Item] = []
    for name, version_id in items:
        if not name.startswith(prefix):
            continue
        at = name.find(delimiter, len(prefix)) if delimiter else -1
        item = (name, version_id) if at < 0 else (name[: at + len(delimiter)], "")
        if item not in shown:
            shown.append(item)
    return shown


async def list_all(world: World, bucket: Bucket, query: VersionListQuery) -> list[Item]:
    """Page through all that a query finds, and check each page."""
    found: list[Item] = []
    limit = query.limit
    while True:
        page = await world.store.list_versions(bucket, query)
        items = [(each.info.key, each.info.version_id) for each in page.versions]
        count = len(items) + len(page.common_prefixes)
        assert count == limit if page.is_truncated else count <= limit
        groups = [(group, "") for group in page.common_prefixes]
        # Stable: a key's versions keep their order.
        in_order = sorted([*items, *groups], key=lambda item: item[0].encode())
        assert [item for item in in_order if item[1]] == items
        found += in_order
        if not page.is_truncated:
            assert (page.next_key_marker, page.next_version_id_marker) == ("", "")
            return found
        assert page.next_key_marker == in_order[-1][0]
        assert bool(page.next_version_id_marker) is bool(in_order[-1][1])
        query = VersionListQuery(
            query.prefix,
            query.delimiter,
            page.next_key_marker,
            page.next_version_id_marker,
            limit,
        )


class VersionListContract:
    """ListObjectVersions, and listings of keys beside versions."""

    async def test_what_a_version_lists_as(self, world: World) -> None:
        bucket = enabled(await world.new_bucket())
        made: list[ObjectInfo] = []
        for size_bytes in (10, 200_000):
            world.clock.advance(1)
            body = Body(pattern(size_bytes))
            made.append(await world.store.put(bucket, key("k"), body, attributes=TAGGED))
        world.clock.advance(1)
        marker = await mark_deleted(world.store, bucket, "k")
        page = await world.store.list_versions(bucket, VersionListQuery())
        top, *others = page.versions
        assert [version.info for version in others] == made[::-1]
        assert [version.is_latest for version in page.versions] == [True, False, False]
        assert top.info == ObjectInfo(
            key("k"),
            0,
            "",
            START_NS + 3 * 10**9,
            ObjectAttributes(owner_id=USER.user_id),
            version_id=marker,
            is_delete_marker=True,
        )
        assert not page.common_prefixes
        assert not page.is_truncated

    async def test_every_page(self, world: World) -> None:
        bucket = await world.new_bucket()
        items = await make_history(world, bucket)
        for prefix in ("", "a", "a/", "d/", "d/x", "e", "￿", "x"):
            for delimiter in ("", "/", "x/", "a"):
                expected = grouped(items, prefix, delimiter)
                for limit in (1, 2, 3, 5, 1000):
                    query = VersionListQuery(prefix, delimiter, limit=limit)
                    assert await list_all(world, bucket, query) == expected
        await world.restart()
        assert await list_all(world, bucket, VersionListQuery(limit=7)) == items

    async def test_every_marker(self, world: World) -> None:
        bucket = await world.new_bucket()
        items = await make_history(world, bucket)
        for place, (name, version_id) in enumerate(items):
            query = VersionListQuery(key_marker=name, version_id_marker=version_id, limit=4)
            assert await list_all(world, bucket, query) == items[place + 1 :]
            after_key = [item for item in items if item[0].encode() > name.encode()]
            query = VersionListQuery(key_marker=name, limit=4)
            assert await list_all(world, bucket, query) == after_key

    async def test_markers_and_common_prefixes(self, world: World) -> None:
        bucket = await world.new_bucket()
        items = await make_history(world, bucket)
        shown = grouped(items, "", "/")
        for place, (name, version_id) in enumerate(shown):
            query = VersionListQuery("", "/", name, version_id, 2)
            assert await list_all(world, bucket, query) == shown[place + 1 :]
        # A marker within a common prefix: what is left of it still shows.
        inside = ("d/x/1", next(each for name, each in items if name == "d/x/1"))
        for query in (
            VersionListQuery("", "/", *inside),
            VersionListQuery("", "/", "d/x/1"),
            VersionListQuery("", "/", "d/"),
        ):
            found = await list_all(world, bucket, query)
            after = shown[shown.index(("d/", "")) + 1 :]
            assert found == (after if query.key_marker == "d/" else [("d/", ""), *after])

    async def test_markers_of_keys_that_are_not_there(self, world: World) -> None:
        bucket = await world.new_bucket()
        items = await make_history(world, bucket)
        _, version_id = items[0]
        for name in ("0", "a.", "a/11", "c", "gone ", "\U0010ffff"):
            after = [item for item in items if item[0].encode() > name.encode()]
            for query in (
                VersionListQuery(key_marker=name, limit=3),
                VersionListQuery(key_marker=name, version_id_marker=version_id, limit=3),
            ):
                assert await list_all(world, bucket, query) == after

    @pytest.mark.parametrize("limit", [1, 2, 3])
    async def test_paging_while_versions_go(self, world: World, limit: int) -> None:
        """The version that a page ended with stands for its place when it is there no more."""
        plain = await world.new_bucket()
        bucket = enabled(plain)
        await put(world.store, plain, "k", b"null")
        ids = [(await put_version(world.store, bucket, "k", b"x")).version_id for _ in range(3)]
        ids.append(await mark_deleted(world.store, bucket, "k"))
        expected = [*ids[::-1], NULL_VERSION]
        found: list[str] = []
        query = VersionListQuery(limit=limit)
        while True:
            page = await world.store.list_versions(bucket, query)
            for version in page.versions:
                found.append(version.info.version_id)
                await world.store.delete(bucket, key("k"), version_id=found[-1])
            if not page.is_truncated:
                break
            query = VersionListQuery(
                key_marker=page.next_key_marker,
                version_id_marker=page.next_version_id_marker,
                limit=limit,
            )
        assert found == expected
        assert await world.store.is_empty(bucket)

    async def test_paging_while_versions_come(self, world: World) -> None:
        """What is newer than a page's end lies before it, the null version too when it is written anew."""
        plain = await world.new_bucket()
        bucket = enabled(plain)
        first = await put_version(world.store, bucket, "k", b"x")
        await put_version(world.store, suspended(plain), "k", b"null")
        page = await world.store.list_versions(bucket, VersionListQuery(limit=1))
        assert [version.info.version_id for version in page.versions] == [NULL_VERSION]
        await put_version(world.store, bucket, "k", b"x")
        await put_version(world.store, suspended(plain), "k", b"null again")
        page = await world.store.list_versions(
            bucket,
            VersionListQuery(
                key_marker=page.next_key_marker, version_id_marker=page.next_version_id_marker
            ),
        )
        assert [version.info.version_id for version in page.versions] == [first.version_id]
        assert not page.versions[0].is_latest

    @pytest.mark.parametrize("limit", [0, 1000])
    async def test_pages_of_nothing(self, world: World, limit: int) -> None:
        bucket = enabled(await world.new_bucket())
        if limit == 0:
            await put(world.store, bucket, "k", b"x")
        page = await world.store.list_versions(bucket, VersionListQuery(limit=limit))
        assert not page.versions
        assert not page.common_prefixes
        assert not page.is_truncated

    async def test_bucket_that_never_had_versions(self, world: World) -> None:
        bucket = await world.new_bucket()
        names = ["a", "a/1", "b"]
        made = [await put_version(world.store, bucket, name, b"x") for name in names]
        page = await world.store.list_versions(bucket, VersionListQuery())
        assert [version.info for version in page.versions] == made
        assert all(version.is_latest for version in page.versions)
        query = VersionListQuery(delimiter="/", limit=1)
        assert await list_all(world, bucket, query) == [
            ("a", NULL_VERSION),
            ("a/", ""),
            ("b", NULL_VERSION),
        ]

    async def test_many_versions_of_one_key(self, world: World) -> None:
        bucket = enabled(await world.new_bucket())
        await put(world.store, bucket, "j", b"x")
        ids = [
            (await put_version(world.store, bucket, "k", str(number).encode())).version_id
            for number in range(60)
        ]
        await put(world.store, bucket, "l", b"x")
        for limit in (1, 7, 59, 60, 61, 1000):
            found = await list_all(world, bucket, VersionListQuery("k", limit=limit))
            assert [version_id for _, version_id in found] == ids[::-1]
        page = await world.store.list_objects(bucket, ListQuery(limit=2))
        assert [entry.key for entry in page.entries] == ["j", "k"]
        assert page.entries[1].version_id == ids[-1]

    @pytest.mark.parametrize("name", ["\x00", "a\x00", "￿", "\U00010000", "k" * 1024, "ü" * 512])
    async def test_any_key(self, world: World, name: str) -> None:
        bucket = enabled(await world.new_bucket())
        made = await put_version(world.store, bucket, name, b"x")
        marker = await mark_deleted(world.store, bucket, name)
        expected = [(name, marker), (name, made.version_id)]
        assert await list_all(world, bucket, VersionListQuery(limit=1)) == expected
        assert await list_all(world, bucket, VersionListQuery(prefix=name)) == expected

    # --- listings of keys ---

    async def test_listing_of_keys_shows_current_objects_alone(self, world: World) -> None:
        bucket = await world.new_bucket()
        items = await make_history(world, bucket)
        expected = []
        for name in dict.fromkeys(name for name, _ in items):
            try:
                expected.append(as_listed(await world.store.head(enabled(bucket), key(name))))
            except KeyIsDeleted:
                continue
        for _ in range(2):
            page = await world.store.list_objects(bucket, ListQuery())
            assert [as_listed(entry) for entry in page.entries] == expected
            await world.restart()
        names = [info.key for info in expected]
        assert "gone" not in names
        assert "a/2" not in names
        page = await world.store.list_objects(bucket, ListQuery(delimiter="/"))
        groups = list(dict.fromkeys(name[: name.index("/") + 1] for name in names if "/" in name))
        assert page.common_prefixes == groups
        assert [entry.key for entry in page.entries] == [name for name in names if "/" not in name]

    async def test_common_prefixes_of_deleted_keys_do_not_show(self, world: World) -> None:
        bucket = enabled(await world.new_bucket())
        for name in ("a/1", "a/2", "b/1"):
            await put(world.store, bucket, name, b"x")
        for name in ("a/1", "a/2", "c/1"):
            await mark_deleted(world.store, bucket, name)
        page = await world.store.list_objects(bucket, ListQuery(delimiter="/"))
        assert page.common_prefixes == ["b/"]
        versions = await world.store.list_versions(bucket, VersionListQuery(delimiter="/"))
        assert versions.common_prefixes == ["a/", "b/", "c/"]

    async def test_listing_of_keys_pages_over_deleted_ones(self, world: World) -> None:
        bucket = enabled(await world.new_bucket())
        for number in range(30):
            await put(world.store, bucket, f"k{number:02}", b"x")
        for number in range(30):
            if number % 5:
                await mark_deleted(world.store, bucket, f"k{number:02}")
        found: list[str] = []
        query = ListQuery(limit=2)
        while True:
            page = await world.store.list_objects(bucket, query)
            found += [entry.key for entry in page.entries]
            if not page.is_truncated:
                break
            query = ListQuery(limit=2, after=page.next_after)
        assert found == [f"k{number:02}" for number in range(0, 30, 5)]

    async def test_attributes_of_all_versions(self, world: World) -> None:
        bucket = enabled(await world.new_bucket())
        for attributes in (PLAIN, TAGGED):
            await world.store.put(bucket, key("k"), Body(b"x"), attributes=attributes)
        page = await world.store.list_versions(bucket, VersionListQuery())
        assert [version.info.attributes for version in page.versions] == [TAGGED, PLAIN]
