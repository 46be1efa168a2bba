"""Owns the seams below the service: what holds bytes (StorageNode), and where they go (Placement). Where buckets live
elsewhere is core.backends' business.

Arguments and results are frozen types of core. Implementations raise core.errors only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from core.chunks import ChunkRule
from core.landing import Landing
from core.names import ObjectKey, UploadId
from core.protocols import BodyStream, ObjectReader, ObjectStore
from core.staging import Staged
from core.types import Bucket, ObjectInfo
from core.uploads import CompletedPart


@dataclass(frozen=True, slots=True)
class DiskUse:
    """How full one of the node's mountpaths is: of its disk, or of the quota that it has. Numbers are positions in the
    store's set of mountpaths."""

    number: int
    used_bytes: int
    total_bytes: int

    def above_bytes(self, percent: float) -> int:
        """How much is used beyond a share of the whole; negative below it."""
        return self.used_bytes - int(self.total_bytes * percent / 100)


class StorageNode(ObjectStore, Protocol):
    """A target: an ObjectStore on this machine's mountpaths, or another node over HTTP."""

    async def close_bucket(self, bucket: Bucket, *, even_if_full: bool = False) -> None:
        """Refuse every later write to the bucket with NoSuchBucket, provided that it holds no object now.

        Raises BucketNotEmpty and changes nothing otherwise, unless `even_if_full`. Idempotent; `reopen_bucket` undoes
        it."""

    async def reopen_bucket(self, bucket: Bucket) -> None:
        """Accept writes again, after a deletion that did not go through. Idempotent."""

    async def drop_bucket(self, bucket: Bucket) -> bool:
        """Forget what is left of a deleted bucket, which is closed: objects, uploads in progress and their parts. A
        bounded part of it at a time; whether all is gone. Idempotent."""

    def expect(self, bucket: Bucket, key: ObjectKey) -> None:
        """`land` will be called in a moment: what it takes to know of the disk is looked up meanwhile. Never blocks."""

    async def land(
        self,
        bucket: Bucket,
        key: ObjectKey,
        size_bytes: int,
        *,
        piece_bytes: int = 0,
        digests: Sequence[str] = (),
        storage_class: str = "STANDARD",
    ) -> Landing:
        """Begin to take an object in by pieces of `piece_bytes`, spread over the mountpaths; 0: as the bucket's chunks
        say, or one piece. `digests`: of the whole, for pieces that will come in order. Raises OutOfSpace."""

    async def stage(
        self,
        bucket: Bucket,
        key: ObjectKey,
        body: BodyStream,
        *,
        storage_class: str = "STANDARD",
    ) -> Staged:
        """Take a body in, whole and proven, without publishing it. Raises as ObjectStore.put, but for conditions."""

    async def open_part(
        self, bucket: Bucket, key: ObjectKey, upload_id: UploadId, part_number: int
    ) -> ObjectReader:
        """Read a part of an upload in progress. Raises NoSuchUpload, InvalidPart."""

    async def publish_upload(
        self,
        bucket: Bucket,
        key: ObjectKey,
        upload_id: UploadId,
        parts: Sequence[CompletedPart],
        info: ObjectInfo,
    ) -> ObjectInfo:
        """Complete an upload as the copy of what a backend made of the same parts: their bytes, its facts (`info`).
        Raises as ObjectStore.complete_upload; the upload is then as it was."""

    async def health(self) -> Mapping[str, str]:
        """Per mountpath: "ok", or what is wrong with it."""


class Rechunks(Protocol):
    """What can rewrite the layout of an object that is on its disks."""

    async def rechunk(
        self, bucket: Bucket, key: ObjectKey, version_id: str, rule: ChunkRule
    ) -> bool:
        """Give a version the layout that a rule says; whether there was anything to do. All that clients see stays as
        it is, readers of the old pieces keep them, and what is written meanwhile wins.

        Raises NotFound kinds, CustomerKeyRequired (it stays as it is), PreconditionFailed (written to all the time),
        Corrupt, OutOfSpace."""


class Placement(Protocol):
    """Object → mountpath (and, with a cluster, object → targets), by highest random weight."""

    def mountpath_index(self, bucket_id: int, key: bytes) -> int:
        """Position of the mountpath that owns the object, stable while the set of mountpaths is."""
