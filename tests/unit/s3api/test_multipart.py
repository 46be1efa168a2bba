"""Multipart uploads: from creation to the finished object, their listings, and GetObjectAttributes."""

from __future__ import annotations

import base64
import hashlib

import pytest

from tests.unit.s3api.front import Front

# The test store takes parts of 5 bytes and more.
PARTS = (b"first part", b"second part", b"end")
WHOLE = b"".join(PARTS)


def create(front: Front, key: str = "key", headers: dict[str, str] | None = None) -> str:
    answer = front("POST", f"/bucket/{key}?uploads", headers=headers)
    assert answer.status == 200
    assert (answer.text("Bucket"), answer.text("Key")) == ("bucket", key)
    upload_id = answer.text("UploadId")
    assert upload_id
    return upload_id


def upload(front: Front, upload_id: str, parts: tuple[bytes, ...] = PARTS) -> list[str]:
    etags = []
    for number, data in enumerate(parts, 1):
        answer = front("PUT", f"/bucket/key?partNumber={number}&uploadId={upload_id}", data)
        assert answer.status == 200
        etags.append(answer.headers["etag"])
    return etags


def completion(etags: list[str], numbers: list[int] | None = None) -> bytes:
    parts = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
        for number, etag in zip(numbers or range(1, len(etags) + 1), etags, strict=True)
    )
    return f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()


@pytest.fixture
def finished(front: Front) -> Front:
    """The front with a multipart object "key" in "bucket"."""
    upload_id = create(front, headers={"content-type": "text/plain"})
    etags = upload(front, upload_id)
    assert front("POST", f"/bucket/key?uploadId={upload_id}", completion(etags)).status == 200
    return front


def test_complete(front: Front) -> None:
    upload_id = create(front, headers={"content-type": "text/plain", "x-amz-meta-a": "1"})
    etags = upload(front, upload_id)
    answer = front("POST", f"/bucket/key?uploadId={upload_id}", completion(etags))
    joined = b"".join(hashlib.md5(part).digest() for part in PARTS)
    etag = f'"{hashlib.md5(joined).hexdigest()}-3"'
    assert answer.xml.tag == "CompleteMultipartUploadResult"
    assert answer.text("ETag") == etag
    assert answer.text("Location") == "http://s3.test/bucket/key"
    got = front("GET", "/bucket/key")
    assert (got.body, got.headers["etag"]) == (WHOLE, etag)
    assert (got.headers["content-type"], got.headers["x-amz-meta-a"]) == ("text/plain", "1")
    again = front("POST", f"/bucket/key?uploadId={upload_id}", completion(etags))
    assert (again.status, again.text("ETag")) == (200, etag)


def test_get_parts(finished: Front) -> None:
    for number, data in enumerate(PARTS, 1):
        answer = finished("GET", f"/bucket/key?partNumber={number}")
        assert (answer.status, answer.body) == (206, data)
        assert answer.headers["x-amz-mp-parts-count"] == "3"
        head = finished("HEAD", f"/bucket/key?partNumber={number}")
        assert (head.status, head.headers["content-length"]) == (206, str(len(data)))
    assert finished("GET", "/bucket/key?partNumber=4").code == "InvalidPart"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "MalformedXML"),
        (b"<CompleteMultipartUpload/>", "MalformedXML"),
        (b"<Other/>", "MalformedXML"),
        (completion(['"x"'], [0]), "InvalidPart"),
        (completion(['"x"']), "InvalidPart"),
        (b"<CompleteMultipartUpload><Part/></CompleteMultipartUpload>", "MalformedXML"),
    ],
)
def test_complete_bad_document(front: Front, body: bytes, code: str) -> None:
    upload_id = create(front)
    upload(front, upload_id)
    answer = front("POST", f"/bucket/key?uploadId={upload_id}", body)
    assert answer.status == 400
    assert answer.code in (code, "InvalidPartOrder" if code == "InvalidPart" else code)
    assert front("HEAD", "/bucket/key").status == 404


def test_complete_rules(front: Front) -> None:
    upload_id = create(front)
    etags = upload(front, upload_id, (b"aaaaa", b"b", b"ccccc"))
    path = f"/bucket/key?uploadId={upload_id}"
    assert front("POST", path, completion(etags[::-1], [3, 2, 1])).code == "InvalidPartOrder"
    small = front("POST", path, completion(etags))
    assert small.code == "EntityTooSmall"
    assert (small.text("PartNumber"), small.text("MinSizeAllowed")) == ("2", "5")
    assert front("POST", path, completion(etags[:1]), {"x-amz-mp-object-size": "4"}).status == 400
    assert front("POST", path, completion(etags[:1]), {"if-match": '"x"'}).code == "NoSuchKey"
    chosen = completion([etags[0], etags[2]], [1, 3])
    assert front("POST", path, chosen, {"x-amz-mp-object-size": "10"}).status == 200
    assert front("GET", "/bucket/key").body == b"aaaaaccccc"
    assert front("GET", "/bucket/key?partNumber=3").body == b"ccccc"


def test_no_such_upload(front: Front) -> None:
    for method, path, body in (
        ("PUT", "/bucket/key?partNumber=1&uploadId=x", b""),
        ("GET", "/bucket/key?uploadId=x", None),
        ("DELETE", "/bucket/key?uploadId=x", None),
        ("POST", "/bucket/key?uploadId=x", completion(['"x"'])),
        ("DELETE", "/bucket/key?uploadId=", None),
    ):
        answer = front(method, path, body)
        assert (answer.status, answer.code) == (404, "NoSuchUpload")


@pytest.mark.parametrize("number", ["0", "10001", "x", "-1"])
def test_upload_part_bad_number(front: Front, number: str) -> None:
    upload_id = create(front)
    answer = front("PUT", f"/bucket/key?partNumber={number}&uploadId={upload_id}", b"a")
    assert (answer.status, answer.code) == (400, "InvalidArgument")
    answer = front("PUT", f"/bucket/key?uploadId={upload_id}", b"a")
    assert (answer.status, answer.code) == (400, "InvalidArgument")


def test_upload_part_without_length(front: Front) -> None:
    upload_id = create(front)
    answer = front("PUT", f"/bucket/key?partNumber=1&uploadId={upload_id}")
    assert (answer.status, answer.code) == (411, "MissingContentLength")


def test_abort(front: Front) -> None:
    upload_id = create(front)
    assert front("DELETE", f"/bucket/key?uploadId={upload_id}").status == 204
    assert front("GET", "/bucket?uploads").texts("Upload") == []


# --- checksums


def sha256(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def test_composite_checksum(front: Front) -> None:
    answer = front("POST", "/bucket/key?uploads", headers={"x-amz-checksum-algorithm": "SHA256"})
    assert answer.headers["x-amz-checksum-algorithm"] == "SHA256"
    assert answer.headers["x-amz-checksum-type"] == "COMPOSITE"
    upload_id = answer.text("UploadId")
    lines = []
    for number, data in enumerate(PARTS, 1):
        headers = {"x-amz-checksum-sha256": sha256(data)}
        path = f"/bucket/key?partNumber={number}&uploadId={upload_id}"
        part = front("PUT", path, data, headers)
        assert part.headers["x-amz-checksum-sha256"] == sha256(data)
        assert "x-amz-checksum-type" not in part.headers
        lines.append(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{part.headers['etag']}</ETag>"
            f"<ChecksumSHA256>{sha256(data)}</ChecksumSHA256></Part>"
        )
    listed = front("GET", f"/bucket/key?uploadId={upload_id}")
    assert listed.texts("Part/ChecksumSHA256") == [sha256(data) for data in PARTS]
    assert (listed.text("ChecksumAlgorithm"), listed.text("ChecksumType")) == (
        "SHA256",
        "COMPOSITE",
    )
    body = f"<CompleteMultipartUpload>{''.join(lines)}</CompleteMultipartUpload>".encode()
    path = f"/bucket/key?uploadId={upload_id}"
    composite = sha256(b"".join(hashlib.sha256(data).digest() for data in PARTS)) + "-3"
    for wrong in ("bad", sha256(b"")):
        answer = front("POST", path, body, {"x-amz-checksum-sha256": wrong})
        assert (answer.status, answer.code) == (400, "BadDigest")
    answer = front("POST", path, body, {"x-amz-checksum-type": "FULL_OBJECT"})
    assert answer.code == "InvalidRequest"
    answer = front("POST", path, body, {"x-amz-checksum-sha256": composite})
    assert (answer.text("ChecksumSHA256"), answer.text("ChecksumType")) == (composite, "COMPOSITE")
    mode = {"x-amz-checksum-mode": "ENABLED"}
    assert front("HEAD", "/bucket/key", headers=mode).headers["x-amz-checksum-sha256"] == composite
    part = front("GET", "/bucket/key?partNumber=2", headers=mode)
    assert part.headers["x-amz-checksum-sha256"] == sha256(PARTS[1])
    assert part.headers["x-amz-checksum-type"] == "COMPOSITE"


@pytest.mark.parametrize(
    "headers",
    [
        {"x-amz-checksum-algorithm": "MD4"},
        {"x-amz-checksum-algorithm": "CRC32", "x-amz-checksum-type": "HALF"},
    ],
)
def test_create_bad_checksum_kind(front: Front, headers: dict[str, str]) -> None:
    assert front("POST", "/bucket/key?uploads", headers=headers).code == "InvalidRequest"


# --- copies of parts


def test_upload_part_copy(front: Front) -> None:
    front("PUT", "/bucket/source", b"0123456789")
    upload_id = create(front)
    path = f"/bucket/key?partNumber=1&uploadId={upload_id}"
    source = {"x-amz-copy-source": "/bucket/source"}
    answer = front("PUT", path, headers={**source, "x-amz-copy-source-range": "bytes=2-7"})
    assert (answer.status, answer.xml.tag) == (200, "CopyPartResult")
    etag = answer.text("ETag")
    assert etag == f'"{hashlib.md5(b"234567").hexdigest()}"'
    front("POST", f"/bucket/key?uploadId={upload_id}", completion([etag]))
    assert front("GET", "/bucket/key").body == b"234567"


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"x-amz-copy-source-range": "bytes=0-10"}, 416, "InvalidRange"),
        ({"x-amz-copy-source-range": "bytes=5-"}, 400, "InvalidArgument"),
        ({"x-amz-copy-source-range": "bytes=-5"}, 400, "InvalidArgument"),
        ({"x-amz-copy-source-range": "bytes=5-2"}, 400, "InvalidArgument"),
        ({"x-amz-copy-source-range": "0-2"}, 400, "InvalidArgument"),
        ({"x-amz-copy-source-if-match": '"x"'}, 412, "PreconditionFailed"),
    ],
)
def test_upload_part_copy_refused(
    front: Front, headers: dict[str, str], status: int, code: str
) -> None:
    front("PUT", "/bucket/source", b"0123456789")
    path = f"/bucket/key?partNumber=1&uploadId={create(front)}"
    answer = front("PUT", path, headers={"x-amz-copy-source": "/bucket/source", **headers})
    assert (answer.status, answer.code) == (status, code)


# --- listings


def test_list_parts(front: Front) -> None:
    upload_id = create(front)
    etags = upload(front, upload_id)
    first = front("GET", f"/bucket/key?uploadId={upload_id}&max-parts=2")
    assert first.xml.tag == "ListPartsResult"
    assert first.texts("Part/PartNumber") == ["1", "2"]
    assert first.texts("Part/ETag") == etags[:2]
    assert (first.text("IsTruncated"), first.text("NextPartNumberMarker")) == ("true", "2")
    assert (first.text("Initiator/ID"), first.text("Owner/DisplayName")) == ("alice-id", "Alice <3")
    second = front("GET", f"/bucket/key?uploadId={upload_id}&part-number-marker=2")
    assert second.texts("Part/Size") == ["3"]
    assert second.text("IsTruncated") == "false"
    none = front("GET", f"/bucket/key?uploadId={upload_id}&max-parts=0")
    assert (none.text("MaxParts"), none.texts("Part")) == ("0", [])
    for bad in ("max-parts=x", "part-number-marker=x"):
        answer = front("GET", f"/bucket/key?uploadId={upload_id}&{bad}")
        assert answer.code == "InvalidArgument"


def test_list_multipart_uploads(front: Front) -> None:
    ids = [create(front, key) for key in ("a/1", "a/2", "b", "c&")[:3]]
    answer = front("GET", "/bucket?uploads")
    assert answer.texts("Upload/UploadId") == ids
    assert answer.text("Upload/Initiator/DisplayName") == "Alice <3"
    grouped = front("GET", "/bucket?uploads&delimiter=/&max-uploads=1&encoding-type=url")
    assert grouped.texts("CommonPrefixes/Prefix") == ["a/"]
    assert (grouped.text("IsTruncated"), grouped.text("NextKeyMarker")) == ("true", "a/")
    rest = front("GET", f"/bucket?uploads&key-marker=a/1&upload-id-marker={ids[0]}")
    assert rest.texts("Upload/Key") == ["a/2", "b"]
    ignored = front("GET", f"/bucket?uploads&upload-id-marker={ids[2]}")
    assert ignored.texts("Upload/Key") == ["a/1", "a/2", "b"]


# --- attributes


def test_get_object_attributes(finished: Front) -> None:
    wanted = {"x-amz-object-attributes": "ETag,ObjectParts,StorageClass, ObjectSize,Checksum"}
    answer = finished("GET", "/bucket/key?attributes", headers=wanted)
    head = finished("HEAD", "/bucket/key").headers
    assert answer.headers["last-modified"] == head["last-modified"]
    assert answer.text("ETag") == head["etag"].strip('"')
    assert answer.text("ObjectSize") == str(len(WHOLE))
    assert answer.text("StorageClass") == "STANDARD"
    assert answer.text("ObjectParts/PartsCount") == "3"
    assert answer.texts("ObjectParts/Part/Size") == [str(len(part)) for part in PARTS]
    paged = {**wanted, "x-amz-max-parts": "1", "x-amz-part-number-marker": "1"}
    answer = finished("GET", "/bucket/key?attributes", headers=paged)
    assert answer.texts("ObjectParts/Part/PartNumber") == ["2"]
    assert answer.text("ObjectParts/NextPartNumberMarker") == "2"
    assert answer.text("ObjectParts/IsTruncated") == "true"


@pytest.mark.parametrize("value", ["", "Etag", "ETag,Nothing"])
def test_get_object_attributes_bad_name(finished: Front, value: str) -> None:
    headers = {"x-amz-object-attributes": value}
    answer = finished("GET", "/bucket/key?attributes", headers=headers)
    assert (answer.status, answer.code) == (400, "InvalidArgument")


def test_parts_are_listed_to_who_began_the_upload(front: Front) -> None:
    headers = {"x-amz-acl": "public-read-write"}
    assert front("PUT", "/open-bucket", headers=headers).status == 200
    begun = front("POST", "/open-bucket/key?uploads", user="bob")
    path = f"/open-bucket/key?uploadId={begun.text('UploadId')}"
    assert front("GET", path, user="bob").status == 200
    assert front("GET", path).status == 200, "the bucket's owner"
    assert front("GET", path, user="").code == "AccessDenied"
