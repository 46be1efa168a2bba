"""The process tree dies between an index and its flag: the shard reads as before, and is indexed after the restart."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.crash.rig import ARM
from tests.s3compat.boto import connect, list_keys, read
from tests.server import Server, ServerOptions
from tests.unit.storage.archives import tar

pytestmark = [pytest.mark.crash, pytest.mark.slow]

MEMBERS = {f"{number:03}.txt": b"%d" % number for number in range(200)}
INDEXES = ".sys-shardidx"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    running = Server(ServerOptions([tmp_path / "data"]))
    running.start()
    yield running
    running.stop()


@pytest.mark.parametrize("is_on_write", [False, True])
def test_death_between_index_and_flag(server: Server, is_on_write: bool) -> None:
    client = connect(server)
    client.create_bucket(Bucket="bucket")
    switches = {"weir:shard-view": "on", "weir:index-shards": "on" if is_on_write else "off"}
    tags: Any = {"TagSet": [{"Key": key, "Value": value} for key, value in switches.items()]}
    client.put_bucket_tagging(Bucket="bucket", Tagging=tags)
    server.kill()
    server.start({ARM: "shard-index:written"})
    client.put_object(Bucket="bucket", Key="s.tar", Body=tar(MEMBERS))
    job_id = ""
    if not is_on_write:
        job_id = server.admin("job", "start", "index-shard", "--bucket", "bucket").stdout.strip()
    assert server.wait_death(30)
    server.kill()
    server.start()
    for path, data in MEMBERS.items():
        assert read(client, "bucket", f"s.tar/{path}") == data
    if job_id:
        server.admin("job", "wait", job_id)
        told = json.loads(server.admin("job", "status", job_id, "--json").stdout)
        assert told["counters"]["members"] == len(MEMBERS)
    assert list_keys(client, INDEXES) == ["ais/@#/bucket/s.tar.idx"]
    assert list_keys(client, "bucket") == ["s.tar", *(f"s.tar/{path}" for path in sorted(MEMBERS))]
    # What the shard's end leaves to be done is done, if it was flagged.
    client.delete_object(Bucket="bucket", Key="s.tar")
    deadline = time.monotonic() + 30
    while list_keys(client, INDEXES):
        assert time.monotonic() < deadline
        time.sleep(0.1)
