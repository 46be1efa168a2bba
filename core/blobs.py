"""Owns what a blob download is: one large remote object, fetched by ranged reads side by side; the seam to who does it,
and how many reads that are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from core.load import Level, LoadVector
from core.names import ObjectKey
from core.protocols import ObjectReader
from core.types import NO_CONDITIONS, Bucket, Conditions, ObjectInfo

MIN_BLOB_BYTES = 128 * 1024
"""Smaller objects are fetched by one read."""

MIN_CHUNK_BYTES, DEFAULT_CHUNK_BYTES, MAX_CHUNK_BYTES = 32 * 1024, 4 * 1024**2, 16 * 1024**2
DEFAULT_READ_TIMEOUT_S = 60.0
MAX_ASKED_WORKERS = 128
_MAX_WORKERS = 32
_READS = 256
_BYTES_A_WORKER = 256 * 1024**2
_BY_LOAD = {Level.LOW: 32, Level.MODERATE: 16, Level.HIGH: 4, Level.CRITICAL: 1}
_MILD = frozenset({"cpu", "loop_lag_s"})


@dataclass(frozen=True, slots=True)
class BlobPlan:
    """How an object is fetched: so many bytes a read, so many reads at a time (0: as suits; -1: one), each to be done
    in that time. `latest`: also where a copy is here that is not what the backend has now. `threshold_bytes`: smaller
    objects are fetched by one read."""

    chunk_bytes: int = 0
    workers: int = 0
    read_timeout_s: float = 0.0
    latest: bool = False
    threshold_bytes: int = 0

    def under(self, load: LoadVector) -> BlobPlan:
        """As far as the load allows. A busy processor slows reads all by itself, so that counts for less."""
        pressing = {n: lv for n, lv in load.levels.items() if n not in _MILD}
        mild = min(load.worst, Level.MODERATE)
        asked = 1 if self.workers < 0 else self.workers
        chunk_bytes = self.chunk_bytes
        if chunk_bytes:
            chunk_bytes = max(MIN_CHUNK_BYTES, min(chunk_bytes, MAX_CHUNK_BYTES))
        return replace(
            self,
            workers=min(asked or _MAX_WORKERS, _BY_LOAD[max(mild, LoadVector(pressing).worst)]),
            chunk_bytes=chunk_bytes,
            read_timeout_s=self.read_timeout_s or DEFAULT_READ_TIMEOUT_S,
        )

    def read_bytes(self, size_bytes: int) -> int:
        """How long a read is, of an object of that size: requests cost the same whatever they bring."""
        suits = min(max(size_bytes // _READS, DEFAULT_CHUNK_BYTES), MAX_CHUNK_BYTES)
        return self.chunk_bytes or suits // DEFAULT_CHUNK_BYTES * DEFAULT_CHUNK_BYTES

    def worker_count(self, size_bytes: int) -> int:
        """For an object of that size: one for 256 MiB of it."""
        asked = 1 if self.workers < 0 else self.workers or _MAX_WORKERS
        return max(1, min(asked, _MAX_WORKERS, -(-size_bytes // _BYTES_A_WORKER)))


Progress = Callable[[ObjectInfo, int], None]
"""Is told, time and again, which object comes and how many bytes more have."""


class Blobs(Protocol):
    """Who fetches blobs."""

    async def download(
        self, bucket: Bucket, key: ObjectKey, plan: BlobPlan, progress: Progress
    ) -> ObjectInfo:
        """Bring an object here, unless a copy is that will do. Whoever reads it meanwhile follows; where somebody
        fetches it already, this follows. When this is cancelled, so are the reads.

        Raises NoSuchKey, BackendDown, BackendBusy, BackendBroken, BackendDenied, OutOfSpace; nothing is left then."""

    async def open(
        self,
        bucket: Bucket,
        key: ObjectKey,
        plan: BlobPlan,
        conditions: Conditions = NO_CONDITIONS,
    ) -> ObjectReader:
        """Read an object whole, which is fetched so if it is not here. Raises as ObjectStore.get."""
