"""Members of shards as the SDK reads them from one object: one by its path, a part of it, or all that match."""

from __future__ import annotations

import io
import random
import tarfile
import zipfile
from collections.abc import Mapping
from urllib.parse import quote

import pytest
import requests
from aistore.sdk import Bucket
from aistore.sdk.archive_config import ArchiveConfig, ArchiveMode
from aistore.sdk.errors import AISError, ErrObjNotFound

from tests.contract.world import pattern
from tests.server import Server

FILES = {
    "a/file1.txt": b"first",
    "a/file1.cls": b"1",
    "file3.txt": pattern(5000),
    "file3.cls": b"",
    "ü/" + "long" * 40 + ".bin": b"x" * 513,
}


def tar_of(files: Mapping[str, bytes], mode: str = "w") -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            info.mtime = 1_700_000_000
            archive.addfile(info, io.BytesIO(data))
    return made.getvalue()


def zip_of(files: Mapping[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return made.getvalue()


SHARDS = {"s.tar": tar_of(FILES), "s.tgz": tar_of(FILES, "w:gz"), "s.zip": zip_of(FILES)}


@pytest.fixture(params=sorted(SHARDS))
def shard(bucket: Bucket, request: pytest.FixtureRequest) -> str:
    name: str = request.param
    bucket.object(name).get_writer().put_content(SHARDS[name])
    return name


def test_member_by_path(bucket: Bucket, shard: str) -> None:
    for path, data in FILES.items():
        reader = bucket.object(shard).get_reader(archive_config=ArchiveConfig(archpath=path))
        assert reader.read_all() == data
        assert reader.attributes.present
        assert not reader.attributes.checksum_value
    config = ArchiveConfig(archpath="absent")
    with pytest.raises(ErrObjNotFound) as caught:
        bucket.object(shard).get_reader(archive_config=config).read_all()
    assert "absent" in str(caught.value)


def test_part_of_a_member(
    server: Server, bucket: Bucket, shard: str, http: requests.Session
) -> None:
    url = f"{server.endpoint}/v1/objects/{bucket.name}/{shard}?archpath={quote('file3.txt')}"
    reply = http.get(url, headers={"Range": "bytes=100-199"}, timeout=10)
    assert reply.status_code == 206
    assert reply.content == FILES["file3.txt"][100:200]
    assert reply.headers["Content-Range"] == "bytes 100-199/5000"
    assert http.get(url, headers={"Range": "bytes=5000-"}, timeout=10).status_code == 416
    head = http.head(url, timeout=10)
    assert (head.status_code, head.headers["Content-Length"]) == (200, "5000")
    assert http.head(url.replace("file3", "file4"), timeout=10).status_code == 404


@pytest.mark.parametrize(
    ("mode", "wanted", "found"),
    [
        (ArchiveMode.REGEXP, r"file\d\.cls$", ["a/file1.cls", "file3.cls"]),
        (ArchiveMode.PREFIX, "a/", ["a/file1.txt", "a/file1.cls"]),
        (ArchiveMode.SUFFIX, ".txt", ["a/file1.txt", "file3.txt"]),
        (ArchiveMode.SUBSTR, "le3", ["file3.txt", "file3.cls"]),
        (ArchiveMode.WDSKEY, "file3", ["file3.txt", "file3.cls"]),
        (ArchiveMode.REGEXP, ".*", list(FILES)),
    ],
)
def test_members_that_match(
    bucket: Bucket, shard: str, mode: ArchiveMode, wanted: str, found: list[str]
) -> None:
    config = ArchiveConfig(regex=wanted, mode=mode)
    data = bucket.object(shard).get_reader(archive_config=config).read_all()
    assert isinstance(data, bytes)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        read = {info.name: archive.extractfile(info) for info in archive}
        assert list(read) == found
        for name, file in read.items():
            assert file is not None
            assert file.read() == FILES[name]


def test_nothing_that_matches(bucket: Bucket, shard: str) -> None:
    config = ArchiveConfig(regex="nonesuch", mode=ArchiveMode.PREFIX)
    with pytest.raises(AISError) as caught:
        bucket.object(shard).get_reader(archive_config=config).read_all()
    assert caught.value.status_code == 404


@pytest.mark.parametrize(
    "query",
    [
        "archpath=a&archmode=prefix",
        "archpath=a&archregx=b",
        "archregx=(&archmode=regexp",
        "archregx=a&archmode=nonesuch",
        "archpath=a&archmime=nonesuch",
    ],
)
def test_bad_questions(server: Server, bucket: Bucket, http: requests.Session, query: str) -> None:
    bucket.object("s.tar").get_writer().put_content(SHARDS["s.tar"])
    url = f"{server.endpoint}/v1/objects/{bucket.name}/s.tar?{query}"
    assert http.get(url, timeout=10).status_code == 400


def test_what_is_no_shard(bucket: Bucket) -> None:
    bucket.object("plain").get_writer().put_content(b"no archive at all")
    config = ArchiveConfig(archpath="a")
    with pytest.raises(AISError) as caught:
        bucket.object("plain").get_reader(archive_config=config).read_all()
    assert caught.value.status_code == 400
    with pytest.raises(ErrObjNotFound):
        bucket.object("absent.tar").get_reader(archive_config=config).read_all()


@pytest.mark.parametrize("ending", ["tar", "tgz"])
def test_shard_that_breaks_off(
    server: Server, bucket: Bucket, http: requests.Session, ending: str
) -> None:
    """Found out before the answer begins it is an error; later, the answer breaks off too."""
    files = {f"{number}": random.Random(number).randbytes(1_000_000) for number in range(4)}
    whole = tar_of(files, "w:gz" if ending == "tgz" else "w")
    bucket.object(f"s.{ending}").get_writer().put_content(whole[:3_500_000])
    url = f"{server.endpoint}/v1/objects/{bucket.name}/s.{ending}?archregx=.*"
    try:
        reply = http.get(url, timeout=10)
    except requests.exceptions.RequestException:
        return
    assert reply.status_code == 400


# --- appending -----------------------------------------------------------------------------------------------------


def appended(
    url: str, http: requests.Session, path: str, data: bytes, pine: str = "1"
) -> requests.Response:
    headers = {"Ais-Pine": pine}
    return http.put(f"{url}?archpath={quote(path)}", data=data, headers=headers, timeout=10)


def test_append_a_member(server: Server, bucket: Bucket, http: requests.Session) -> None:
    url = f"{server.endpoint}/v1/objects/{bucket.name}/s.tar"
    assert appended(url, http, "new", b"x").status_code == 404
    assert appended(url, http, "new", b"new", pine="2").status_code == 200
    assert appended(url, http, "dir/more", pattern(100_000)).status_code == 200
    for path, data in (("new", b"new"), ("dir/more", pattern(100_000))):
        config = ArchiveConfig(archpath=path)
        assert bucket.object("s.tar").get_reader(archive_config=config).read_all() == data
    whole = bucket.object("s.tar").get_reader().read_all()
    assert isinstance(whole, bytes)
    with tarfile.open(fileobj=io.BytesIO(whole)) as archive:
        assert archive.getnames() == ["new", "dir/more"]


@pytest.mark.parametrize(("path", "pine"), [("../up", "1"), ("a/", "1"), ("a", "7"), ("~/a", "1")])
def test_members_that_cannot_be_appended(
    server: Server, bucket: Bucket, http: requests.Session, path: str, pine: str
) -> None:
    bucket.object("s.tar").get_writer().put_content(SHARDS["s.tar"])
    url = f"{server.endpoint}/v1/objects/{bucket.name}/s.tar"
    assert appended(url, http, path, b"x", pine).status_code == 400
    assert bucket.object("s.tar").get_reader().read_all() == SHARDS["s.tar"]
