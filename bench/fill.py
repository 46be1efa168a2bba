"""Owns what the servers hold before a measurement: buckets, and objects written through S3 or laid down as files."""

from __future__ import annotations

import http.client
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from bench.servers import Server, ServerError

BUCKET = "bench"


def ensure_bucket(server: Server, bucket: str = BUCKET) -> None:
    """Create a bucket unless it exists."""
    if not server.is_s3:
        (server.data / bucket).mkdir(exist_ok=True)
        return
    status = _request(server, "PUT", f"/{bucket}", b"")
    if status not in (200, 409):
        raise ServerError(f"{server.name}: creating bucket {bucket} gave {status}")


def ensure_objects(
    server: Server, keys: Sequence[str], size_bytes: int, bucket: str = BUCKET
) -> None:
    """Write an object of random bytes under each key, unless an earlier case did."""
    ensure_bucket(server, bucket)
    keys = [key for key in keys if key not in server.filled]
    server.filled.update(keys)
    if not keys:
        return
    body = os.urandom(size_bytes)
    if not server.is_s3:
        for key in keys:
            path = server.data / bucket / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)
        return

    def write(some: Sequence[str]) -> None:
        connection = http.client.HTTPConnection(*server.address)
        for key in some:
            connection.request("PUT", server.target("PUT", f"/{bucket}/{key}"), body)
            reply = connection.getresponse()
            reply.read()
            if reply.status != 200:
                raise ServerError(f"{server.name}: PUT {key} gave {reply.status}")
        connection.close()

    # One alone first: some servers race against themselves when several requests create a directory.
    write(keys[:1])
    keys = keys[1:]
    lanes = max(1, min(8, len(keys)))
    with ThreadPoolExecutor(lanes) as pool:
        list(pool.map(write, [keys[n::lanes] for n in range(lanes)]))


def bucket_of(count: int) -> str:
    """The bucket for listings that holds `count` keys."""
    return f"keys-{count}"


def listing_keys(count: int) -> Iterator[str]:
    """Keys in order, spread evenly over 1,000 common prefixes."""
    per_prefix = count // 1000
    for prefix in range(1000):
        for number in range(per_prefix):
            yield f"d{prefix:04}/f{number:07}"


def _request(server: Server, method: str, path: str, body: bytes) -> int:
    connection = http.client.HTTPConnection(*server.address)
    try:
        connection.request(method, server.target(method, path), body)
        return connection.getresponse().status
    finally:
        connection.close()
