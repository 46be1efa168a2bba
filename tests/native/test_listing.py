"""Listing objects through the SDK: pages, properties, flags, directories, and members of archives."""

from __future__ import annotations

import io
import tarfile
from datetime import UTC, datetime

import msgpack
import pytest
import requests
from aistore.sdk import Bucket, Client, ListObjectFlag
from aistore.sdk.errors import AISError, ErrBckNotFound
from aistore.sdk.namespace import Namespace
from mypy_boto3_s3 import S3Client

from tests.server import Server

FLAT = ["p/alpha.txt", "p/beta.bin", "p/gamma.txt"]
NESTED = ["p/subdir/deep/three.txt", "p/subdir/one.txt", "p/subdir/two.txt"]
# In the order of their bytes.
ODD = ["%25", "-x", ".x", "a b", "a%2Fb", "a+b", "a/b", "z", "é", "你好", "\U0001f600"]


def put_all(s3: S3Client, bucket: Bucket, names: list[str], data: bytes = b"content") -> None:
    for name in names:
        s3.put_object(Bucket=bucket.name, Key=name, Body=data)


def names_of(bucket: Bucket, **wanted: object) -> list[str]:
    return [entry.name for entry in bucket.list_all_objects(**wanted)]


def tar_of(members: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return made.getvalue()


@pytest.fixture
def tree(s3: S3Client, bucket: Bucket) -> Bucket:
    put_all(s3, bucket, [*FLAT, *NESTED])
    return bucket


def test_names_come_in_byte_order_whatever_they_are(s3: S3Client, bucket: Bucket) -> None:
    put_all(s3, bucket, ODD[::-1])
    assert names_of(bucket) == sorted(ODD, key=str.encode)
    assert names_of(bucket, page_size=2) == sorted(ODD, key=str.encode)


def test_an_empty_bucket_has_one_empty_page(bucket: Bucket) -> None:
    page = bucket.list_objects()
    assert (page.entries, page.continuation_token) == ([], "")
    assert page.uuid


def test_an_absent_bucket_is_named(client: Client) -> None:
    with pytest.raises(ErrBckNotFound) as caught:
        client.bucket("no-such-bucket").list_objects()
    assert caught.value.status_code == 404
    assert 'ais://no-such-bucket\\" does not exist' in str(caught.value)


def test_a_namespace_is_another_bucket(client: Client, s3: S3Client, bucket: Bucket) -> None:
    put_all(s3, bucket, ["a"])
    other = client.bucket(bucket.name, namespace=Namespace(uuid="", name="other"))
    with pytest.raises(AISError) as caught:
        other.list_objects()
    assert caught.value.status_code == 404
    other.create()
    try:
        other.object("b").get_writer().put_content(b"")
        assert names_of(other) == ["b"]
        assert names_of(bucket) == ["a"]
    finally:
        other.delete()


def test_pages_are_exact_and_have_one_id(s3: S3Client, bucket: Bucket) -> None:
    names = [f"k{number}" for number in range(7)]
    put_all(s3, bucket, names)
    first = bucket.list_objects(page_size=3)
    assert [entry.name for entry in first.entries] == names[:3]
    assert first.continuation_token == names[2]
    second = bucket.list_objects(
        page_size=3, uuid=first.uuid, continuation_token=first.continuation_token
    )
    assert [entry.name for entry in second.entries] == names[3:6]
    assert second.uuid == first.uuid
    last = bucket.list_objects(page_size=3, uuid=first.uuid, continuation_token=names[5])
    assert [entry.name for entry in last.entries] == names[6:]
    assert last.continuation_token == ""
    assert [entry.name for entry in bucket.list_objects_iter(page_size=2)] == names
    # A page that is just filled is the last.
    assert bucket.list_objects(page_size=7).continuation_token == ""


def test_start_after_is_exclusive(s3: S3Client, bucket: Bucket) -> None:
    put_all(s3, bucket, ["a", "b", "c", "d"])
    assert names_of(bucket, start_after="b") == ["c", "d"]
    assert names_of(bucket, start_after="bb", page_size=1) == ["c", "d"]


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("p/subdir/", NESTED),
        ("p/subdir/*", NESTED),
        ("p/s", NESTED),
        ("p/al", ["p/alpha.txt"]),
        ("q", []),
    ],
)
def test_prefixes(tree: Bucket, prefix: str, expected: list[str]) -> None:
    assert names_of(tree, prefix=prefix) == expected


def test_no_recursion_shows_directories(tree: Bucket) -> None:
    for flags in (
        [ListObjectFlag.NO_RECURSION],
        [ListObjectFlag.NO_RECURSION, ListObjectFlag.NO_DIRS],
    ):
        for page_size in (0, 1):
            found = tree.list_all_objects(prefix="p/", flags=flags, page_size=page_size)
            assert [entry.name for entry in found] == [*FLAT, "p/subdir/"]
            assert [entry.flags for entry in found] == [64, 64, 64, 256]


def test_default_properties_are_name_and_size(tree: Bucket) -> None:
    for entry in tree.list_all_objects():
        assert (entry.size, entry.flags, entry.is_cached()) == (7, 64, True)
        assert (entry.checksum, entry.atime, entry.version) == ("", "", "")


def test_cached_has_checksum_and_time(tree: Bucket) -> None:
    entries = tree.list_all_objects(flags=[ListObjectFlag.CACHED])
    assert len(entries) == 6
    for entry in entries:
        assert entry.checksum == "9a0364b9e99bb480dd25e1f0284c8555"
        assert entry.atime
        assert entry.is_ok()


@pytest.mark.parametrize("other", [[], [ListObjectFlag.CACHED], [ListObjectFlag.NAME_SIZE]])
def test_name_only_has_no_size(tree: Bucket, other: list[ListObjectFlag]) -> None:
    entries = tree.list_all_objects(flags=[ListObjectFlag.NAME_ONLY, *other])
    assert len(entries) == 6
    assert {entry.size for entry in entries} == {0}
    assert {entry.size for entry in tree.list_all_objects(props="name")} == {0}


def test_every_property(s3: S3Client, bucket: Bucket) -> None:
    put_all(s3, bucket, ["k"])
    reply = s3.put_object(Bucket=bucket.name, Key="k", Body=b"content", Metadata={"a": "b"})
    props = (
        "name,size,version,checksum,atime,cached,status,copies,ec,custom,location,chunked,"
        "last-modified,etag,no-such-property"
    )
    page = _raw_page(bucket, {"props": props})
    (entry,) = page["Entries"]
    assert entry.pop("t").startswith("t[")
    etag = reply["ETag"].strip('"')
    custom = entry.pop("m")
    assert custom.startswith(f"[a:b ETag:{etag} LastModified:")
    made = datetime.strptime(entry.pop("a"), "%d %b %y %H:%M UTC").replace(tzinfo=UTC)
    assert abs((datetime.now(UTC) - made).total_seconds()) < 300
    assert entry == {"n": "k", "s": 7, "cs": etag, "v": "2", "c": 1, "f": 64}


def _raw_page(
    bucket: Bucket, value: dict[str, object], accept: str = "application/msgpack"
) -> dict[str, list[dict[str, str]]]:
    reply = bucket.client.request(
        "GET",
        path=f"buckets/{bucket.name}",
        json={"action": "list", "name": "", "value": value},
        headers={"Accept": accept},
        params=bucket.qparam,
    )
    assert reply.status_code == 200
    assert reply.headers["Content-Type"] == accept
    page: dict[str, list[dict[str, str]]] = (
        msgpack.unpackb(reply.content) if "msgpack" in accept else reply.json()
    )
    return page


def test_json_where_msgpack_is_not_accepted(tree: Bucket) -> None:
    page = _raw_page(tree, {"pagesize": 1, "flags": "0"}, "application/json")
    assert page.pop("uuid")
    assert page == {
        "continuation_token": FLAT[0],
        "flags": 0,
        "entries": [{"name": FLAT[0], "size": "7", "flags": 64}],
    }


def test_a_get_without_a_message_lists(
    tree: Bucket, server: Server, http: requests.Session
) -> None:
    url = f"{server.endpoint}/v1/buckets/{tree.name}"
    reply = http.get(url, timeout=10)
    assert [entry["name"] for entry in reply.json()["entries"]] == [*FLAT, *NESTED]
    reply = http.get(url, params={"prefix": "p/subdir/", "pagesize": "2"}, timeout=10)
    assert [entry["name"] for entry in reply.json()["entries"]] == NESTED[:2]


@pytest.mark.parametrize(
    "value",
    [
        {"pagesize": -1},
        {"pagesize": "many"},
        {"flags": "1e9"},
        {"flags": [1]},
        {"prefix": 7},
        {"prefix": "\ud800"},
        {"prefix": "x" * 6000},
        {"prefix": "a/../b"},
        {"uuid": "a b"},
        {"flags": str(1 << 0 | 1 << 9)},
        {"target": "elsewhere"},
        [],
        "list",
    ],
)
def test_nonsense_is_refused(
    bucket: Bucket, server: Server, http: requests.Session, value: object
) -> None:
    reply = http.get(
        f"{server.endpoint}/v1/buckets/{bucket.name}",
        json={"action": "list", "value": value},
        timeout=10,
    )
    assert reply.status_code == 400, reply.text


def test_a_bucket_without_an_inventory_cannot_answer_from_it(
    bucket: Bucket, server: Server, http: requests.Session
) -> None:
    reply = http.get(
        f"{server.endpoint}/v1/buckets/{bucket.name}",
        json={"action": "list", "value": {"flags": str(1 << 15)}},
        timeout=10,
    )
    assert reply.status_code == 404
    assert "create-inventory" in reply.text


@pytest.mark.parametrize(
    "flag",
    [
        ListObjectFlag.MISSING,
        ListObjectFlag.DELETED,
        ListObjectFlag.BCK_PRESENT,
        ListObjectFlag.DONT_HEAD_REMOTE,
        ListObjectFlag.DONT_ADD_REMOTE,
        ListObjectFlag.ONLY_REMOTE_PROPS,
        ListObjectFlag.DIFF,
        ListObjectFlag.NO_DIRS,
        ListObjectFlag.IS_S3,
    ],
)
def test_flags_about_remote_buckets_change_nothing(tree: Bucket, flag: ListObjectFlag) -> None:
    assert names_of(tree, flags=[flag]) == [*FLAT, *NESTED]


def test_nothing_is_not_cached(tree: Bucket) -> None:
    assert names_of(tree, flags=[ListObjectFlag.NOT_CACHED]) == []


def test_inventories_there_are_none(tree: Bucket) -> None:
    with pytest.raises(AISError):
        tree.list_objects(inventory_name="none")


# --- archives ---

ARCHIVES = [ListObjectFlag.ARCH_DIR]
MEMBERS = {"b/2.txt": b"22", "a.txt": b"1", "b/1.txt": b""}


@pytest.fixture
def shards(s3: S3Client, bucket: Bucket) -> Bucket:
    put_all(s3, bucket, ["s.tar", "t.tar"], tar_of(MEMBERS))
    put_all(s3, bucket, ["plain", "s.tar-x", "s.tar/a.txt", "s.tar0", "z"])
    put_all(s3, bucket, ["bad.tar", "worse.zip"], b"no archive")
    return bucket


EXPANDED = [
    "bad.tar",
    "plain",
    "s.tar",
    "s.tar-x",
    "s.tar/a.txt",
    "s.tar/b/1.txt",
    "s.tar/b/2.txt",
    "s.tar0",
    "t.tar",
    "t.tar/a.txt",
    "t.tar/b/1.txt",
    "t.tar/b/2.txt",
    "worse.zip",
    "z",
]


@pytest.mark.parametrize("page_size", [0, 1, 2, 3, 5, 13])
def test_archives_are_expanded(shards: Bucket, page_size: int) -> None:
    found = shards.list_all_objects(flags=ARCHIVES, page_size=page_size)
    assert [entry.name for entry in found] == EXPANDED
    flags = {entry.name: entry.flags for entry in found}
    assert flags["t.tar"] == flags["bad.tar"] == 64 | 512
    assert flags["t.tar/a.txt"] == 64 | 128
    assert flags["s.tar/a.txt"] == flags["plain"] == 64
    sizes = {entry.name: entry.size for entry in found}
    assert (sizes["t.tar/a.txt"], sizes["t.tar/b/1.txt"], sizes["t.tar/b/2.txt"]) == (1, 0, 2)


def test_an_archive_is_listed_alone(shards: Bucket) -> None:
    assert [entry.name for entry in shards.list_archive("t.tar")] == EXPANDED[9:12]
    entries = shards.list_archive("t.tar", include_archive_obj=True, page_size=1)
    assert [entry.name for entry in entries] == EXPANDED[8:12]


@pytest.mark.parametrize("page_size", [0, 1])
def test_prefixes_reach_into_archives(shards: Bucket, page_size: int) -> None:
    found = names_of(shards, prefix="t.tar/b", flags=ARCHIVES, page_size=page_size)
    assert found == ["t.tar/b/1.txt", "t.tar/b/2.txt"]
    flags = [*ARCHIVES, ListObjectFlag.NO_RECURSION]
    found = names_of(shards, prefix="t.tar/", flags=flags, page_size=page_size)
    assert found == ["t.tar/a.txt", "t.tar/b/"]
    found = names_of(shards, prefix="t", flags=flags, page_size=page_size)
    assert found == ["t.tar", "t.tar/"]
