"""Requests that were presigned with the provider's keys are passed on to it, where their bucket says so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from urllib.parse import urlsplit

import boto3
import pytest
import requests
from botocore.config import Config
from mypy_boto3_s3 import S3Client

from tests.counterparts.started import S3Endpoint
from tests.remote.front import Front, start_front
from tests.s3compat.boto import MIB, read
from tests.server import Server, ServerOptions

PRESIGNED = 1 << 9
SIGNATURES = ("s3", "s3v4")


@dataclass(frozen=True, slots=True)
class Passing:
    """A weir that knows its own keys alone, in front of one with others. `bucket` passes on, `closed` does not."""

    server: Server
    front: Front
    bucket: str
    closed: str
    signers: dict[str, S3Client]

    def url(
        self, operation: str, bucket: str, key: str, signature: str = "s3v4", **more: object
    ) -> str:
        """Signed for the server behind, and sent to the one in front."""
        signed = self.signers[signature].generate_presigned_url(
            operation, Params={"Bucket": bucket, "Key": key, **more}
        )
        parts = urlsplit(signed)
        return f"{self.server.endpoint}{parts.path}?{parts.query}"


@pytest.fixture(scope="module")
def passing(tmp_path_factory: pytest.TempPathFactory, second_weir: S3Endpoint) -> Iterator[Passing]:
    directory = tmp_path_factory.mktemp("passing")
    behind = S3Endpoint(second_weir.endpoint, second_weir.keys)
    front = start_front(directory, behind, workers=1)
    bucket, closed = front.new_bucket(), front.new_bucket()
    reply = front.ask(
        "PATCH",
        f"/v1/buckets/{bucket}?provider=aws",
        json={"action": "set-bprops", "value": {"features": str(PRESIGNED)}},
    )
    assert reply.status_code == 200, reply.text
    front.server.stop()
    # The same store with authentication, and with keys that the server behind does not know.
    options = ServerOptions(
        front.server.options.data_dirs,
        workers=1,
        environment={
            **front.server.options.environment,
            "WEIR_ROOT_ACCESS_KEY": "FRONTACCESSKEY000001",
            "WEIR_ROOT_SECRET_KEY": "front/secret+key=of0the1test2server34567",
        },
    )
    server = Server(options)
    server.start()
    try:
        yield Passing(
            server, front, bucket, closed, {name: signer(behind, name) for name in SIGNATURES}
        )
    finally:
        server.stop()


def signer(behind: S3Endpoint, signature: str) -> S3Client:
    return boto3.client(
        "s3",
        endpoint_url=behind.endpoint,
        region_name=behind.region,
        aws_access_key_id=behind.keys.access_key,
        aws_secret_access_key=behind.keys.secret_key,
        config=Config(signature_version=signature, s3={"addressing_style": "path"}),
    )


def ask(method: str, url: str, **more: object) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        return session.request(method, url, timeout=60, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("signature", SIGNATURES)
def test_reads_and_writes_are_the_providers(passing: Passing, signature: str) -> None:
    data = b"d" * (3 * MIB)

    def url_for(operation: str, key: str = "dir/k é") -> str:
        return passing.url(operation, passing.bucket, key, signature)

    put = ask("PUT", url_for("put_object"), data=data)
    assert put.status_code == 200, put.text
    assert put.headers["etag"]
    assert read(passing.front.there, passing.bucket, "dir/k é") == data
    url = url_for("get_object")
    assert ask("GET", url).content == data
    part = ask("GET", url, headers={"range": "bytes=5-9"})
    assert (part.status_code, part.content) == (206, data[5:10])
    head = ask("HEAD", url_for("head_object"))
    assert head.headers["content-length"] == str(len(data))
    assert ask("GET", url_for("get_object", "absent")).status_code == 404
    gone = ask("DELETE", url_for("delete_object"))
    assert gone.status_code == 204
    assert ask("GET", url).status_code == 404


def test_what_is_not_signed_well_is_refused_there(passing: Passing) -> None:
    url = passing.url("get_object", passing.bucket, "k")
    refused = ask("GET", url[:-4] + "0000")
    assert refused.status_code == 403
    assert "SignatureDoesNotMatch" in refused.text


@pytest.mark.parametrize("dots", ["..", "%2e%2e", "."])
def test_nothing_leads_out_of_the_bucket(passing: Passing, dots: str) -> None:
    url = passing.url("get_object", passing.bucket, "k")
    bucket = f"/{passing.bucket}/"
    front, _, rest = url.partition(bucket)
    host = front.removeprefix("http://")
    connection = HTTPConnection(host, timeout=60)
    try:
        connection.request("GET", f"{bucket}{dots}/{passing.closed}/{rest}")
        answer = connection.getresponse()
        assert (answer.status, b"InvalidAccessKeyId" in answer.read()) == (403, True)
    finally:
        connection.close()


def test_a_bucket_that_does_not_say_so_passes_nothing_on(passing: Passing) -> None:
    passing.front.put_there(passing.closed, "k", b"data")
    refused = ask("GET", passing.url("get_object", passing.closed, "k"))
    assert refused.status_code == 403
    assert "InvalidAccessKeyId" in refused.text
