"""Fixtures of the client tests: one server for the session, its users, and a fresh bucket a test."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator

import pytest
from mypy_boto3_s3 import S3Client

from tests.s3compat.boto import connect, purge
from tests.s3compat.programs import NOT_INSTALLED
from tests.server import OTHER_KEYS, Server, ServerOptions

DOMAIN = "s3.weir.test"
WEBSITE_DOMAIN = "site.weir.test"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running weir with the root user and one other, who was added while it ran."""
    data = tmp_path_factory.mktemp("s3compat") / "data"
    running = Server(
        ServerOptions(
            [data], arguments=("--domain", DOMAIN, "--set", f"website_domains={WEBSITE_DOMAIN}")
        )
    )
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


@pytest.fixture
def make_bucket(client: S3Client) -> Iterator[Callable[[], str]]:
    """Makes buckets of unique names; all are emptied and removed after the test."""
    made: list[str] = []

    def make() -> str:
        name = f"test-{secrets.token_hex(6)}"
        client.create_bucket(Bucket=name)
        made.append(name)
        return name

    yield make
    for name in made:
        purge(client, name)


@pytest.fixture
def bucket(make_bucket: Callable[[], str]) -> str:
    return make_bucket()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly which clients this run did not test; a skip alone is easily overlooked."""
    reasons = {
        str(report.longrepr[2])
        for report in terminalreporter.stats.get("skipped", [])
        if isinstance(report.longrepr, tuple) and NOT_INSTALLED in str(report.longrepr[2])
    }
    if reasons:
        terminalreporter.section("CLIENTS NOT TESTED", sep="!", red=True, bold=True)
    for reason in sorted(reasons):
        terminalreporter.line(reason)
