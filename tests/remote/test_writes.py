"""boto3 writes to buckets that live elsewhere: what the server behind has afterwards, and what weir shows."""

from __future__ import annotations

import hashlib
import secrets
from concurrent.futures import ThreadPoolExecutor

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from tests.remote.front import Front
from tests.s3compat.boto import MIB, code_of, list_keys, read, status_of


def etag_there(front: Front, bucket: str, key: str) -> str:
    return front.there.head_object(Bucket=bucket, Key=key)["ETag"]


def evict(front: Front, bucket: str, key: str) -> None:
    """Remove the copy alone."""
    reply = front.ask(
        "DELETE",
        f"/v1/objects/{bucket}/{key}?provider=aws",
        json={"action": "evict-listrange", "name": ""},
    )
    assert reply.status_code in (200, 204), reply.text


def test_put_object_is_on_both_sides(front: Front, remote: str) -> None:
    for key, data in {"empty": b"", "small": b"small", "large": secrets.token_bytes(MIB)}.items():
        made = front.s3.put_object(
            Bucket=remote,
            Key=key,
            Body=data,
            ContentType="text/x-test",
            CacheControl="no-store",
            ContentDisposition="inline",
            Metadata={"color": "blue"},
            Tagging="a=1&b=2",
        )
        assert made["ETag"] == etag_there(front, remote, key)
        assert front.read_there(remote, key) == data
        assert read(front.s3, remote, key) == data
        there = front.there.head_object(Bucket=remote, Key=key)
        cached = front.s3.head_object(Bucket=remote, Key=key)
        evict(front, remote, key)
        uncached = front.s3.head_object(Bucket=remote, Key=key)
        for seen in (cached, uncached):
            assert seen["ETag"] == there["ETag"]
            assert seen["LastModified"] == there["LastModified"]
            assert seen["ContentType"] == there["ContentType"] == "text/x-test"
            assert seen["CacheControl"] == there["CacheControl"] == "no-store"
            assert seen["ContentDisposition"] == there["ContentDisposition"] == "inline"
            assert seen["Metadata"] == there["Metadata"] == {"color": "blue"}
        tags = front.s3.get_object_tagging(Bucket=remote, Key=key)["TagSet"]
        assert tags == front.there.get_object_tagging(Bucket=remote, Key=key)["TagSet"]
        assert {tag["Key"]: tag["Value"] for tag in tags} == {"a": "1", "b": "2"}


def test_a_digest_that_does_not_hold_changes_nothing(front: Front, remote: str) -> None:
    front.s3.put_object(Bucket=remote, Key="k", Body=b"old")
    with pytest.raises(ClientError) as caught:
        front.s3.put_object(
            Bucket=remote, Key="k", Body=b"new", ContentMD5="AAAAAAAAAAAAAAAAAAAAAA=="
        )
    assert code_of(caught.value) == "BadDigest"
    assert front.read_there(remote, "k") == read(front.s3, remote, "k") == b"old"


def test_conditional_puts(front: Front, remote: str) -> None:
    front.s3.put_object(Bucket=remote, Key="k", Body=b"1", IfNoneMatch="*")
    with pytest.raises(ClientError) as caught:
        front.s3.put_object(Bucket=remote, Key="k", Body=b"2", IfNoneMatch="*")
    assert status_of(caught.value) == 412
    # What counts is what is there, not the copy that is here.
    etag = front.put_there(remote, "k", b"out of band")
    front.s3.put_object(Bucket=remote, Key="k", Body=b"3", IfMatch=etag)
    assert front.read_there(remote, "k") == b"3"


def test_deletes(front: Front, remote: str) -> None:
    names = [f"n{number}" for number in range(30)]
    for name in names:
        front.s3.put_object(Bucket=remote, Key=name, Body=b"x")
    front.put_there(remote, "cold", b"x")
    front.s3.delete_object(Bucket=remote, Key="cold")
    front.s3.delete_object(Bucket=remote, Key="n0")
    front.s3.delete_object(Bucket=remote, Key="absent")
    done = front.s3.delete_objects(
        Bucket=remote, Delete={"Objects": [{"Key": name} for name in names]}
    )
    assert len(done["Deleted"]) == 30
    assert list_keys(front.there, remote) == list_keys(front.s3, remote) == []


def test_copies(front: Front, remote: str) -> None:
    local = f"local-{secrets.token_hex(6)}"
    front.s3.create_bucket(Bucket=local)
    data = secrets.token_bytes(200_000)
    front.s3.put_object(Bucket=local, Key="near", Body=data, Metadata={"a": "1"})
    front.s3.copy_object(Bucket=remote, Key="up", CopySource={"Bucket": local, "Key": "near"})
    front.s3.copy_object(Bucket=remote, Key="same", CopySource={"Bucket": remote, "Key": "up"})
    front.s3.copy_object(Bucket=local, Key="back", CopySource={"Bucket": remote, "Key": "same"})
    front.put_there(remote, "cold", data)
    front.s3.copy_object(Bucket=remote, Key="warm", CopySource={"Bucket": remote, "Key": "cold"})
    for key in ("up", "same", "warm"):
        assert front.read_there(remote, key) == read(front.s3, remote, key) == data
        assert front.s3.head_object(Bucket=remote, Key=key)["ETag"] == etag_there(
            front, remote, key
        )
    assert read(front.s3, local, "back") == data
    assert front.there.head_object(Bucket=remote, Key="same")["Metadata"] == {"a": "1"}


def test_metadata_and_tags_are_replaced_there(front: Front, remote: str) -> None:
    front.s3.put_object(Bucket=remote, Key="k", Body=b"data", Tagging="t=1", Metadata={"a": "1"})
    front.s3.copy_object(
        Bucket=remote,
        Key="k",
        CopySource={"Bucket": remote, "Key": "k"},
        MetadataDirective="REPLACE",
        Metadata={"b": "2"},
        ContentType="text/new",
    )
    for client in (front.there, front.s3):
        head = client.head_object(Bucket=remote, Key="k")
        assert head["Metadata"] == {"b": "2"}
        assert head["ContentType"] == "text/new"
        tags = client.get_object_tagging(Bucket=remote, Key="k")["TagSet"]
        assert tags == [{"Key": "t", "Value": "1"}]
    front.s3.put_object_tagging(
        Bucket=remote, Key="k", Tagging={"TagSet": [{"Key": "u", "Value": "2"}]}
    )
    tags = front.there.get_object_tagging(Bucket=remote, Key="k")["TagSet"]
    assert tags == [{"Key": "u", "Value": "2"}]
    front.s3.delete_object_tagging(Bucket=remote, Key="k")
    assert not front.there.get_object_tagging(Bucket=remote, Key="k")["TagSet"]
    assert read(front.s3, remote, "k") == b"data"


def test_what_a_provider_must_configure_is_refused(front: Front, remote: str) -> None:
    s3 = front.s3
    with pytest.raises(ClientError) as caught:
        s3.put_bucket_versioning(Bucket=remote, VersioningConfiguration={"Status": "Enabled"})
    assert code_of(caught.value) == "NotImplemented"
    with pytest.raises(ClientError) as caught:
        s3.put_object(Bucket=remote, Key="k", Body=b"", ServerSideEncryption="AES256")
    assert code_of(caught.value) == "NotImplemented"
    with pytest.raises(ClientError) as caught:
        s3.put_object(Bucket=remote, Key="k", Body=b"", ObjectLockLegalHoldStatus="ON")
    assert 400 <= status_of(caught.value) <= 501
    assert list_keys(front.there, remote) == []


# --- multipart ---


def test_multipart_upload_is_on_both_sides(front: Front, remote: str) -> None:
    parts = [secrets.token_bytes(5 * MIB), secrets.token_bytes(5 * MIB), b"end"]
    upload = front.s3.create_multipart_upload(
        Bucket=remote, Key="k", ContentType="text/x-test", Metadata={"a": "1"}
    )["UploadId"]

    def add(number: int, data: bytes) -> str:
        return front.s3.upload_part(
            Bucket=remote, Key="k", UploadId=upload, PartNumber=number, Body=data
        )["ETag"]

    add(2, b"replaced")
    with ThreadPoolExecutor(3) as pool:
        etags = list(pool.map(add, [1, 2, 3], parts))
    listed = front.s3.list_parts(Bucket=remote, Key="k", UploadId=upload)["Parts"]
    assert [part["ETag"] for part in listed] == etags
    (begun,) = front.s3.list_multipart_uploads(Bucket=remote)["Uploads"]
    assert begun["UploadId"] == upload
    named = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
    for _ in range(2):
        made = front.s3.complete_multipart_upload(
            Bucket=remote,
            Key="k",
            UploadId=upload,
            MultipartUpload={"Parts": named},  # type: ignore[typeddict-item]
        )
        assert made["ETag"] == etag_there(front, remote, "k")
    assert front.read_there(remote, "k") == read(front.s3, remote, "k") == b"".join(parts)
    there = front.there.head_object(Bucket=remote, Key="k")
    here = front.s3.head_object(Bucket=remote, Key="k")
    for name in ("ETag", "LastModified", "ContentType", "Metadata", "ContentLength"):
        assert dict(here)[name] == dict(there)[name]


def test_small_parts_are_refused_clearly(front: Front, remote: str) -> None:
    upload = front.s3.create_multipart_upload(Bucket=remote, Key="k")["UploadId"]
    named = []
    for number in (1, 2):
        part = front.s3.upload_part(
            Bucket=remote, Key="k", UploadId=upload, PartNumber=number, Body=b"small"
        )
        named.append({"PartNumber": number, "ETag": part["ETag"]})
    with pytest.raises(ClientError) as caught:
        front.s3.complete_multipart_upload(
            Bucket=remote,
            Key="k",
            UploadId=upload,
            MultipartUpload={"Parts": named},  # type: ignore[typeddict-item]
        )
    assert code_of(caught.value) == "EntityTooSmall"
    front.s3.abort_multipart_upload(Bucket=remote, Key="k", UploadId=upload)
    for client in (front.s3, front.there):
        assert not client.list_multipart_uploads(Bucket=remote).get("Uploads")


def test_part_copies(front: Front, remote: str) -> None:
    data = secrets.token_bytes(6 * MIB)
    front.put_there(remote, "source", data)
    upload = front.s3.create_multipart_upload(Bucket=remote, Key="k")["UploadId"]
    named = []
    for number, (first, last) in enumerate([(0, 5 * MIB - 1), (5 * MIB, 6 * MIB - 1)], 1):
        part = front.s3.upload_part_copy(
            Bucket=remote,
            Key="k",
            UploadId=upload,
            PartNumber=number,
            CopySource={"Bucket": remote, "Key": "source"},
            CopySourceRange=f"bytes={first}-{last}",
        )
        named.append({"PartNumber": number, "ETag": part["CopyPartResult"]["ETag"]})
    front.s3.complete_multipart_upload(
        Bucket=remote,
        Key="k",
        UploadId=upload,
        MultipartUpload={"Parts": named},  # type: ignore[typeddict-item]
    )
    assert front.read_there(remote, "k") == read(front.s3, remote, "k") == data


def test_transfer_manager(
    front: Front, remote: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("transfer") / "large"
    path.write_bytes(secrets.token_bytes(17 * MIB))
    config = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB)
    front.s3.upload_file(str(path), remote, "large", Config=config)
    back = path.with_name("back")
    front.s3.download_file(remote, "large", str(back), Config=config)
    assert back.read_bytes() == path.read_bytes()
    assert front.read_there(remote, "large") == path.read_bytes()


def test_append_sessions_are_written_through_at_flush(front: Front, remote: str) -> None:
    writer = front.bucket(remote).object("k").get_writer()
    handle = writer.append_content(b"one ")
    handle = writer.append_content(b"two", handle=handle)
    assert list_keys(front.there, remote) == []
    writer.append_content(b"", handle=handle, flush=True)
    assert front.read_there(remote, "k") == read(front.s3, remote, "k") == b"one two"
    assert not front.there.list_multipart_uploads(Bucket=remote).get("Uploads")


def test_writers_at_once_leave_both_sides_the_same(front: Front, remote: str) -> None:
    """In two workers."""

    def write(number: int) -> None:
        data = bytes([number]) * (1000 + number * 20_000)
        front.s3.put_object(Bucket=remote, Key="k", Body=data)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(24)))
    there = front.read_there(remote, "k")
    assert read(front.s3, remote, "k") == there
    digest = hashlib.md5(there).hexdigest()
    assert front.s3.head_object(Bucket=remote, Key="k")["ETag"] == f'"{digest}"'


def test_a_writer_beside_cold_readers(front: Front, remote: str) -> None:
    """No reader's fetch of the old object becomes the copy."""
    old, new = b"o" * (4 * MIB), b"n" * (3 * MIB)
    for _ in range(3):
        front.put_there(remote, "k", old)
        evict(front, remote, "k")
        with ThreadPoolExecutor(6) as pool:
            reads = [pool.submit(read, front.s3, remote, "k") for _ in range(4)]
            write = pool.submit(front.s3.put_object, Bucket=remote, Key="k", Body=new)
            for each in reads:
                assert each.result() in (old, new)
            write.result()
        assert read(front.s3, remote, "k") == front.read_there(remote, "k") == new
