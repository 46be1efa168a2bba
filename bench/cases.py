"""Owns the cases that drive HTTP directly: small and large objects, listings, memory, start-up."""

from __future__ import annotations

import json
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bench import bulk
from bench.fill import BUCKET, bucket_of, ensure_bucket, ensure_objects
from bench.process import MemoryWatch
from bench.samples import Sample
from bench.servers import Server, ServerError

KIB, MIB = 1024, 1024**2
_SCRIPT = Path(__file__).with_name("wrk.lua")


class Case(ABC):
    """Something to measure. `servers` names whom it can be asked of, `store` where their data lies."""

    name: str
    title: str
    servers: tuple[str, ...] = ("weir", "rclone")
    store = "disk"
    needs_many_keys = False
    max_rounds = 99

    def prepare(self, server: Server) -> None:
        """Put in place what `run` needs; not measured."""
        ensure_bucket(server)

    @abstractmethod
    def run(self, server: Server, seconds: float) -> Sample:
        """Drive the server for about that long. CPU times are added by the caller."""


def wrk(server: Server, method: str, targets: Sequence[str], seconds: float, **how: int) -> Sample:
    """Drive targets in turn with one thread of wrk. `how`: connections, body_bytes, reply_bytes."""
    with tempfile.NamedTemporaryFile("w", suffix=".targets") as file:
        file.write("\n".join(targets))
        file.flush()
        command = [
            *("wrk", "-t1", f"-c{how.get('connections', 32)}", f"-d{max(1, round(seconds))}s"),
            *("--timeout", "10s", "-s", str(_SCRIPT), server.endpoint),
            *("--", file.name, method, str(how.get("body_bytes", 0))),
        ]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise ServerError(f"wrk: {done.stderr or done.stdout}")
    figures = json.loads(done.stdout.strip().rpartition("\n")[2])
    payload = how.get("body_bytes", 0) or how.get("reply_bytes", 0)
    return Sample(**(figures | {"bytes": payload * figures["requests"] or figures["bytes"]}))


class SmallGet(Case):
    name, title = "get-4k", "GET 4 KiB, 32 connections"
    servers = ("weir", "rclone", "nginx")
    _keys = tuple(f"small/{n:04}" for n in range(1000))

    def prepare(self, server: Server) -> None:
        ensure_objects(server, self._keys, 4 * KIB)

    def run(self, server: Server, seconds: float) -> Sample:
        targets = [server.target("GET", f"/{BUCKET}/{key}") for key in self._keys]
        return wrk(server, "GET", targets, seconds, reply_bytes=4 * KIB)


class SmallPut(Case):
    name, title = "put-4k", "PUT 4 KiB, 32 connections"
    _keys = 20_000
    _round = 0

    def run(self, server: Server, seconds: float) -> Sample:
        self._round += 1
        keys = (f"/{BUCKET}/put/{self._round:03}/{n:05}" for n in range(self._keys))
        targets = [server.target("PUT", key) for key in keys]
        return wrk(server, "PUT", targets, seconds, body_bytes=4 * KIB)


class LargeGet(Case):
    name, title = "get-64m", "GET 64 MiB, 4 connections"
    servers = ("weir", "rclone", "nginx")
    connections = 4

    def prepare(self, server: Server) -> None:
        ensure_objects(server, [f"large/{n}" for n in range(4)], 64 * MIB)

    def run(self, server: Server, seconds: float) -> Sample:
        targets = [server.target("GET", f"/{BUCKET}/large/{n}") for n in range(4)]
        return bulk.get(bulk.Load(server.address, targets, self.connections, seconds))


class LargePut(Case):
    """One connection, so that the rate compares to what one core can hash."""

    name, title = "put-64m", "PUT 64 MiB, 1 connection"

    def run(self, server: Server, seconds: float) -> Sample:
        targets = [server.target("PUT", f"/{BUCKET}/large-put/{n}") for n in range(4)]
        return bulk.put(bulk.Load(server.address, targets, 1, seconds), 64 * MIB)


class LargePutInMemory(LargePut):
    name, title = "put-64m-memory", "PUT 64 MiB, 1 connection, store in memory"
    store = "memory"


class Listing(Case):
    """Pages of 1,000 keys from places all over the bucket, or of 1,000 common prefixes with a delimiter."""

    def __init__(self, count: int, label: str, delimiter: str = "") -> None:
        self.count = count
        self.delimiter = delimiter
        self.bucket = bucket_of(count)
        self.needs_many_keys = True
        self.name = f"list-{label}" + ("-delimiter" if delimiter else "")
        what = "1,000 common prefixes" if delimiter else "1,000 keys a page"
        self.title = f"ListObjectsV2, {what}, {count:,} keys"
        # rclone reads its whole directory tree for a page, which takes minutes for the large bucket.
        self.servers = ("weir", "rclone") if count <= 10_000 else ("weir",)

    def prepare(self, server: Server) -> None:
        """The keys were laid down before the server started (`bench.load`)."""

    def run(self, server: Server, seconds: float) -> Sample:
        query = {"list-type": "2", "max-keys": "1000"}
        if self.delimiter:
            queries: list[Mapping[str, str]] = [query | {"delimiter": self.delimiter}]
        else:
            starts = (f"d{prefix:04}/" for prefix in range(0, 900, 50))
            queries = [query | {"start-after": start} for start in starts]
        targets = [server.target("GET", f"/{self.bucket}", query) for query in queries]
        return wrk(server, "GET", targets, seconds, connections=4)


class Memory(Case):
    """The largest process of the tree while 256 connections each move a large object."""

    max_rounds = 1
    _connections = 256

    def __init__(self, method: str) -> None:
        self.name = f"memory-{method.lower()}"
        self.title = f"Memory, {self._connections} connections {method} 64 MiB"
        self.method = method

    def prepare(self, server: Server) -> None:
        ensure_objects(server, [f"large/{n}" for n in range(4)], 64 * MIB)

    def run(self, server: Server, seconds: float) -> Sample:
        path = f"/{BUCKET}/large" if self.method == "GET" else f"/{BUCKET}/memory"
        names = range(4 if self.method == "GET" else self._connections)
        targets = [server.target(self.method, f"{path}/{n}") for n in names]
        load = bulk.Load(server.address, targets, self._connections, 2 * seconds, is_cut_off=True)
        watch = MemoryWatch(server.pid)
        with watch.watching():
            if self.method == "GET":
                sample = bulk.get(load)
            else:
                # Bounded buffers show with 4 MiB sent a connection; the rest would only wear the disk.
                sample = bulk.put(load, 64 * MIB, stall_at_bytes=4 * MIB)
        memory = watch.result()
        return replace(
            sample,
            extra={"rss_mib": memory.peak_rss_mib, "anonymous_mib": memory.peak_anonymous_mib},
        )


class StartUp(Case):
    """From exec to the first healthy answer, on a store that holds the large bucket."""

    name = "start"
    servers = ("weir",)
    needs_many_keys = True

    def __init__(self, count: int) -> None:
        self.title = f"Start on a store of {count:,} objects"

    def run(self, server: Server, seconds: float) -> Sample:
        server.stop()
        start_s = server.start()
        return Sample(
            requests=1,
            bytes=0,
            seconds=start_s,
            p50_ms=start_s * 1e3,
            p99_ms=start_s * 1e3,
            errors=0,
            extra={"start_s": start_s},
        )
