"""Tags of objects and buckets: set, shown, counted, copied, and refused where AWS refuses them."""

from __future__ import annotations

import pytest

from tests.unit.s3api.front import Answer, Front


def tagging(**tags: str) -> bytes:
    listed = "".join(
        f"<Tag><Key>{key}</Key><Value>{value}</Value></Tag>" for key, value in tags.items()
    )
    return f"<Tagging><TagSet>{listed}</TagSet></Tagging>".encode()


def tags_of(front: Front, path: str) -> dict[str, str]:
    answer = front("GET", f"{path}?tagging")
    assert answer.status == 200
    return dict(zip(answer.texts("TagSet/Tag/Key"), answer.texts("TagSet/Tag/Value"), strict=True))


@pytest.fixture
def stored(front: Front) -> Front:
    assert front("PUT", "/bucket/key", b"data", {"x-amz-tagging": "b=2&a=1"}).status == 200
    return front


def test_object_tags(stored: Front) -> None:
    assert list(tags_of(stored, "/bucket/key").items()) == [("a", "1"), ("b", "2")]
    assert stored("PUT", "/bucket/key?tagging", tagging(c="3")).status == 200
    assert tags_of(stored, "/bucket/key") == {"c": "3"}
    assert stored("DELETE", "/bucket/key?tagging").status == 204
    assert tags_of(stored, "/bucket/key") == {}


def test_tags_are_counted(stored: Front) -> None:
    for method in ("GET", "HEAD"):
        assert stored(method, "/bucket/key").headers["x-amz-tagging-count"] == "2"
    stored("DELETE", "/bucket/key?tagging")
    assert "x-amz-tagging-count" not in stored("GET", "/bucket/key").headers


def test_the_count_is_told_to_those_who_may_read_tags(front: Front) -> None:
    headers = {"x-amz-tagging": "a=1", "x-amz-acl": "public-read"}
    front("PUT", "/bucket/key", b"", headers)
    answer = front("GET", "/bucket/key", user="bob")
    assert (answer.status, "x-amz-tagging-count" in answer.headers) == (200, False)
    assert front("GET", "/bucket/key?tagging", user="bob").code == "AccessDenied"


def test_who_may_write_may_not_tag(front: Front) -> None:
    front("PUT", "/open", headers={"x-amz-acl": "public-read-write"})
    for path, method in (("/open/key", "PUT"), ("/open/key?uploads", "POST")):
        answer = front(method, path, b"", {"x-amz-tagging": "a=1"}, user="bob")
        assert answer.code == "AccessDenied"
        assert front(method, path, b"", user="bob").status == 200


def test_tags_of_a_version(front: Front) -> None:
    body = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    front("PUT", "/bucket?versioning", body)
    first = front("PUT", "/bucket/key", b"1").headers["x-amz-version-id"]
    second = front("PUT", "/bucket/key", b"2").headers["x-amz-version-id"]
    answer = front("PUT", f"/bucket/key?tagging&versionId={first}", tagging(a="1"))
    assert answer.headers["x-amz-version-id"] == first
    answer = front("GET", "/bucket/key?tagging")
    assert (answer.texts("TagSet/Tag"), answer.headers["x-amz-version-id"]) == ([], second)
    assert front("GET", f"/bucket/key?tagging&versionId={first}").texts("TagSet/Tag/Key") == ["a"]
    marker = front("DELETE", "/bucket/key").headers["x-amz-version-id"]
    for query, status in (("", 404), (f"&versionId={marker}", 405), ("&versionId=other", 404)):
        for method in ("GET", "PUT", "DELETE"):
            assert front(method, f"/bucket/key?tagging{query}", tagging()).status == status


def test_absent_object(front: Front) -> None:
    for method in ("GET", "PUT", "DELETE"):
        assert front(method, "/bucket/absent?tagging", tagging()).code == "NoSuchKey"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "MalformedXML"),
        (b"<Tagging/>", "MalformedXML"),
        (b"<Tagging><TagSet/><TagSet/></Tagging>", "MalformedXML"),
        (b"<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>", "MalformedXML"),
        (b"<Tags><TagSet/></Tags>", "MalformedXML"),
        (tagging(**{f"k{number}": "" for number in range(11)}), "InvalidTag"),
        (tagging(a="v" * 257), "InvalidTag"),
        (tagging(a="1") * 2, "MalformedXML"),
    ],
)
def test_put_object_tagging_refused(stored: Front, body: bytes, code: str) -> None:
    answer = stored("PUT", "/bucket/key?tagging", body)
    assert (answer.status, answer.code) == (400, code)
    assert tags_of(stored, "/bucket/key") == {"a": "1", "b": "2"}


# --- buckets -----------------------------------------------------------------------------------------------------


def test_bucket_tags(front: Front) -> None:
    assert (front("GET", "/bucket?tagging").status, front("GET", "/bucket?tagging").code) == (
        404,
        "NoSuchTagSet",
    )
    assert front("PUT", "/bucket?tagging", tagging(a="1", b="2")).status == 204
    assert tags_of(front, "/bucket") == {"a": "1", "b": "2"}
    assert front("DELETE", "/bucket?tagging").status == 204
    assert front("GET", "/bucket?tagging").code == "NoSuchTagSet"


def test_bucket_tags_refused(front: Front) -> None:
    many = tagging(**{f"k{number}": "" for number in range(51)})
    for body, code in ((many, "BadRequest"), (tagging(**{"aws:a": ""}), "InvalidTag")):
        answer = front("PUT", "/bucket?tagging", body)
        assert (answer.status, answer.code) == (400, code)


# --- copies and uploads ------------------------------------------------------------------------------------------


def copy(front: Front, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return front("PUT", "/bucket/copy", headers={"x-amz-copy-source": "/bucket/key", **named})


@pytest.mark.parametrize(
    ("headers", "tags"),
    [
        ({}, {"a": "1", "b": "2"}),
        ({"x_amz_tagging": "c=3"}, {"a": "1", "b": "2"}),
        ({"x_amz_metadata_directive": "REPLACE"}, {"a": "1", "b": "2"}),
        ({"x_amz_acl": "private"}, {"a": "1", "b": "2"}),
        ({"x_amz_tagging_directive": "REPLACE"}, {}),
        ({"x_amz_tagging_directive": "REPLACE", "x_amz_tagging": "c=3"}, {"c": "3"}),
        (
            {
                "x_amz_tagging_directive": "REPLACE",
                "x_amz_metadata_directive": "REPLACE",
                "x_amz_tagging": "c=3",
            },
            {"c": "3"},
        ),
    ],
)
def test_copy(stored: Front, headers: dict[str, str], tags: dict[str, str]) -> None:
    assert copy(stored, **headers).status == 200
    assert tags_of(stored, "/bucket/copy") == tags


def test_replaced_tags_leave_the_metadata(front: Front) -> None:
    headers = {"x-amz-meta-a": "1", "content-type": "text/x", "cache-control": "no-store"}
    front("PUT", "/bucket/key", b"", headers)
    copy(front, x_amz_tagging_directive="REPLACE", x_amz_tagging="c=3", x_amz_meta_a="2")
    kept = front("HEAD", "/bucket/copy").headers
    assert {name: kept[name] for name in headers} == headers


def test_copy_refused(stored: Front) -> None:
    assert copy(stored, x_amz_tagging_directive="ADD").code == "InvalidArgument"
    answer = copy(stored, x_amz_tagging_directive="REPLACE", x_amz_tagging="a=1&a=2")
    assert answer.code == "InvalidArgument"


def test_multipart_upload(front: Front) -> None:
    began = front("POST", "/bucket/key?uploads", headers={"x-amz-tagging": "a=1"})
    query = f"uploadId={began.text('UploadId')}"
    etag = front("PUT", f"/bucket/key?{query}&partNumber=1", b"data").headers["etag"]
    part = f"<Part><PartNumber>1</PartNumber><ETag>{etag.replace(chr(34), '')}</ETag></Part>"
    body = f"<CompleteMultipartUpload>{part}</CompleteMultipartUpload>"
    assert front("POST", f"/bucket/key?{query}", body.encode()).status == 200
    assert tags_of(front, "/bucket/key") == {"a": "1"}
