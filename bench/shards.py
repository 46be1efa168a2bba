"""Owns the cases of shards: members of an indexed 1 GiB TAR at random, against plain objects of their size and against
members of the same TAR without an index; and the same of members of 4 KiB, against few objects and many.
"""

from __future__ import annotations

import http.client
import io
import itertools
import json
import os
import random
import tarfile
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from bench.cases import KIB, Case, wrk
from bench.clients import connect, sample_of
from bench.fill import ensure_bucket, ensure_objects
from bench.samples import Sample
from bench.servers import Server, ServerError

_MEMBER_BYTES = 100 * KIB
_SMALL_MEMBER_BYTES = 4 * KIB
_SHARD_BYTES = 1024**3
_INDEXED, _SCANNED, _OBJECTS = "shards-indexed", "shards-scanned", "shards-objects"
_SHARD = "s.tar"
_TARGETS = 2000
_FEW, _MANY = 500, 20_000
_SCANS = 20


def member(number: int) -> str:
    return f"train/{number:07}.jpg"


def count_of(member_bytes: int) -> int:
    """How many members a shard of 1 GiB has."""
    return _SHARD_BYTES // (member_bytes + 512)


def ensure_shard(server: Server, bucket: str, member_bytes: int = _MEMBER_BYTES) -> None:
    """A bucket with the shard, unless an earlier case made it."""
    if bucket in server.filled:
        return
    ensure_bucket(server, bucket)
    data = os.urandom(member_bytes)
    with tempfile.TemporaryFile(dir=server.data.parent) as file:
        with tarfile.open(fileobj=file, mode="w") as archive:
            for number in range(count_of(member_bytes)):
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


def job_s(server: Server, job_id: str) -> float:
    """How long a job has worked, once it has ended: it may have waited for its turn before."""
    connection = http.client.HTTPConnection(*server.address)
    try:
        while True:
            target = server.target("GET", "/v1/cluster", {"what": "qryxstats"})
            connection.request("GET", target, json.dumps({"id": job_id}))
            reply = connection.getresponse()
            answer = json.loads(reply.read())
            if reply.status != 200:
                raise ServerError(f"statistics of {job_id} gave {reply.status}: {answer}")
            for snapshot in itertools.chain.from_iterable(answer.values()):
                begun, ended = map(_moment, (snapshot["start-time"], snapshot["end-time"]))
                if ended > begun:
                    return (ended - begun).total_seconds()
            time.sleep(0.1)
    finally:
        connection.close()


def _moment(text: str) -> datetime:
    """RFC 3339, of whose nanoseconds microseconds are enough."""
    seconds, _, fraction = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{seconds}.{fraction[:6]:0<6}+00:00")


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
    member_bytes = _MEMBER_BYTES

    def targets(self, server: Server) -> Sequence[str]:
        raise NotImplementedError

    def run(self, server: Server, seconds: float) -> Sample:
        return wrk(
            server,
            "GET",
            self.targets(server),
            seconds,
            reply_bytes=self.member_bytes,
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
        chosen = random.Random(1).sample(range(count_of(_MEMBER_BYTES)), _TARGETS)
        path = f"/v1/objects/{_INDEXED}/{_SHARD}"
        return [server.target("GET", path, {"archpath": member(each)}) for each in chosen]


class _SmallObjects(_ShardCase):
    member_bytes = _SMALL_MEMBER_BYTES
    count: int

    def prepare(self, server: Server) -> None:
        ensure_objects(server, self._keys(), self.member_bytes, _OBJECTS)

    def targets(self, server: Server) -> Sequence[str]:
        path = f"/v1/objects/{_OBJECTS}"
        keys = random.Random(1).sample(self._keys(), self.count)
        return [server.target("GET", f"{path}/{key}") for key in keys]

    def _keys(self) -> list[str]:
        return [f"small/{number:05}" for number in range(self.count)]


class FewSmallObjects(_SmallObjects):
    name, title = "shard-small-few", "GET 4 KiB objects at random, few (native)"
    count = _FEW


class ManySmallObjects(_SmallObjects):
    name, title = "shard-small-objects", "GET 4 KiB objects at random (native)"
    count = _MANY


class SmallMembers(_ShardCase):
    name, title = "shard-small-members", "GET 4 KiB members of an indexed 1 GiB TAR at random"
    member_bytes = _SMALL_MEMBER_BYTES
    bucket = "shards-small"

    def prepare(self, server: Server) -> None:
        ensure_shard(server, self.bucket, self.member_bytes)
        index(server, self.bucket)

    def targets(self, server: Server) -> Sequence[str]:
        chosen = random.Random(1).sample(range(count_of(self.member_bytes)), _MANY)
        path = f"/v1/objects/{self.bucket}/{_SHARD}"
        return [server.target("GET", path, {"archpath": member(each)}) for each in chosen]


class ViewedMembers(IndexedMembers):
    name, title = "shard-view", "the same as keys of S3 (shard_view)"

    def prepare(self, server: Server) -> None:
        super().prepare(server)
        tags: Any = {"TagSet": [{"Key": "weir:shard-view", "Value": "on"}]}
        connect(server).put_bucket_tagging(Bucket=_INDEXED, Tagging=tags)

    def targets(self, server: Server) -> Sequence[str]:
        chosen = random.Random(1).sample(range(count_of(_MEMBER_BYTES)), _TARGETS)
        return [server.target("GET", f"/{_INDEXED}/{_SHARD}/{member(each)}") for each in chosen]


class ScannedMembers(_ShardCase):
    name, title = "shard-scan", "GET 100 KiB members of a 1 GiB TAR without an index"

    def prepare(self, server: Server) -> None:
        ensure_shard(server, _SCANNED)

    def targets(self, server: Server) -> Sequence[str]:
        chosen = random.Random(2).sample(range(count_of(_MEMBER_BYTES)), _SCANS)
        path = f"/v1/objects/{_SCANNED}/{_SHARD}"
        return [server.target("GET", path, {"archpath": member(each)}) for each in chosen]


class Indexing(Case):
    """A job over a shard that lies on disk alone, and the reading of the same file in order, as fast as it comes."""

    servers = ("weir",)
    max_rounds = 1
    _bucket = "shards-new"

    def __init__(self, name: str, member_bytes: int) -> None:
        self.name = name
        self.title = f"Indexing a 1 GiB TAR of members of {member_bytes // KIB} KiB"
        self._member_bytes = member_bytes
        self._bucket = name

    def prepare(self, server: Server) -> None:
        ensure_shard(server, self._bucket, self._member_bytes)

    def run(self, server: Server, seconds: float) -> Sample:
        blob = _newest_blob(server.data)
        _forget(blob)
        begun = time.perf_counter()
        _read_through(blob)
        disk_s = time.perf_counter() - begun
        _forget(blob)
        status, job_id = ask(server, "POST", self._bucket, "index-shard", {})
        if status != 200:
            raise ServerError(f"index-shard gave {status}: {job_id}")
        index_s = job_s(server, job_id)
        latency = [index_s * 1e3]
        return replace(
            sample_of(latency, _SHARD_BYTES, index_s), extra={"disk_ratio": disk_s / index_s}
        )


def _newest_blob(data: Path) -> Path:
    """The file of the shard that was written last."""
    large = [path for path in data.rglob("*") if path.is_file()]
    return max(
        (path for path in large if path.stat().st_size > _SHARD_BYTES // 2),
        key=lambda path: path.stat().st_mtime_ns,
    )


def _forget(path: Path) -> None:
    """Have it on disk, and not in memory."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _read_through(path: Path) -> None:
    block = bytearray(1024 * KIB)
    with path.open("rb", buffering=0) as file:
        while file.readinto(block):
            pass


def shard_cases() -> list[Case]:
    """The plain objects first, against which the others are measured."""
    small = [FewSmallObjects(), ManySmallObjects(), SmallMembers()]
    indexing = [
        Indexing("shard-indexing", _MEMBER_BYTES),
        Indexing("shard-indexing-small", _SMALL_MEMBER_BYTES),
    ]
    members = [PlainObjects(), IndexedMembers(), ViewedMembers(), ScannedMembers()]
    return [*members, *small, *indexing]
