"""Readers of the SDK: whole, in pieces, by many processes at once; and the data sets that are made of them."""

from __future__ import annotations

import io

import pytest
from aistore.sdk import Bucket
from aistore.sdk.errors import ErrObjNotFound
from mypy_boto3_s3 import S3Client

from tests.contract.world import pattern

SIZE_BYTES = 1_000_000
# A parallel read starts processes by fork; that this is no good idea in a process with threads is the client's affair.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


@pytest.fixture
def data(bucket: Bucket) -> bytes:
    made = pattern(SIZE_BYTES)
    bucket.object("k").get_writer().put_content(made)
    return made


def test_read_all_raw_iterate(bucket: Bucket, data: bytes) -> None:
    reader = bucket.object("k").get_reader(chunk_size=10_000)
    assert reader.read_all() == data
    assert reader.raw().read() == data
    assert b"".join(reader) == data


def test_writer_of_the_callers_own(bucket: Bucket, data: bytes) -> None:
    into = io.BytesIO()
    bucket.object("k").get_reader(writer=into)
    assert into.getvalue() == data


@pytest.mark.parametrize("chunk_size", [None, 100_000, 333_333])
def test_parallel_read(bucket: Bucket, data: bytes, chunk_size: int | None) -> None:
    reader = bucket.object("k").get_reader(num_workers=2, chunk_size=chunk_size)
    assert b"".join(bytes(piece) for piece in reader) == data
    with reader.read_all() as whole:
        assert len(whole) == SIZE_BYTES
        assert whole.tobytes() == data


def test_parallel_read_of_parts(bucket: Bucket) -> None:
    """Its pieces are as large as the parts, which the reader asks for."""
    upload = bucket.object("k").multipart_upload().create()
    parts = [pattern(size, size) for size in (300_000, 100, 250_000)]
    for number, part in enumerate(parts, 1):
        upload.add_part(number).put_content(part)
    upload.complete()
    reader = bucket.object("k").get_reader(num_workers=2)
    pieces = [bytes(piece) for piece in reader]
    assert b"".join(pieces) == b"".join(parts)
    assert [len(piece) for piece in pieces] == [300_000, 250_100]


def test_parallel_read_as_file(bucket: Bucket, data: bytes) -> None:
    with bucket.object("k").get_reader(num_workers=3, chunk_size=200_000).as_file() as file:
        assert file.read(150_000) == data[:150_000]
        assert file.read() == data[150_000:]


def test_parallel_read_of_nothing(bucket: Bucket) -> None:
    bucket.object("k").get_writer().put_content(b"")
    with pytest.raises(ValueError, match="non-empty"):
        bucket.object("k").get_reader(num_workers=2)
    bucket.object("one").get_writer().put_content(b"1")
    assert b"".join(bytes(p) for p in bucket.object("one").get_reader(num_workers=2)) == b"1"


def test_read_by_a_target(bucket: Bucket, data: bytes) -> None:
    """The SDK finds the target of an object by itself, and asks it again when it was wrong."""
    assert bucket.object("k").get_reader(direct=True).read_all() == data
    with pytest.raises(ErrObjNotFound):
        bucket.object("absent").get_reader(direct=True).read_all()


def test_object_of_s3_as_stream(bucket: Bucket, s3: S3Client) -> None:
    s3.put_object(Bucket=bucket.name, Key="k", Body=pattern(100_000))
    assert b"".join(bucket.object("k").get_reader()) == pattern(100_000)
