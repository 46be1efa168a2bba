"""Owns what tests of cold reads see: a weir in front of an S3 server that does what they want (tests.remote.wilful)."""

from __future__ import annotations

import os
import secrets
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import requests
from botocore.exceptions import BotoCoreError
from urllib3.exceptions import HTTPError

from tests.remote.front import Front, start_front
from tests.remote.wilful import WilfulS3

MIB = 1024**2
CUT = (BotoCoreError, HTTPError)
"""What clients raise for a body that ends too early."""


@dataclass(frozen=True, slots=True)
class Cold:
    """The weir, the server behind it, and a bucket of both."""

    front: Front
    wilful: WilfulS3
    bucket: str

    def path(self, key: str) -> str:
        """Of an object, natively."""
        return f"/v1/objects/{self.bucket}/{key}?provider=aws"

    def is_cached(self, key: str) -> bool:
        """Whether there is a copy."""
        reply = self.front.ask("HEAD", f"{self.path(key)}&props=size")
        return reply.headers["Ais-Present"] == "true"

    def read(self, key: str) -> bytes:
        """By boto3. Raises one of CUT, ClientError."""
        with self.front.s3.get_object(Bucket=self.bucket, Key=key)["Body"] as body:
            return body.read()

    def open_raw(self, key: str) -> requests.Response:
        """A body of which no more is taken than the test reads."""
        url = f"{self.front.server.endpoint}{self.path(key)}"
        return requests.get(url, stream=True, timeout=60)

    def kill_fetcher(self) -> None:
        """Kill the worker that has a blob open for writing."""
        for pid in self.front.server.tree():
            for link in Path(f"/proc/{pid}/fd").iterdir():
                try:
                    is_blob = "/blobs/" in str(link.readlink())
                    flags = Path(f"/proc/{pid}/fdinfo/{link.name}").read_text().split()[3]
                except OSError:
                    continue
                if is_blob and int(flags, 8) & os.O_RDWR:
                    os.kill(pid, signal.SIGKILL)
                    return
        raise AssertionError("nobody fetches")


def start_cold(root: Path, wilful: WilfulS3, arguments: Sequence[str] = ()) -> Cold:
    """The caller stops the front's server."""
    front = start_front(root, wilful.endpoint, arguments)
    name = f"wilful-{secrets.token_hex(6)}"
    path = f"/v1/buckets/{name}?provider=aws"
    reply = front.ask("POST", path, json={"action": "create-bck", "name": ""})
    assert reply.status_code == 200, reply.text
    return Cold(front, wilful, name)


def wait_for(what: Callable[[], bool], within_s: float = 20.0) -> None:
    """Until it holds."""
    deadline = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.02)
