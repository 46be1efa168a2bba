"""Multipart uploads as the SDK does them: parts of any size, each named once, nothing visible before the end."""

from __future__ import annotations

import io
import random
from concurrent.futures import ThreadPoolExecutor

import boto3.s3.transfer
import pytest
from aistore.sdk import Bucket
from aistore.sdk.errors import AISError, ErrObjNotFound
from aistore.sdk.obj.multipart_upload import MultipartUpload
from botocore.exceptions import ClientError
from mypy_boto3_s3 import S3Client

from tests.contract.world import pattern

PARTS = [b"first part", pattern(300_000), b"x", pattern(50)]
WHOLE = b"".join(PARTS)


def begun(bucket: Bucket, name: str = "k") -> MultipartUpload:
    return bucket.object(name).multipart_upload().create()


def added(bucket: Bucket, name: str = "k") -> MultipartUpload:
    upload = begun(bucket, name)
    for number, data in enumerate(PARTS, 1):
        upload.add_part(number).put_content(data)
    return upload


def refused(upload: MultipartUpload) -> AISError:
    with pytest.raises(AISError) as caught:
        upload.complete()
    return caught.value


def test_upload(bucket: Bucket, s3: S3Client) -> None:
    upload = added(bucket)
    with pytest.raises(ErrObjNotFound):
        bucket.object("k").get_reader().read_all()
    assert upload.complete().status_code == 200
    reader = bucket.object("k").get_reader()
    assert reader.read_all() == WHOLE
    assert reader.attributes.checksum_type == "crc32c"
    assert reader.attributes.checksum_value
    chunks = bucket.object("k").head("chunked").chunks
    assert chunks is not None
    assert (chunks.chunk_count, chunks.max_chunk_size) == (4, 300_000)
    by_s3 = s3.get_object(Bucket=bucket.name, Key="k")
    assert by_s3["Body"].read() == WHOLE
    assert by_s3["ETag"].endswith('-4"')


def test_parts_in_any_order(bucket: Bucket) -> None:
    upload = begun(bucket)
    numbers = list(range(1, 21))
    random.Random(1).shuffle(numbers)
    for number in numbers:
        upload.add_part(number).put_content(b"part %d;" % number)
    upload.complete()
    expected = b"".join(b"part %d;" % number for number in range(1, 21))
    assert bucket.object("k").get_reader().read_all() == expected


def test_parts_side_by_side(bucket: Bucket) -> None:
    upload = begun(bucket)
    writers = [(upload.add_part(number), pattern(20_000, number)) for number in range(1, 9)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda each: each[0].put_content(each[1]), writers))
    upload.complete()
    expected = b"".join(data for _, data in writers)
    assert bucket.object("k").get_reader().read_all() == expected


def test_part_is_replaced(bucket: Bucket) -> None:
    upload = begun(bucket)
    upload.add_part(1).put_content(b"old")
    upload.add_part(2).put_content(b"tail")
    upload.parts.remove(1)
    upload.add_part(1).put_content(b"new")
    upload.complete()
    assert bucket.object("k").get_reader().read_all() == b"newtail"


def test_part_from_a_file_writer(bucket: Bucket) -> None:
    """It says that it appends as well, and would flush what it has a handle of."""
    upload = begun(bucket)
    with upload.add_part(1).as_file() as file:
        file.write(b"written as a file")
    upload.complete()
    assert bucket.object("k").get_reader().read_all() == b"written as a file"


def test_several_uploads_of_one_object(bucket: Bucket) -> None:
    first, second = begun(bucket), begun(bucket)
    first.add_part(1).put_content(b"first")
    second.add_part(1).put_content(b"second")
    second.complete()
    assert bucket.object("k").get_reader().read_all() == b"second"
    first.complete()
    assert bucket.object("k").get_reader().read_all() == b"first"
    bucket.object("k").get_writer().put_content(b"plain")
    assert bucket.object("k").get_reader().read_all() == b"plain"
    assert bucket.object("k").head("chunked").chunks is None
    assert bucket.object("k").props.obj_version == "3"


def test_old_object_stays_until_the_end(bucket: Bucket) -> None:
    bucket.object("k").get_writer().put_content(b"old")
    upload = added(bucket)
    assert bucket.object("k").get_reader().read_all() == b"old"
    upload.complete()
    assert bucket.object("k").get_reader().read_all() == WHOLE


def test_abort(bucket: Bucket, s3: S3Client) -> None:
    upload = added(bucket)
    assert upload.abort().status_code == 200
    for call in (upload.complete, upload.abort):
        with pytest.raises(AISError) as caught:
            call()
        assert caught.value.status_code == 404
        assert "does not exist" in str(caught.value)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket.name)


def test_completions_refused(bucket: Bucket) -> None:
    upload = begun(bucket)
    assert "no chunks" in str(refused(upload))
    upload.add_part(1).put_content(b"one")
    for parts in ([1, 1], [1, 2], [2], []):
        upload.parts = parts
        error = refused(upload)
        assert error.status_code == 400
        assert "partial completion" in str(error)
    upload.parts = [1]
    upload.complete()
    assert "does not exist" in str(refused(upload))
    upload.upload_id = "nonesuch"
    assert refused(upload).status_code == 404


def test_bad_parts(bucket: Bucket) -> None:
    upload = begun(bucket)
    with pytest.raises(AISError) as caught:
        upload.add_part(1).put_content(b"")
    assert caught.value.status_code == 400
    assert "invalid size (0)" in str(caught.value)
    with pytest.raises(AISError) as caught:
        upload.add_part(10_001).put_content(b"x")
    assert caught.value.status_code == 400


def test_chunks_of_what_s3_uploaded(bucket: Bucket, s3: S3Client) -> None:
    data = pattern(11 * 1024**2)
    config = boto3.s3.transfer.TransferConfig(
        multipart_threshold=1, multipart_chunksize=5 * 1024**2, use_threads=False
    )
    with io.BytesIO(data) as file:
        s3.upload_fileobj(file, bucket.name, "k", Config=config)
    chunks = bucket.object("k").head("chunked").chunks
    assert chunks is not None
    assert (chunks.chunk_count, chunks.max_chunk_size) == (3, 5 * 1024**2)
    assert bucket.object("k").get_reader().read_all() == data


def test_s3_stays_strict(bucket: Bucket, s3: S3Client) -> None:
    upload = added(bucket)
    parts = s3.list_parts(Bucket=bucket.name, Key="k", UploadId=str(upload.upload_id))["Parts"]
    named = [{"PartNumber": part["PartNumber"], "ETag": part["ETag"]} for part in parts]
    with pytest.raises(ClientError, match="EntityTooSmall"):
        s3.complete_multipart_upload(
            Bucket=bucket.name,
            Key="k",
            UploadId=str(upload.upload_id),
            MultipartUpload={"Parts": named},  # type: ignore[typeddict-item]
        )
    upload.complete()
