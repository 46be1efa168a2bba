"""Writes to a bucket that lives elsewhere, with the process tree killed between any two of their steps: what is read
afterwards is what the server behind has, the old object or the new one, and the write can be done again."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from backends.cache.crashpoints import NAMES
from tests.counterparts.started import S3Endpoint
from tests.remote.front import Front, start_front
from tests.s3compat.boto import MIB, read

pytestmark = [pytest.mark.crash, pytest.mark.slow]

OLD, NEW = b"old object", b"n" * (MIB + 1)
PARTS = [b"1" * (5 * MIB), b"2" * 100]


@pytest.fixture(scope="module")
def doomed(tmp_path_factory: pytest.TempPathFactory, moto: S3Endpoint) -> Iterator[Front]:
    started = start_front(tmp_path_factory.mktemp("doomed"), moto, workers=1)
    try:
        yield started
    finally:
        started.server.kill()


@pytest.fixture
def bucket(doomed: Front) -> str:
    """With an object of which a copy is here."""
    name = doomed.new_bucket()
    doomed.s3.put_object(Bucket=name, Key="k", Body=OLD)
    return name


def die_at(front: Front, point: str, work: Callable[[], object], skip: int = 0) -> None:
    """Have the server die while it does some work, and start it anew."""
    front.server.kill()
    front.server.start({"WEIR_DEBUG_CRASH_AT": f"{point}@{skip}"})
    with pytest.raises((BotoCoreError, ClientError)):
        work()
    assert front.server.wait_death(20)
    front.server.start()


def seen_alike(front: Front, bucket: str) -> bytes | None:
    """What both sides have."""
    try:
        there = front.read_there(bucket, "k")
    except ClientError:
        there = None
    try:
        here = read(front.s3, bucket, "k")
    except front.s3.exceptions.NoSuchKey:
        here = None
    assert here == there
    if here is not None:
        head = front.s3.head_object(Bucket=bucket, Key="k")
        assert head["ETag"] == front.there.head_object(Bucket=bucket, Key="k")["ETag"]
    return here


PUT = ["through:staged", "through:marked", "through:sent", "through:published"]
DELETE = ["through:marked", "through:deleted", "through:removed"]
UPLOAD = ["through:upload-created", "through:upload-kept"]
PART = ["through:part-received", "through:part-sent", "through:part-kept"]
COMPLETE = [
    "through:completing",
    "through:completed",
    "through:remembered",
    "through:published",
]
ABORT = ["through:upload-aborted"]


def test_every_point_is_tried() -> None:
    assert {*PUT, *DELETE, *UPLOAD, *PART, *COMPLETE, *ABORT} == set(NAMES)


@pytest.mark.parametrize("point", PUT)
def test_put(doomed: Front, bucket: str, point: str) -> None:
    def put() -> None:
        doomed.s3.put_object(Bucket=bucket, Key="k", Body=NEW)

    die_at(doomed, point, put)
    is_new = point in ("through:sent", "through:published")
    assert seen_alike(doomed, bucket) == (NEW if is_new else OLD)
    put()
    assert seen_alike(doomed, bucket) == NEW


@pytest.mark.parametrize("point", DELETE)
def test_delete(doomed: Front, bucket: str, point: str) -> None:
    def delete() -> None:
        doomed.s3.delete_object(Bucket=bucket, Key="k")

    die_at(doomed, point, delete)
    assert seen_alike(doomed, bucket) == (OLD if point == "through:marked" else None)
    delete()
    assert seen_alike(doomed, bucket) is None


@pytest.mark.parametrize("point", ["through:marked", "through:sent", "through:published"])
def test_copy(doomed: Front, bucket: str, point: str) -> None:
    doomed.s3.put_object(Bucket=bucket, Key="source", Body=NEW)

    def copy() -> None:
        source = {"Bucket": bucket, "Key": "source"}
        doomed.s3.copy_object(Bucket=bucket, Key="k", CopySource=source)  # type: ignore[arg-type]

    die_at(doomed, point, copy)
    assert seen_alike(doomed, bucket) == (OLD if point == "through:marked" else NEW)
    copy()
    assert seen_alike(doomed, bucket) == NEW


def begin(front: Front, bucket: str) -> str:
    return front.s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]


def add(front: Front, bucket: str, upload: str, number: int) -> dict[str, object]:
    part = front.s3.upload_part(
        Bucket=bucket, Key="k", UploadId=upload, PartNumber=number, Body=PARTS[number - 1]
    )
    return {"PartNumber": number, "ETag": part["ETag"]}


def complete(front: Front, bucket: str, upload: str, parts: list[dict[str, object]]) -> None:
    front.s3.complete_multipart_upload(
        Bucket=bucket,
        Key="k",
        UploadId=upload,
        MultipartUpload={"Parts": parts},  # type: ignore[typeddict-item]
    )


@pytest.mark.parametrize("point", UPLOAD)
def test_begin_upload(doomed: Front, bucket: str, point: str) -> None:
    die_at(doomed, point, lambda: begin(doomed, bucket))
    # Nobody was told of it; what is listed can be aborted.
    for upload in doomed.s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []):
        doomed.s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=upload["UploadId"])
    assert not doomed.s3.list_multipart_uploads(Bucket=bucket).get("Uploads")
    upload_id = begin(doomed, bucket)
    complete(doomed, bucket, upload_id, [add(doomed, bucket, upload_id, 2)])
    assert seen_alike(doomed, bucket) == PARTS[1]


@pytest.mark.parametrize("point", PART)
def test_add_part(doomed: Front, bucket: str, point: str) -> None:
    upload = begin(doomed, bucket)
    first = add(doomed, bucket, upload, 1)
    die_at(doomed, point, lambda: add(doomed, bucket, upload, 2))
    assert seen_alike(doomed, bucket) == OLD
    complete(doomed, bucket, upload, [first, add(doomed, bucket, upload, 2)])
    assert seen_alike(doomed, bucket) == b"".join(PARTS)


@pytest.mark.parametrize("point", COMPLETE)
def test_complete(doomed: Front, bucket: str, point: str) -> None:
    upload = begin(doomed, bucket)
    parts = [add(doomed, bucket, upload, number) for number in (1, 2)]
    die_at(doomed, point, lambda: complete(doomed, bucket, upload, parts))
    is_new = point != "through:completing"
    assert seen_alike(doomed, bucket) == (b"".join(PARTS) if is_new else OLD)
    complete(doomed, bucket, upload, parts)
    assert seen_alike(doomed, bucket) == b"".join(PARTS)
    for client in (doomed.there, doomed.s3):
        assert not client.list_multipart_uploads(Bucket=bucket).get("Uploads")


@pytest.mark.parametrize("point", ABORT)
def test_abort(doomed: Front, bucket: str, point: str) -> None:
    upload = begin(doomed, bucket)
    add(doomed, bucket, upload, 1)

    def abort() -> None:
        doomed.s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=upload)

    die_at(doomed, point, abort)
    abort()
    assert not doomed.there.list_multipart_uploads(Bucket=bucket).get("Uploads")
    assert not doomed.s3.list_multipart_uploads(Bucket=bucket).get("Uploads")
    assert seen_alike(doomed, bucket) == OLD
