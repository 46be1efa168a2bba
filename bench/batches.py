"""Owns the cases of get-batch: 1,000 objects of 4 KiB in one request, and what that is compared with.

The raw reader takes the bytes off a socket and looks at nothing but the response's end, so that the client's own
unpacking does not decide; the SDK's figure has all that its users get.
"""

from __future__ import annotations

import functools
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from http.client import HTTPConnection

from aistore.sdk import Client

from bench.cases import KIB, Case
from bench.clients import connect, sample_of
from bench.fill import BUCKET, ensure_objects
from bench.process import MemoryWatch
from bench.samples import Sample
from bench.servers import REPOSITORY, Server, ServerError

COUNT = 1000
KEYS = tuple(f"batch/{n:04}" for n in range(COUNT))
_MANY_KEYS = tuple(f"batch-many/{n:05}" for n in range(10 * COUNT))
_WHOLE = "batch-whole"
_PIECE_BYTES = 1024 * KIB


class RawReader:
    """Sends one request again and again over one connection, and takes what comes."""

    def __init__(self, server: Server, method: str, target: str, body: bytes = b"") -> None:
        self._connection = HTTPConnection(*server.address)
        self._connection.connect()
        assert isinstance(self._connection.sock, socket.socket)
        self._request = (method, target, body)
        self._piece = bytearray(_PIECE_BYTES)

    def take(self) -> int:
        """How many bytes came."""
        self._connection.request(*self._request)
        reply = self._connection.getresponse()
        if reply.status != 200:
            raise ServerError(f"{self._request[:2]} gave {reply.status}: {reply.read(300)!r}")
        count = 0
        while got := reply.readinto(self._piece):
            count += got
        return count


def repeat(take: Callable[[], int], seconds: float) -> Sample:
    """Do it for so long; a request is one round."""
    latencies: list[float] = []
    moved_bytes = 0
    begun = time.perf_counter()
    while not latencies or time.perf_counter() - begun < seconds:
        started = time.perf_counter()
        moved_bytes += take()
        latencies.append((time.perf_counter() - started) * 1e3)
    return sample_of(latencies, moved_bytes, time.perf_counter() - begun)


def message(keys: Sequence[str] = KEYS, **more: bool) -> bytes:
    """Asks for all of them as one TAR that is streamed."""
    asked: Mapping[str, object] = {
        "in": [{"objname": key, "bucket": BUCKET, "provider": "ais"} for key in keys],
        "strm": True,
        "coer": True,
        **more,
    }
    return json.dumps(asked).encode()


class BatchCase(Case):
    servers = ("weir",)

    def prepare(self, server: Server) -> None:
        ensure_objects(server, KEYS, 4 * KIB)
        ensure_objects(server, [_WHOLE], COUNT * 4 * KIB)


class RawBatch(BatchCase):
    name, title = "batch", "Get-batch: 1,000 × 4 KiB as a TAR, raw reader"

    def run(self, server: Server, seconds: float) -> Sample:
        target = server.target("POST", f"/v1/ml/moss/{BUCKET}")
        return repeat(RawReader(server, "POST", target, message()).take, seconds)


class WholeObject(BatchCase):
    name, title = "batch-whole", "The same bytes as one object, raw reader"

    def run(self, server: Server, seconds: float) -> Sample:
        target = server.target("GET", f"/{BUCKET}/{_WHOLE}")
        return repeat(RawReader(server, "GET", target).take, seconds)


class SdkBatch(BatchCase):
    name, title = "batch-sdk", "Get-batch: 1,000 × 4 KiB, aistore SDK"

    def run(self, server: Server, seconds: float) -> Sample:
        client = Client(server.endpoint, token=_token(server))
        bucket = client.bucket(BUCKET)

        def take() -> int:
            got = client.batch(list(KEYS), bucket).get()
            return sum(len(data) for _, data in got)

        return repeat(take, seconds)


class SequentialGets(BatchCase):
    name, title = "batch-boto3", "1,000 × 4 KiB, one GET after another, boto3"
    max_rounds = 3

    def run(self, server: Server, seconds: float) -> Sample:
        client = connect(server)

        def take() -> int:
            return sum(
                len(client.get_object(Bucket=BUCKET, Key=key)["Body"].read()) for key in KEYS
            )

        return repeat(take, seconds)


@functools.cache
def _token(server: Server) -> str:
    command = [sys.executable, "-m", "gateway.cli.main", "token", "create", "--sub", "bench"]
    command += ["--admin", "--data", str(server.data)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY)
    if done.returncode != 0:
        raise ServerError(f"token create: {done.stderr}")
    return done.stdout.strip()


class LargeBatch(BatchCase):
    """How much the largest process grows while it sends batches that are ten times the others."""

    name, title = "batch-memory", "Get-batch: 10,000 × 4 KiB, memory"
    max_rounds = 1

    def prepare(self, server: Server) -> None:
        ensure_objects(server, _MANY_KEYS, 4 * KIB)

    def run(self, server: Server, seconds: float) -> Sample:
        reader = RawReader(
            server, "POST", server.target("POST", f"/v1/ml/moss/{BUCKET}"), message(_MANY_KEYS)
        )
        before = MemoryWatch(server.pid, 0.02)
        with before.watching():
            pass
        watch = MemoryWatch(server.pid, 0.02)
        with watch.watching():
            sample = repeat(reader.take, seconds)
        more_mib = watch.result().peak_anonymous_mib - before.result().peak_anonymous_mib
        return replace(sample, extra={"more_mib": more_mib})


def batch_cases() -> list[Case]:
    """In the order of the report; the last makes caches grow."""
    return [RawBatch(), WholeObject(), SdkBatch(), SequentialGets(), LargeBatch()]
