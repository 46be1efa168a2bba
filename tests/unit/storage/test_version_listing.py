"""Pages of versions: their order, where the next begins, and what they cost."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import InvalidArgument
from core.listing import ListQuery, VersionListQuery
from core.types import NULL_VERSION
from storage.database import open_reader_sync
from storage.listing import list_objects_sync, list_versions_sync
from storage.records import decode_listed
from tests.unit.storage.box import BUCKET, Box, opened
from tests.unit.storage.versioned import ENABLED, delete, mark, put, run, shown, versions


async def page_through(box: Box, query: VersionListQuery) -> list[tuple[str, str, bool, bool]]:
    rows: list[tuple[str, str, bool, bool]] = []
    groups: list[str] = []
    while True:
        page = await box.node.list_versions(ENABLED, query)
        assert len(page.versions) + len(page.common_prefixes) <= query.limit
        rows += shown(page)
        groups += page.common_prefixes
        if not page.is_truncated:
            assert groups == sorted(set(groups))
            return rows + [(group, "", False, False) for group in groups]
        query = replace(
            query,
            key_marker=page.next_key_marker,
            version_id_marker=page.next_version_id_marker,
        )


@pytest.mark.parametrize("mountpaths", [1, 3])
def test_pages_of_versions_join_to_the_whole(tmp_path: Path, mountpaths: int) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, mountpaths=mountpaths) as box:
            for name in ("a", "a/", "a/b", "a/c/d", "b", "é", "z/"):
                await put(box, name, b"null", BUCKET)
                for number in range(3):
                    await put(box, name, b"%d" % number)
                if name in {"a", "a/b", "z/"}:
                    await mark(box, name)
            whole = await versions(box)
            assert len(whole) == 7 * 4 + 3
            assert [row[0] for row in whole] == sorted(row[0] for row in whole)
            assert sum(row[2] for row in whole) == 7
            for limit in (1, 2, 3, 7, 1000):
                assert await page_through(box, VersionListQuery(limit=limit)) == whole
                for prefix, delimiter in (("", "/"), ("a/", "/"), ("a", ""), ("x", "/")):
                    query = VersionListQuery(prefix, delimiter)
                    wanted = await page_through(box, query)
                    assert await page_through(box, replace(query, limit=limit)) == wanted
            grouped = await page_through(box, VersionListQuery(delimiter="/"))
            assert [row[0] for row in grouped] == ["a"] * 5 + ["b"] * 4 + ["é"] * 4 + ["a/", "z/"]
            assert not await versions(box, VersionListQuery(limit=0))
            after = await versions(box, VersionListQuery(key_marker="a/c/d", limit=1))
            assert after[0][0] == "b"

    run(scenario())


def test_markers_of_pages_outlive_their_versions(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as box:
            await put(box, "k", b"null", BUCKET)
            ids = [await put(box, "k", b"%d" % number) for number in range(3)]
            null = await box.node.list_versions(ENABLED, VersionListQuery(limit=4))
            assert not null.is_truncated
            await put(box, "l", b"next")
            page = await box.node.list_versions(ENABLED, VersionListQuery(limit=4))
            await delete(box, "k", NULL_VERSION)
            query = VersionListQuery(
                key_marker=page.next_key_marker, version_id_marker=page.next_version_id_marker
            )
            assert [row[0] for row in await versions(box, query)] == ["l"]
            # The current version was the marker and is gone: the next of it is the current one now.
            query = VersionListQuery(key_marker="k", version_id_marker=ids[2])
            await delete(box, "k", ids[2])
            assert [row[1:3] for row in await versions(box, query)][:2] == [
                (ids[1], True),
                (ids[0], False),
            ]
            marker = await mark(box, "k")
            query = VersionListQuery(key_marker="k", version_id_marker=marker)
            assert (await versions(box, query))[0][1:3] == (ids[1], False)
            below = await mark(box, "k")
            query = VersionListQuery(key_marker="k", version_id_marker=below)
            await delete(box, "k", below)
            assert (await versions(box, query))[0][1:] == (marker, True, True)
            query = VersionListQuery(key_marker="k", version_id_marker=NULL_VERSION)
            assert [row[0] for row in await versions(box, query)] == ["l"]
            with pytest.raises(InvalidArgument):
                await versions(box, VersionListQuery(key_marker="k", version_id_marker="x"))

    run(scenario())


def test_listings_of_keys_do_not_see_what_lies_below(tmp_path: Path) -> None:
    """What a page of keys costs is counted in SQLite's steps, with 20,000 versions and markers between two keys."""

    async def scenario() -> None:
        async with opened(tmp_path) as box:
            await put(box, "a", b"1")
            await put(box, "z", b"1")
            mountpath = box.node.mountpaths.all[0]
            await mountpath.commit(
                lambda tx: tx.connection.execute(
                    "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 20000)"
                    " INSERT INTO idx.version SELECT bucket, CAST('m/' || (n % 7) AS BLOB), -n, 0, 0,"
                    " small_id, record FROM n, idx.object WHERE key = CAST('a' AS BLOB)"
                )
            )
            with closing(open_reader_sync(mountpath.layout)) as connection:
                steps = 0

                def count() -> int:
                    nonlocal steps
                    steps += 1
                    return 0

                connection.set_progress_handler(count, 100)
                for query in (ListQuery(), ListQuery(delimiter="/")):
                    page = list_objects_sync([connection], 7, query, decode_listed)
                    assert [entry.key for entry in page.entries] == ["a", "z"]
                versions_page = list_versions_sync([connection], 7, VersionListQuery(delimiter="/"))
                assert versions_page.common_prefixes == ["m/"]
                versions_page = list_versions_sync([connection], 7, VersionListQuery(limit=5))
                assert len(versions_page.versions) == 5
                assert steps < 20

    run(scenario())
