"""What the storage tests work in: a real node on real directories, with bodies to feed it and eyes behind its back."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from cluster.placement import HrwPlacement
from core.names import BucketName, BucketRef, ObjectKey, UserId
from core.protocols import ObjectReader
from core.types import (
    NO_CONDITIONS,
    Bucket,
    BucketProps,
    ByteRange,
    ChecksumAlgorithm,
    Conditions,
    ExpectedDigest,
    ObjectAttributes,
    ObjectInfo,
    User,
)
from storage.doctor import CheckReport, check_sync
from storage.layout import MountpathSpec, open_set_sync
from storage.node import LocalNode
from storage.options import ClassPlacement, StorageOptions

USER = User(UserId("owner"), "owner", "Owner")
BUCKET = Bucket(BucketRef(BucketName("bucket")), 7, USER, 1)
RELAXED = replace(BUCKET, bucket_id=8, props=BucketProps(durability="relaxed"))
PLAIN = ObjectAttributes({"content-type": "text/x-test"}, {"color": "blue"}, owner_id=USER.user_id)
SMALL = StorageOptions(small_limit_bytes=1000, min_part_bytes=16)
"""Objects of more than 1,000 bytes go to files."""


class Clock:
    def now_ns(self) -> int:
        return time.time_ns()


class Body:
    """A body from memory; `error` ends it early, `gate` holds its end back."""

    wanted_checksum: ChecksumAlgorithm | None = None

    def __init__(
        self,
        data: bytes,
        *,
        claims: Sequence[ExpectedDigest] = (),
        declared: int | None = None,
        error: Exception | None = None,
        gate: asyncio.Event | None = None,
    ) -> None:
        self._data = data
        self._claims = claims
        self._error = error
        self._gate = gate
        self.size_bytes: int | None = len(data) if declared is None else declared

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for first in range(0, len(self._data), 100_000):
            yield self._data[first : first + 100_000]
        if self._gate is not None:
            await self._gate.wait()
        if self._error is not None:
            raise self._error

    def expected_digests(self) -> Sequence[ExpectedDigest]:
        return self._claims

    def expected_algorithms(self) -> Sequence[str]:
        return [claim.algorithm for claim in self._claims]


def key(text: str) -> ObjectKey:
    return ObjectKey(text)


def pattern(size_bytes: int, seed: int = 0) -> bytes:
    return hashlib.shake_128(b"%d" % seed).digest(size_bytes)


class Box:
    """An open node over directories in `root`."""

    def __init__(self, root: Path, node: LocalNode, specs: Sequence[MountpathSpec]) -> None:
        self.root = root
        self.node = node
        self.specs = specs

    async def put(
        self,
        name: str,
        data: bytes,
        *,
        bucket: Bucket = BUCKET,
        conditions: Conditions = NO_CONDITIONS,
        attributes: ObjectAttributes = PLAIN,
    ) -> ObjectInfo:
        return await self.node.put(
            bucket, key(name), Body(data), attributes=attributes, conditions=conditions
        )

    async def read(
        self, name: str, byte_range: ByteRange | None = None, *, bucket: Bucket = BUCKET
    ) -> bytes:
        return await read_all(await self.node.get(bucket, key(name), byte_range=byte_range))

    def blobs(self) -> list[Path]:
        """Every blob file."""
        return sorted(path for path in self.root.glob("*/blobs/*/*") if path.is_file())

    def guests(self) -> list[Path]:
        """Every blob file that lies on another disk than its record."""
        return sorted(path for path in self.root.glob("*/guests/*/*/*") if path.is_file())

    def rows(self, sql: str, database: str = "index.db") -> list[tuple[object, ...]]:
        """A query on every mountpath's database, past the node."""
        found: list[tuple[object, ...]] = []
        for spec in self.specs:
            assert spec.directory is not None
            with closing(sqlite3.connect(spec.directory / database)) as connection:
                found += connection.execute(sql).fetchall()
        return found

    async def settle(self, timeout_s: float = 5.0) -> None:
        """Until the garbage of all commits is gone."""
        deadline = time.monotonic() + timeout_s
        while self.rows("SELECT 1 FROM garbage"):
            assert time.monotonic() < deadline, "garbage stays"
            await asyncio.sleep(0.01)

    def check(self) -> CheckReport:
        return check_sync(self.specs)


async def read_all(reader: ObjectReader) -> bytes:
    try:
        return b"".join([chunk async for chunk in reader])
    finally:
        await reader.close()


@asynccontextmanager
async def opened(
    root: Path,
    options: StorageOptions = SMALL,
    mountpaths: int = 1,
    classes: Mapping[str, Sequence[int]] = MappingProxyType({}),
) -> AsyncIterator[Box]:
    """The node over `root`/0, `root`/1, ..., as a process would open it. `classes`: the numbers of the directories that
    a storage class lies in."""
    directories = [root / str(number) for number in range(mountpaths)]
    specs = open_set_sync(directories)
    placements = {}
    for name, numbers in classes.items():
        chosen = [directories[number] for number in numbers]
        members = [n for n, spec in enumerate(specs) if spec.directory in chosen]
        placement = HrwPlacement([specs[n].uuid for n in members]) if members else None
        placements[name] = ClassPlacement(members, placement)
    placement = HrwPlacement([spec.uuid for spec in specs])
    node = LocalNode(specs, placement, Clock(), replace(options, classes=placements))
    await node.open()
    try:
        yield Box(root, node, specs)
    finally:
        await node.close()
