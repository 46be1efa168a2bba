"""Versions as clients see them: the bucket's state, ids in headers and documents, delete markers, listings."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable

import pytest

from tests.unit.s3api.front import NOW_HTTP, Answer, Front

VERSION = "x-amz-version-id"


def set_versioning(front: Front, status: str = "Enabled") -> Answer:
    body = f"<VersioningConfiguration><Status>{status}</Status></VersioningConfiguration>"
    return front("PUT", "/bucket?versioning", body.encode())


@pytest.fixture
def versioned(front: Front) -> Front:
    assert set_versioning(front).status == 200
    return front


def put(front: Front, data: bytes, key: str = "key") -> str:
    return front("PUT", f"/bucket/{key}", data).headers[VERSION]


def delete_objects(front: Front, content: str) -> Answer:
    body = f"<Delete>{content}</Delete>".encode()
    digest = base64.b64encode(hashlib.md5(body).digest()).decode()
    return front("POST", "/bucket?delete", body, {"content-md5": digest})


# --- the state of a bucket ---------------------------------------------------------------------------------------


def test_bucket_versioning_states(front: Front) -> None:
    assert list(front("GET", "/bucket?versioning").xml) == []
    for status in ("Enabled", "Suspended", "Enabled"):
        assert set_versioning(front, status).status == 200
        assert front("GET", "/bucket?versioning").text("Status") == status


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        ("", 400, "IllegalVersioningConfigurationException"),
        ("<Status/>", 400, "IllegalVersioningConfigurationException"),
        ("<Status>enabled</Status>", 400, "MalformedXML"),
        ("<Status>Enabled</Status><MfaDelete>Enabled</MfaDelete>", 501, "NotImplemented"),
        ("<Status>Enabled</Status><MfaDelete>?</MfaDelete>", 400, "MalformedXML"),
    ],
)
def test_put_bucket_versioning_refused(front: Front, content: str, status: int, code: str) -> None:
    body = f"<VersioningConfiguration>{content}</VersioningConfiguration>".encode()
    answer = front("PUT", "/bucket?versioning", body)
    assert (answer.status, answer.code) == (status, code)
    assert list(front("GET", "/bucket?versioning").xml) == []


def test_a_locked_bucket_keeps_its_versions(front: Front) -> None:
    front("PUT", "/locked", headers={"x-amz-bucket-object-lock-enabled": "true"})
    assert front("GET", "/locked?versioning").text("Status") == "Enabled"
    body = b"<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>"
    answer = front("PUT", "/locked?versioning", body)
    assert (answer.status, answer.code) == (409, "InvalidBucketState")


# --- objects -----------------------------------------------------------------------------------------------------


def test_plain_buckets_tell_of_no_versions(front: Front) -> None:
    assert VERSION not in front("PUT", "/bucket/key", b"1").headers
    for method in ("GET", "HEAD", "DELETE"):
        assert VERSION not in front(method, "/bucket/key").headers


def test_versions_are_read_by_id(versioned: Front) -> None:
    first, second = put(versioned, b"1"), put(versioned, b"22")
    assert first != second
    for path, version, data in (
        ("/bucket/key", second, b"22"),
        (f"/bucket/key?versionId={first}", first, b"1"),
        (f"/bucket/key?versionId={second}", second, b"22"),
    ):
        answer = versioned("GET", path)
        assert (answer.body, answer.headers[VERSION]) == (data, version)
        answer = versioned("HEAD", path)
        assert (answer.headers["content-length"], answer.headers[VERSION]) == (
            str(len(data)),
            version,
        )
    answer = versioned(
        "GET",
        f"/bucket/key?attributes&versionId={first}",
        headers={"x-amz-object-attributes": "ObjectSize"},
    )
    assert (answer.text("ObjectSize"), answer.headers[VERSION]) == ("1", first)


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
@pytest.mark.parametrize("version_id", ["", "a%20b", "%00", "x" * 1025])
def test_malformed_version_id(versioned: Front, method: str, version_id: str) -> None:
    put(versioned, b"1")
    answer = versioned(method, f"/bucket/key?versionId={version_id}")
    assert answer.status == 400
    if method != "HEAD":
        assert answer.code == "InvalidArgument"


def test_unknown_version_id(versioned: Front) -> None:
    put(versioned, b"1")
    answer = versioned("GET", "/bucket/key?versionId=3HL4kqtJvjVBH40Nrjfkd")
    assert (answer.status, answer.code) == (404, "NoSuchVersion")
    assert versioned("DELETE", "/bucket/key?versionId=3HL4kqtJvjVBH40Nrjfkd").status == 204
    assert versioned("GET", "/bucket/key").body == b"1"


def test_delete_marker(versioned: Front) -> None:
    version = put(versioned, b"1")
    deleted = versioned("DELETE", "/bucket/key")
    marker = deleted.headers[VERSION]
    assert (deleted.status, deleted.headers["x-amz-delete-marker"]) == (204, "true")
    missing = versioned("GET", "/bucket/key")
    assert (missing.status, missing.code) == (404, "NoSuchKey")
    assert missing.headers["x-amz-delete-marker"] == "true"
    assert missing.headers[VERSION] == marker
    for method in ("GET", "HEAD"):
        refused = versioned(method, f"/bucket/key?versionId={marker}")
        assert (refused.status, refused.headers["allow"]) == (405, "DELETE")
        assert refused.headers["x-amz-delete-marker"] == "true"
        assert refused.headers["last-modified"] == NOW_HTTP
    assert versioned("GET", f"/bucket/key?versionId={version}").body == b"1"
    removed = versioned("DELETE", f"/bucket/key?versionId={marker}")
    assert removed.headers[VERSION] == marker
    assert removed.headers["x-amz-delete-marker"] == "true"
    assert versioned("GET", "/bucket/key").body == b"1"
    removed = versioned("DELETE", f"/bucket/key?versionId={version}")
    assert (removed.headers[VERSION], "x-amz-delete-marker" in removed.headers) == (version, False)


def test_suspended_bucket_writes_the_null_version(versioned: Front) -> None:
    version = put(versioned, b"1")
    set_versioning(versioned, "Suspended")
    assert VERSION not in versioned("PUT", "/bucket/key", b"22").headers
    answer = versioned("GET", "/bucket/key")
    assert (answer.body, answer.headers[VERSION]) == (b"22", "null")
    deleted = versioned("DELETE", "/bucket/key")
    assert (deleted.headers[VERSION], deleted.headers["x-amz-delete-marker"]) == ("null", "true")
    assert versioned("GET", "/bucket/key?versionId=null").status == 405
    assert versioned("GET", f"/bucket/key?versionId={version}").body == b"1"


def test_bucket_with_versions_is_not_empty(versioned: Front) -> None:
    versioned("DELETE", "/bucket/key")
    assert versioned("GET", "/bucket").texts("Contents") == []
    assert versioned("DELETE", "/bucket").code == "BucketNotEmpty"


def put_conditionally(front: Front, headers: dict[str, str]) -> Answer:
    return front("PUT", "/bucket/key", b"2", headers)


def copy_conditionally(front: Front, headers: dict[str, str]) -> Answer:
    put(front, b"3", "other")
    return front("PUT", "/bucket/key", headers={"x-amz-copy-source": "/bucket/other", **headers})


def complete_conditionally(front: Front, headers: dict[str, str]) -> Answer:
    query = f"uploadId={front('POST', '/bucket/key?uploads').text('UploadId')}"
    etag = front("PUT", f"/bucket/key?{query}&partNumber=1", b"4").headers["etag"]
    part = f"<Part><PartNumber>1</PartNumber><ETag>{etag.strip(chr(34))}</ETag></Part>"
    body = f"<CompleteMultipartUpload>{part}</CompleteMultipartUpload>"
    return front("POST", f"/bucket/key?{query}", body.encode(), headers)


@pytest.mark.parametrize("write", [put_conditionally, copy_conditionally, complete_conditionally])
def test_conditional_write_onto_a_delete_marker(
    versioned: Front, write: Callable[[Front, dict[str, str]], Answer]
) -> None:
    put(versioned, b"1")
    versioned("DELETE", "/bucket/key")
    assert write(versioned, {"if-match": "*"}).code == "NoSuchKey"
    made = write(versioned, {"if-none-match": "*"})
    assert made.headers[VERSION] == versioned("HEAD", "/bucket/key").headers[VERSION]
    assert write(versioned, {"if-none-match": "*"}).code == "PreconditionFailed"
    etag = versioned("HEAD", "/bucket/key").headers["etag"]
    assert write(versioned, {"if-match": etag}).headers[VERSION] != made.headers[VERSION]


def test_conditional_delete_puts_a_marker_or_nothing(versioned: Front) -> None:
    put(versioned, b"1")
    etag = versioned("HEAD", "/bucket/key").headers["etag"]
    for headers in ({"if-match": '"x"'}, {"x-amz-if-match-size": "2"}):
        answer = versioned("DELETE", "/bucket/key", headers=headers)
        assert (answer.status, answer.code) == (412, "PreconditionFailed")
    assert versioned("DELETE", "/bucket/key", headers={"if-match": etag}).status == 204
    assert versioned("DELETE", "/bucket/key", headers={"if-match": etag}).code == "NoSuchKey"
    assert len(versioned("GET", "/bucket?versions").texts("DeleteMarker")) == 1


# --- copies ------------------------------------------------------------------------------------------------------


def test_copy_of_a_version(versioned: Front) -> None:
    first, second = put(versioned, b"1"), put(versioned, b"22")
    for query, version, data in ((f"?versionId={first}", first, b"1"), ("", second, b"22")):
        answer = versioned(
            "PUT", "/bucket/copy", headers={"x-amz-copy-source": f"/bucket/key{query}"}
        )
        assert answer.headers["x-amz-copy-source-version-id"] == version
        assert versioned("GET", "/bucket/copy").body == data
        assert versioned("HEAD", "/bucket/copy").headers[VERSION] == answer.headers[VERSION]


def test_copy_of_an_older_version_onto_its_key_restores_it(versioned: Front) -> None:
    first = put(versioned, b"1")
    put(versioned, b"22")
    source = {"x-amz-copy-source": "/bucket/key"}
    assert versioned("PUT", "/bucket/key", headers=source).code == "InvalidRequest"
    source["x-amz-copy-source"] += f"?versionId={first}"
    assert versioned("PUT", "/bucket/key", headers=source).status == 200
    assert versioned("GET", "/bucket/key").body == b"1"


def test_copy_of_a_delete_marker(versioned: Front) -> None:
    put(versioned, b"1")
    marker = versioned("DELETE", "/bucket/key").headers[VERSION]
    for path in ("/bucket/copy", "/bucket/copy?uploadId=u&partNumber=1"):
        answer = versioned("PUT", path, headers={"x-amz-copy-source": "/bucket/key"})
        assert answer.code in ("NoSuchKey", "NoSuchUpload")
    answer = versioned(
        "PUT",
        "/bucket/copy",
        headers={"x-amz-copy-source": f"/bucket/key?versionId={marker}"},
    )
    assert (answer.status, answer.code) == (400, "InvalidRequest")


# --- listings ----------------------------------------------------------------------------------------------------


def test_list_object_versions(versioned: Front) -> None:
    first, second = put(versioned, b"1"), put(versioned, b"22")
    marker = versioned("DELETE", "/bucket/key").headers[VERSION]
    other = put(versioned, b"3", "other")
    answer = versioned("GET", "/bucket?versions")
    listed = [node for node in answer.xml if node.tag in ("Version", "DeleteMarker")]
    assert [
        (node.tag, node.findtext("VersionId"), node.findtext("IsLatest")) for node in listed
    ] == [
        ("DeleteMarker", marker, "true"),
        ("Version", second, "false"),
        ("Version", first, "false"),
        ("Version", other, "true"),
    ]
    assert answer.texts("DeleteMarker/Owner/ID") == ["alice-id"]
    assert answer.texts("DeleteMarker/Size") == []
    assert answer.texts("Version/Size") == ["2", "1", "1"]


def test_list_object_versions_pages(versioned: Front) -> None:
    wanted = [put(versioned, b"", key) for key in ("a", "a", "b/1", "c") for _ in range(2)]
    found: list[str] = []
    prefixes: list[str] = []
    markers = ""
    while True:
        answer = versioned("GET", f"/bucket?versions&max-keys=3&delimiter=/{markers}")
        found += answer.texts("Version/VersionId")
        prefixes += answer.texts("CommonPrefixes/Prefix")
        if answer.text("IsTruncated") == "false":
            break
        markers = f"&key-marker={answer.text('NextKeyMarker')}"
        if version := answer.text("NextVersionIdMarker"):
            markers += f"&version-id-marker={version}"
    assert (found, prefixes) == ([*wanted[3::-1], *wanted[:5:-1]], ["b/"])


def test_list_object_versions_markers_refused(versioned: Front) -> None:
    for query in ("version-id-marker=x", "key-marker=a&version-id-marker="):
        assert versioned("GET", f"/bucket?versions&{query}").code == "InvalidArgument"


# --- DeleteObjects -----------------------------------------------------------------------------------------------


def test_delete_objects_tells_what_it_did(versioned: Front) -> None:
    version = put(versioned, b"1")
    made = delete_objects(versioned, "<Object><Key>key</Key></Object>")
    assert made.texts("Deleted/VersionId") == []
    assert made.text("Deleted/DeleteMarker") == "true"
    marker = made.text("Deleted/DeleteMarkerVersionId")
    both = delete_objects(
        versioned,
        f"<Object><Key>key</Key><VersionId>{marker}</VersionId></Object>"
        f"<Object><Key>key</Key><VersionId>{version}</VersionId></Object>"
        "<Object><Key>key</Key><VersionId>?</VersionId></Object>",
    )
    assert both.texts("Deleted/VersionId") == [marker, version]
    assert both.texts("Deleted/DeleteMarker") == ["true"]
    assert both.texts("Deleted/DeleteMarkerVersionId") == [marker]
    assert both.texts("Error/Code") == ["InvalidArgument"]
    assert versioned("GET", "/bucket?versions").texts("Version") == []


def test_delete_objects_on_condition_of_a_version(versioned: Front) -> None:
    first = put(versioned, b"1")
    put(versioned, b"22")
    named = f"<Object><Key>key</Key><VersionId>{first}</VersionId><Size>%d</Size></Object>"
    assert delete_objects(versioned, named % 2).texts("Error/Code") == ["PreconditionFailed"]
    assert delete_objects(versioned, named % 1).texts("Deleted/VersionId") == [first]
