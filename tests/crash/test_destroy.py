"""The end of a bucket that is destroyed while it is full, with deaths between its steps."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from botocore.exceptions import ClientError
from mypy_boto3_s3 import S3Client

from tests.crash.rig import ARM, SETTINGS, leftovers
from tests.s3compat.boto import code_of, connect, list_keys
from tests.server import Server, ServerOptions

pytestmark = [pytest.mark.crash, pytest.mark.slow]

BUCKET = "doomed"
DESTROY = {"action": "destroy-bck", "name": "", "value": None}
OBJECTS = 40


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    data = [tmp_path / f"data{number}" for number in range(2)]
    made = Server(ServerOptions(data, arguments=("--no-auth",), environment=SETTINGS))
    yield made
    made.kill()


def fill(client: S3Client) -> None:
    client.create_bucket(Bucket=BUCKET)
    for number in range(OBJECTS):
        client.put_object(Bucket=BUCKET, Key=f"small-{number}", Body=b"x")
    client.put_object(Bucket=BUCKET, Key="large", Body=b"y" * 300_000)
    client.create_multipart_upload(Bucket=BUCKET, Key="begun")


def destroy(server: Server) -> int:
    """The status; 0 if the server died of it."""
    url = f"{server.endpoint}/v1/buckets/{BUCKET}"
    try:
        return requests.delete(url, json=DESTROY, timeout=20).status_code
    except requests.ConnectionError:
        return 0


def wait_until_clean(server: Server, timeout_s: float = 60.0) -> None:
    """Until the doctor finds neither objects nor leftovers."""
    deadline = time.monotonic() + timeout_s
    while True:
        done = server.admin("doctor")
        if leftovers(done.stdout) == 0 and " 0 objects" in done.stdout:
            return
        assert time.monotonic() < deadline, done.stdout
        time.sleep(0.5)


@pytest.mark.parametrize("point", ["bucket:closed", "bucket:unnamed", "bucket:dropped-some"])
def test_bucket_is_whole_or_gone(server: Server, point: str) -> None:
    server.start({ARM: point})
    fill(connect(server))
    assert destroy(server) == 0
    assert server.wait_death(20)
    server.kill()
    server.start()
    client = connect(server)
    if point == "bucket:closed":
        # It was never destroyed; writes to it are let in again in a while.
        assert len(list_keys(client, BUCKET)) == OBJECTS + 1
        deadline = time.monotonic() + 60
        while not _takes_writes(client):
            assert time.monotonic() < deadline
            time.sleep(0.5)
        assert destroy(server) == 200
    with pytest.raises(ClientError) as caught:
        client.list_objects_v2(Bucket=BUCKET)
    assert code_of(caught.value) == "NoSuchBucket"
    client.create_bucket(Bucket=BUCKET)
    assert list_keys(client, BUCKET) == []
    wait_until_clean(server)


def _takes_writes(client: S3Client) -> bool:
    try:
        client.put_object(Bucket=BUCKET, Key="small-0", Body=b"x")
    except ClientError as error:
        if code_of(error) != "NoSuchBucket":
            raise
        return False
    return True
