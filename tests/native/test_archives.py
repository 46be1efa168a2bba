"""Shards through the SDK: members read, selected, listed and added, of every format, and S3's view beside it."""

from __future__ import annotations

import io
import tarfile
import threading
from collections.abc import Callable

import pytest
import requests
from aistore.sdk import ArchiveConfig, Bucket, Client
from aistore.sdk.archive_config import ArchiveMode
from aistore.sdk.errors import AISError, ErrObjNotFound
from mypy_boto3_s3 import S3Client

from core.shards import ShardFormat
from tests.native.jobs import succeeded
from tests.server import Server
from tests.unit.storage.archives import packed, tar, zipped
from tests.unit.storage.box import pattern

FORMATS = list(ShardFormat)
LARGE = pattern(2_000_000)
MEMBERS = {
    "file1.txt": b"one",
    "file2.txt": b"two",
    "dir/file1.cls": b"1",
    "file2.cls": b"2",
    "dir/large.bin": LARGE,
    "empty": b"",
}


def url_of(server: Server, bucket: Bucket, name: str) -> str:
    return f"{server.endpoint}/v1/objects/{bucket.name}/{name}"


def put_shard(bucket: Bucket, shard_format: ShardFormat, name: str = "") -> str:
    name = name or f"dir/shard{shard_format}"
    bucket.object(name).get_writer().put_content(packed(shard_format, MEMBERS))
    return name


def read_member(bucket: Bucket, name: str, path: str) -> bytes:
    data: bytes = (
        bucket.object(name).get_reader(archive_config=ArchiveConfig(archpath=path)).read_all()
    )
    return data


def selected(bucket: Bucket, name: str, pattern: str, mode: ArchiveMode) -> dict[str, bytes]:
    config = ArchiveConfig(regex=pattern, mode=mode)
    data = bucket.object(name).get_reader(archive_config=config).read_all()
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        return {info.name: _bytes_of(archive, info) for info in archive}


def _bytes_of(archive: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(info)
    assert file is not None
    return file.read()


@pytest.mark.parametrize("shard_format", FORMATS)
def test_members_by_path(bucket: Bucket, shard_format: ShardFormat) -> None:
    name = put_shard(bucket, shard_format)
    for path, data in MEMBERS.items():
        assert read_member(bucket, name, path) == data
        assert read_member(bucket, name, "/" + path) == data
    for path in ("absent", "dir", "file1"):
        with pytest.raises(ErrObjNotFound):
            read_member(bucket, name, path)
    for path in ("../file1.txt", "dir/", "dir/../file1.txt"):
        with pytest.raises(AISError) as refused:
            read_member(bucket, name, path)
        assert refused.value.status_code == 400
    chunks = list(
        bucket.object(name).get_reader(
            archive_config=ArchiveConfig(archpath="dir/large.bin"), chunk_size=100_000
        )
    )
    assert b"".join(chunks) == LARGE


@pytest.mark.parametrize("shard_format", FORMATS)
def test_several_at_once(bucket: Bucket, shard_format: ShardFormat) -> None:
    name = put_shard(bucket, shard_format)
    for asked, mode, paths in (
        ("file2", ArchiveMode.PREFIX, ["file2.txt", "file2.cls"]),
        (".cls", ArchiveMode.SUFFIX, ["dir/file1.cls", "file2.cls"]),
        ("/large", ArchiveMode.SUBSTR, ["dir/large.bin"]),
        ("file2", ArchiveMode.WDSKEY, ["file2.txt", "file2.cls"]),
        ("dir/file1", ArchiveMode.WDSKEY, ["dir/file1.cls"]),
        (r"^file\d\.(txt|cls)$", ArchiveMode.REGEXP, ["file1.txt", "file2.txt", "file2.cls"]),
    ):
        found = selected(bucket, name, asked, mode)
        assert list(found.items()) == [(path, MEMBERS[path]) for path in paths]


def test_patterns_cannot_hold_the_server_up(bucket: Bucket) -> None:
    bucket.object("s.tar").get_writer().put_content(tar({"a" * 90 + "!": b""}))
    with pytest.raises(ErrObjNotFound):
        selected(bucket, "s.tar", "(a+)+$", ArchiveMode.REGEXP)
    for bad in ("(", r"(a)\1", "(?=a)"):
        with pytest.raises(AISError) as refused:
            selected(bucket, "s.tar", bad, ArchiveMode.REGEXP)
        assert refused.value.status_code == 400


@pytest.mark.parametrize("shard_format", FORMATS)
def test_heads_and_ranges(
    server: Server, http: requests.Session, bucket: Bucket, shard_format: ShardFormat
) -> None:
    url = url_of(server, bucket, put_shard(bucket, shard_format))
    params = {"archpath": "dir/large.bin"}
    head = http.head(url, params=params)
    assert (head.status_code, head.headers["Content-Length"]) == (200, str(len(LARGE)))
    for wanted, span in (
        ("bytes=5-9", slice(5, 10)),
        ("bytes=1000000-", slice(1_000_000, None)),
        ("bytes=-7", slice(-7, None)),
    ):
        answer = http.get(url, params=params, headers={"Range": wanted})
        assert (answer.status_code, answer.content) == (206, LARGE[span])
        assert answer.headers["Content-Range"].endswith(f"/{len(LARGE)}")
    beyond = http.get(url, params=params, headers={"Range": "bytes=9000000-"})
    assert beyond.status_code == 416
    same = http.get(url, params=params, headers={"If-None-Match": head.headers["ETag"]})
    assert same.status_code == 304


def test_the_format_is_found_or_told(
    server: Server, http: requests.Session, bucket: Bucket
) -> None:
    for shard_format in FORMATS:
        name = put_shard(bucket, shard_format, f"nameless-{shard_format.value[1:]}-")
        assert read_member(bucket, name, "file1.txt") == b"one"
        url = url_of(server, bucket, name)
        told = http.get(url, params={"archpath": "file1.txt", "archmime": shard_format.value})
        assert told.content == b"one"
        wrong = http.get(url, params={"archpath": "file1.txt", "archmime": "rar"})
        assert wrong.status_code == 400
    bucket.object("text").get_writer().put_content(b"no archive")
    with pytest.raises(AISError) as refused:
        read_member(bucket, "text", "a")
    assert refused.value.status_code == 400


@pytest.mark.parametrize("shard_format", FORMATS)
def test_listed(bucket: Bucket, shard_format: ShardFormat) -> None:
    name = put_shard(bucket, shard_format)
    entries = bucket.list_archive(name, props="name,size")
    assert {entry.name: entry.size for entry in entries} == {
        f"{name}/{path}": len(data) for path, data in MEMBERS.items()
    }


@pytest.mark.parametrize("shard_format", FORMATS)
def test_added_to(
    server: Server,
    http: requests.Session,
    bucket: Bucket,
    s3: S3Client,
    shard_format: ShardFormat,
) -> None:
    name = f"s{shard_format}"
    url = url_of(server, bucket, name)
    absent = http.put(url, params={"archpath": "a"}, data=b"x", headers={"Ais-Pine": "1"})
    assert absent.status_code == 404
    for number, flags in enumerate(("2", "1", "2")):
        made = http.put(
            url,
            params={"archpath": f"dir/{number}"},
            data=b"%d" % number * 100_000,
            headers={"Ais-Pine": flags},
        )
        assert (made.status_code, made.headers["Ais-Version"]) == (200, str(number + 1))
    for number in range(3):
        assert read_member(bucket, name, f"dir/{number}") == b"%d" % number * 100_000
    if shard_format is ShardFormat.TAR:
        data = s3.get_object(Bucket=bucket.name, Key=name)["Body"].read()
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            assert archive.getnames() == ["dir/0", "dir/1", "dir/2"]
    other = ".zip" if shard_format is not ShardFormat.ZIP else ".tar"
    mismatch = http.put(url, params={"archpath": "a", "archmime": other}, data=b"x")
    assert mismatch.status_code == 400
    assert "mime mismatch" in mismatch.json()["message"]
    unusable = http.put(url, params={"archpath": "../a"}, data=b"x")
    assert unusable.status_code == 400


HOSTILE: dict[str, bytes] = {
    "cut.tar": tar(MEMBERS)[:1_000_000],
    "junk.tar": b"junk" * 1000,
    "cut.tgz": packed(ShardFormat.TGZ, MEMBERS)[:1000],
    "cut.tar.lz4": packed(ShardFormat.TAR_LZ4, MEMBERS)[:1000],
    "cut.zip": packed(ShardFormat.ZIP, MEMBERS)[:-10],
    "junk.zip": b"PK" * 1000,
    "bomb.zip": zipped({"bomb": bytes(400_000_000)}),
    "empty.tgz": b"",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_bad_shards_are_the_clients_fault(bucket: Bucket, name: str) -> None:
    bucket.object(name).get_writer().put_content(HOSTILE[name])
    for path in ("dir/large.bin", "absent"):
        with pytest.raises(AISError) as refused:
            read_member(bucket, name, path)
        assert refused.value.status_code == 400, refused.value


def test_what_is_cut_short_is_never_handed_out_as_whole(
    server: Server, http: requests.Session, bucket: Bucket
) -> None:
    """Where the damage shows only behind the beginning of the answer, the connection is cut."""
    for shard_format in (ShardFormat.TGZ, ShardFormat.TAR_LZ4):
        name = f"cut{shard_format}"
        data = packed(shard_format, MEMBERS)[:-100_000]
        bucket.object(name).get_writer().put_content(data)
        url = url_of(server, bucket, name)
        for params in ({"archpath": "dir/large.bin"}, {"archregx": "large"}):
            with pytest.raises(requests.RequestException):
                http.get(url, params=params)


def test_a_shard_replaced_in_mid_read(
    server: Server, http: requests.Session, bucket: Bucket
) -> None:
    """Each of two readers gets the version that it began with, whole."""
    old, new = pattern(20_000_000), pattern(20_000_000, seed=1)
    url = url_of(server, bucket, "s.tar")
    bucket.object("s.tar").get_writer().put_content(tar({"first": b"x", "large": old}))
    member = http.get(url, params={"archpath": "large"}, stream=True)
    several = http.get(url, params={"archregx": "large"}, stream=True)
    streams = [each.iter_content(65_536) for each in (member, several)]
    got = [next(stream) for stream in streams]
    replaced = threading.Thread(
        target=lambda: bucket.object("s.tar").get_writer().put_content(tar({"large": new}))
    )
    replaced.start()
    replaced.join()
    whole = [begun + b"".join(rest) for begun, rest in zip(got, streams, strict=True)]
    assert whole[0] == old
    with tarfile.open(fileobj=io.BytesIO(whole[1]), mode="r:") as archive:
        assert _bytes_of(archive, archive.getmember("large")) == old
    assert read_member(bucket, "s.tar", "large") == new


def test_a_reader_that_leaves(
    server: Server, http: requests.Session, make_bucket: Callable[[], Bucket]
) -> None:
    """What reads for clients that went away ends, and others are served."""
    bucket = make_bucket()
    name = "s.tgz"
    bucket.object(name).get_writer().put_content(
        packed(ShardFormat.TGZ, {"zeros": bytes(100_000_000), "last": b"omega"})
    )
    for _ in range(8):
        left = requests.get(
            url_of(server, bucket, name), params={"archpath": "zeros"}, stream=True, timeout=20
        )
        next(left.iter_content(1000))
        left.close()
    assert read_member(bucket, name, "last") == b"omega"


# --- made of objects -----------------------------------------------------------------------------------------------


def archived(client: Client, bucket: Bucket, names: list[str], **options: bool) -> None:
    """Into a shard of each format, all at once."""
    group = bucket.objects(obj_names=names)
    jobs = [job for each in FORMATS for job in group.archive(f"made{each}", **options)]
    for job_id in jobs:
        succeeded(client, job_id)


def test_made_of_objects(client: Client, bucket: Bucket, s3: S3Client) -> None:
    for path, data in {**MEMBERS, "more": b"more"}.items():
        s3.put_object(Bucket=bucket.name, Key=path, Body=data)
    archived(client, bucket, list(MEMBERS))
    archived(client, bucket, ["more"], allow_append=True)
    for shard_format in FORMATS:
        for path, data in {**MEMBERS, "more": b"more"}.items():
            assert read_member(bucket, f"made{shard_format}", path) == data
