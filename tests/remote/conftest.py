"""Fixtures of the tests of buckets that live elsewhere: real counterparts, and a weir in front of them.

`moto`, `second_weir` and `rclone_s3` are S3 servers on loopback (tests.counterparts); a test that needs a weir of its
own, or another provider behind it, calls tests.remote.front.start_front.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator

import pytest

from tests.counterparts.process import NOT_INSTALLED
from tests.counterparts.started import Counterparts, S3Endpoint
from tests.remote.cold import Cold, start_cold
from tests.remote.front import Front, start_front
from tests.remote.wilful import WilfulS3


@pytest.fixture(scope="session")
def counterparts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counterparts]:
    """The servers of this run; each starts when it is first asked for."""
    started = Counterparts(tmp_path_factory.mktemp("counterparts"))
    try:
        yield started
    finally:
        started.stop()


@pytest.fixture(scope="session")
def moto(counterparts: Counterparts) -> S3Endpoint:
    return counterparts.moto()


@pytest.fixture(scope="session")
def second_weir(counterparts: Counterparts) -> S3Endpoint:
    return counterparts.weir()


@pytest.fixture(scope="session")
def rclone_s3(counterparts: Counterparts) -> S3Endpoint:
    return counterparts.rclone()


@pytest.fixture(scope="session")
def front(tmp_path_factory: pytest.TempPathFactory, moto: S3Endpoint) -> Iterator[Front]:
    """A weir in front of moto."""
    started = start_front(tmp_path_factory.mktemp("front"), moto)
    try:
        yield started
    finally:
        started.server.stop()


@pytest.fixture
def make_remote(front: Front) -> Callable[[], str]:
    """Makes buckets at moto that `front` knows."""
    return front.new_bucket


@pytest.fixture
def remote(make_remote: Callable[[], str]) -> str:
    """A bucket at moto that `front` knows."""
    return make_remote()


@pytest.fixture(scope="session")
def wilful() -> Iterator[WilfulS3]:
    """An S3 server that does what a test wants."""
    server = WilfulS3()
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def cold(wilful: WilfulS3, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cold]:
    """A weir in front of it."""
    started = start_cold(tmp_path_factory.mktemp("cold"), wilful)
    try:
        yield started
    finally:
        started.front.server.stop()


@pytest.fixture
def key() -> str:
    """One that no other test uses."""
    return f"k-{secrets.token_hex(6)}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly which counterparts this run did without; a skip alone is easily overlooked."""
    reasons = {
        str(report.longrepr[2])
        for report in terminalreporter.stats.get("skipped", [])
        if isinstance(report.longrepr, tuple) and NOT_INSTALLED in str(report.longrepr[2])
    }
    if reasons:
        terminalreporter.section("COUNTERPARTS NOT THERE", sep="!", red=True, bold=True)
    for reason in sorted(reasons):
        terminalreporter.line(reason)
