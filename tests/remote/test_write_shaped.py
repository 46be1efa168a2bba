"""Writes to buckets that live elsewhere through a way that is slow, throttles, breaks, or loses answers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError

from tests.counterparts.started import S3Endpoint
from tests.remote.front import Front, start_front
from tests.s3compat.boto import MIB, code_of, read, status_of
from tests.shaper import Shaper, shaped

OLD, NEW = b"old object", b"n" * (2 * MIB)


@pytest.fixture(scope="module")
def shaper(moto: S3Endpoint) -> Iterator[Shaper]:
    with shaped(moto.endpoint) as made:
        yield made


@pytest.fixture(scope="module")
def far(
    tmp_path_factory: pytest.TempPathFactory, moto: S3Endpoint, shaper: Shaper
) -> Iterator[Front]:
    """A weir that reaches moto by way of the shaper."""
    endpoint = S3Endpoint(shaper.endpoint, moto.keys)
    started = start_front(tmp_path_factory.mktemp("far"), endpoint)
    try:
        yield started
    finally:
        started.server.stop()


@pytest.fixture
def bucket(far: Front, shaper: Shaper) -> Iterator[str]:
    """With an object of which a copy is here."""
    name = far.new_bucket()
    far.s3.put_object(Bucket=name, Key="k", Body=OLD)
    yield name
    shaper.release()


def put(far: Front, bucket: str) -> None:
    far.s3.put_object(Bucket=bucket, Key="k", Body=NEW)


def both_have(far: Front, shaper: Shaper, bucket: str, data: bytes) -> None:
    shaper.release()
    assert far.read_there(bucket, "k") == data
    assert read(far.s3, bucket, "k") == data


@pytest.mark.parametrize(
    ("status", "code", "shown"),
    [(503, "SlowDown", (503, "SlowDown")), (403, "AccessDenied", (403, "AccessDenied"))],
)
def test_refusals_are_passed_on(
    far: Front, shaper: Shaper, bucket: str, status: int, code: str, shown: tuple[int, str]
) -> None:
    shaper.fail("status", method="PUT", path="/k", times=-1, status=status, code=code)
    with pytest.raises(ClientError) as caught:
        put(far, bucket)
    assert (status_of(caught.value), code_of(caught.value)) == shown
    both_have(far, shaper, bucket, OLD)


def test_a_moment_of_throttling_is_not_noticed(far: Front, shaper: Shaper, bucket: str) -> None:
    shaper.fail("status", method="PUT", path="/k", times=1)
    put(far, bucket)
    both_have(far, shaper, bucket, NEW)


def test_an_answer_that_is_lost_once_is_asked_for_again(
    far: Front, shaper: Shaper, bucket: str
) -> None:
    shaper.fail("lose", method="PUT", path="/k", times=1)
    put(far, bucket)
    both_have(far, shaper, bucket, NEW)


def test_a_write_whose_answers_are_lost_is_there_or_is_not(
    far: Front, shaper: Shaper, bucket: str
) -> None:
    """It was taken, and nobody was told: the copy that is here must not be believed."""
    shaper.fail("lose", method="PUT", path="/k", times=-1)
    with pytest.raises(ClientError) as caught:
        put(far, bucket)
    assert status_of(caught.value) == 503
    both_have(far, shaper, bucket, NEW)


def test_a_delete_whose_answers_are_lost(far: Front, shaper: Shaper, bucket: str) -> None:
    shaper.fail("lose", method="DELETE", path="/k", times=-1)
    with pytest.raises(ClientError) as caught:
        far.s3.delete_object(Bucket=bucket, Key="k")
    assert status_of(caught.value) == 503
    shaper.release()
    with pytest.raises(far.s3.exceptions.NoSuchKey):
        read(far.s3, bucket, "k")
    far.s3.delete_object(Bucket=bucket, Key="k")


def test_a_completion_whose_answers_are_lost_may_be_sent_again(
    far: Front, shaper: Shaper, bucket: str
) -> None:
    upload = far.s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    part = far.s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=NEW)

    def complete() -> None:
        far.s3.complete_multipart_upload(
            Bucket=bucket,
            Key="k",
            UploadId=upload,
            MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
        )

    shaper.fail("lose", method="POST", path="/k", times=-1)
    try:
        complete()
    except ClientError as error:
        assert status_of(error) == 503  # noqa: PT017  # the backend may have been asked what became of it
    shaper.release()
    complete()
    both_have(far, shaper, bucket, NEW)


def test_a_slow_way_is_waited_for(far: Front, shaper: Shaper, bucket: str) -> None:
    shaper.shape.delay_s, shaper.shape.bytes_per_s = 0.05, 8 * MIB
    try:
        put(far, bucket)
    finally:
        shaper.shape.delay_s, shaper.shape.bytes_per_s = 0.0, 0.0
    both_have(far, shaper, bucket, NEW)
