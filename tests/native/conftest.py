"""Fixtures of the native tests: one open server for the session, its clients, and a fresh bucket a test."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator

import pytest
import requests
from aistore.sdk import Bucket, Client
from mypy_boto3_s3 import S3Client

from tests.native.sdk import connect
from tests.s3compat import boto
from tests.server import Server, ServerOptions


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running weir in which every request is root's; what is about access starts one of its own."""
    data = tmp_path_factory.mktemp("native") / "data"
    # No provider is reached from here: port 9 of loopback has no listener.
    nowhere = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_EC2_METADATA_DISABLED": "true"}
    running = Server(ServerOptions([data], arguments=("--no-auth",), environment=nowhere))
    running.start()
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="session")
def client(server: Server) -> Client:
    return connect(server)


@pytest.fixture(scope="session")
def s3(server: Server) -> S3Client:
    """boto3 on the same server."""
    return boto.connect(server)


@pytest.fixture
def http() -> Iterator[requests.Session]:
    """For requests that the SDK would not send; it neither retries nor looks for settings of this machine."""
    with requests.Session() as session:
        session.trust_env = False
        yield session


@pytest.fixture
def make_bucket(client: Client) -> Iterator[Callable[[], Bucket]]:
    """Makes buckets of unique names; all are destroyed after the test, whatever they hold."""
    made: list[str] = []

    def make() -> Bucket:
        bucket = client.bucket(f"test-{secrets.token_hex(6)}").create()
        made.append(bucket.name)
        return bucket

    yield make
    for name in made:
        client.bucket(name).delete(missing_ok=True)


@pytest.fixture
def bucket(make_bucket: Callable[[], Bucket]) -> Bucket:
    return make_bucket()
