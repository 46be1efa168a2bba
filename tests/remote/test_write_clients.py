"""Other unmodified clients write to buckets that live elsewhere: aws-cli, rclone, s3fs, pyarrow."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import s3fs
from pyarrow import fs

from tests.counterparts.started import S3Endpoint
from tests.remote.front import Front, rclone_settings, start_front
from tests.s3compat.boto import MIB, list_keys, read
from tests.s3compat.programs import run
from tests.s3compat.wire import host_of
from tests.server import REGION, ROOT_KEYS


@pytest.fixture(scope="module")
def before_weir(
    tmp_path_factory: pytest.TempPathFactory, second_weir: S3Endpoint
) -> Iterator[Front]:
    """A weir in front of a second one."""
    started = start_front(tmp_path_factory.mktemp("before"), second_weir)
    try:
        yield started
    finally:
        started.server.stop()


@pytest.fixture(params=["moto", "weir"])
def chosen(request: pytest.FixtureRequest) -> Front:
    front: Front = request.getfixturevalue("front" if request.param == "moto" else "before_weir")
    return front


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "sub dir").mkdir(parents=True)
    (root / "a.txt").write_text("a")
    (root / "empty").write_bytes(b"")
    (root / "sub dir" / "ü+%&.bin").write_bytes(secrets.token_bytes(3000))
    (root / "large").write_bytes(secrets.token_bytes(17 * MIB))
    an_hour_ago = time.time() - 3600
    for path in root.rglob("*"):
        os.utime(path, (an_hour_ago, an_hour_ago))
    return root


def check_there(front: Front, bucket: str, prefix: str, tree: Path) -> None:
    """What the server behind has under a prefix is the tree."""
    files = {str(p.relative_to(tree)): p.read_bytes() for p in tree.rglob("*") if p.is_file()}
    found = list_keys(front.there, bucket, prefix)
    assert sorted(found) == sorted(prefix + name for name in files)
    for name, data in files.items():
        assert front.read_there(bucket, prefix + name) == data
        assert read(front.s3, bucket, prefix + name) == data


def test_aws_cli_sync(chosen: Front, tree: Path) -> None:
    bucket = chosen.new_bucket()
    aws = ("aws", "--endpoint-url", chosen.server.endpoint, "s3")
    run(*aws, "sync", str(tree), f"s3://{bucket}/up")
    check_there(chosen, bucket, "up/", tree)
    assert run(*aws, "sync", str(tree), f"s3://{bucket}/up") == ""
    (tree / "a.txt").unlink()
    run(*aws, "sync", "--delete", str(tree), f"s3://{bucket}/up")
    check_there(chosen, bucket, "up/", tree)
    run(*aws, "mv", f"s3://{bucket}/up/large", f"s3://{bucket}/moved")
    assert chosen.read_there(bucket, "moved") == (tree / "large").read_bytes()


def test_rclone_sync(chosen: Front, tree: Path, tmp_path: Path) -> None:
    bucket = chosen.new_bucket()
    settings = rclone_settings(chosen.server.endpoint, tmp_path)
    chunks = ("--s3-upload-cutoff", "6M", "--s3-chunk-size", "5M")
    run("rclone", "sync", str(tree), f"W:{bucket}/x", *chunks, environment=settings)
    check_there(chosen, bucket, "x/", tree)
    (tree / "a.txt").write_text("changed")
    (tree / "empty").unlink()
    run("rclone", "sync", str(tree), f"W:{bucket}/x", environment=settings)
    run("rclone", "check", "--download", str(tree), f"W:{bucket}/x", environment=settings)
    check_there(chosen, bucket, "x/", tree)


def test_s3fs(chosen: Front) -> None:
    bucket = chosen.new_bucket()
    filesystem = s3fs.S3FileSystem(
        key=ROOT_KEYS.access_key,
        secret=ROOT_KEYS.secret_key,
        endpoint_url=chosen.server.endpoint,
        client_kwargs={"region_name": REGION},
        skip_instance_cache=True,
        use_listings_cache=False,
    )
    try:
        data = secrets.token_bytes(12 * MIB)
        with filesystem.open(f"{bucket}/dir/large", "wb", block_size=5 * MIB) as file:
            file.write(data)
        filesystem.pipe(f"{bucket}/dir/small é", b"small")
        filesystem.cp(f"{bucket}/dir/small é", f"{bucket}/copy")
        assert filesystem.cat(f"{bucket}/dir/large") == data
        assert chosen.read_there(bucket, "dir/large") == data
        assert chosen.read_there(bucket, "copy") == b"small"
        filesystem.rm(f"{bucket}/dir", recursive=True)
        assert list_keys(chosen.there, bucket) == ["copy"]
    finally:
        filesystem.close_session(filesystem.loop, filesystem.s3)


def test_pyarrow(chosen: Front) -> None:
    bucket = chosen.new_bucket()
    arrow = fs.S3FileSystem(
        access_key=ROOT_KEYS.access_key,
        secret_key=ROOT_KEYS.secret_key,
        endpoint_override=host_of(chosen.server),
        scheme="http",
        region=REGION,
    )
    data = secrets.token_bytes(11 * MIB)
    with arrow.open_output_stream(f"{bucket}/large") as stream:
        stream.write(data)
    arrow.copy_file(f"{bucket}/large", f"{bucket}/copy")
    arrow.move(f"{bucket}/copy", f"{bucket}/moved")
    with arrow.open_input_file(f"{bucket}/moved") as file:
        assert file.read() == data
    assert list_keys(chosen.there, bucket) == ["large", "moved"]
    assert chosen.read_there(bucket, "moved") == data
