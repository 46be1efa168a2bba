"""Owns the servers that tests of tokens talk to, with access control, and the tokens that they issue."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

import boto3
import requests
from botocore.config import Config
from mypy_boto3_s3 import S3Client

from gateway.cli.main import main
from tests.server import REGION, Server, ServerOptions


@dataclass(frozen=True, slots=True)
class Guarded:
    """A server that lets nobody in without credentials."""

    server: Server
    _issued: dict[tuple[str, ...], str] = field(default_factory=dict)

    def issue(self, *options: str, subject: str = "somebody") -> str:
        """What `weir token create` prints, or printed before."""
        asked = (subject, *options)
        if asked not in self._issued:
            printed = io.StringIO()
            data = str(self.server.options.data_dirs[0])
            audience = self.server.options.environment.get("WEIR_AUTH_TOKEN_AUDIENCES")
            more = ["--aud", audience] if audience else []
            # In this process: starting another for each token takes longer than all the rest.
            with redirect_stdout(printed):
                assert main(["token", "create", "--sub", *asked, *more, "--data", data]) == 0
            self._issued[asked] = printed.getvalue().strip()
        return self._issued[asked]

    def s3(
        self, token: str, access_key: str = "anykeyatall", secret: str = "any secret"
    ) -> S3Client:
        """boto3 with the token as its session token, and a key pair that nobody knows."""
        return boto3.client(
            "s3",
            endpoint_url=self.server.endpoint,
            region_name=REGION,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret,
            aws_session_token=token,
            config=Config(
                retries={"total_max_attempts": 1},
                s3={"addressing_style": "path"},
                connect_timeout=10,
                read_timeout=60,
            ),
        )

    def ask(self, method: str, path: str, token: str = "", **more: object) -> requests.Response:
        """One request with the token as Bearer, or with none."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        with requests.Session() as session:
            session.trust_env = False
            url = self.server.endpoint + path
            return session.request(method, url, headers=headers, timeout=60, **more)  # type: ignore[arg-type]


def start_guarded(data: Path, *arguments: str, **environment: str) -> Guarded:
    """Whoever starts it stops it."""
    server = Server(ServerOptions([data], 1, arguments, environment))
    server.start()
    return Guarded(server)
