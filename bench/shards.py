"""Owns the cases of shards: members of an indexed 1 GiB TAR at random, against plain objects of their size and against
members of the same TAR without an index.
"""

from __future__ import annotations

import http.client
import io
import json
import os
import random
import tarfile
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Any

from bench.cases import KIB, Case, wrk
from bench.clients import connect
from bench.fill import ensure_bucket, ensure_objects
from bench.samples import Sample
from bench.servers import Server, ServerError

_MEMBER_BYTES = 100 * KIB
_SHARD_BYTES = 1024**3
_COUNT = _SHARD_BYTES // (_MEMBER_BYTES + 512)
_INDEXED, _SCANNED, _OBJECTS = "shards-indexed", "shards-scanned", "shards-objects"
_SHARD = "s.tar"
_TARGETS = 2000
_SCANS = 20


def member(number: int) -> str:
    return f"train/{number:07}.jpg"


def ensure_shard(server: Server, bucket: str) -> None:
    """A bucket with the shard, unless an earlier case made it."""
    if bucket in server.filled:
        return
    ensure_bucket(server, bucket)
    data = os.urandom(_MEMBER_BYTES)
    with tempfile.TemporaryFile(dir=server.data.parent) as file:
        with tarfile.open(fileobj=file, mode="w") as archive:
            for number in range(_COUNT):
                info = tarfile.TarInfo(member(number))
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        file.seek(0)
        # In one piece: boto3's transfer manager would make 128 parts of it.
        connect(server).put_object(Bucket=bucket, Key=_SHARD, Body=file)
    server.filled.add(bucket)


def ask(
    server: Server, method: str, bucket: str, action: str, value: Mapping[str, Any]
) -> tuple[int, str]:
    """A request of the native API about a bucket; its status and answer."""
    connection = http.client.HTTPConnection(*server.address)
    message = json.dumps({"action": action, "name": "", "value": value})
    try:
        target = server.target(method, f"/v1/buckets/{bucket}")
        connection.request(method, target, message)
        reply = connection.getresponse()
        return reply.status, reply.read().decode()
    finally:
        connection.close()


def index(server: Server, bucket: str) -> None:
    """Have the indexes made, and wait for them."""
    status, answer = ask(server, "POST", bucket, "index-shard", {})
    if status != 200:
        raise ServerError(f"index-shard gave {status}: {answer}")
    while True:
        _, job_id = ask(server, "GET", bucket, "summary-shard", {"uuid": ""})
        status = 202
        while status == 202:
            status, answer = ask(server, "GET", bucket, "summary-shard", {"uuid": job_id})
            time.sleep(0.02)
        if status != 200:
            raise ServerError(f"summary-shard gave {status}: {answer}")
        if json.loads(answer)["shards"] == "1":
            return


class _ShardCase(Case):
    servers = ("weir",)
    connections = 8

    def targets(self, server: Server) -> Sequence[str]:
        raise NotImplementedError

    def run(self, server: Server, seconds: float) -> Sample:
        return wrk(
            server,
            "GET",
            self.targets(server),
            seconds,
            reply_bytes=_MEMBER_BYTES,
            connections=self.connections,
        )


class PlainObjects(_ShardCase):
    name, title = "shard-objects", "GET 100 KiB objects at random"
    _keys = tuple(f"o/{number:05}" for number in range(_TARGETS))

    def prepare(self, server: Server) -> None:
        ensure_objects(server, self._keys, _MEMBER_BYTES, _OBJECTS)

    def targets(self, server: Server) -> Sequence[str]:
        return [server.target("GET", f"/{_OBJECTS}/{key}") for key in self._keys]


class IndexedMembers(_ShardCase):
    name, title = "shard-members", "GET 100 KiB members of an indexed 1 GiB TAR at random"

    def prepare(self, server: Server) -> None:
        ensure_shard(server, _INDEXED)
        index(server, _INDEXED)

    def targets(self, server: Server) -> Sequence[str]:
        chosen = random.Random(1).sample(range(_COUNT), _TARGETS)
        path = f"/v1/objects/{_INDEXED}/{_SHARD}"
        return [server.target("GET", path, {"archpath": member(each)}) for each in chosen]


class ViewedMembers(IndexedMembers):
    name, title = "shard-view", "the same as keys of S3 (shard_view)"

    def prepare(self, server: Server) -> None:
        super().prepare(server)
        tags: Any = {"TagSet": [{"Key": "weir:shard-view", "Value": "on"}]}
        connect(server).put_bucket_tagging(Bucket=_INDEXED, Tagging=tags)

    def targets(self, server: Server) -> Sequence[str]:
        chosen = random.Random(1).sample(range(_COUNT), _TARGETS)
        return [server.target("GET", f"/{_INDEXED}/{_SHARD}/{member(each)}") for each in chosen]


class ScannedMembers(_ShardCase):
    name, title = "shard-scan", "GET 100 KiB members of a 1 GiB TAR without an index"

    def prepare(self, server: Server) -> None:
        ensure_shard(server, _SCANNED)

    def targets(self, server: Server) -> Sequence[str]:
        chosen = random.Random(2).sample(range(_COUNT), _SCANS)
        path = f"/v1/objects/{_SCANNED}/{_SHARD}"
        return [server.target("GET", path, {"archpath": member(each)}) for each in chosen]


def shard_cases() -> list[Case]:
    """The plain objects first, against which the others are measured."""
    return [PlainObjects(), IndexedMembers(), ViewedMembers(), ScannedMembers()]
