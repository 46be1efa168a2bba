"""CopyObject: what is kept, what is replaced, and what is no copy at all."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from core.names import BucketName, BucketRef, ObjectKey
from core.types import CannedAcl, ObjectInfo
from tests.unit.s3api.front import NOW_ISO, Front, encoded

DATA = b"to be copied"
ETAG = f'"{hashlib.md5(DATA).hexdigest()}"'
FROM = {"x-amz-copy-source": "/bucket/source"}


@pytest.fixture
def stored(front: Front) -> Front:
    headers = {"content-type": "text/plain", "x-amz-meta-a": "1", "x-amz-acl": "public-read"}
    front("PUT", "/bucket/source", DATA, headers)
    front("PUT", "/other")
    return front


async def _head(front: Front, bucket: str, key: str) -> ObjectInfo:
    found = front.store.get_bucket(BucketRef(BucketName(bucket)))
    return await front.store.head(found, ObjectKey(key))


def test_copy_keeps_metadata_but_not_the_acl(stored: Front) -> None:
    answer = stored("PUT", "/other/copy", headers=FROM)
    assert (answer.status, answer.xml.tag) == (200, "CopyObjectResult")
    assert (answer.text("ETag"), answer.text("LastModified")) == (ETAG, NOW_ISO)
    head = stored("HEAD", "/other/copy").headers
    assert (head["content-type"], head["x-amz-meta-a"]) == ("text/plain", "1")
    assert stored("GET", "/other/copy").body == DATA
    assert stored("GET", "/other/copy", user="").status == 403


def test_copy_replaces_metadata(stored: Front) -> None:
    headers = {**FROM, "x-amz-metadata-directive": "REPLACE", "x-amz-meta-b": "2"}
    assert stored("PUT", "/bucket/copy", headers=headers).status == 200
    head = stored("HEAD", "/bucket/copy").headers
    assert (head["content-type"], head["x-amz-meta-b"]) == ("binary/octet-stream", "2")
    assert "x-amz-meta-a" not in head


def test_copy_with_an_acl_or_storage_class_keeps_metadata(stored: Front) -> None:
    headers = {**FROM, "x-amz-acl": "public-read", "x-amz-storage-class": "REDUCED_REDUNDANCY"}
    assert stored("PUT", "/bucket/copy", headers=headers).status == 200
    head = stored("HEAD", "/bucket/copy", user="").headers
    assert head["x-amz-meta-a"] == "1"
    assert head["x-amz-storage-class"] == "REDUCED_REDUNDANCY"


@pytest.mark.parametrize(
    ("extra", "status"),
    [
        ({}, 400),
        ({"x-amz-acl": "private"}, 400),
        ({"x-amz-metadata-directive": "COPY"}, 400),
        ({"x-amz-metadata-directive": "REPLACE"}, 200),
        ({"x-amz-storage-class": "REDUCED_REDUNDANCY"}, 200),
        ({"x-amz-website-redirect-location": "/elsewhere"}, 200),
    ],
)
def test_copy_onto_itself(stored: Front, extra: dict[str, str], status: int) -> None:
    answer = stored("PUT", "/bucket/source", headers={**FROM, **extra})
    assert answer.status == status
    if status == 400:
        assert answer.code == "InvalidRequest"
        message = answer.text("Message")
        assert message and message.startswith("This copy request is illegal because")
    assert stored("GET", "/bucket/source").body == DATA


@pytest.mark.parametrize(
    ("condition", "value", "status"),
    [
        ("if-match", ETAG, 200),
        ("if-match", '"x"', 412),
        ("if-none-match", ETAG, 412),
        ("if-none-match", '"x"', 200),
        ("if-modified-since", "Wed, 15 Nov 2023 00:00:00 GMT", 412),
        ("if-unmodified-since", "Mon, 13 Nov 2023 00:00:00 GMT", 412),
    ],
)
@pytest.mark.parametrize("extra", [{}, {"x-amz-acl": "private"}])
def test_copy_source_conditions(
    stored: Front, extra: dict[str, str], condition: str, value: str, status: int
) -> None:
    headers = {**FROM, **extra, f"x-amz-copy-source-{condition}": value}
    assert stored("PUT", "/bucket/copy", headers=headers).status == status


def test_copy_target_conditions(stored: Front) -> None:
    stored("PUT", "/bucket/copy", b"")
    answer = stored("PUT", "/bucket/copy", headers={**FROM, "if-none-match": "*"})
    assert answer.code == "PreconditionFailed"


@pytest.mark.parametrize(
    ("source", "status", "code"),
    [
        ("bucket/source", 200, None),
        ("%2Fbucket%2Fsource", 200, None),
        ("/bucket/source?versionId=null", 200, None),
        ("/bucket/source?versionId=other", 404, "NoSuchVersion"),
        ("/bucket/source?versionId=", 400, "InvalidArgument"),
        ("/bucket/nothing", 404, "NoSuchKey"),
        ("/nothing/source", 404, "NoSuchBucket"),
        ("/bucket", 400, "InvalidArgument"),
        ("/bucket/", 400, "InvalidArgument"),
        ("", 400, "InvalidArgument"),
    ],
)
def test_copy_source_forms(stored: Front, source: str, status: int, code: str | None) -> None:
    answer = stored("PUT", "/bucket/copy", headers={"x-amz-copy-source": source})
    assert answer.status == status
    if code:
        assert answer.code == code


@pytest.mark.parametrize("key", ["a b", "a%b", "a?versionId", "é", "a+b"])
def test_copy_source_is_percent_encoded(front: Front, key: str) -> None:
    front("PUT", f"/bucket/{encoded(key)}", DATA)
    headers = {"x-amz-copy-source": f"bucket/{encoded(key)}"}
    assert front("PUT", "/bucket/copy", headers=headers).status == 200


def test_copy_of_what_one_may_not_read(stored: Front) -> None:
    stored("PUT", "/bobs", user="bob")
    stored("PUT", "/bucket/private", DATA)
    headers = {"x-amz-copy-source": "/bucket/private"}
    assert stored("PUT", "/bobs/copy", headers=headers, user="bob").code == "AccessDenied"
    assert stored("PUT", "/bobs/copy", headers=FROM, user="bob").status == 200


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("x-amz-metadata-directive", "MAYBE", "InvalidArgument"),
        ("x-amz-tagging-directive", "MAYBE", "InvalidArgument"),
        ("x-amz-checksum-algorithm", "CRC16", "InvalidRequest"),
        ("x-amz-copy-source-server-side-encryption-customer-key", "x", "InvalidArgument"),
        ("x-amz-source-expected-bucket-owner", "bob-id", "AccessDenied"),
    ],
)
def test_copy_bad_headers(stored: Front, name: str, value: str, code: str) -> None:
    assert stored("PUT", "/bucket/copy", headers={**FROM, name: value}).code == code


def test_copy_with_a_new_checksum(stored: Front) -> None:
    headers = {**FROM, "x-amz-checksum-algorithm": "SHA256"}
    answer = stored("PUT", "/bucket/copy", headers=headers)
    assert answer.text("ChecksumType") == "FULL_OBJECT"
    head = stored("HEAD", "/bucket/copy", headers={"x-amz-checksum-mode": "ENABLED"})
    assert head.headers["x-amz-checksum-sha256"] == answer.text("ChecksumSHA256")


def test_canned_acl_is_the_one_asked_for(stored: Front) -> None:
    stored("PUT", "/bucket/copy", headers={**FROM, "x-amz-acl": "authenticated-read"})
    info = asyncio.run(_head(stored, "bucket", "copy"))
    assert info.attributes.acl is CannedAcl.AUTHENTICATED_READ
    assert info.attributes.owner_id == "alice-id"


@pytest.mark.parametrize(("acl", "status"), [("private", 403), ("public-read", 200)])
@pytest.mark.parametrize("is_part", [False, True])
def test_copy_of_a_source_replaced_after_the_decision(
    front: Front, acl: str, status: int, is_part: bool
) -> None:
    """The right to read hung on the source's own ACL: what took its place is decided on anew."""
    front("PUT", "/bucket/source", b"open", {"x-amz-acl": "public-read"})
    front("PUT", "/bobs", user="bob")
    path = "/bobs/target"
    if is_part:
        upload = front("POST", "/bobs/target?uploads", user="bob").text("UploadId")
        path += f"?partNumber=1&uploadId={upload}"
    bucket = front.store.get_bucket(BucketRef(BucketName("bucket")))
    front("PUT", "/bucket/other", b"other", {"x-amz-acl": acl})
    info = asyncio.run(front.store.head(bucket, ObjectKey("other")))
    name = "upload_part_copy" if is_part else "copy"
    copy: Callable[..., Awaitable[object]] = getattr(front.store, name)
    store_copy = front.store.copy
    copied: list[object] = []

    async def replaced_before(*arguments: object, **options: object) -> object:
        if not copied:
            copied.append(
                await store_copy(
                    bucket,
                    ObjectKey("other"),
                    bucket,
                    ObjectKey("source"),
                    attributes=info.attributes,
                )
            )
        return await copy(*arguments, **options)

    setattr(front.store, name, replaced_before)
    headers = {"x-amz-copy-source": "/bucket/source"}
    answer = front("PUT", path, headers=headers, user="bob")
    assert answer.status == status
    assert copied
    if status == 200 and not is_part:
        assert front("GET", path, user="bob").body == b"other"


def test_a_source_that_is_deleted_meanwhile_is_not_there(
    front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    suspended = b"<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>"
    assert front("PUT", "/bucket?versioning", suspended).status == 200
    assert front("PUT", "/bucket/source", b"data").status == 200
    copy = front.store.copy

    async def delete_before(*args: Any, **named: Any) -> Any:
        await front.store.delete(args[0], args[1])
        return await copy(*args, **named)

    monkeypatch.setattr(front.store, "copy", delete_before)
    answer = front("PUT", "/bucket/target", headers={"x-amz-copy-source": "/bucket/source"})
    assert (answer.status, answer.code) == (404, "NoSuchKey")
