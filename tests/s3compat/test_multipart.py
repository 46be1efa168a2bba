"""Multipart uploads: create, parts, copies, lists, complete, abort."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest
from botocore.exceptions import ClientError
from mypy_boto3_s3 import S3Client

from tests.s3compat.boto import MIB, code_of, list_keys, read, status_of
from tests.s3compat.wire import exchange
from tests.server import Server

PART = hashlib.shake_256(b"part").digest(5 * MIB)


def begin(client: S3Client, bucket: str, key: str = "k") -> str:
    return client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]


def send(client: S3Client, bucket: str, upload: str, number: int, data: bytes) -> str:
    return client.upload_part(
        Bucket=bucket, Key="k", UploadId=upload, PartNumber=number, Body=data
    )["ETag"]


def complete(client: S3Client, bucket: str, upload: str, parts: Sequence[tuple[int, str]]) -> str:
    return client.complete_multipart_upload(
        Bucket=bucket,
        Key="k",
        UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": n, "ETag": etag} for n, etag in parts]},
    )["ETag"]


def test_multipart_upload(client: S3Client, bucket: str) -> None:
    upload = client.create_multipart_upload(
        Bucket=bucket, Key="k", ContentType="text/x-a", Metadata={"m": "1"}
    )["UploadId"]
    # Part numbers need not be dense, and parts may come in any order.
    last = send(client, bucket, upload, 7, b"end")
    first = send(client, bucket, upload, 2, PART)
    assert list_keys(client, bucket) == []
    etag = complete(client, bucket, upload, [(2, first), (7, last)])
    digests = hashlib.md5(PART).digest() + hashlib.md5(b"end").digest()
    assert etag == f'"{hashlib.md5(digests).hexdigest()}-2"'
    assert read(client, bucket, "k") == PART + b"end"
    head = client.head_object(Bucket=bucket, Key="k")
    assert (head["ContentType"], head["Metadata"], head["ETag"]) == ("text/x-a", {"m": "1"}, etag)


def test_multipart_part_sent_again_replaces(client: S3Client, bucket: str) -> None:
    upload = begin(client, bucket)
    send(client, bucket, upload, 1, b"old")
    etag = send(client, bucket, upload, 1, b"new")
    complete(client, bucket, upload, [(1, etag)])
    assert read(client, bucket, "k") == b"new"


def test_multipart_complete_again_is_the_same(client: S3Client, bucket: str) -> None:
    upload = begin(client, bucket)
    parts = [(1, send(client, bucket, upload, 1, b"x"))]
    assert complete(client, bucket, upload, parts) == complete(client, bucket, upload, parts)


def test_multipart_complete_part_too_small(client: S3Client, bucket: str) -> None:
    upload = begin(client, bucket)
    parts = [(n, send(client, bucket, upload, n, b"x")) for n in (1, 2)]
    with pytest.raises(ClientError) as raised:
        complete(client, bucket, upload, parts)
    assert (code_of(raised.value), status_of(raised.value)) == ("EntityTooSmall", 400)


def test_multipart_complete_wrong_order(client: S3Client, bucket: str) -> None:
    upload = begin(client, bucket)
    parts = [(n, send(client, bucket, upload, n, PART)) for n in (1, 2)]
    with pytest.raises(ClientError) as raised:
        complete(client, bucket, upload, parts[::-1])
    assert code_of(raised.value) == "InvalidPartOrder"


def test_multipart_complete_unknown_part(client: S3Client, bucket: str) -> None:
    upload = begin(client, bucket)
    etag = send(client, bucket, upload, 1, b"x")
    for parts in ([(9, etag)], [(1, '"d41d8cd98f00b204e9800998ecf8427e"')]):
        with pytest.raises(ClientError) as raised:
            complete(client, bucket, upload, parts)
        assert code_of(raised.value) == "InvalidPart"
    complete(client, bucket, upload, [(1, etag)])


def test_multipart_complete_no_parts(client: S3Client, bucket: str) -> None:
    upload = begin(client, bucket)
    with pytest.raises(ClientError) as raised:
        complete(client, bucket, upload, [])
    assert code_of(raised.value) == "MalformedXML"


def test_multipart_complete_if_none_match(client: S3Client, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="k", Body=b"kept")
    upload = begin(client, bucket)
    etag = send(client, bucket, upload, 1, b"x")
    with pytest.raises(ClientError) as raised:
        client.complete_multipart_upload(
            Bucket=bucket,
            Key="k",
            UploadId=upload,
            MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]},
            IfNoneMatch="*",
        )
    assert code_of(raised.value) == "PreconditionFailed"
    assert read(client, bucket, "k") == b"kept"


def test_multipart_abort(client: S3Client, bucket: str) -> None:
    upload = begin(client, bucket)
    send(client, bucket, upload, 1, PART)
    client.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=upload)
    with pytest.raises(ClientError) as raised:
        send(client, bucket, upload, 2, b"x")
    assert (code_of(raised.value), status_of(raised.value)) == ("NoSuchUpload", 404)
    with pytest.raises(ClientError) as raised:
        client.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=upload)
    assert code_of(raised.value) == "NoSuchUpload"


@pytest.mark.parametrize("number", [0, 10001, -1])
def test_upload_part_bad_number(server: Server, client: S3Client, bucket: str, number: int) -> None:
    upload = begin(client, bucket)
    target = f"/{bucket}/k?partNumber={number}&uploadId={upload}"
    reply = exchange(server, "PUT", target, body=b"x")
    assert (reply.status, reply.error_code) == (400, "InvalidArgument")


def test_upload_part_unknown_upload(client: S3Client, bucket: str) -> None:
    with pytest.raises(ClientError) as raised:
        send(client, bucket, "no-such-upload", 1, b"x")
    assert code_of(raised.value) == "NoSuchUpload"


def test_list_parts(client: S3Client, bucket: str) -> None:
    upload = begin(client, bucket)
    etags = {n: send(client, bucket, upload, n, b"x" * n) for n in (1, 3, 5)}
    page = client.list_parts(Bucket=bucket, Key="k", UploadId=upload, MaxParts=2)
    assert [part["PartNumber"] for part in page["Parts"]] == [1, 3]
    assert page["IsTruncated"] is True
    rest = client.list_parts(
        Bucket=bucket, Key="k", UploadId=upload, PartNumberMarker=page["NextPartNumberMarker"]
    )
    assert [(part["PartNumber"], part["Size"], part["ETag"]) for part in rest["Parts"]] == [
        (5, 5, etags[5])
    ]


def test_list_multipart_uploads(client: S3Client, bucket: str) -> None:
    uploads = [(key, begin(client, bucket, key)) for key in ("a/1", "a/2", "b", "b")]
    page = client.list_multipart_uploads(Bucket=bucket)
    assert {(entry["Key"], entry["UploadId"]) for entry in page["Uploads"]} == set(uploads)
    assert [entry["Key"] for entry in page["Uploads"]] == ["a/1", "a/2", "b", "b"]
    grouped = client.list_multipart_uploads(Bucket=bucket, Delimiter="/")
    assert [entry["Prefix"] for entry in grouped["CommonPrefixes"]] == ["a/"]
    assert [entry["Key"] for entry in grouped["Uploads"]] == ["b", "b"]
    seen: list[tuple[str, str]] = []
    pages = client.get_paginator("list_multipart_uploads").paginate(
        Bucket=bucket, PaginationConfig={"PageSize": 1}
    )
    for each in pages:
        seen += [(entry["Key"], entry["UploadId"]) for entry in each["Uploads"]]
    assert sorted(seen) == sorted(uploads)


def test_upload_part_copy(client: S3Client, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="source", Body=PART)
    upload = begin(client, bucket)
    etags = []
    for number, asked in ((1, None), (2, "bytes=10-19")):
        options = {} if asked is None else {"CopySourceRange": asked}
        done = client.upload_part_copy(
            Bucket=bucket,
            Key="k",
            UploadId=upload,
            PartNumber=number,
            CopySource=f"{bucket}/source",
            **options,  # type: ignore[arg-type]
        )
        etags.append((number, done["CopyPartResult"]["ETag"]))
    complete(client, bucket, upload, etags)
    assert read(client, bucket, "k") == PART + PART[10:20]


@pytest.mark.parametrize("asked", ["bytes=0-99999999", "bytes=5-", "bytes=-5", "0-1", "bytes=4-2"])
def test_upload_part_copy_bad_range(client: S3Client, bucket: str, asked: str) -> None:
    client.put_object(Bucket=bucket, Key="source", Body=b"0123456789")
    upload = begin(client, bucket)
    with pytest.raises(ClientError) as raised:
        client.upload_part_copy(
            Bucket=bucket,
            Key="k",
            UploadId=upload,
            PartNumber=1,
            CopySource=f"{bucket}/source",
            CopySourceRange=asked,
        )
    assert code_of(raised.value) in {"InvalidArgument", "InvalidRange"}


def test_get_object_by_part(client: S3Client, bucket: str) -> None:
    upload = begin(client, bucket)
    parts = [(n, send(client, bucket, upload, n, data)) for n, data in ((1, PART), (2, b"end"))]
    complete(client, bucket, upload, parts)
    got = client.get_object(Bucket=bucket, Key="k", PartNumber=2)
    assert (got["PartsCount"], got["Body"].read()) == (2, b"end")
    head = client.head_object(Bucket=bucket, Key="k", PartNumber=1)
    assert (head["ContentLength"], head["PartsCount"]) == (5 * MIB, 2)
    across = client.get_object(Bucket=bucket, Key="k", Range=f"bytes={5 * MIB - 2}-{5 * MIB + 1}")
    assert across["Body"].read() == PART[-2:] + b"en"
