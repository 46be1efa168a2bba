"""Pages of listings as S3 servers give them: what is asked for, and what is made of answers, bad ones too."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from backends.s3_list_document import KEPT
from backends.s3_listing import page_of
from backends.s3_options import AWS, GCP, Dialect
from core.errors import BackendBroken
from core.listing import ListPage, ListQuery


def entry(key: str, **more: str) -> str:
    said = {"Key": key, "Size": "1", "ETag": '"e"', "LastModified": "2023-11-14T22:13:20.500Z"}
    fields = "".join(f"<{name}>{value}</{name}>" for name, value in (said | more).items())
    return f"<Contents>{fields}</Contents>"


def prefix(name: str) -> str:
    return f"<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>"


TRUNCATED = "<IsTruncated>true</IsTruncated>"


class Server:
    """Answers one after the other, and remembers what it was asked."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, dict[str, Any]]] = []

    async def call(
        self,
        operation: str,
        bucket: str = "",
        key: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        **parameters: Any,
    ) -> Mapping[str, Any]:
        assert (bucket, key, headers) == ("b", "", None)
        self.asked.append((operation, parameters))
        document = f"<ListBucketResult>{self.answers.pop(0)}</ListBucketResult>"
        return {KEPT: document.encode()}


def listed(server: Server, query: ListQuery, dialect: Dialect = AWS) -> ListPage:
    return asyncio.run(page_of(server.call, "b", query, dialect))


def test_page() -> None:
    server = Server(entry("a") + entry("c") + prefix("b/") + TRUNCATED)
    page = listed(server, ListQuery("", "/", "A", 3))
    assert [each.key for each in page.entries] == ["a", "c"]
    assert list(page.common_prefixes) == ["b/"]
    assert (page.is_truncated, page.next_after) == (True, "c")
    assert page.entries[0].modified_ns == 1_700_000_000 * 10**9
    assert page.entries[0].remote is not None
    assert page.entries[0].remote.etag == "e"
    expected = {"MaxKeys": 3, "Delimiter": "/", "StartAfter": "A"}
    assert server.asked == [("ListObjectsV2", expected)]


def test_first_version() -> None:
    server = Server("")
    assert not listed(server, ListQuery("p", after="p1"), GCP).entries
    assert server.asked == [("ListObjects", {"MaxKeys": 1000, "Prefix": "p", "Marker": "p1"})]


def test_pages_have_a_thousand_at_most() -> None:
    server = Server("")
    listed(server, ListQuery(limit=10_000))
    assert server.asked[0][1]["MaxKeys"] == 1000


def test_what_is_under_a_common_prefix_is_passed_over() -> None:
    server = Server(prefix("a/") + TRUNCATED)
    with pytest.raises(BackendBroken):
        listed(server, ListQuery(delimiter="/", after="a/", limit=1))
    server = Server(prefix("a/") + prefix("c/") + entry("b"))
    page = listed(server, ListQuery(delimiter="/", after="a/"))
    assert server.asked[0][1]["StartAfter"] == "a/\U0010ffff"
    assert [each.key for each in page.entries] == ["b"]
    assert list(page.common_prefixes) == ["c/"]


@pytest.mark.parametrize(
    "answer",
    [
        entry("b") + entry("a") + TRUNCATED,
        entry(""),
        entry("k" * 2000),
        entry("a", Size="many"),
        "<Contents><Size>1</Size></Contents>",
        prefix(""),
        "<Contents>",
    ],
)
def test_answers_that_are_no_listing(answer: str) -> None:
    with pytest.raises(BackendBroken):
        listed(Server(answer), ListQuery())


def test_keys_that_nobody_asked_for() -> None:
    page = listed(Server(entry("a") + entry("p1") + entry("z")), ListQuery("p"))
    assert [each.key for each in page.entries] == ["p1"]


def test_more_than_was_asked_for() -> None:
    page = listed(Server(entry("a") + entry("b") + entry("c")), ListQuery(limit=2))
    assert [each.key for each in page.entries] == ["a", "b"]
    assert (page.is_truncated, page.next_after) == (True, "b")
