"""Put, get, head and delete: what is stored comes back, whole or in part, with the headers that S3 gives."""

from __future__ import annotations

import asyncio
import base64
import hashlib

import pytest

from core.checksums import digest_sync
from core.names import BucketName, BucketRef, ObjectKey
from core.types import ObjectInfo
from tests.unit.s3api.front import NOW_HTTP, Front, encoded

DATA = b"0123456789"
ETAG = f'"{hashlib.md5(DATA).hexdigest()}"'


@pytest.fixture
def stored(front: Front) -> Front:
    """The front with "key" in "bucket"."""
    headers = {"content-type": "text/plain", "cache-control": "no-cache", "x-amz-meta-a": "1"}
    assert front("PUT", "/bucket/key", DATA, headers).status == 200
    return front


# --- put


def test_put_object(front: Front) -> None:
    answer = front("PUT", "/bucket/key", DATA)
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["etag"] == ETAG


def test_put_object_missing_bucket(front: Front) -> None:
    assert front("PUT", "/nothing/key", DATA).code == "NoSuchBucket"


def test_put_object_without_length(front: Front) -> None:
    answer = front("PUT", "/bucket/key")
    assert (answer.status, answer.code) == (411, "MissingContentLength")
    chunked = {"transfer-encoding": "chunked"}
    assert front("PUT", "/bucket/key", headers=chunked).status == 200


def test_put_object_too_large(front: Front) -> None:
    answer = front("PUT", "/bucket/key", b"", {"content-length": str(5 * 1024**3 + 1)})
    assert (answer.status, answer.code) == (400, "EntityTooLarge")


def test_put_object_incomplete(front: Front) -> None:
    answer = front("PUT", "/bucket/key", b"abc", {"content-length": "4"})
    assert (answer.status, answer.code) == (400, "IncompleteBody")
    assert front("GET", "/bucket/key").status == 404


@pytest.mark.parametrize(
    ("header", "value", "code"),
    [
        ("content-md5", base64.b64encode(bytes(16)).decode(), "BadDigest"),
        ("content-md5", "short", "InvalidDigest"),
        ("x-amz-checksum-crc32", "AAAAAA==", "BadDigest"),
        ("x-amz-storage-class", "COLD", "InvalidStorageClass"),
        ("x-amz-acl", "all", "InvalidArgument"),
        ("x-amz-meta-a", "x" * 2048, "MetadataTooLarge"),
        ("x-amz-tagging", "a=b&a=c", "InvalidArgument"),
        ("x-amz-server-side-encryption", "aws:kms:dsse", "NotImplemented"),
        ("x-amz-server-side-encryption-customer-algorithm", "AES256", "InvalidArgument"),
        ("x-amz-object-lock-mode", "COMPLIANCE", "InvalidRequest"),
        ("x-amz-write-offset-bytes", "0", "NotImplemented"),
        ("x-amz-grant-read", "id=x", "InvalidArgument"),
    ],
)
def test_put_object_refused_stores_nothing(
    front: Front, header: str, value: str, code: str
) -> None:
    answer = front("PUT", "/bucket/key", DATA, {header: value})
    assert answer.code == code
    assert answer.status == (501 if code == "NotImplemented" else 400)
    assert front("HEAD", "/bucket/key").status == 404


@pytest.mark.parametrize("algorithm", ["crc32", "crc32c", "crc64nvme", "sha1", "sha256"])
def test_put_object_checksum_comes_back(front: Front, algorithm: str) -> None:
    value = base64.b64encode(digest_sync(algorithm, DATA)).decode()
    name = f"x-amz-checksum-{algorithm}"
    put = front("PUT", "/bucket/key", DATA, {name: value})
    assert put.headers[name] == value
    assert put.headers["x-amz-checksum-type"] == "FULL_OBJECT"
    assert name not in front("GET", "/bucket/key").headers
    mode = {"x-amz-checksum-mode": "ENABLED"}
    for method in ("GET", "HEAD"):
        answer = front(method, "/bucket/key", headers=mode)
        assert answer.headers[name] == value
        assert answer.headers["x-amz-checksum-type"] == "FULL_OBJECT"
    part = front("GET", "/bucket/key", headers={**mode, "range": "bytes=0-1"})
    assert name not in part.headers


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("aws-chunked", None),
        ("aws-chunked, gzip", "gzip"),
        ("gzip,aws-chunked", "gzip"),
        ("gzip", "gzip"),
    ],
)
def test_put_object_aws_chunked_is_not_kept(front: Front, sent: str, kept: str | None) -> None:
    front("PUT", "/bucket/key", DATA, {"content-encoding": sent})
    assert front("HEAD", "/bucket/key").headers.get("content-encoding") == kept


def test_put_object_conditions(stored: Front) -> None:
    assert stored("PUT", "/bucket/key", b"", {"if-none-match": "*"}).code == "PreconditionFailed"
    answer = stored("PUT", "/bucket/key", b"", {"if-match": '"other"'})
    assert (answer.status, answer.text("Condition")) == (412, "If-Match")
    assert stored("PUT", "/bucket/key", b"", {"if-match": ETAG}).status == 200
    assert stored("PUT", "/bucket/new", b"", {"if-match": ETAG}).code == "NoSuchKey"
    assert stored("PUT", "/bucket/new", b"", {"if-none-match": "*"}).status == 200


@pytest.mark.parametrize(
    "key",
    ["a b", "a+b", "%25", "../x", "/", "//a", "é/☃", "\x01", "a\nb", "x" * 1024, "?", "a&b=<c>"],
)
def test_any_key(front: Front, key: str) -> None:
    path = f"/bucket/{encoded(key)}"
    assert front("PUT", path, key.encode()).status == 200
    assert front("GET", path).body == key.encode()
    listed = front("GET", "/bucket?list-type=2&encoding-type=url")
    assert listed.texts("Contents/Key") == [encoded(key)]
    assert front("DELETE", path).status == 204
    assert front("GET", path).code == "NoSuchKey"


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [("%ff", 400, "InvalidURI"), ("x" * 1025, 400, "KeyTooLongError")],
)
def test_bad_key(front: Front, path: str, status: int, code: str) -> None:
    answer = front("PUT", f"/bucket/{path}", b"")
    assert (answer.status, answer.code) == (status, code)


# --- get and head


def test_get_object(stored: Front) -> None:
    answer = stored("GET", "/bucket/key")
    assert (answer.status, answer.body) == (200, DATA)
    found = dict(answer.headers)
    found.pop("x-amz-request-id")
    found.pop("x-amz-id-2")
    assert found == {
        "last-modified": NOW_HTTP,
        "etag": ETAG,
        "accept-ranges": "bytes",
        "content-type": "text/plain",
        "cache-control": "no-cache",
        "x-amz-meta-a": "1",
        "content-length": "10",
    }
    head = dict(stored("HEAD", "/bucket/key").headers)
    head.pop("x-amz-request-id")
    head.pop("x-amz-id-2")
    assert head == found


def test_get_object_default_content_type(front: Front) -> None:
    front("PUT", "/bucket/key", DATA, {"content-type": ""})
    assert front("GET", "/bucket/key").headers["content-type"] == "binary/octet-stream"


def test_get_object_storage_class(front: Front) -> None:
    front("PUT", "/bucket/key", DATA, {"x-amz-storage-class": "REDUCED_REDUNDANCY"})
    assert front("HEAD", "/bucket/key").headers["x-amz-storage-class"] == "REDUCED_REDUNDANCY"


@pytest.mark.parametrize(
    ("value", "content_range"),
    [
        ("bytes=0-0", "bytes 0-0/10"),
        ("bytes=2-5", "bytes 2-5/10"),
        ("bytes=7-100", "bytes 7-9/10"),
        ("bytes=4-", "bytes 4-9/10"),
        ("bytes=-3", "bytes 7-9/10"),
        ("bytes=-30", "bytes 0-9/10"),
    ],
)
def test_get_object_range(stored: Front, value: str, content_range: str) -> None:
    answer = stored("GET", "/bucket/key", headers={"range": value})
    span, _, _ = content_range.removeprefix("bytes ").partition("/")
    first, last = map(int, span.split("-"))
    assert (answer.status, answer.body) == (206, DATA[first : last + 1])
    assert answer.headers["content-range"] == content_range
    head = stored("HEAD", "/bucket/key", headers={"range": value})
    assert (head.status, head.headers["content-length"]) == (206, str(len(answer.body)))


@pytest.mark.parametrize(
    "value", ["bytes=5-2", "bytes=-", "bytes=a-b", "items=0-1", "bytes=0-1,3-4", "0-1", "bytes 0-1"]
)
def test_get_object_range_ignored(stored: Front, value: str) -> None:
    answer = stored("GET", "/bucket/key", headers={"range": value})
    assert (answer.status, answer.body) == (200, DATA)


@pytest.mark.parametrize("value", ["bytes=10-", "bytes=10-20", "bytes=-0"])
def test_get_object_range_unsatisfiable(stored: Front, value: str) -> None:
    answer = stored("GET", "/bucket/key", headers={"range": value})
    assert (answer.status, answer.code) == (416, "InvalidRange")
    assert (answer.text("RangeRequested"), answer.text("ActualObjectSize")) == (value, "10")


def test_get_object_range_of_nothing(front: Front) -> None:
    front("PUT", "/bucket/key", b"")
    assert front("GET", "/bucket/key", headers={"range": "bytes=0-"}).status == 416


def test_get_object_if_range(stored: Front) -> None:
    ranged = {"range": "bytes=0-1"}
    for current in (ETAG, NOW_HTTP):
        assert stored("GET", "/bucket/key", headers={**ranged, "if-range": current}).status == 206
    answer = stored("GET", "/bucket/key", headers={**ranged, "if-range": '"old"'})
    assert (answer.status, answer.body) == (200, DATA)


def test_get_object_part(stored: Front) -> None:
    answer = stored("GET", "/bucket/key?partNumber=1")
    assert (answer.status, answer.headers["content-range"]) == (206, "bytes 0-9/10")
    assert "x-amz-mp-parts-count" not in answer.headers
    assert stored("GET", "/bucket/key?partNumber=2").code == "InvalidPart"
    assert stored("GET", "/bucket/key?partNumber=x").code == "InvalidArgument"
    both = stored("GET", "/bucket/key?partNumber=1", headers={"range": "bytes=0-1"})
    assert both.code == "InvalidRequest"
    stored("PUT", "/bucket/empty", b"")
    assert stored("GET", "/bucket/empty?partNumber=1").status == 200


LATER, EARLIER = "Wed, 15 Nov 2023 00:00:00 GMT", "Mon, 13 Nov 2023 00:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"if-match": ETAG}, 200),
        ({"if-match": f'"x", {ETAG}'}, 200),
        ({"if-match": "*"}, 200),
        ({"if-match": '"x"'}, 412),
        ({"if-none-match": ETAG}, 304),
        ({"if-none-match": f"W/{ETAG}"}, 304),
        ({"if-none-match": '"x"'}, 200),
        ({"if-modified-since": EARLIER}, 200),
        ({"if-modified-since": NOW_HTTP}, 304),
        ({"if-modified-since": "nonsense"}, 200),
        ({"if-unmodified-since": LATER}, 200),
        ({"if-unmodified-since": EARLIER}, 412),
        ({"if-match": ETAG, "if-unmodified-since": EARLIER}, 200),
        ({"if-none-match": '"x"', "if-modified-since": LATER}, 200),
    ],
)
def test_get_object_conditions(stored: Front, headers: dict[str, str], status: int) -> None:
    answer = stored("GET", "/bucket/key", headers=headers)
    assert answer.status == status
    assert stored("HEAD", "/bucket/key", headers=headers).status == status
    if status == 304:
        assert answer.body == b""
        assert answer.headers["etag"] == ETAG
    if status == 412:
        assert answer.code == "PreconditionFailed"


def test_get_object_response_overrides(stored: Front) -> None:
    query = (
        "response-content-type=a%2Fb&response-content-disposition=x%3B%20y&response-expires=never"
    )
    for method in ("GET", "HEAD"):
        answer = stored(method, f"/bucket/key?{query}")
        assert answer.headers["content-type"] == "a/b"
        assert answer.headers["content-disposition"] == "x; y"
        assert answer.headers["expires"] == "never"


@pytest.mark.parametrize("value", ["a%0d%0aset-cookie:b", "%E2%98%83", "%00"])
def test_get_object_response_override_that_is_no_header(stored: Front, value: str) -> None:
    answer = stored("GET", f"/bucket/key?response-content-type={value}")
    assert (answer.status, answer.code) == (400, "InvalidArgument")


def test_get_object_response_overrides_anonymous(front: Front) -> None:
    front("PUT", "/bucket/key", DATA, {"x-amz-acl": "public-read"})
    assert front("GET", "/bucket/key", user="").status == 200
    answer = front("GET", "/bucket/key?response-content-type=a", user="")
    assert (answer.status, answer.code) == (400, "InvalidRequest")


def test_versions_of_an_unversioned_object(stored: Front) -> None:
    answer = stored("GET", "/bucket/key?versionId=null")
    assert (answer.body, answer.headers["x-amz-version-id"]) == (DATA, "null")
    assert stored("HEAD", "/bucket/key?versionId=null").headers["x-amz-version-id"] == "null"
    assert stored("GET", "/bucket/key?versionId=other").code == "NoSuchVersion"
    assert stored("GET", "/bucket/key?versionId=").code == "InvalidArgument"
    answer = stored("DELETE", "/bucket/key?versionId=null")
    assert (answer.status, answer.headers["x-amz-version-id"]) == (204, "null")


# --- metadata


@pytest.mark.parametrize(
    ("sent", "returned"),
    [
        ("plain", "plain"),
        ("", ""),
        ("caf\xe9", "caf\xe9"),
        ("☃".encode().decode("latin-1"), "☃".encode().decode("latin-1")),
        ("=?UTF-8?B?w4TDhVrDlcORIFMz?=", "=?UTF-8?B?w4TDhVrDlcORIFMz?="),
        ("=?UTF-8?Q?AMAZONS3?=", "AMAZONS3"),
        ("=?utf-8?q?=C3=84?=", "=?UTF-8?B?w4Q=?="),
        ("=?nonsense?B?AAAA?=", "=?nonsense?B?AAAA?="),
        ("a=?b", "a=?b"),
    ],
)
def test_user_metadata_round_trip(front: Front, sent: str, returned: str) -> None:
    front("PUT", "/bucket/key", DATA, {"x-amz-meta-a": sent})
    assert front("GET", "/bucket/key").headers["x-amz-meta-a"] == returned


# --- delete


def test_delete_object(stored: Front) -> None:
    answer = stored("DELETE", "/bucket/key")
    assert (answer.status, answer.body) == (204, b"")
    assert stored("DELETE", "/bucket/key").status == 204


def test_delete_object_conditions(stored: Front) -> None:
    assert stored("DELETE", "/bucket/key", headers={"if-match": '"x"'}).status == 412
    wrong_size = {"x-amz-if-match-size": "9"}
    assert stored("DELETE", "/bucket/key", headers=wrong_size).status == 412
    wrong_time = {"x-amz-if-match-last-modified-time": LATER}
    assert stored("DELETE", "/bucket/key", headers=wrong_time).status == 412
    nonsense = {"x-amz-if-match-last-modified-time": "soon"}
    assert stored("DELETE", "/bucket/key", headers=nonsense).code == "InvalidArgument"
    right = {
        "if-match": ETAG,
        "x-amz-if-match-size": "10",
        "x-amz-if-match-last-modified-time": "2023-11-14T22:13:20Z",
    }
    assert stored("DELETE", "/bucket/key", headers=right).status == 204


# --- whose


def test_another_user_is_denied(stored: Front) -> None:
    for method in ("GET", "PUT", "DELETE"):
        answer = stored(method, "/bucket/key", b"" if method == "PUT" else None, user="bob")
        assert (answer.status, answer.code) == (403, "AccessDenied")
    assert stored("HEAD", "/bucket/key", user="").status == 403


def test_anonymous_writer_owns_nothing_but_its_object(front: Front) -> None:
    front("PUT", "/open", headers={"x-amz-acl": "public-read-write"})
    assert front("PUT", "/open/key", DATA, user="").status == 200
    listed = front("GET", "/open", user="")
    assert listed.text("Contents/Owner/ID") == "65a011a29cdf8ec533ec3d1ccaae921c"
    assert front.store.get_bucket(BucketRef(BucketName("open"))).owner.name == "alice"


def test_get_object_replaced_by_a_private_one(front: Front) -> None:
    front("PUT", "/bucket/key", b"open", {"x-amz-acl": "public-read"})
    assert front("GET", "/bucket/key", user="bob").body == b"open"
    bucket = front.store.get_bucket(BucketRef(BucketName("bucket")))
    seen = asyncio.run(front.store.head(bucket, ObjectKey("key")))
    front("PUT", "/bucket/key", b"secret")

    async def head(*_: object, **__: object) -> ObjectInfo:
        return seen  # as it was when the caller was authorized

    front.store.head = head  # type: ignore[method-assign]
    answer = front("GET", "/bucket/key", user="bob")
    assert (answer.status, answer.code) == (403, "AccessDenied")
