"""Owns a weir and clients of it, for tests with other providers than S3's behind it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests
from aistore.sdk import Client
from mypy_boto3_s3 import S3Client

from tests.native.sdk import connect as connect_sdk
from tests.s3compat.boto import connect as connect_boto
from tests.server import Server, ServerOptions


@dataclass(frozen=True, slots=True)
class Weir:
    """A weir that asks nobody who they are, and unmodified clients of it."""

    server: Server
    s3: S3Client
    sdk: Client

    def ask(self, method: str, path: str, **more: object) -> requests.Response:
        """One request to it, by hand."""
        with requests.Session() as session:
            session.trust_env = False
            url = f"{self.server.endpoint}{path}"
            return session.request(method, url, timeout=60, **more)  # type: ignore[arg-type]

    def add_bucket(self, name: str, query: str, value: Mapping[str, object] | None = None) -> None:
        """Have it know a bucket that lives elsewhere."""
        message = {"action": "create-bck", "name": "", "value": value}
        reply = self.ask("POST", f"/v1/buckets/{name}?{query}", json=message)
        assert reply.status_code == 200, reply.text


@contextmanager
def running(
    directory: Path, environment: Mapping[str, str], arguments: Sequence[str] = ()
) -> Iterator[Weir]:
    """A weir for the time being."""
    options = ServerOptions(
        [directory], workers=1, arguments=("--no-auth", *arguments), environment=environment
    )
    server = Server(options)
    server.start()
    try:
        yield Weir(server, connect_boto(server), connect_sdk(server))
    finally:
        server.stop()
