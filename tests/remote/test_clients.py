"""Unmodified clients read what they have not written: what others put at the provider, cold and then from here."""

from __future__ import annotations

import io
import json
import secrets
import tarfile
from pathlib import Path

import obstore
import pyarrow
import pytest
import s3fs
import webdataset
from obstore.store import S3Store
from pyarrow import fs, parquet

from tests.remote.front import Front, rclone_settings
from tests.s3compat.boto import MIB
from tests.s3compat.programs import run
from tests.s3compat.wire import host_of
from tests.server import REGION, ROOT_KEYS

LARGE = secrets.token_bytes(17 * MIB)
TREE = {
    "large": LARGE,
    "dir/small é": b"small",
    "dir/sub/empty": b"",
    "dir/sub/one": secrets.token_bytes(MIB),
}


@pytest.fixture
def there(front: Front, remote: str) -> str:
    """A bucket that others filled."""
    for key, data in TREE.items():
        front.put_there(remote, key, data)
    return remote


def check(directory: Path) -> None:
    """What a client brought is the tree."""
    found = {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }
    assert found == TREE


def test_aws_cli(front: Front, there: str, tmp_path: Path) -> None:
    aws = ("aws", "--endpoint-url", front.server.endpoint)
    ranged = tmp_path / "ranged"
    key = ("--bucket", there, "--key", "large")
    run(*aws, "s3api", "get-object", *key, "--range", "bytes=9000000-9000999", str(ranged))
    assert ranged.read_bytes() == LARGE[9_000_000:9_001_000]
    head = json.loads(run(*aws, "s3api", "head-object", *key, "--output", "json"))
    assert head["ContentLength"] == len(LARGE)
    listed = run(*aws, "s3", "ls", "--recursive", f"s3://{there}").splitlines()
    assert [line.split(maxsplit=3)[3] for line in listed] == sorted(TREE)
    run(*aws, "s3", "sync", f"s3://{there}", str(tmp_path / "back"))
    check(tmp_path / "back")
    assert run(*aws, "s3", "sync", f"s3://{there}", str(tmp_path / "back")) == ""


def test_rclone(front: Front, there: str, tmp_path: Path) -> None:
    settings = rclone_settings(front.server.endpoint, tmp_path)
    back = tmp_path / "back"
    streams = ("--multi-thread-cutoff", "5M", "--multi-thread-streams", "3")
    run("rclone", "copy", f"W:{there}", str(back), *streams, environment=settings)
    check(back)
    run("rclone", "check", f"W:{there}", str(back), environment=settings)
    assert run("rclone", "cat", f"W:{there}/dir/small é", environment=settings) == "small"


def test_s5cmd(front: Front, there: str, tmp_path: Path) -> None:
    s5cmd = ("s5cmd", "--endpoint-url", front.server.endpoint)
    back = tmp_path / "back"
    run(*s5cmd, "cp", "--part-size", "5", f"s3://{there}/*", f"{back}/")
    check(back)


def test_obstore(front: Front, there: str) -> None:
    store = S3Store(
        there,
        endpoint=front.server.endpoint,
        access_key_id=ROOT_KEYS.access_key,
        secret_access_key=ROOT_KEYS.secret_key,
        region=REGION,
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )
    starts = [0, 8 * MIB, 17 * MIB - 10]
    pieces = obstore.get_ranges(store, "large", starts=starts, lengths=[10, 10, 10])
    assert [bytes(piece) for piece in pieces] == [LARGE[at : at + 10] for at in starts]
    assert bytes(obstore.get(store, "large").bytes()) == LARGE


def test_s3fs(front: Front, there: str) -> None:
    filesystem = s3fs.S3FileSystem(
        key=ROOT_KEYS.access_key,
        secret=ROOT_KEYS.secret_key,
        endpoint_url=front.server.endpoint,
        client_kwargs={"region_name": REGION},
        skip_instance_cache=True,
    )
    try:
        found = filesystem.find(there)
        assert found == [f"{there}/{name}" for name in sorted(TREE)]
        with filesystem.open(f"{there}/large", block_size=MIB) as file:
            file.seek(10 * MIB)
            assert file.read(1000) == LARGE[10 * MIB : 10 * MIB + 1000]
        assert filesystem.cat(f"{there}/large") == LARGE
    finally:
        filesystem.close_session(filesystem.loop, filesystem.s3)


def test_row_groups_of_parquet(front: Front, remote: str) -> None:
    table = pyarrow.table({"n": range(200_000), "text": [secrets.token_hex(8)] * 200_000})
    sink = io.BytesIO()
    parquet.write_table(table, sink, row_group_size=20_000)
    front.put_there(remote, "t.parquet", sink.getvalue())
    arrow = fs.S3FileSystem(
        access_key=ROOT_KEYS.access_key,
        secret_key=ROOT_KEYS.secret_key,
        endpoint_override=host_of(front.server),
        scheme="http",
        region=REGION,
    )
    with parquet.ParquetFile(f"{remote}/t.parquet", filesystem=arrow) as file:
        group = file.read_row_group(7, columns=["n"])
    assert group["n"].to_pylist() == list(range(140_000, 160_000))
    assert parquet.read_table(f"{remote}/t.parquet", filesystem=arrow).equals(table)


def test_webdataset(front: Front, remote: str) -> None:
    """Shards by HTTP, as its own reader of URLs gets them through curl."""
    names = [f"shard-{number}.tar" for number in range(3)]
    for number, name in enumerate(names):
        front.put_there(remote, name, shard(number))
    urls = [
        front.s3.generate_presigned_url("get_object", Params={"Bucket": remote, "Key": name})
        for name in names
    ]
    for _ in ("cold", "from here"):
        dataset = webdataset.WebDataset(
            [f"pipe:curl -fsS '{url}'" for url in urls], shardshuffle=False
        )
        samples = [(sample["__key__"], sample["txt"]) for sample in dataset]
        assert samples == [(f"{n}-{i}", f"{n}.{i}".encode()) for n in range(3) for i in range(4)]


def shard(number: int) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as tar:
        for index in range(4):
            data = f"{number}.{index}".encode()
            member = tarfile.TarInfo(f"{number}-{index}.txt")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return sink.getvalue()
