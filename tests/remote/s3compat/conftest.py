"""Tests of tests/s3compat, unchanged, over buckets at moto: each module here takes those of one there, and what they
ask of `bucket` is answered by a bucket that lives elsewhere. What differs, and why, is in DIFFERENT.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from mypy_boto3_s3 import S3Client

from tests.counterparts.started import S3Endpoint
from tests.s3compat.boto import connect
from tests.s3compat.conftest import DOMAIN
from tests.server import OTHER_KEYS, Server, ServerOptions

DIFFERENT = {
    "test_checksum_survives_copy": "additional checksums don't go with what the provider copies",
    "test_key_round_trip[19]": "moto has no keys with a carriage return in them",
    "test_put_object_storage_class": "storage classes are the provider's",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Expect what differs to differ."""
    for item in items:
        reason = DIFFERENT.get(item.name)
        if reason is not None and item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, moto: S3Endpoint) -> Iterator[Server]:
    """A weir with the root user and one other, whose default account of aws is moto."""
    options = ServerOptions(
        [tmp_path_factory.mktemp("s3compat") / "data"],
        arguments=("--domain", DOMAIN),
        environment=moto.environment() | {"AWS_EC2_METADATA_DISABLED": "true"},
    )
    running = Server(options)
    running.start()
    try:
        running.add_user("other", OTHER_KEYS)
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="session")
def client(server: Server) -> S3Client:
    return connect(server)


@pytest.fixture(scope="session")
def other_client(server: Server) -> S3Client:
    return connect(server, OTHER_KEYS)


@pytest.fixture(scope="session")
def make_bucket(server: Server, moto: S3Endpoint) -> Iterator[Callable[[], str]]:
    """Makes buckets at moto that weir knows."""
    there = moto.client()
    token = server.admin("token", "create", "--sub", "tests", "--admin").stdout.strip()
    with requests.Session() as session:
        session.trust_env = False
        session.headers["Authorization"] = f"Bearer {token}"

        def make() -> str:
            name = f"test-{secrets.token_hex(6)}"
            there.create_bucket(Bucket=name)
            url = f"{server.endpoint}/v1/buckets/{name}?provider=aws"
            reply = session.post(url, json={"action": "create-bck", "name": ""}, timeout=60)
            assert reply.status_code == 200, reply.text
            return name

        yield make


@pytest.fixture
def bucket(make_bucket: Callable[[], str]) -> str:
    return make_bucket()
