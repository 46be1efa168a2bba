"""What S3's headers say of an object, both ways; and the errors of S3 servers."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from botocore import exceptions as boto

from backends.s3_errors import Asked, translated
from backends.s3_objects import etag_of_parts, headers_of, info_of, range_of
from backends.s3_options import AWS, GCP
from core import errors
from core.errors import InvalidArgument, StoreError
from core.names import ObjectKey
from core.types import ObjectAttributes
from tests.contract.world import etag_of

KEY = ObjectKey("k")
MD5 = etag_of(b"data")
SEEN = {
    "etag": f'"{MD5}"',
    "last-modified": "Tue, 14 Nov 2023 22:13:20 GMT",
    "content-type": "text/plain",
    "content-encoding": "aws-chunked,gzip",
    "x-amz-meta-colour": "grün",
    "x-amz-storage-class": "GLACIER",
    "x-amz-version-id": "v1",
    "x-other": "no",
}


def test_an_object_as_it_is_seen() -> None:
    info = info_of(KEY, 4, SEEN, AWS, True)
    assert (info.etag, info.modified_ns) == (MD5, 1_700_000_000 * 10**9)
    assert info.attributes.headers == {"content-type": "text/plain", "content-encoding": "gzip"}
    assert info.attributes.user_metadata == {"colour": "=?UTF-8?B?Z3LDvG4=?="}
    assert info.attributes.storage_class == "GLACIER"
    assert info.remote is not None
    assert (info.remote.etag, info.remote.version_id) == (MD5, "v1")
    assert info.remote.md5.hex() == MD5


@pytest.mark.parametrize(
    "more",
    [
        {"etag": f'"{MD5}-3"'},
        {"x-amz-server-side-encryption": "aws:kms"},
        {"x-amz-server-side-encryption": "aws:kms:dsse"},
        {"x-amz-server-side-encryption-customer-algorithm": "AES256"},
    ],
)
def test_etags_that_are_no_md5(more: dict[str, str]) -> None:
    info = info_of(KEY, 4, SEEN | more, AWS, True)
    assert info.remote is not None
    assert info.remote.md5 == b""


def test_etags_that_an_account_calls_no_md5() -> None:
    info = info_of(KEY, 4, SEEN, AWS, False)
    assert info.remote is not None
    assert info.remote.md5 == b""


def test_google_tells_hashes() -> None:
    crc, md5 = bytes(range(4)), bytes(range(16))
    said = f"crc32c={base64.b64encode(crc).decode()},md5={base64.b64encode(md5).decode()}"
    info = info_of(KEY, 4, {"x-goog-hash": said, "x-goog-generation": "17"}, GCP, True)
    assert info.remote is not None
    assert (info.remote.crc32c, info.remote.md5, info.remote.version_id) == (crc, md5, "17")
    info = info_of(KEY, 4, {"x-goog-hash": "crc32c=?!,md5=AAAA,"}, GCP, True)
    assert info.remote is not None
    assert (info.remote.crc32c, info.remote.md5) == (b"", b"")


def test_answers_that_make_no_sense() -> None:
    said = {"etag": '"' + "x" * 9999, "last-modified": "yesterday", "x-amz-storage-class": "\x00"}
    info = info_of(KEY, 4, said, AWS, True)
    assert len(info.etag) == 256
    assert info.modified_ns == 0
    assert info.attributes.storage_class == "STANDARD"


def test_attributes_as_headers() -> None:
    attributes = ObjectAttributes(
        headers={"content-type": "a/b", "expires": "0", "unknown": "x"},
        user_metadata={"colour": "grün", "plain": "a b"},
        storage_class="GLACIER",
        tags={"a b": "c&d"},
    )
    assert headers_of(attributes, AWS) == {
        "content-type": "a/b",
        "expires": "0",
        "x-amz-meta-colour": "=?UTF-8?B?Z3LDvG4=?=",
        "x-amz-meta-plain": "a b",
        "x-amz-storage-class": "GLACIER",
        "x-amz-tagging": "a+b=c%26d",
    }
    assert "x-amz-storage-class" not in headers_of(attributes, GCP)
    assert "x-amz-tagging" not in headers_of(attributes, GCP)


@pytest.mark.parametrize(
    "attributes",
    [
        ObjectAttributes(headers={"content-type": "a\r\nx-evil: 1"}),
        ObjectAttributes(user_metadata={"a b": "x"}),
        ObjectAttributes(user_metadata={"a\r\nb": "x"}),
    ],
)
def test_attributes_that_no_header_can_say(attributes: ObjectAttributes) -> None:
    with pytest.raises(InvalidArgument):
        headers_of(attributes, AWS)


def test_line_ends_do_not_leave_a_value() -> None:
    headers = headers_of(ObjectAttributes(user_metadata={"a": "x\r\ny: z"}), AWS)
    assert "\n" not in headers["x-amz-meta-a"]


@pytest.mark.parametrize(
    ("said", "offered"),
    [
        ("bytes 2-4/10", (2, 3, 10)),
        ("bytes 0-0/1", (0, 1, 1)),
        ("bytes 4-2/10", None),
        ("bytes 0-10/10", None),
        ("bytes 0-1/*", None),
        ("bytes 0-99999999999999999999999/1", None),
        ("", None),
    ],
)
def test_content_range(said: str, offered: tuple[int, int, int] | None) -> None:
    assert range_of({"content-range": said}) == offered


def test_etag_of_an_upload() -> None:
    # As AWS makes it of two parts.
    parts = [etag_of(b"a"), etag_of(b"b")]
    assert etag_of_parts(parts) == (
        etag_of(bytes.fromhex(parts[0]) + bytes.fromhex(parts[1])) + "-2"
    )
    assert etag_of_parts([parts[0], "opaque"]) == ""


# --- errors ---


def error_of(status: int, code: str, operation: str = "GetObject", **parameters: Any) -> StoreError:
    headers = {"retry-after": "7", "content-range": "bytes */10"}
    response = {
        "Error": {"Code": code, "Message": "the secret"},
        "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": headers},
    }
    asked = Asked("aws", operation, "b", "" if operation == "HeadBucket" else "k", parameters)
    return translated(boto.ClientError(response, operation), asked)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("status", "code", "operation", "expected"),
    [
        (404, "NoSuchKey", "GetObject", errors.NoSuchKey),
        (404, "NoSuchBucket", "GetObject", errors.NoSuchBucket),
        (404, "404", "HeadObject", errors.NoSuchKey),
        (404, "404", "HeadBucket", errors.NoSuchBucket),
        (404, "NoSuchUpload", "UploadPart", errors.NoSuchUpload),
        (412, "PreconditionFailed", "PutObject", errors.PreconditionFailed),
        (409, "ConditionalRequestConflict", "PutObject", errors.WriteConflict),
        (416, "InvalidRange", "GetObject", errors.InvalidRange),
        (400, "400", "HeadObject", errors.BackendDenied),
        (301, "PermanentRedirect", "GetObject", errors.BackendDenied),
        (403, "RequestTimeTooSkewed", "GetObject", errors.BackendDenied),
        (503, "SlowDown", "GetObject", errors.BackendBusy),
        (503, "503", "HeadObject", errors.BackendBusy),
        (429, "429", "HeadObject", errors.BackendBusy),
        (500, "InternalError", "GetObject", errors.BackendDown),
        (200, "InternalError", "CopyObject", errors.BackendDown),
        (400, "BadDigest", "PutObject", errors.BackendBroken),
        (400, "EntityTooSmall", "CompleteMultipartUpload", errors.PartTooSmall),
        (501, "NotImplemented", "PutObject", errors.Unsupported),
        (418, "Teapot", "PutObject", errors.InvalidArgument),
        (400, "<script>", "PutObject", errors.InvalidArgument),
    ],
)
def test_errors(status: int, code: str, operation: str, expected: type[StoreError]) -> None:
    error = error_of(status, code, operation)
    assert type(error) is expected
    assert "secret" not in str(error)
    assert "<" not in str(error)


def test_what_errors_tell() -> None:
    assert error_of(503, "SlowDown").retry_after_s == 7
    assert error_of(416, "InvalidRange").size_bytes == 10
    assert type(error_of(404, "404", "HeadObject", VersionId="v")) is errors.NoSuchVersion


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (boto.EndpointConnectionError(endpoint_url="http://h"), errors.BackendDown),
        (boto.ReadTimeoutError(endpoint_url="http://h"), errors.BackendDown),
        (boto.HTTPClientError(error=ValueError("x")), errors.BackendBroken),
        (boto.NoCredentialsError(), errors.BackendDenied),
        (boto.ParamValidationError(report="x"), errors.InvalidArgument),
        (RuntimeError("x"), errors.BackendDown),
        (errors.NoSuchKey(key="k"), errors.NoSuchKey),
    ],
)
def test_errors_that_are_no_answers(error: Exception, expected: type[StoreError]) -> None:
    assert type(translated(error, Asked("aws", "PutObject", "b", "k", {}))) is expected
