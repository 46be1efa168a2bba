"""List documents of S3 servers: read as they mean it, and held to what was asked."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from backends.s3_list_document import KEPT, keep_document, parsed_sync
from backends.s3_listing import page_of
from backends.s3_options import Dialect
from core.errors import BackendBroken
from core.listing import ListPage, ListQuery

NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
WHOLE = f"""<?xml version="1.0"?>
<ListBucketResult {NAMESPACE}><Name>b</Name><IsTruncated>false</IsTruncated>
<Contents><Key>a &amp; b</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified><ETag>&quot;e1&quot;</ETag>
<Size>5</Size><StorageClass>GLACIER</StorageClass><Owner><ID>x</ID></Owner></Contents>
<Contents><Key>c</Key><LastModified>whenever</LastModified><ETag>"&lt;b&gt;"</ETag><Size>6</Size>
<StorageClass>&lt;x/&gt;</StorageClass></Contents>
<CommonPrefixes><Prefix>d/</Prefix></CommonPrefixes></ListBucketResult>"""


def listed(document: str, query: ListQuery | None = None) -> ListPage:
    async def call(operation: str, bucket: str = "", key: str = "", **_: Any) -> Mapping[str, Any]:
        return {KEPT: document.encode()}

    return asyncio.run(page_of(call, "b", query or ListQuery(), Dialect("aws")))


def document(*keys: str, more: str = "", truncated: str = "false") -> str:
    contents = "".join(f"<Contents><Key>{key}</Key><Size>1</Size></Contents>" for key in keys)
    truth = f"<IsTruncated>{truncated}</IsTruncated>"
    return f"<ListBucketResult>{truth}{more}{contents}</ListBucketResult>"


def test_a_page_of_next_to_nothing_without_end_is_none() -> None:
    with pytest.raises(BackendBroken):
        listed(document(more="<a/>" * 250_000))


@pytest.mark.parametrize("size", [2**63, 10**30, "x"])
def test_sizes_that_no_object_has(size: object) -> None:
    contents = f"<Contents><Key>k</Key><Size>{size}</Size></Contents>"
    with pytest.raises(BackendBroken):
        listed(document(more=contents))


def test_entries() -> None:
    page = listed(WHOLE)
    one, other = page.entries
    assert (one.key, one.size_bytes, one.etag) == ("a & b", 5, "e1")
    assert (one.modified_ns, one.attributes.storage_class) == (1767323045 * 10**9, "GLACIER")
    assert one.remote is not None
    assert (one.remote.provider, one.remote.etag, one.is_cached) == ("aws", "e1", False)
    assert (other.etag, other.modified_ns) == ("<b>", 0)
    assert other.attributes.storage_class == "STANDARD"
    assert list(page.common_prefixes) == ["d/"]


def test_names_are_decoded() -> None:
    encoded = document("a%2Fb+c%00", "%C3%A9", more="<EncodingType>url</EncodingType>")
    assert [info.key for info in listed(encoded).entries] == ["a/b c\0", "é"]
    plain = document("a%2Fb+c")
    assert [info.key for info in listed(plain).entries] == ["a%2Fb+c"]


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "<ListBucketResult>",
        document(""),
        document("x" * 1025),
        "<ListBucketResult><Contents><Size>1</Size></Contents></ListBucketResult>",
        "<ListBucketResult><Contents><Key>k</Key></Contents></ListBucketResult>",
        "<ListBucketResult><Contents><Key>k</Key><Size>x</Size></Contents></ListBucketResult>",
        document("b", "a", truncated="true"),
        document("%ED%A0%80", more="<EncodingType>url</EncodingType>").replace("%ED", "%00%ED") * 2,
    ],
)
def test_what_cannot_be_read(bad: str) -> None:
    with pytest.raises(BackendBroken):
        listed(bad)


def test_a_page_goes_on() -> None:
    page = listed(document("a", "b", truncated="true"), ListQuery(limit=2))
    assert (page.is_truncated, page.next_after) == (True, "b")


@pytest.mark.parametrize(
    ("version", "said", "asked_for"),
    [(2, "NextContinuationToken", "ContinuationToken"), (1, "NextMarker", "Marker")],
)
def test_pages_of_nothing_are_not_the_end(version: int, said: str, asked_for: str) -> None:
    """What has been deleted is passed over so. Who synchronizes copies must not take it for all that there is."""
    asked: list[Mapping[str, Any]] = []

    async def call(
        operation: str, bucket: str = "", key: str = "", **all: Any
    ) -> Mapping[str, Any]:
        asked.append(all)
        nothing = document(more=f"<{said}>t</{said}>", truncated="true")
        return {KEPT: (document("z") if len(asked) > 1 else nothing).encode()}

    page = asyncio.run(page_of(call, "b", ListQuery(), Dialect("x", list_version=version)))
    assert [each.key for each in page.entries] == ["z"]
    assert asked[1][asked_for] == "t"


@pytest.mark.parametrize("more", ["", "<NextContinuationToken>t</NextContinuationToken>"])
def test_pages_of_nothing_that_go_nowhere(more: str) -> None:
    with pytest.raises(BackendBroken):
        listed(document(more=more, truncated="true"))


@pytest.mark.parametrize(
    ("status", "body", "is_kept"),
    [
        (200, WHOLE.encode(), True),
        (200, b"<Error><Code>InternalError</Code></Error>", False),
        (404, WHOLE.encode(), False),
    ],
)
def test_good_answers_are_kept_from_botocore(status: int, body: bytes, is_kept: bool) -> None:
    response: dict[str, object] = {"status_code": status, "body": body}
    kept: dict[str, object] = {}
    keep_document(response, kept, operation_model=None)
    assert (KEPT in kept) is is_kept
    assert (response["body"] == body) is not is_kept
    if is_kept:
        assert len(parsed_sync(body).contents) == 2
