"""A full store, and the memory of workers under many connections."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from mypy_boto3_s3 import S3Client

from tests.s3compat.boto import MIB, code_of, connect, read, status_of
from tests.s3compat.wire import Reply, exchange
from tests.server import Server, ServerOptions

QUOTA_BYTES = 24 * MIB
WORKER_LIMIT_BYTES = 150 * MIB


@pytest.fixture
def small_server(tmp_path: Path) -> Iterator[Server]:
    config = tmp_path / "weir.toml"
    config.write_text(
        f"[storage]\nquota_bytes = {QUOTA_BYTES}\n"
        "[jobs]\nspace_cleanup_interval_s = 1\nspace_cleanup_age_s = 0\n"
    )
    running = Server(ServerOptions([tmp_path / "data"], arguments=("--config", str(config))))
    running.start()
    yield running
    running.stop()


def fill(client: S3Client) -> dict[str, bytes]:
    """Put objects until the store says no; those it took."""
    stored: dict[str, bytes] = {}
    for number in range(120):
        data = hashlib.shake_256(b"%d" % number).digest(MIB if number % 3 else 40_000)
        try:
            client.put_object(Bucket="full", Key=f"k{number:02}", Body=data)
        except ClientError as error:
            assert status_of(error) == 507, error  # noqa: PT017
            return stored
        stored[f"k{number:02}"] = data
    raise AssertionError("the quota never took hold")


def test_full_store_refuses_and_recovers(small_server: Server) -> None:
    client = connect(small_server)
    client.create_bucket(Bucket="full")
    stored = fill(client)
    for key, data in stored.items():
        assert read(client, "full", key) == data
    with pytest.raises(ClientError) as raised:
        client.put_object(Bucket="full", Key="more", Body=b"m" * 6 * MIB)
    assert status_of(raised.value) == 507
    assert small_server.health() in {200, 503}
    # A full store must still let go.
    for key in list(stored)[:12]:
        client.delete_object(Bucket="full", Key=key)
        del stored[key]
    deadline = time.monotonic() + 15
    while True:
        try:
            client.put_object(Bucket="full", Key="again", Body=b"a" * MIB)
            break
        except ClientError as error:
            assert code_of(error)  # noqa: PT017
            assert time.monotonic() < deadline, "no room although objects were deleted"
            time.sleep(0.2)
    for key, data in stored.items():
        assert read(client, "full", key) == data


@pytest.mark.slow
def test_memory_is_bounded(server: Server, bucket: str) -> None:
    large = b"m" * 24 * MIB
    peak = 0

    def work(number: int) -> Reply:
        nonlocal peak
        exchange(server, "PUT", f"/{bucket}/{number % 8}", body=large)
        reply = exchange(server, "GET", f"/{bucket}/{number % 8}")
        peak = max(peak, server.resident_bytes())
        return reply

    with ThreadPoolExecutor(16) as pool:
        for reply in pool.map(work, range(20)):
            assert reply.body == large
    assert peak < WORKER_LIMIT_BYTES, f"a worker grew to {peak / MIB:.0f} MiB"
