"""Get-batch through the SDK's Batch, in every form that it has."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from collections.abc import Callable

import lz4.frame
import pytest
import requests
from aistore.sdk import Bucket, Client
from aistore.sdk.batch.types import MossOut
from aistore.sdk.errors import AISError, ErrBckNotFound, ErrObjNotFound
from mypy_boto3_s3 import S3Client

from tests.server import Server

SIZES = (0, 1, 511, 512, 513, 4096, 70_000, 300_000, 1_500_000)
FORMATS = (".tar", ".tgz", ".tar.gz", ".zip")


@pytest.fixture
def contents(bucket: Bucket, s3: S3Client) -> dict[str, bytes]:
    """Objects of all kinds of sizes: in the database, in files, in pieces; and names that archives find odd."""
    made = {f"dir/{size}.bin": os.urandom(size) for size in SIZES}
    made["long/" + "n" * 200] = b"long"
    made["ünï/ço dé.txt"] = b"unicode"
    for key, data in made.items():
        s3.put_object(Bucket=bucket.name, Key=key, Body=data)
    return made


def shard(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


@pytest.mark.parametrize("output_format", FORMATS)
@pytest.mark.parametrize("form", ["streaming", "multipart", "multipart decoded as it comes"])
def test_all_forms(
    client: Client, bucket: Bucket, contents: dict[str, bytes], output_format: str, form: str
) -> None:
    batch = client.batch(
        list(contents), bucket, output_format=output_format, streaming_get=form == "streaming"
    )
    got = list(batch.get(decode_as_stream=form.endswith("comes")))
    assert [(about.obj_name, data) for about, data in got] == list(contents.items())
    for about, data in got:
        assert (about.bucket, about.provider) == (bucket.name, "ais")
        assert about.err_msg is None
        assert about.size == len(data)


@pytest.mark.parametrize("streaming", [True, False])
def test_missing_items(client: Client, bucket: Bucket, s3: S3Client, streaming: bool) -> None:
    s3.put_object(Bucket=bucket.name, Key="here", Body=b"data")
    s3.put_object(Bucket=bucket.name, Key="empty", Body=b"")
    for only_name in (False, True):
        batch = client.batch(
            ["gone/1", "here", "empty", "gone/2"],
            bucket,
            streaming_get=streaming,
            only_obj_name=only_name,
        )
        got = list(batch.get())
        assert [data for _, data in got] == [b"", b"data", b"", b""]
        assert [bool(about.err_msg) for about, _ in got] == [True, False, False, True]
        if not streaming:
            assert got[0][0].err_msg == f"ais://{bucket.name}/gone/1 does not exist"


@pytest.mark.parametrize("streaming", [True, False])
def test_missing_item_that_may_not_be(
    client: Client, bucket: Bucket, s3: S3Client, streaming: bool
) -> None:
    s3.put_object(Bucket=bucket.name, Key="here", Body=b"data")
    batch = client.batch(["here", "gone"], bucket, cont_on_err=False, streaming_get=streaming)
    with pytest.raises(ErrObjNotFound):
        list(batch.get())


def test_missing_bucket(client: Client, bucket: Bucket, s3: S3Client) -> None:
    s3.put_object(Bucket=bucket.name, Key="here", Body=b"data")
    with pytest.raises(ErrBckNotFound, match=r"404.*does not exist"):
        list(client.batch(["x"], client.bucket("no-such-bucket")).get())
    batch = client.batch(["here"], bucket)
    batch.add("x", bck="no-such-bucket", provider="ais")
    with pytest.raises(AISError, match=r"404.*ais://no-such-bucket.*does not exist"):
        list(batch.get())


def test_ranges(client: Client, bucket: Bucket, s3: S3Client) -> None:
    large = os.urandom(2_000_000)
    s3.put_object(Bucket=bucket.name, Key="small", Body=bytes(range(100)))
    s3.put_object(Bucket=bucket.name, Key="large", Body=large)
    wanted = [("small", 0, 10), ("small", 90, 10), ("small", 8, -1), ("large", 5, 1_500_000)]
    wanted += [("large", 1_999_999, -1), ("small", 0, 0)]
    for streaming in (True, False):
        batch = client.batch(bucket=bucket, streaming_get=streaming)
        for key, start, length in wanted:
            batch.add(key, start=start, length=length)
        got = list(batch.get())
        for (about, data), (key, start, length) in zip(got, wanted, strict=True):
            whole = bytes(range(100)) if key == "small" else large
            assert data == (whole[start:] if length <= 0 else whole[start : start + length])
            assert about.size == len(data)


@pytest.mark.parametrize(("start", "length"), [(100, -1), (100, 1), (95, 6), (1000, 5)])
@pytest.mark.parametrize("key", ["small", "large"])
def test_ranges_beyond_the_end(
    client: Client, bucket: Bucket, s3: S3Client, key: str, start: int, length: int
) -> None:
    before_end = 0 if key == "small" else 699_900
    s3.put_object(Bucket=bucket.name, Key=key, Body=bytes(100 + before_end))
    batch = client.batch(bucket=bucket, streaming_get=False)
    batch.add(key, start=start + before_end, length=length).add(key, start=0, length=3)
    (bad, nothing), (_, good) = batch.get()
    assert bad.err_msg
    assert (nothing, good) == (b"", bytes(3))
    batch = client.batch(bucket=bucket, cont_on_err=False)
    batch.add(key, start=start + before_end, length=length)
    with pytest.raises(AISError, match="416"):
        list(batch.get())


def test_several_buckets_and_opaque(
    client: Client, make_bucket: Callable[[], Bucket], s3: S3Client
) -> None:
    one, two = make_bucket(), make_bucket()
    s3.put_object(Bucket=one.name, Key="k", Body=b"one")
    s3.put_object(Bucket=two.name, Key="k", Body=b"two")
    opaque = bytes(range(256))
    for default in (None, one):
        for streaming in (True, False):
            batch = client.batch(bucket=default, streaming_get=streaming)
            batch.add(one.object("k"), opaque=opaque)
            batch.add("k", bck=two.name, provider="ais").add(one.object("k"))
            got: list[tuple[MossOut, bytes]] = list(batch.get())
            assert [data for _, data in got] == [b"one", b"two", b"one"]
            assert [about.bucket for about, _ in got] == [one.name, two.name, one.name]
            assert [about.opaque for about, _ in got] == [
                opaque if not streaming else got[0][0].opaque,
                None,
                None,
            ]


def test_members_of_shards(client: Client, bucket: Bucket, s3: S3Client) -> None:
    members = {f"d/{n}.txt": os.urandom(n * 100) for n in range(20)} | {"big": os.urandom(900_000)}
    s3.put_object(Bucket=bucket.name, Key="s.tar", Body=shard(members))
    s3.put_object(Bucket=bucket.name, Key="plain", Body=b"plain")
    for streaming in (True, False):
        batch = client.batch(["plain"], bucket, streaming_get=streaming)
        for name in reversed(members):
            batch.add("s.tar", archpath=name)
        batch.add("s.tar", archpath="big", start=10, length=20)
        batch.add("s.tar", archpath="none").add("none.tar", archpath="d/1.txt")
        batch.add("plain", archpath="d/1.txt")
        got = list(batch.get())
        assert got[0][1] == b"plain"
        assert [data for _, data in got[1:22]] == list(members.values())[::-1]
        assert [about.archpath for about, _ in got[1:22]] == list(members)[::-1]
        assert got[22][1] == members["big"][10:30]
        assert all(about.err_msg and data == b"" for about, data in got[23:])


def test_names_in_the_archive(client: Client, bucket: Bucket, s3: S3Client) -> None:
    s3.put_object(Bucket=bucket.name, Key="a/b", Body=b"x")
    s3.put_object(Bucket=bucket.name, Key="s.tar", Body=shard({"m/n": b"y"}))
    names = {False: bucket.name + "/", True: ""}
    for only_name, prefix in names.items():
        batch = client.batch(["a/b", "gone"], bucket, only_obj_name=only_name)
        batch.add("s.tar", archpath="m/n").add("s.tar", archpath="gone")
        with tarfile.open(fileobj=io.BytesIO(batch.get(raw=True).read())) as archive:
            found = [(member.name, member.size) for member in archive]
        assert found == [
            (f"{prefix}a/b", 1),
            (f"__404__/{prefix}gone", 0),
            (f"{prefix}s.tar/m/n", 1),
            (f"__404__/{prefix}s.tar/gone", 0),
        ]


def test_lz4_and_post(
    server: Server, http: requests.Session, bucket: Bucket, contents: dict[str, bytes]
) -> None:
    """What the SDK does not ask for."""
    asked = {"in": [{"objname": key} for key in contents], "mime": ".tar.lz4", "strm": True}
    url = f"{server.endpoint}/v1/ml/moss/{bucket.name}"
    for method in ("GET", "POST"):
        reply = http.request(method, url, json=asked)
        assert reply.status_code == 200
        tar = lz4.frame.decompress(reply.content)
        with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
            assert [member.name for member in archive] == [f"{bucket.name}/{k}" for k in contents]
    asked["mime"] = "zip"
    asked["in"] = [{"uname": f"ais/@#/{bucket.name}/{key}"} for key in contents] * 2
    reply = http.post(f"{server.endpoint}/v1/ml/moss", json=asked)
    with zipfile.ZipFile(io.BytesIO(reply.content)) as archive:
        assert [archive.read(info) for info in archive.infolist()] == list(contents.values()) * 2


@pytest.mark.parametrize(
    "asked",
    [
        b"",
        b"[]",
        b"{",
        b'{"in": null}',
        b'{"in": []}',
        b'{"in": [{}]}',
        b'{"in": [{"objname": ""}]}',
        b'{"in": [{"objname": 7}]}',
        b'{"in": [{"objname": "a/"}]}',
        b'{"in": [{"objname": "a/../b"}]}',
        b'{"in": [{"objname": "\\ud800"}]}',
        b'{"in": [{"objname": "a", "start": 1}]}',
        b'{"in": [{"objname": "a", "start": -1, "length": 2}]}',
        b'{"in": [{"objname": "a", "length": -2}]}',
        b'{"in": [{"objname": "a", "length": 9223372036854775808}]}',
        b'{"in": [{"objname": "a", "archpath": "../b"}]}',
        b'{"in": [{"objname": "a", "archpath": "/"}]}',
        b'{"in": [{"objname": "a", "provider": "nonsense"}]}',
        b'{"in": [{"uname": "a/b"}]}',
        b'{"in": [{"objname": "a"}], "mime": ".rar"}',
        pytest.param(b"[" * 100_000, id="nested too deep"),
    ],
)
def test_refused(server: Server, http: requests.Session, bucket: Bucket, asked: bytes) -> None:
    reply = http.get(f"{server.endpoint}/v1/ml/moss/{bucket.name}", data=asked)
    assert reply.status_code == 400, reply.text
    assert reply.json()["status"] == 400


def test_paths_that_are_none(server: Server, http: requests.Session, bucket: Bucket) -> None:
    asked = {"in": [{"objname": "a", "bucket": bucket.name}]}
    assert http.get(f"{server.endpoint}/v1/ml/other", json=asked).status_code == 404
    assert http.delete(f"{server.endpoint}/v1/ml/moss", json=asked).status_code == 405
    nowhere = {"in": [{"objname": "a"}]}
    assert http.get(f"{server.endpoint}/v1/ml/moss", json=nowhere).status_code == 400


def test_many_items(client: Client, bucket: Bucket, s3: S3Client) -> None:
    """More than one run, in which sizes change."""
    for n in range(30):
        s3.put_object(Bucket=bucket.name, Key=f"s/{n}", Body=b"%d" % n * (n * n))
    s3.put_object(Bucket=bucket.name, Key="large", Body=bytes(800_000))
    order = [f"s/{n * 7 % 30}" for n in range(1500)]
    for place in (3, 200, 201, 202, 1400):
        order[place] = "large"
    got = list(client.batch(order, bucket).get())
    assert [about.obj_name for about, _ in got] == order
    for key, (_, data) in zip(order, got, strict=True):
        n = int(key[2:]) if key != "large" else -1
        assert data == (bytes(800_000) if n < 0 else b"%d" % n * (n * n))
