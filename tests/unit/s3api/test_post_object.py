"""PostObject: what a form stores, and the answers it may ask for. Signatures and policies: tests/unit/s3api/auth."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest

from tests.unit.s3api.front import Answer, Front

DATA = b"file\r\n--data"
ETAG = f'"{hashlib.md5(DATA).hexdigest()}"'


def post(front: Front, fields: dict[str, str], data: bytes = DATA, path: str = "/bucket") -> Answer:
    lines = [
        f'--edge\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in {"x-ignore-user": "alice", **fields}.items()
    ]
    lines.append(
        b'--edge\r\nContent-Disposition: form-data; name="file"; filename="f.txt"\r\n\r\n'
        + data
        + b"\r\n--edge--\r\n"
    )
    headers = {"content-type": "multipart/form-data; boundary=edge"}
    return front("POST", path, b"".join(lines), headers, user="")


def test_post_object(front: Front) -> None:
    fields = {"key": "a/${filename}", "Content-Type": "text/x", "x-amz-meta-a": "é"}
    answer = post(front, fields)
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["etag"] == ETAG
    assert answer.headers["location"] == "http://s3.test/bucket/a/f.txt"
    got = front("GET", "/bucket/a/f.txt")
    assert (got.body, got.headers["content-type"]) == (DATA, "text/x")
    assert got.headers["x-amz-meta-a"].encode("latin-1").decode() == "é"


@pytest.mark.parametrize(
    ("asked", "status"), [("200", 200), ("201", 201), ("204", 204), ("404", 204)]
)
def test_success_action_status(front: Front, asked: str, status: int) -> None:
    answer = post(front, {"key": "k &", "success_action_status": asked})
    assert answer.status == status
    if status == 201:
        assert answer.xml.tag == "PostResponse"
        assert [(node.tag, node.text) for node in answer.xml] == [
            ("Location", "http://s3.test/bucket/k%20%26"),
            ("Bucket", "bucket"),
            ("Key", "k &"),
            ("ETag", ETAG),
        ]


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("http://a.test/x", "http://a.test/x?bucket=bucket&key=k&etag=%22ETAG%22"),
        ("http://a.test/x?y=1", "http://a.test/x?y=1&bucket=bucket&key=k&etag=%22ETAG%22"),
        ("not a url", None),
        ("javascript:alert(1)", None),
        ("http://[bad", None),
    ],
)
def test_success_action_redirect(front: Front, url: str, location: str | None) -> None:
    answer = post(front, {"key": "k", "success_action_redirect": url})
    if location is None:
        assert answer.status == 204
    else:
        assert answer.status == 303
        assert answer.headers["location"] == location.replace("ETAG", ETAG.strip('"'))


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({}, 400, "InvalidArgument"),
        ({"key": "k", "x-ignore-user": "bob"}, 403, "AccessDenied"),
        ({"key": "k", "acl": "everyone"}, 400, "InvalidArgument"),
        ({"key": "k", "Content-Type": "a\r\nb: c"}, 400, "InvalidArgument"),
        ({"key": "k", "tagging": "<Tagging/>"}, 400, "MalformedXML"),
        ({"key": "k", "x-amz-checksum-crc32": "AAAAAA=="}, 400, "BadDigest"),
        ({"key": "k", "x-amz-storage-class": "COLD"}, 400, "InvalidStorageClass"),
        ({"key": "x" * 1025}, 400, "KeyTooLongError"),
    ],
)
def test_post_object_refused(front: Front, fields: dict[str, str], status: int, code: str) -> None:
    answer = post(front, fields)
    assert (answer.status, answer.code) == (status, code)
    assert front("GET", "/bucket").texts("Contents") == []


def test_post_object_acl(front: Front) -> None:
    post(front, {"key": "k", "acl": "public-read"})
    assert front("GET", "/bucket/k", user="").body == DATA


def test_metadata_with_line_breaks_is_encoded(front: Front) -> None:
    post(front, {"key": "k", "x-amz-meta-a": "one\r\ntwo"})
    assert front("HEAD", "/bucket/k").headers["x-amz-meta-a"] == "=?UTF-8?B?b25lDQp0d28=?="


def test_post_that_is_no_form(front: Front) -> None:
    answer = front("POST", "/bucket", b"abc", {"content-type": "text/plain"})
    assert (answer.status, answer.code) == (412, "PreconditionFailed")


TAGS = "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"
HOLD = {"x-amz-object-lock-legal-hold": "ON"}
RETENTION = {
    "x-amz-object-lock-mode": "COMPLIANCE",
    "x-amz-object-lock-retain-until-date": "2030-01-01T00:00:00Z",
}


def allow_bob(front: Front, *actions: str) -> None:
    said = {"Effect": "Allow", "Principal": {"AWS": "bob-id"}, "Action": actions}
    policy = {"Version": "2012-10-17", "Statement": {**said, "Resource": "arn:aws:s3:::bucket/*"}}
    assert front("PUT", "/bucket?policy", json.dumps(policy).encode()).status == 204


@pytest.mark.parametrize(
    ("extra", "action"),
    [
        (HOLD, "s3:PutObjectLegalHold"),
        (RETENTION, "s3:PutObjectRetention"),
        ({"tagging": TAGS}, "s3:PutObjectTagging"),
        ({"x-amz-tagging": "a=b"}, "s3:PutObjectTagging"),
    ],
)
def test_locks_and_tags_need_permissions(front: Front, extra: dict[str, str], action: str) -> None:
    lock = b"<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>"
    enabled = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    digest = base64.b64encode(hashlib.md5(lock).digest()).decode()
    assert front("PUT", "/bucket?versioning", enabled).status == 200
    assert front("PUT", "/bucket?object-lock", lock, {"content-md5": digest}).status == 200
    form = {"key": "k", "x-ignore-user": "bob", **extra}
    allow_bob(front, "s3:PutObject")
    assert post(front, {"key": "k", "x-ignore-user": "bob"}).status == 204
    assert post(front, form).code == "AccessDenied"
    allow_bob(front, "s3:PutObject", action)
    assert post(front, form).status == 204


def test_an_acl_that_lets_post_lets_tag_but_not_lock(front: Front) -> None:
    headers = {"x-amz-acl": "public-read-write", "x-amz-bucket-object-lock-enabled": "true"}
    assert front("PUT", "/open-bucket", headers=headers).status == 200
    fields = {"key": "k", "x-ignore-user": "bob"}
    assert post(front, {**fields, "tagging": TAGS}, path="/open-bucket").status == 204
    assert post(front, {**fields, **HOLD}, path="/open-bucket").code == "AccessDenied"
