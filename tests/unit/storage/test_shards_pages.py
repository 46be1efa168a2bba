"""Pages of members from scans: sorted, distinct, in bounded memory, and not a scan each."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.shards import Member
from storage.shards import pages
from storage.shards.pages import Gathering
from storage.shards.service import LocalShards
from tests.unit.storage.archives import in_loop, tar
from tests.unit.storage.box import BUCKET, key, opened

PATHS = st.lists(st.text("ab/c", min_size=1, max_size=4), max_size=40)


@given(PATHS, st.text("ab", max_size=2), st.text("abc", max_size=2), st.integers(1, 5))
def test_agrees_with_sorting(paths: list[str], prefix: str, after: str, limit: int) -> None:
    wanted = Gathering(prefix, after, limit)
    for place, path in enumerate(paths):
        assert not wanted.offer(Member(path, place))
    gathered = wanted.finish()
    expected = sorted({path for path in paths if path.startswith(prefix) and path > after})
    assert gathered.paths == expected[:limit]
    assert gathered.has_more == (len(expected) > limit)
    assert [member.size_bytes for member in gathered.members] == [
        paths.index(path) for path in gathered.paths
    ]
    for start in ["", *expected]:
        page = gathered.page(start, 2)
        following = [path for path in expected if path > start]
        if page is not None:
            assert [member.path for member in page.members] == following[:2]
            assert page.is_truncated == (len(following) > 2)


@in_loop
async def test_pages_of_one_scan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "_GATHERED", 100)
    async with opened(tmp_path) as box:
        shards = LocalShards(box.node)
        names = [f"{number * 7 % 250:03}" for number in range(250)]
        await box.put("s.tar", tar(dict.fromkeys(names, b"")))
        scans = 0
        archive_of = shards._archive

        async def counted(*args: object) -> object:
            nonlocal scans
            scans += 1
            return await archive_of(*args)  # type: ignore[arg-type]

        monkeypatch.setattr(shards, "_archive", counted)
        found: list[str] = []
        while True:
            page = await shards.list_members(
                BUCKET, key("s.tar"), after=found[-1] if found else "", limit=10
            )
            found += [member.path for member in page.members]
            if not page.is_truncated:
                break
        assert found == sorted(names)
        assert scans == 3
        await box.put("s.tar", tar({"new": b""}))
        page = await shards.list_members(BUCKET, key("s.tar"), after="000", limit=10)
        assert [member.path for member in page.members] == ["new"]
        shards.close()
