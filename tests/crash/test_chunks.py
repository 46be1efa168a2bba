"""The process tree dies at each step of cutting objects: they read as before, and nothing is left over."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from botocore.exceptions import BotoCoreError

from tests.contract.world import pattern
from tests.crash.rig import ARM, leftovers
from tests.s3compat.boto import connect, read
from tests.server import Server, ServerOptions

pytestmark = [pytest.mark.crash, pytest.mark.slow]

STEPS = ("blob-synced", "named", "committed")
BODIES = {f"k{number}": pattern(300_000 + number, number) for number in range(4)}
CHUNKS = {"objsize_limit": "100KiB", "chunk_size": "64KiB"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    data = [tmp_path / "data0", tmp_path / "data1"]
    running = Server(ServerOptions(data, arguments=("--no-auth",)))
    running.start()
    connect(running).create_bucket(Bucket="bucket")
    yield running
    running.stop()


def ask(server: Server, method: str, action: str, value: object) -> str:
    url = f"{server.endpoint}/v1/buckets/bucket?provider=ais"
    message = {"action": action, "name": "", "value": value}
    answer = requests.request(method, url, json=message, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.text


def check(server: Server) -> None:
    """The doctor finds nothing wrong, and after the space cleanup no leftovers."""
    server.kill()
    done = server.admin("doctor", "--clean", is_checked=False)
    assert done.returncode == 0, done.stdout
    done = server.admin("doctor")
    assert not leftovers(done.stdout), done.stdout


@pytest.mark.parametrize("point", ["chunks:piece-synced", *(f"chunks:{each}" for each in STEPS)])
def test_death_while_an_object_is_put_in_chunks(server: Server, point: str) -> None:
    client = connect(server)
    client.put_object(Bucket="bucket", Key="k", Body=b"old")
    ask(server, "PATCH", "set-bprops", {"chunks": CHUNKS})
    server.kill()
    server.start({ARM: point})
    data = BODIES["k0"]
    with pytest.raises(BotoCoreError):
        connect(server).put_object(Bucket="bucket", Key="k", Body=data)
    assert server.wait_death(30)
    server.kill()
    server.start()
    found = read(connect(server), "bucket", "k")
    assert found in (b"old", data)
    if point.endswith("committed"):
        assert found == data
    check(server)


@pytest.mark.parametrize("point", ["chunks:piece-synced", *(f"rechunk:{each}" for each in STEPS)])
def test_death_while_a_bucket_is_cut_anew(server: Server, point: str) -> None:
    client = connect(server)
    for name, data in BODIES.items():
        client.put_object(Bucket="bucket", Key=name, Body=data)
    server.kill()
    server.start({ARM: point})
    wanted = {"objsize-limit": "100KiB", "chunk-size": "64KiB"}
    job_id = ask(server, "POST", "rechunk", wanted)
    assert server.wait_death(30)
    server.kill()
    server.start()
    client = connect(server)
    assert {name: read(client, "bucket", name) for name in BODIES} == BODIES
    server.admin("job", "wait", job_id)
    told = json.loads(server.admin("job", "status", job_id, "--json").stdout)
    assert told["state"] == "finished"
    assert {name: read(client, "bucket", name) for name in BODIES} == BODIES
    for name in BODIES:
        url = f"{server.endpoint}/v1/objects/bucket/{name}?provider=ais&props=chunked"
        assert requests.head(url, timeout=30).headers["ais-chunks-count"] == "5"
    check(server)
