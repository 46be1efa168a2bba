"""Every error has its S3 code, status and document; nothing else is ever shown."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from defusedxml.ElementTree import fromstring

from core import errors as core_errors
from core.errors import (
    BackendBroken,
    BackendBusy,
    BackendDenied,
    BackendDown,
    Corrupt,
    DigestMismatch,
    InvalidArgument,
    InvalidRange,
    NoSuchKey,
    NotModified,
    OutOfSpace,
    Overloaded,
    StoreError,
)
from core.names import ObjectKey
from core.types import BoundedRange, ObjectAttributes, ObjectInfo
from s3api.auth import errors as auth_errors
from s3api.call import Request
from s3api.error_table import ROWS
from s3api.errors import error_response, shown
from s3api.protocol_errors import S3Error


def leaves(kind: type[StoreError]) -> Iterator[type[StoreError]]:
    children = kind.__subclasses__()
    if not children:
        yield kind
    for child in children:
        yield from leaves(child)


def request(method: str = "GET") -> Request:
    return Request(
        method=method,
        raw_path=b"/bucket/a%20%3C",
        raw_query=b"",
        headers={},
        query={},
        bucket="bucket",
        key=b"a <",
        scheme="http",
        host="s3.test",
        client_address="",
        request_id="REQUEST",
    )


@pytest.mark.parametrize("kind", [BackendBroken, BackendDown, BackendBusy, BackendDenied])
def test_backends_errors_need_not_say_whose_they_are(kind: type[StoreError]) -> None:
    """Raised far from where that is known; one that cannot be shown is a 500 without a document."""
    assert shown(kind(reason="r", retry_after_s=1)).message
    assert "the provider" in shown(BackendBroken(reason="r")).message


def test_every_core_error_has_a_row() -> None:
    missing = [
        leaf.__name__
        for leaf in leaves(StoreError)
        if leaf.__module__ == core_errors.__name__ and leaf not in ROWS
    ]
    assert missing == []


def test_every_protocol_error_has_code_status_and_message() -> None:
    assert issubclass(auth_errors.AuthError, S3Error)
    for leaf in leaves(S3Error):
        said = shown(leaf())
        assert said.code and said.message and 400 <= said.status < 600, leaf


def test_document() -> None:
    response = error_response(NoSuchKey(key="a <"), request())
    assert response.status == 404
    assert (b"content-type", b"application/xml") in response.headers
    assert isinstance(response.body, bytes)
    root = fromstring(response.body)
    found = {node.tag: node.text for node in root}
    assert root.tag == "Error"
    assert found.pop("HostId")
    assert found == {
        "Code": "NoSuchKey",
        "Message": "The specified key does not exist.",
        "Key": "a <",
        "Resource": "/bucket/a <",
        "RequestId": "REQUEST",
    }


def test_resource_in_virtual_host_style() -> None:
    asked = request()
    asked.is_virtual_host = True
    asked.raw_path = b"/a%20%3C"
    response = error_response(NoSuchKey(key="a <"), asked)
    assert isinstance(response.body, bytes)
    assert b"<Resource>/bucket/a &lt;</Resource>" in response.body


def test_head_has_no_document() -> None:
    response = error_response(NoSuchKey(key="a"), request("HEAD"))
    assert (response.status, response.body) == (404, b"")


@pytest.mark.parametrize(
    "error", [RuntimeError("secret path"), Corrupt(what="secret path", where="disk")]
)
def test_what_is_wrong_inside_is_not_told(error: Exception) -> None:
    response = error_response(error, request())
    assert response.status == 500
    assert isinstance(response.body, bytes)
    assert b"<Code>InternalError</Code>" in response.body
    assert b"secret" not in response.body


def test_subclass_of_a_core_error_is_shown_as_its_base() -> None:
    class Fresh(NoSuchKey):
        pass

    assert shown(Fresh(key="a")).code == "NoSuchKey"


@pytest.mark.parametrize(
    ("error", "status", "code", "retry_after"),
    [
        (OutOfSpace(mountpath="/d", retry_after_s=30), 507, "InsufficientStorage", b"30"),
        (Overloaded(what="memory", retry_after_s=0.2), 503, "SlowDown", b"1"),
    ],
)
def test_unavailable_says_when_to_come_back(
    error: StoreError, status: int, code: str, retry_after: bytes
) -> None:
    response = error_response(error, request())
    assert response.status == status
    assert shown(error).code == code
    assert (b"retry-after", retry_after) in response.headers


def test_invalid_range_says_the_size() -> None:
    error = InvalidRange(requested=BoundedRange(9, 12), size_bytes=3)
    assert (b"content-range", b"bytes */3") in error_response(error, request()).headers
    assert shown(error).elements == (("RangeRequested", "bytes=9-12"), ("ActualObjectSize", "3"))


@pytest.mark.parametrize(
    ("source", "code", "element"),
    [
        ("content-md5", "BadDigest", "ExpectedDigest"),
        ("payload", "XAmzContentSHA256Mismatch", "ClientComputedContentSHA256"),
        ("checksum", "BadDigest", "ExpectedDigest"),
    ],
)
def test_digest_mismatch_by_its_source(source: str, code: str, element: str) -> None:
    said = shown(DigestMismatch(source=source, algorithm="crc32", expected=b"\1", actual=b"\2"))
    assert said.code == code
    assert said.elements[0][0] == element


def test_argument_is_named() -> None:
    said = shown(InvalidArgument(name="max-keys", value="x", reason="Because"))
    assert said.message == "Because"
    assert said.elements == (("ArgumentName", "max-keys"), ("ArgumentValue", "x"))


def test_not_modified_carries_what_caches_need() -> None:
    attributes = ObjectAttributes({"cache-control": "no-cache", "content-type": "text/plain"})
    info = ObjectInfo(ObjectKey("a"), 1, "e", 0, attributes)
    response = error_response(NotModified(info=info), request())
    assert (response.status, response.body) == (304, b"")
    assert dict(response.headers) == {
        b"etag": b'"e"',
        b"last-modified": b"Thu, 01 Jan 1970 00:00:00 GMT",
        b"cache-control": b"no-cache",
    }
