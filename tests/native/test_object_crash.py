"""Native writes of several steps, with the server killed between two of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests
from aistore.sdk import Bucket
from aistore.sdk.errors import AISError

from tests.native.sdk import connect
from tests.s3compat import boto
from tests.server import Server, ServerOptions


@pytest.fixture
def doomed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("doomed") / "data"
    running = Server(ServerOptions([data], workers=1, arguments=("--no-auth",)))
    running.start()
    try:
        yield running
    finally:
        running.kill()


@pytest.fixture
def target(doomed: Server) -> Bucket:
    boto.connect(doomed).create_bucket(Bucket="target")
    return connect(doomed).bucket("target")


def crashing(server: Server, point: str) -> None:
    """Start the server anew, to die at a commit step."""
    server.kill()
    server.start({"WEIR_DEBUG_CRASH_AT": point})


def alive(server: Server) -> None:
    """Start it after its death, to live."""
    assert server.wait_death(20)
    server.start()


def content(bucket: Bucket, name: str) -> bytes:
    found = bucket.object(name).get_reader().read_all()
    assert isinstance(found, bytes)
    return found


def test_rename_never_loses_the_object(doomed: Server, target: Bucket) -> None:
    target.object("old").get_writer().put_content(b"data")
    crashing(doomed, "delete:unnamed")
    message = {"action": "rename-obj", "name": "new", "value": None}
    url = f"{doomed.endpoint}/v1/objects/target/old"
    with pytest.raises(requests.exceptions.RequestException):
        requests.post(url, json=message, timeout=20)
    alive(doomed)
    assert (content(target, "old"), content(target, "new")) == (b"data", b"data")
    assert requests.post(url, json=message, timeout=20).status_code == 200
    assert content(target, "new") == b"data"
    assert requests.get(url, timeout=20).status_code == 404


@pytest.mark.parametrize("point", ["complete:published", "complete:committed"])
def test_flush_is_whole_or_was_not(doomed: Server, target: Bucket, point: str) -> None:
    target.object("k").get_writer().put_content(b"old ")
    writer = target.object("k").get_writer()
    handle = writer.append_content(b"more")
    crashing(doomed, point)
    with pytest.raises(requests.exceptions.RequestException):
        writer.append_content(b"", handle=handle, flush=True)
    alive(doomed)
    if point == "complete:committed":
        # It was over; only the answer was lost.
        with pytest.raises(AISError):
            writer.append_content(b"", handle=handle, flush=True)
    else:
        assert content(target, "k") == b"old "
        writer.append_content(b"", handle=handle, flush=True)
    assert content(target, "k") == b"old more"
