"""HTTPS with a certificate of the operator's."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.s3compat.boto import MIB
from tests.s3compat.wire import Wire, exchange, head, signed_headers
from tests.server import REGION, ROOT_KEYS, Server, ServerOptions


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    directory = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "weir test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    cert_path, key_path = directory / "cert.pem", directory / "key.pem"
    cert_path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return cert_path, key_path


@pytest.fixture
def tls_server(tmp_path: Path, certificate: tuple[Path, Path]) -> Iterator[Server]:
    arguments = ("--tls-cert", str(certificate[0]), "--tls-key", str(certificate[1]))
    running = Server(ServerOptions([tmp_path / "data"], arguments=arguments))
    running.start()
    yield running
    running.stop()


def test_tls(tls_server: Server, certificate: tuple[Path, Path]) -> None:
    assert tls_server.scheme == "https"
    client = boto3.client(
        "s3",
        endpoint_url=tls_server.endpoint,
        region_name=REGION,
        aws_access_key_id=ROOT_KEYS.access_key,
        aws_secret_access_key=ROOT_KEYS.secret_key,
        verify=str(certificate[0]),
        config=Config(s3={"addressing_style": "path"}),
    )
    client.create_bucket(Bucket="secure")
    # Over TLS boto3 sends unsigned bodies with a trailer.
    for data in (b"small", b"l" * 9 * MIB):
        client.put_object(Bucket="secure", Key="k", Body=data, ChecksumAlgorithm="CRC32C")
        assert client.get_object(Bucket="secure", Key="k")["Body"].read() == data
    assert exchange(tls_server, "HEAD", "/secure/k").status == 200
    with Wire(tls_server) as wire:
        headers = {"expect": "100-continue"}
        put = signed_headers(tls_server, "PUT", "/secure/e", body=b"x", headers=headers)
        wire.send(head("PUT", "/secure/e", put))
        assert wire.receive().status == 100
        wire.send(b"x")
        assert wire.receive("PUT").status == 200
