"""Owns a weir in front of a provider, as tests of buckets that live elsewhere see it: clients of both sides, and
buckets that both know."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import requests
from aistore.sdk import Bucket, Client
from mypy_boto3_s3 import S3Client

from tests.counterparts.started import S3Endpoint
from tests.native.sdk import connect as connect_sdk
from tests.s3compat.boto import connect as connect_boto
from tests.server import REGION, ROOT_KEYS, Server, ServerOptions


@dataclass(frozen=True, slots=True)
class Front:
    """A weir under test and the S3 server behind it. Every request is root's: access has tests of its own.

    `s3`, `sdk`: clients of weir. `there`: a client of the server behind. Raw HTTP: `ask`.
    """

    server: Server
    behind: S3Endpoint
    s3: S3Client
    there: S3Client
    sdk: Client

    def new_bucket(self) -> str:
        """A bucket that is there, and that weir knows (as aws://NAME)."""
        name = f"remote-{secrets.token_hex(6)}"
        self.there.create_bucket(Bucket=name)
        reply = self.ask(
            "POST", f"/v1/buckets/{name}?provider=aws", json={"action": "create-bck", "name": ""}
        )
        assert reply.status_code == 200, reply.text
        return name

    def bucket(self, name: str) -> Bucket:
        """The SDK's view of a bucket of new_bucket."""
        return self.sdk.bucket(name, provider="aws")

    def put_there(self, bucket: str, key: str, data: bytes) -> str:
        """Write behind weir's back. Gives the ETag."""
        return self.there.put_object(Bucket=bucket, Key=key, Body=data)["ETag"].strip('"')

    def read_there(self, bucket: str, key: str) -> bytes:
        """What the server behind has."""
        with self.there.get_object(Bucket=bucket, Key=key)["Body"] as body:
            return body.read()

    def ask(self, method: str, path: str, **more: object) -> requests.Response:
        """One request to weir, by hand."""
        with requests.Session() as session:
            session.trust_env = False
            url = f"{self.server.endpoint}{path}"
            return session.request(method, url, timeout=60, **more)  # type: ignore[arg-type]


def rclone_settings(endpoint: str, directory: Path) -> dict[str, str]:
    """Of the environment, by which rclone knows a weir as W: and has no other configuration."""
    return {
        "RCLONE_CONFIG": str(directory / "rclone.conf"),
        "RCLONE_CONFIG_W_TYPE": "s3",
        "RCLONE_CONFIG_W_PROVIDER": "Other",
        "RCLONE_CONFIG_W_ENDPOINT": endpoint,
        "RCLONE_CONFIG_W_ACCESS_KEY_ID": ROOT_KEYS.access_key,
        "RCLONE_CONFIG_W_SECRET_ACCESS_KEY": ROOT_KEYS.secret_key,
        "RCLONE_CONFIG_W_REGION": REGION,
    }


def start_front(
    directory: Path,
    behind: S3Endpoint,
    arguments: Sequence[str] = (),
    workers: int = 2,
    settings: Mapping[str, str] = MappingProxyType({}),
) -> Front:
    """Start a weir whose default account of aws is `behind`. The caller stops its `server`."""
    options = ServerOptions(
        [directory / "front"],
        workers=workers,
        arguments=("--no-auth", *arguments),
        environment=behind.environment() | {"AWS_EC2_METADATA_DISABLED": "true"} | dict(settings),
    )
    server = Server(options)
    server.start()
    return Front(server, behind, connect_boto(server), behind.client(), connect_sdk(server))
