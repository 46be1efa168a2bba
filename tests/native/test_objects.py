"""Objects as the SDK puts, reads, heads, changes, copies and deletes them, and as S3 sees them beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
import requests
import xxhash
from aistore.sdk import Bucket
from aistore.sdk.blob_download_config import BlobDownloadConfig
from aistore.sdk.errors import AISError, ErrBckNotFound, ErrETLNotFound, ErrObjNotFound
from aistore.sdk.etl import ETLConfig
from mypy_boto3_s3 import S3Client

from tests.contract.world import pattern
from tests.server import Server

SIZES = [0, 10, 200_000]


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def url_of(server: Server, bucket: Bucket, name: str) -> str:
    return f"{server.endpoint}/v1/objects/{bucket.name}/{quote(name)}"


# --- put, get, head ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size_bytes", SIZES)
def test_put_get_head(bucket: Bucket, s3: S3Client, size_bytes: int) -> None:
    data = pattern(size_bytes)
    written = bucket.object("dir/k").get_writer().put_content(data)
    assert written.status_code == 200
    assert written.content == b""
    assert written.headers["Ais-Version"] == "1"
    reader = bucket.object("dir/k").get_reader()
    assert reader.read_all() == data
    seen = reader.attributes
    assert (seen.checksum_type, seen.checksum_value) == ("md5", md5(data))
    assert (seen.size, seen.obj_version, seen.custom_metadata) == (size_bytes, "1", {})
    assert int(seen.access_time) > 10**18
    props = bucket.object("dir/k").props
    assert props.size == size_bytes
    assert props.checksum_value == md5(data)
    assert props.present
    assert props.mirror_copies == 1
    by_s3 = s3.get_object(Bucket=bucket.name, Key="dir/k")
    assert by_s3["Body"].read() == data
    assert by_s3["ETag"] == f'"{md5(data)}"'
    assert by_s3["ContentType"] == "application/octet-stream"


def test_put_file(bucket: Bucket, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(pattern(3_000_000))
    bucket.object("k").get_writer().put_file(path)
    assert bucket.object("k").get_reader().read_all() == path.read_bytes()


def test_version_counts_writes_of_both_fronts(bucket: Bucket, s3: S3Client) -> None:
    bucket.object("k").get_writer().put_content(b"1")
    s3.put_object(Bucket=bucket.name, Key="k", Body=b"2")
    bucket.object("k").get_writer().put_content(b"3")
    assert bucket.object("k").props.obj_version == "3"
    bucket.object("k").delete()
    s3.put_object(Bucket=bucket.name, Key="k", Body=b"4")
    assert bucket.object("k").props.obj_version == "1"


def test_what_s3_wrote(bucket: Bucket, s3: S3Client) -> None:
    s3.put_object(
        Bucket=bucket.name, Key="k", Body=b"data", Metadata={"colour": "red"}, Tagging="a=b"
    )
    reader = bucket.object("k").get_reader()
    assert reader.read_all() == b"data"
    assert reader.attributes.custom_metadata == {"colour": "red"}
    assert bucket.object("k").head("etag").etag == md5(b"data")


def test_head_tells_what_is_asked(bucket: Bucket) -> None:
    obj = bucket.object("k")
    obj.get_writer().put_content(b"12345")
    plain = obj.head()
    assert (plain.size, plain.present) == (5, True)
    assert not plain.last_modified
    assert not plain.etag
    assert not plain.obj_version
    assert not plain.checksum_value
    asked = obj.head("last-modified,etag,version,checksum,atime,custom,location,chunked,ec")
    assert asked.etag == md5(b"12345")
    assert asked.last_modified.endswith("GMT")
    assert asked.obj_version == "1"
    assert asked.location.startswith("t[")
    assert asked.chunks is None
    assert asked.ec is None
    for name in ("cached", "status", "nonesuch"):
        with pytest.raises(AISError) as caught:
            obj.head(name)
        assert caught.value.status_code == 400


def test_head_without_props_tells_everything(
    server: Server, bucket: Bucket, http: requests.Session
) -> None:
    bucket.object("k").get_writer().put_content(b"12345")
    reply = http.head(url_of(server, bucket, "k"), timeout=10)
    assert reply.status_code == 200
    assert reply.headers["Content-Length"] == "5"
    assert reply.headers["Ais-Bucket-Name"] == bucket.name
    assert reply.headers["Ais-Bucket-Provider"] == "ais"
    for name in ("Ais-Version", "Ais-Atime", "Ais-Checksum-Value", "ETag", "Last-Modified"):
        assert reply.headers[name]


@pytest.mark.parametrize(
    ("presence", "status"), [("0", 200), ("1", 200), ("2", 200), ("3", 200), ("4", 200), ("5", 404)]
)
def test_presence(
    server: Server, bucket: Bucket, http: requests.Session, presence: str, status: int
) -> None:
    bucket.object("k").get_writer().put_content(b"12345")
    for name, expected in (("k", status), ("absent", 404)):
        reply = http.head(f"{url_of(server, bucket, name)}?presence={presence}", timeout=10)
        assert reply.status_code == expected
        if presence in "13" and expected == 200:
            assert "Ais-Present" not in reply.headers


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=10-19", (10, 20)),
        ("bytes=199990-300000", (199_990, 200_000)),
        ("bytes=5-", (5, 200_000)),
        ("bytes=-7", (199_993, 200_000)),
    ],
)
def test_ranges(bucket: Bucket, header: str, expected: tuple[int, int]) -> None:
    data = pattern(200_000)
    bucket.object("k").get_writer().put_content(data)
    first, end = expected
    reply = bucket.object("k").get_reader(byte_range=header).raw()
    assert reply.read() == data[first:end]
    assert reply.headers["Content-Range"] == f"bytes {first}-{end - 1}/200000"


def test_range_that_cannot_be_met(server: Server, bucket: Bucket, http: requests.Session) -> None:
    bucket.object("k").get_writer().put_content(b"12345")
    reply = http.get(url_of(server, bucket, "k"), headers={"Range": "bytes=5-"}, timeout=10)
    assert reply.status_code == 416
    assert reply.headers["Content-Range"] == "bytes */5"


def test_conditions_of_reads(server: Server, bucket: Bucket, http: requests.Session) -> None:
    bucket.object("k").get_writer().put_content(b"12345")
    url, etag = url_of(server, bucket, "k"), f'"{md5(b"12345")}"'
    assert http.get(url, headers={"If-None-Match": etag}, timeout=10).status_code == 304
    assert http.get(url, headers={"If-Match": '"other"'}, timeout=10).status_code == 412
    assert http.get(url, headers={"If-Match": etag}, timeout=10).content == b"12345"
    headers = {"Range": "bytes=1-2", "If-Range": etag}
    assert http.get(url, headers=headers, timeout=10).content == b"23"
    headers["If-Range"] = '"other"'
    assert http.get(url, headers=headers, timeout=10).content == b"12345"


def test_conditions_of_writes(server: Server, bucket: Bucket, http: requests.Session) -> None:
    url = url_of(server, bucket, "k")
    only_new = {"If-None-Match": "*"}
    assert http.put(url, data=b"1", headers=only_new, timeout=10).status_code == 200
    assert http.put(url, data=b"2", headers=only_new, timeout=10).status_code == 412
    matching = {"If-Match": f'"{md5(b"1")}"'}
    assert http.put(url, data=b"2", headers=matching, timeout=10).status_code == 200
    assert http.put(url, data=b"3", headers=matching, timeout=10).status_code == 412
    assert http.get(url, timeout=10).content == b"2"


def test_absent(bucket: Bucket, client_bucket_absent: Bucket) -> None:
    with pytest.raises(ErrObjNotFound):
        bucket.object("a/b").get_reader().read_all()
    with pytest.raises(ErrObjNotFound):
        bucket.object("a/b").delete()
    with pytest.raises(ErrObjNotFound):
        bucket.object("a/b").get_writer().set_custom_props({"a": "b"})
    with pytest.raises(ErrBckNotFound):
        client_bucket_absent.object("k").get_reader().read_all()
    with pytest.raises(ErrBckNotFound):
        client_bucket_absent.object("k").get_writer().put_content(b"x")
    with pytest.raises(AISError) as caught:
        bucket.object("a/b").head()
    assert caught.value.status_code == 404


@pytest.fixture
def client_bucket_absent(make_bucket: Callable[[], Bucket], s3: S3Client) -> Bucket:
    made = make_bucket()
    s3.delete_bucket(Bucket=made.name)
    return made


def test_delete(bucket: Bucket, s3: S3Client) -> None:
    bucket.object("k").get_writer().put_content(b"x")
    assert bucket.object("k").delete().status_code == 200
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket.name)


# --- checksums -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size_bytes", [10, 200_000])
def test_checksums_are_verified(
    server: Server, bucket: Bucket, http: requests.Session, size_bytes: int
) -> None:
    data = pattern(size_bytes)
    right = {
        "xxhash": xxhash.xxh64(data).hexdigest(),
        "xxhash2": xxhash.xxh64(data).hexdigest(),
        "md5": md5(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "sha512": hashlib.sha512(data).hexdigest(),
    }
    url = url_of(server, bucket, "k")
    for kind, value in right.items():
        headers = {"Ais-Checksum-Type": kind, "Ais-Checksum-Value": value}
        assert http.put(url, data=data, headers=headers, timeout=10).status_code == 200
        reply = http.put(url, data=b"!" + data, headers=headers, timeout=10)
        assert reply.status_code == 400
        assert http.get(url, timeout=10).content == data
        http.delete(url, timeout=10)
    for kind, value in (("md5", "no digits"), ("md5", "00"), ("crc99", "00000000")):
        headers = {"Ais-Checksum-Type": kind, "Ais-Checksum-Value": value}
        assert http.put(url, data=data, headers=headers, timeout=10).status_code == 400
    assert http.get(url, timeout=10).status_code == 404


# --- metadata ------------------------------------------------------------------------------------------------------


def test_custom_metadata_is_merged_or_replaced(bucket: Bucket, s3: S3Client) -> None:
    obj = bucket.object("k")
    obj.get_writer().put_content(b"x")
    before = obj.head("etag,version").etag
    obj.get_writer().set_custom_props({"a": "1", "b": "two words"})
    obj.get_writer().set_custom_props({"b": "3"})
    assert obj.props.custom_metadata == {"a": "1", "b": "3"}
    assert s3.head_object(Bucket=bucket.name, Key="k")["Metadata"] == {"a": "1", "b": "3"}
    obj.get_writer().set_custom_props({"c": "4"}, replace_existing=True)
    assert obj.props.custom_metadata == {"c": "4"}
    assert obj.props.obj_version == "1"
    assert obj.head("etag").etag == before


def test_custom_metadata_with_a_put(server: Server, bucket: Bucket, http: requests.Session) -> None:
    headers = {"Ais-Custom-Md": "colour=blue = green"}
    http.put(url_of(server, bucket, "k"), data=b"x", headers=headers, timeout=10)
    assert bucket.object("k").props.custom_metadata == {"colour": "blue = green"}


@pytest.mark.parametrize(
    "metadata",
    [{"a": "x" * 3000}, {"a b": "x"}, {"a": "line\nbreak"}, {"": "x"}, {"a": 5}, {"é": "x"}],
)
def test_bad_custom_metadata(bucket: Bucket, metadata: dict[str, str]) -> None:
    obj = bucket.object("k")
    obj.get_writer().put_content(b"x")
    with pytest.raises(AISError) as caught:
        obj.get_writer().set_custom_props(metadata)
    assert caught.value.status_code in (400, 413)
    assert obj.props.custom_metadata == {}


def test_metadata_of_many_merges_is_bounded(bucket: Bucket) -> None:
    obj = bucket.object("k")
    obj.get_writer().put_content(b"x")
    obj.get_writer().set_custom_props({"a": "x" * 1500})
    with pytest.raises(AISError):
        obj.get_writer().set_custom_props({"b": "x" * 1500})


# --- copy, rename --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size_bytes", SIZES)
def test_copy(bucket: Bucket, make_bucket: Callable[[], Bucket], size_bytes: int) -> None:
    other = make_bucket()
    data = pattern(size_bytes)
    source = bucket.object("a/name with spaces?&%")
    source.get_writer().put_content(data)
    source.get_writer().set_custom_props({"a": "b"})
    for target in (other.object("a/name with spaces?&%"), bucket.object("b"), other.object("c")):
        assert source.copy(target, latest=True, sync=True).status_code == 200
        assert target.get_reader().read_all() == data
        assert target.props.custom_metadata == {"a": "b"}
    assert source.copy(source).status_code == 200


def test_copy_that_cannot_be(
    server: Server, bucket: Bucket, client_bucket_absent: Bucket, http: requests.Session
) -> None:
    bucket.object("k").get_writer().put_content(b"x")
    with pytest.raises(AISError) as caught:
        bucket.object("k").copy(client_bucket_absent.object("k"))
    assert caught.value.status_code == 404
    assert client_bucket_absent.name in str(caught.value)
    assert "does not exist" in str(caught.value)
    with pytest.raises(ErrObjNotFound):
        bucket.object("absent").copy(bucket.object("b"))
    for uname in ("b", "ais/b", "ais/@#/b", "ais/@#/b/", "nope/@#/b/c", "ais/@#/b/../c"):
        params = {"object_to": uname}
        reply = http.put(url_of(server, bucket, "k"), params=params, timeout=10)
        assert reply.status_code == 400


def test_rename(server: Server, bucket: Bucket, http: requests.Session, s3: S3Client) -> None:
    s3.put_object(Bucket=bucket.name, Key="old", Body=b"data", Metadata={"a": "b"}, Tagging="t=v")

    def rename(old: str, new: str) -> int:
        message = {"action": "rename-obj", "name": new, "value": None}
        return http.post(url_of(server, bucket, old), json=message, timeout=10).status_code

    assert rename("old", "new/name") == 200
    assert bucket.object("new/name").get_reader().read_all() == b"data"
    assert bucket.object("new/name").props.custom_metadata == {"a": "b"}
    tags = s3.get_object_tagging(Bucket=bucket.name, Key="new/name")["TagSet"]
    assert tags == [{"Key": "t", "Value": "v"}]
    assert rename("old", "again") == 404
    assert rename("new/name", "new/name") == 400
    assert rename("new/name", "../name") == 400


# --- the rest ------------------------------------------------------------------------------------------------------


def test_check_lock(server: Server, bucket: Bucket, http: requests.Session) -> None:
    bucket.object("k").get_writer().put_content(b"x")
    message = {"action": "check-lock", "name": "", "value": None}
    reply = http.post(url_of(server, bucket, "k"), json=message, timeout=10)
    assert reply.status_code == 200


def test_what_is_for_remote_buckets(bucket: Bucket) -> None:
    obj = bucket.object("k")
    obj.get_writer().put_content(b"x")
    with pytest.raises(AISError) as caught:
        obj.blob_download()
    assert caught.value.status_code == 400
    assert "remote" in str(caught.value)
    with pytest.raises(AISError) as caught:
        obj.get_reader(blob_download_config=BlobDownloadConfig(num_workers="4")).read_all()
    assert caught.value.status_code == 400
    with pytest.raises(ErrETLNotFound):
        obj.get_reader(etl=ETLConfig(name="nonesuch")).read_all()


def test_methods_that_are_none(server: Server, bucket: Bucket, http: requests.Session) -> None:
    reply = http.put(f"{server.endpoint}/v1/objects/{bucket.name}/", data=b"x", timeout=10)
    assert reply.status_code == 405
    assert reply.headers["Allow"]
    reply = http.post(url_of(server, bucket, "k"), json={"action": "nonesuch"}, timeout=10)
    assert reply.status_code == 400


def test_versions_in_lists(bucket: Bucket) -> None:
    for name, writes in (("a", 1), ("b", 3)):
        for _ in range(writes):
            bucket.object(name).get_writer().put_content(b"x")
    for props in ("name,version", "name,size,version,checksum,custom"):
        entries = bucket.list_all_objects(props=props)
        assert {entry.name: entry.version for entry in entries} == {"a": "1", "b": "3"}
