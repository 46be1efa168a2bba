"""The SDK over HTTPS, where it sends the head of an upload alone, and the body only to where a redirect points."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from aistore.sdk import Bucket

from tests.contract.world import pattern
from tests.native.sdk import connect
from tests.s3compat.test_tls import certificate
from tests.server import Server, ServerOptions

__all__ = ["certificate"]  # a fixture


@pytest.fixture(scope="module", autouse=True)
def only_our_certificate() -> Iterator[None]:
    """What the environment says of certificates would overrule what the client is told."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="module")
def tls_server(
    tmp_path_factory: pytest.TempPathFactory,
    certificate: tuple[Path, Path],  # the fixture
) -> Iterator[Server]:
    cert, key = map(str, certificate)
    arguments = ("--no-auth", "--tls-cert", cert, "--tls-key", key)
    data = tmp_path_factory.mktemp("https") / "data"
    running = Server(ServerOptions([data], workers=1, arguments=arguments))
    running.start()
    yield running
    # A stop would wait for the client to take part in the end of its idle connections.
    running.kill()


@pytest.fixture(scope="module")
def tls_bucket(
    tls_server: Server,
    certificate: tuple[Path, Path],
) -> Bucket:
    url = f"{tls_server.endpoint}/bucket-of-https"
    assert requests.put(url, verify=str(certificate[0]), timeout=10).status_code == 200
    return connect(tls_server, ca_cert=str(certificate[0])).bucket("bucket-of-https")


def test_put_and_get(tls_bucket: Bucket) -> None:
    name = "a name?with &signs%20"
    for data in (b"small", pattern(300_000), b""):
        tls_bucket.object(name).get_writer().put_content(data)
        assert tls_bucket.object(name).get_reader().read_all() == data


def test_put_file(tls_bucket: Bucket, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(pattern(2_000_000))
    tls_bucket.object("file").get_writer().put_file(tmp_path / "file")
    assert tls_bucket.object("file").get_reader().read_all() == pattern(2_000_000)


def test_append_and_parts(tls_bucket: Bucket) -> None:
    with tls_bucket.object("log").get_writer().as_file("w") as file:
        file.write(b"one ")
        file.write(b"two")
    assert tls_bucket.object("log").get_reader().read_all() == b"one two"
    upload = tls_bucket.object("parts").multipart_upload().create()
    for number in (1, 2):
        upload.add_part(number).put_content(b"part %d;" % number)
    upload.complete()
    assert tls_bucket.object("parts").get_reader().read_all() == b"part 1;part 2;"


def test_others_are_not_redirected(
    tls_server: Server,
    certificate: tuple[Path, Path],
    tls_bucket: Bucket,
) -> None:
    url = f"{tls_server.endpoint}/v1/objects/{tls_bucket.name}/plain"
    reply = requests.put(
        url, data=b"x", verify=str(certificate[0]), allow_redirects=False, timeout=10
    )
    assert reply.status_code == 200
