"""Owns the counterparts of a test run, each started when somebody first asks for it, and how to reach them by S3."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import boto3
from botocore.config import Config
from mypy_boto3_s3 import S3Client

from tests.counterparts.process import Counterpart, free_port, program
from tests.server import REGION, ROOT_KEYS, Keys, Server, ServerOptions

MOTO_KEYS = Keys("MOTOACCESSKEY0000001", "moto/secret+key=of0the1test2server345678")
RCLONE_KEYS = Keys("RCLONEACCESSKEY00001", "rclone/secret+key=of0the1test2server3456")


@dataclass(frozen=True, slots=True)
class S3Endpoint:
    """Where an S3 server answers, and whom it knows."""

    endpoint: str
    keys: Keys
    region: str = REGION

    def client(self) -> S3Client:
        """A boto3 client that neither retries nor looks for settings of this machine."""
        config = Config(
            retries={"total_max_attempts": 1},
            s3={"addressing_style": "path"},
            max_pool_connections=32,
            connect_timeout=10,
            read_timeout=60,
        )
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=self.region,
            aws_access_key_id=self.keys.access_key,
            aws_secret_access_key=self.keys.secret_key,
            config=config,
        )

    def environment(self) -> dict[str, str]:
        """What makes it the default of AWS's own standard chain."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.keys.access_key,
            "AWS_SECRET_ACCESS_KEY": self.keys.secret_key,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
        }


class Counterparts:
    """What a test run has started. `directory` is for their data and logs."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._endpoints: dict[str, S3Endpoint] = {}
        self._stops: list[Callable[[], object]] = []

    def moto(self) -> S3Endpoint:
        """moto's server. It believes everybody."""
        return self._once("moto", self._start_moto)

    def weir(self) -> S3Endpoint:
        """A second weir with buckets of its own."""
        return self._once("weir", self._start_weir)

    def rclone(self) -> S3Endpoint:
        """rclone's S3 server over a directory."""
        return self._once("rclone", self._start_rclone)

    def on_stop(self, stop: Callable[[], object]) -> None:
        """Have something ended with the run, last first."""
        self._stops.append(stop)

    def stop(self) -> None:
        """End them all."""
        while self._stops:
            self._stops.pop()()
        self._endpoints.clear()

    def start(self, counterpart: Counterpart) -> None:
        """Start a counterpart of a caller's own, ended with the run."""
        counterpart.start()
        self.on_stop(counterpart.stop)

    def log_path(self, name: str) -> Path:
        return self.directory / f"{name}.log"

    def _once(self, name: str, start: Callable[[], S3Endpoint]) -> S3Endpoint:
        if name not in self._endpoints:
            self._endpoints[name] = start()
        return self._endpoints[name]

    def _start_moto(self) -> S3Endpoint:
        program("moto_server")
        port = free_port()
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        moto = Counterpart(command, port, self.log_path("moto"), health="/moto-api/")
        self.start(moto)
        return S3Endpoint(moto.endpoint, MOTO_KEYS)

    def _start_rclone(self) -> S3Endpoint:
        data = self.directory / "rclone"
        data.mkdir()
        port = free_port()
        keys = f"{RCLONE_KEYS.access_key},{RCLONE_KEYS.secret_key}"
        command = [program("rclone"), "serve", "s3", "--addr", f"127.0.0.1:{port}"]
        command += ["--auth-key", keys, "--config", "/dev/null", str(data)]
        served = Counterpart(command, port, self.log_path("rclone"))
        self.start(served)
        return S3Endpoint(served.endpoint, RCLONE_KEYS)

    def _start_weir(self) -> S3Endpoint:
        server = Server(ServerOptions([self.directory / "second"], workers=1))
        server.start()
        self.on_stop(server.stop)
        return S3Endpoint(server.endpoint, ROOT_KEYS)
