"""Promotion: files of the server's machine become objects, where the administrator allows it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from aistore.sdk import Bucket, Client
from aistore.sdk.errors import AISError
from mypy_boto3_s3 import S3Client

from tests.native.sdk import connect
from tests.s3compat import boto
from tests.server import Server, ServerOptions


@pytest.fixture(scope="module")
def allowed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("promote")


@pytest.fixture(scope="module")
def promoter(tmp_path_factory: pytest.TempPathFactory, allowed: Path) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("promoter") / "data"
    arguments = ("--no-auth", "--set", f"native.promote_from={allowed}")
    running = Server(ServerOptions([data], workers=1, arguments=arguments))
    running.start()
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture
def target(promoter: Server, allowed: Path, request: pytest.FixtureRequest) -> Bucket:
    name = f"b{abs(hash(request.node.name)):x}"
    boto.connect(promoter).create_bucket(Bucket=name)
    return connect(promoter).bucket(name)


@pytest.fixture
def folder(allowed: Path, request: pytest.FixtureRequest) -> Path:
    made = allowed / f"{abs(hash(request.node.name)):x}"
    (made / "inner").mkdir(parents=True)
    (made / "top").write_text("on top")
    (made / "inner" / "below").write_text("below")
    return made


def finished(server: Server, job_id: str) -> bool:
    assert job_id
    waited = server.admin("job", "wait", job_id, is_checked=False)
    print(waited.stdout, waited.stderr)
    return waited.returncode == 0


def keys(server: Server, bucket: Bucket) -> list[str]:
    listed = boto.connect(server).list_objects_v2(Bucket=bucket.name)
    return [entry["Key"] for entry in listed.get("Contents", [])]


def content(bucket: Bucket, name: str) -> bytes:
    found = bucket.object(name).get_reader().read_all()
    assert isinstance(found, bytes)
    return found


def test_directory(promoter: Server, target: Bucket, folder: Path) -> None:
    job = target.object("promoted/").promote(str(folder))
    assert finished(promoter, job)
    assert keys(promoter, target) == ["promoted/top"]
    (folder / "top").write_text("changed")
    job = target.object("promoted/").promote(str(folder), recursive=True)
    assert finished(promoter, job)
    assert keys(promoter, target) == ["promoted/inner/below", "promoted/top"]
    assert content(target, "promoted/top") == b"on top"
    job = target.object("promoted/").promote(
        str(folder), recursive=True, overwrite_dest=True, delete_source=True
    )
    assert finished(promoter, job)
    assert content(target, "promoted/top") == b"changed"
    assert content(target, "promoted/inner/below") == b"below"
    assert not [path for path in folder.rglob("*") if path.is_file()]


def test_file(promoter: Server, target: Bucket, folder: Path) -> None:
    assert target.object("name").promote(str(folder / "top")) == ""
    assert target.object("dir/").promote(str(folder / "top")) == ""
    assert keys(promoter, target) == ["dir/top", "name"]
    assert content(target, "name") == b"on top"
    with pytest.raises(AISError) as caught:
        target.object("name").promote(str(folder / "top"))
    assert caught.value.status_code == 409
    target.object("name").promote(str(folder / "top"), overwrite_dest=True, delete_source=True)
    assert not (folder / "top").exists()
    assert target.object("name").props.obj_version == "2"


def test_links_are_passed_over(
    promoter: Server, target: Bucket, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("secret")
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "linked").symlink_to(tmp_path)
    assert finished(promoter, target.object("p/").promote(str(folder), recursive=True))
    assert keys(promoter, target) == ["p/inner/below", "p/top"]
    for path in ("link", "linked/secret", "absent"):
        with pytest.raises(AISError) as caught:
            target.object("k").promote(str(folder / path))
        assert caught.value.status_code in (400, 404)


@pytest.mark.parametrize("path", ["/etc/passwd", "relative", "/", "{allowed}/../x"])
def test_what_may_not_be_promoted(target: Bucket, allowed: Path, path: str) -> None:
    with pytest.raises(AISError) as caught:
        target.object("k").promote(path.replace("{allowed}", str(allowed)))
    assert caught.value.status_code == 400


def test_names_that_are_none_fail_the_job(promoter: Server, target: Bucket, folder: Path) -> None:
    """The others are promoted all the same."""
    (folder / "\udcff\udcfe").write_text("no text for a name")
    assert not finished(promoter, target.object("p/").promote(str(folder)))
    assert keys(promoter, target) == ["p/top"]


def test_nothing_may_be_promoted_by_default(
    client: Client, bucket: Bucket, s3: S3Client, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(AISError) as caught:
        client.bucket(bucket.name).object("k").promote(str(tmp_path / "file"))
    assert caught.value.status_code == 400
    assert "native.promote_from" in str(caught.value)
    assert s3.list_objects_v2(Bucket=bucket.name)["KeyCount"] == 0
