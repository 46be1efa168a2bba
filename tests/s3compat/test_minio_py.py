"""minio-py."""

from __future__ import annotations

import io
import secrets
from datetime import timedelta
from pathlib import Path

import pytest
import urllib3
from minio import Minio
from minio.commonconfig import REPLACE, ComposeSource, CopySource
from minio.deleteobjects import DeleteObject
from minio.error import S3Error

from tests.s3compat.boto import MIB
from tests.s3compat.wire import host_of
from tests.server import REGION, ROOT_KEYS, Server


@pytest.fixture
def minio(server: Server) -> Minio:
    return Minio(
        host_of(server),
        access_key=ROOT_KEYS.access_key,
        secret_key=ROOT_KEYS.secret_key,
        secure=False,
        region=REGION,
    )


def fetch(minio: Minio, bucket: str, key: str) -> bytes:
    reply = minio.get_object(bucket, key)
    try:
        return bytes(reply.read())
    finally:
        reply.close()
        reply.release_conn()


def test_minio_objects(minio: Minio, bucket: str, tmp_path: Path) -> None:
    data = secrets.token_bytes(11 * MIB)
    minio.put_object(
        bucket, "large", io.BytesIO(data), len(data), part_size=5 * MIB, metadata={"one": "1"}
    )
    minio.put_object(bucket, "stream", io.BytesIO(data), -1, part_size=5 * MIB)
    minio.put_object(bucket, "small é", io.BytesIO(b"small"), 5)
    assert fetch(minio, bucket, "large") == fetch(minio, bucket, "stream") == data
    stat = minio.stat_object(bucket, "large")
    assert stat.metadata is not None
    assert (stat.size, stat.metadata["x-amz-meta-one"]) == (len(data), "1")
    minio.fget_object(bucket, "small é", str(tmp_path / "got"))
    assert (tmp_path / "got").read_bytes() == b"small"
    minio.copy_object(
        bucket,
        "c",
        CopySource(bucket, "small é"),
        metadata={"two": "2"},
        metadata_directive=REPLACE,
    )
    minio.compose_object(
        bucket, "joined", [ComposeSource(bucket, "large"), ComposeSource(bucket, "small é")]
    )
    assert fetch(minio, bucket, "joined") == data + b"small"
    listed = [each.object_name for each in minio.list_objects(bucket, recursive=True)]
    assert listed == ["c", "joined", "large", "small é", "stream"]
    assert not list(minio.remove_objects(bucket, [DeleteObject(name) for name in listed if name]))
    assert not list(minio.list_objects(bucket))


def test_minio_missing(minio: Minio, bucket: str) -> None:
    assert not minio.bucket_exists("no-such-bucket-here")
    assert minio.bucket_exists(bucket)
    with pytest.raises(S3Error) as raised:
        minio.get_object(bucket, "absent")
    assert raised.value.code == "NoSuchKey"


def test_minio_presigned(minio: Minio, bucket: str) -> None:
    pool = urllib3.PoolManager()
    put = minio.presigned_put_object(bucket, "k", expires=timedelta(minutes=1))
    assert pool.request("PUT", put, body=b"x").status == 200
    got = pool.request("GET", minio.presigned_get_object(bucket, "k", timedelta(minutes=1)))
    assert got.data == b"x"
    pool.clear()
