"""Listing pages over several indexes, against a plain model; and what a page costs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.listing import ListQuery
from core.names import ObjectKey, UploadId, UserId
from core.types import ObjectAttributes, ObjectInfo, User
from core.uploads import Upload, UploadListQuery
from storage.listing import is_empty_sync, list_objects_sync, list_uploads_sync
from storage.schema import INDEX_TABLES

BUCKET = 7
OTHER = 8
USER = User(UserId("u"), "u", "u")

_keys = st.text(st.sampled_from("a/b\x00\x1f é￿\U00010000"), min_size=1, max_size=5)
_texts = st.text(st.sampled_from("a/b\x00é￿\U00010000"), max_size=3)


def _index() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("ATTACH ':memory:' AS idx")
    for statement in INDEX_TABLES:
        connection.execute(statement)
    return connection


def _indexes(
    keys: Iterable[str], count: int = 1, bucket_id: int = BUCKET
) -> list[sqlite3.Connection]:
    indexes = [_index() for _ in range(count)]
    for number, key in enumerate(keys):
        indexes[number % count].execute(
            "INSERT INTO idx.object VALUES (?, ?, 0, NULL, ?)",
            (bucket_id, key.encode(), b"r"),
        )
    return indexes


def _decode(key: bytes, record: bytes) -> ObjectInfo:
    assert record == b"r"
    return ObjectInfo(ObjectKey(key.decode()), 0, "", 0, ObjectAttributes())


def _model(keys: Iterable[str], query: ListQuery) -> list[str]:
    """All that a listing has from `after` on, keys and common prefixes, in order."""
    found: set[bytes] = set()
    after, prefix, delimiter = (
        text.encode() for text in (query.after, query.prefix, query.delimiter)
    )
    for key in (each.encode() for each in keys):
        if not key.startswith(prefix) or key <= after:
            continue
        head, mark, _ = key[len(prefix) :].partition(delimiter) if delimiter else (b"", b"", b"")
        item = prefix + head + mark if mark else key
        if not (mark and item == after):
            found.add(item)
    return [item.decode() for item in sorted(found)]


def _pages(indexes: Sequence[sqlite3.Connection], query: ListQuery) -> Iterator[list[str]]:
    while True:
        page = list_objects_sync(indexes, BUCKET, query, _decode)
        names = sorted(
            [entry.key for entry in page.entries] + list(page.common_prefixes), key=str.encode
        )
        assert [entry.key for entry in page.entries] == [
            name for name in names if name not in page.common_prefixes
        ]
        yield names
        if not page.is_truncated:
            assert page.next_after == ""
            return
        assert page.next_after == names[-1]
        query = ListQuery(query.prefix, query.delimiter, page.next_after, query.limit)


@given(
    keys=st.sets(_keys, max_size=30),
    prefix=_texts,
    delimiter=_texts,
    after=_texts,
    limit=st.integers(1, 8),
    count=st.integers(1, 3),
)
@settings(max_examples=300, deadline=None)
def test_pages_add_up_to_the_model(
    keys: set[str], prefix: str, delimiter: str, after: str, limit: int, count: int
) -> None:
    query = ListQuery(prefix, delimiter, after, limit)
    pages = list(_pages(_indexes(sorted(keys), count), query))
    assert [name for page in pages for name in page] == _model(keys, query)
    assert all(len(page) == limit for page in pages[:-1])


def test_marker_inside_a_common_prefix_still_shows_it() -> None:
    indexes = _indexes(["a/1", "a/2", "b"])
    page = list_objects_sync(indexes, BUCKET, ListQuery(delimiter="/", after="a/1"), _decode)
    assert page.common_prefixes == ["a/"]
    page = list_objects_sync(indexes, BUCKET, ListQuery(delimiter="/", after="a/2"), _decode)
    assert page.common_prefixes == []


def test_marker_that_is_a_common_prefix_skips_it() -> None:
    indexes = _indexes(["a/", "a/1", "b"])
    page = list_objects_sync(indexes, BUCKET, ListQuery(delimiter="/", after="a/"), _decode)
    assert page.common_prefixes == []
    assert [entry.key for entry in page.entries] == ["b"]


def test_no_page_of_nothing() -> None:
    page = list_objects_sync(_indexes(["a"]), BUCKET, ListQuery(limit=0), _decode)
    assert not page.entries
    assert not page.is_truncated


def test_astral_characters_come_after_the_end_of_the_basic_plane() -> None:
    # In UTF-16 order the astral one, made of surrogates, would come first.
    indexes = _indexes(["\U00010000", "￿"])
    page = list_objects_sync(indexes, BUCKET, ListQuery(), _decode)
    assert [entry.key for entry in page.entries] == ["￿", "\U00010000"]


def test_other_buckets_do_not_show() -> None:
    indexes = _indexes(["a"], bucket_id=OTHER)
    assert not list_objects_sync(indexes, BUCKET, ListQuery(), _decode).entries
    assert is_empty_sync(indexes, BUCKET)
    assert not is_empty_sync(indexes, OTHER)


@pytest.mark.parametrize("group_size", [1, 5, 50])
def test_common_prefixes_cost_no_walk_under_them(group_size: int) -> None:
    steps: list[int] = []
    for groups in (50, 400):
        keys = [
            f"{group:05}/{number:05}" for group in range(groups) for number in range(group_size)
        ]
        (index,) = _indexes(keys)
        ticks = _Ticks()
        index.set_progress_handler(ticks, 1)
        page = list_objects_sync([index], BUCKET, ListQuery(delimiter="/", limit=20), _decode)
        assert len(page.common_prefixes) == 20
        steps.append(ticks.count)
    assert steps[0] == steps[1]
    # A seek is some 25 instructions of SQLite's machine, a step 8.
    assert steps[0] < 21 * 120 + 500


class _Ticks:
    """Counts SQLite's virtual machine instructions."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> int:
        self.count += 1
        return 0


def test_plain_page_reads_one_row_more_than_it_returns() -> None:
    (index,) = _indexes(f"{number:05}" for number in range(1000))
    ticks = _Ticks()
    index.set_progress_handler(ticks, 1)
    page = list_objects_sync([index], BUCKET, ListQuery(after="00300", limit=10), _decode)
    assert page.next_after == "00310"
    assert ticks.count < 250


# --- uploads -----------------------------------------------------------------------------------------------------


def _decode_upload(key: bytes, record: bytes) -> Upload:
    return Upload(UploadId(record.decode()), ObjectKey(key.decode()), 0, ObjectAttributes(), USER)


@given(
    uploads=st.sets(st.tuples(_keys, st.sampled_from("123")), max_size=20),
    prefix=_texts,
    delimiter=_texts,
    key_marker=_texts,
    id_marker=st.sampled_from(["", "1", "2", "3"]),
    limit=st.integers(1, 5),
    count=st.integers(1, 3),
)
@settings(max_examples=300, deadline=None)
def test_upload_pages_add_up_to_the_model(
    uploads: set[tuple[str, str]],
    prefix: str,
    delimiter: str,
    key_marker: str,
    id_marker: str,
    limit: int,
    count: int,
) -> None:
    indexes = [_index() for _ in range(count)]
    for key, upload_id in uploads:
        indexes[len(key) % count].execute(
            "INSERT INTO idx.upload VALUES (?, ?, ?, ?)",
            (BUCKET, key.encode(), upload_id, upload_id.encode()),
        )
    found: list[tuple[str, str]] = []
    query = UploadListQuery(prefix, delimiter, key_marker, id_marker, limit)
    while True:
        page = list_uploads_sync(indexes, BUCKET, query, _decode_upload)
        items = [(upload.key, upload.upload_id) for upload in page.uploads]
        found += items
        found += [(group, "") for group in page.common_prefixes]
        if not page.is_truncated:
            break
        assert len(page.uploads) + len(page.common_prefixes) == limit
        query = UploadListQuery(
            prefix, delimiter, page.next_key_marker, page.next_upload_id_marker, limit
        )
    assert len(set(found)) == len(found)
    assert set(found) == set(_upload_model(uploads, prefix, delimiter, key_marker, id_marker))


def _upload_model(
    uploads: set[tuple[str, str]], prefix: str, delimiter: str, key_marker: str, id_marker: str
) -> Iterator[tuple[str, str]]:
    for key, upload_id in uploads:
        raw, marker = key.encode(), key_marker.encode()
        is_after = raw > marker or (raw == marker and bool(id_marker) and upload_id > id_marker)
        if not key.startswith(prefix) or not is_after:
            continue
        head, mark, _ = key[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
        if not mark:
            yield key, upload_id
        elif prefix + head + mark != key_marker:
            yield prefix + head + mark, ""
