"""Files of a plain HTTP server as buckets of a weir, by unmodified boto3 and by hand."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.contract.world import pattern
from tests.counterparts.process import Counterpart, free_port, program
from tests.counterparts.started import Counterparts
from tests.remote.clients import Weir, running
from tests.s3compat.boto import MIB, read, status_of


@dataclass(frozen=True, slots=True)
class World:
    weir: Weir
    files: Path
    origin: str


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, counterparts: Counterparts) -> Iterator[World]:
    files = tmp_path_factory.mktemp("files")
    port = free_port()
    command = [program("rclone"), "serve", "http", "--addr", f"127.0.0.1:{port}"]
    command += ["--config", "/dev/null", "--dir-cache-time", "0s", str(files)]
    served = Counterpart(command, port, counterparts.log_path("files"))
    counterparts.start(served)
    with running(tmp_path_factory.mktemp("origin") / "front", {}) as weir:
        yield World(weir, files, served.endpoint)


@pytest.fixture
def bucket(world: World) -> str:
    """A bucket whose origin is the server."""
    name = f"files-{secrets.token_hex(6)}"
    (world.files / name).mkdir()
    url = f"{world.origin}/{name}"
    world.weir.add_bucket(name, "provider=ht", {"extra": {"http": {"original_url": url}}})
    return name


def test_reads(world: World, bucket: str) -> None:
    data = pattern(3 * MIB)
    path = world.files / bucket / "dir" / "a +%ü"
    path.parent.mkdir()
    path.write_bytes(data)
    s3 = world.weir.s3
    assert read(s3, bucket, "dir/a +%ü") == data
    path.unlink()
    # It is here now.
    assert read(s3, bucket, "dir/a +%ü") == data
    # The SDK of AIStore knows no such provider, its API does.
    reply = world.weir.ask("GET", f"/v1/objects/{bucket}/dir/a%20+%25%C3%BC?provider=ht")
    assert reply.content == data
    listed = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert [each["Key"] for each in listed] == ["dir/a +%ü"]


def test_ranges_of_what_is_not_here(world: World, bucket: str) -> None:
    data = pattern(MIB)
    (world.files / bucket / "k").write_bytes(data)
    with world.weir.s3.get_object(Bucket=bucket, Key="k", Range="bytes=-7")["Body"] as body:
        assert body.read() == data[-7:]


def test_what_is_not_there(world: World, bucket: str) -> None:
    for ask in (world.weir.s3.get_object, world.weir.s3.head_object):
        with pytest.raises(ClientError) as caught:
            ask(Bucket=bucket, Key="absent")
        assert status_of(caught.value) == 404


def test_nothing_is_written(world: World, bucket: str) -> None:
    with pytest.raises(ClientError) as caught:
        world.weir.s3.put_object(Bucket=bucket, Key="k", Body=b"data")
    assert 400 <= status_of(caught.value) < 502
    assert not (world.files / bucket / "k").exists()
    with pytest.raises(ClientError):
        world.weir.s3.head_object(Bucket=bucket, Key="k")


def test_a_server_that_is_down(world: World) -> None:
    name = f"files-{secrets.token_hex(6)}"
    value = {"extra": {"http": {"original_url": f"http://127.0.0.1:{free_port()}/"}}}
    world.weir.add_bucket(name, "provider=ht&dont_head_remote_bck=true", value)
    reply = world.weir.ask("GET", f"/{name}/k")
    assert reply.status_code == 503


def test_metrics(world: World, bucket: str) -> None:
    (world.files / bucket / "counted").write_bytes(b"12345")
    assert read(world.weir.s3, bucket, "counted") == b"12345"
    line = f'read_bytes_total{{provider="ht",account="",bucket="{bucket}",verb="get"}} 5\n'
    for path in ("/-/metrics", "/v1/daemon/metrics"):
        reply = world.weir.ask("GET", path)
        assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert line in reply.text
    assert world.weir.ask("GET", "/v1/daemon/other").status_code == 404


def test_a_limit_of_rate(world: World, bucket: str) -> None:
    for name in ("1", "2"):
        (world.files / bucket / name).write_bytes(b"12345")
    # One request of each verb at once, and the next in six minutes.
    limit = {"enabled": True, "interval": "1h", "max_tokens": 10, "num_retries": 0}
    message = {"action": "set-bprops", "value": {"rate_limit": {"backend": limit}}}
    reply = world.weir.ask("PATCH", f"/v1/buckets/{bucket}?provider=ht", json=message)
    assert reply.status_code == 200, reply.text
    assert read(world.weir.s3, bucket, "1") == b"12345"
    with pytest.raises(ClientError) as caught:
        world.weir.s3.get_object(Bucket=bucket, Key="2")
    assert status_of(caught.value) == 503
    assert caught.value.response["Error"]["Code"] == "SlowDown"
    # What is here costs no request.
    assert read(world.weir.s3, bucket, "1") == b"12345"
