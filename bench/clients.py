"""Owns the cases that go through real clients: boto3 calls one after another, and its transfer manager."""

from __future__ import annotations

import functools
import os
import tempfile
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

from bench.cases import KIB, MIB, Case
from bench.fill import BUCKET
from bench.samples import Sample
from bench.servers import ACCESS_KEY, SECRET_KEY, Server

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@functools.cache
def connect(server: Server) -> S3Client:
    """An unmodified boto3 client of the server, made once: that alone takes it longer than a hundred requests."""
    return boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, max_pool_connections=10),
    )


class Boto3Calls(Case):
    name, title = "boto3", "boto3: put, head, get 4 KiB in turn"

    def run(self, server: Server, seconds: float) -> Sample:
        client = connect(server)
        body = os.urandom(4 * KIB)
        steps: list[Callable[[str], object]] = [
            lambda key: client.put_object(Bucket=BUCKET, Key=key, Body=body),
            lambda key: client.head_object(Bucket=BUCKET, Key=key),
            lambda key: client.get_object(Bucket=BUCKET, Key=key)["Body"].read(),
        ]
        latencies: list[float] = []
        begun = time.perf_counter()
        while time.perf_counter() - begun < seconds:
            key = f"boto3/{len(latencies)}"
            for step in steps:
                started = time.perf_counter()
                step(key)
                latencies.append((time.perf_counter() - started) * 1e3)
        return sample_of(latencies, len(latencies) * 4 * KIB * 2 // 3, time.perf_counter() - begun)


class Transfer(Case):
    """Multipart of 8 MiB parts, ten at once, as the transfer manager does it by default."""

    max_rounds = 2
    _size_bytes = 100 * MIB

    def __init__(self, direction: str) -> None:
        self.name = f"transfer-{direction}"
        self.title = f"Transfer manager: {direction} 100 MiB in parts"
        self.direction = direction

    def prepare(self, server: Server) -> None:
        super().prepare(server)
        if self.direction == "download":
            self.run_once(server, "upload")

    def run(self, server: Server, seconds: float) -> Sample:
        latencies: list[float] = []
        begun = time.perf_counter()
        while not latencies or time.perf_counter() - begun < seconds:
            latencies.append(self.run_once(server, self.direction) * 1e3)
        return sample_of(latencies, len(latencies) * self._size_bytes, sum(latencies) / 1e3)

    def run_once(self, server: Server, direction: str) -> float:
        """Move the object once; the seconds it took."""
        client = connect(server)
        config = TransferConfig(multipart_threshold=8 * MIB, multipart_chunksize=8 * MIB)
        # The client's file is in memory, so that only the server's disk counts.
        with tempfile.NamedTemporaryFile(dir="/dev/shm") as file:
            if direction == "upload":
                file.write(os.urandom(MIB) * 100)
                file.flush()
            begun = time.perf_counter()
            if direction == "upload":
                client.upload_file(file.name, BUCKET, "transfer", Config=config)
            else:
                client.download_file(BUCKET, "transfer", file.name, Config=config)
            return time.perf_counter() - begun


def sample_of(latencies: list[float], moved_bytes: int, seconds: float) -> Sample:
    """The sample of calls made one after another, of their times in milliseconds."""
    ordered = sorted(latencies)
    return Sample(
        requests=len(ordered),
        bytes=moved_bytes,
        seconds=seconds,
        p50_ms=ordered[len(ordered) // 2],
        p99_ms=ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))],
        errors=0,
    )
