"""Writes to buckets that live elsewhere when the server behind is gone, refuses, or there is no room for a copy."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.counterparts.started import S3Endpoint
from tests.remote.front import Front, start_front
from tests.s3compat.boto import MIB, code_of, read, status_of
from tests.server import ROOT_KEYS, Server, ServerOptions


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that may die."""
    server = Server(ServerOptions([tmp_path_factory.mktemp("behind") / "data"], workers=1))
    server.start()
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory, behind: Server) -> Iterator[Front]:
    endpoint = S3Endpoint(behind.endpoint, ROOT_KEYS)
    started = start_front(tmp_path_factory.mktemp("before"), endpoint)
    try:
        yield started
    finally:
        started.server.stop()


def test_a_server_that_is_gone_takes_nothing_and_loses_nothing(
    before: Front, behind: Server
) -> None:
    bucket = before.new_bucket()
    before.s3.put_object(Bucket=bucket, Key="k", Body=b"old")
    upload = before.s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    behind.kill()
    try:
        for attempt in (
            lambda: before.s3.put_object(Bucket=bucket, Key="k", Body=b"new"),
            lambda: before.s3.delete_object(Bucket=bucket, Key="k"),
            lambda: before.s3.upload_part(
                Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"part"
            ),
        ):
            with pytest.raises(ClientError) as caught:
                attempt()
            assert status_of(caught.value) == 503
    finally:
        behind.start()
    assert read(before.s3, bucket, "k") == before.read_there(bucket, "k") == b"old"
    part = before.s3.upload_part(
        Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"part"
    )
    before.s3.complete_multipart_upload(
        Bucket=bucket,
        Key="k",
        UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    )
    assert read(before.s3, bucket, "k") == before.read_there(bucket, "k") == b"part"
    before.s3.put_object(Bucket=bucket, Key="k", Body=b"new")
    assert read(before.s3, bucket, "k") == before.read_there(bucket, "k") == b"new"


def test_a_server_that_refuses_leaves_the_old_object(before: Front) -> None:
    bucket = before.new_bucket()
    before.s3.put_object(Bucket=bucket, Key="k", Body=b"old")
    policy = (
        '{"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*",'
        f' "Action": ["s3:PutObject", "s3:DeleteObject"], "Resource": "arn:aws:s3:::{bucket}/*"}}]}}'
    )
    before.there.put_bucket_policy(Bucket=bucket, Policy=policy)
    with pytest.raises(ClientError) as caught:
        before.s3.put_object(Bucket=bucket, Key="k", Body=b"new")
    assert (status_of(caught.value), code_of(caught.value)) == (403, "AccessDenied")
    with pytest.raises(ClientError) as caught:
        before.s3.delete_object(Bucket=bucket, Key="k")
    assert status_of(caught.value) == 403
    assert read(before.s3, bucket, "k") == before.read_there(bucket, "k") == b"old"


def test_without_room_for_copies_writes_go_through(tmp_path: Path, second_weir: S3Endpoint) -> None:
    quota = {"WEIR_STORAGE_QUOTA_BYTES": str(4 * MIB)}
    small = start_front(tmp_path, second_weir, settings=quota)
    try:
        bucket = small.new_bucket()
        small.s3.put_object(Bucket=bucket, Key="k", Body=b"old")
        large = secrets.token_bytes(6 * MIB)
        small.s3.put_object(Bucket=bucket, Key="k", Body=large)
        assert small.read_there(bucket, "k") == large
        assert read(small.s3, bucket, "k") == large
        upload = small.s3.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
        named = []
        for number in (1, 2):
            part = small.s3.upload_part(
                Bucket=bucket, Key="parts", UploadId=upload, PartNumber=number, Body=large
            )
            named.append({"PartNumber": number, "ETag": part["ETag"]})
        small.s3.complete_multipart_upload(
            Bucket=bucket,
            Key="parts",
            UploadId=upload,
            MultipartUpload={"Parts": named},  # type: ignore[typeddict-item]
        )
        assert small.read_there(bucket, "parts") == large * 2
        assert read(small.s3, bucket, "parts") == large * 2
    finally:
        small.server.stop()
