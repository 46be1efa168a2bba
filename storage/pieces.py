"""Owns how an object becomes several blobs: where each goes, what it is called, and what it says of itself.

Each alone is a part of nothing; the object's manifest, which is committed when all are on their disks, names them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.chunks import ChunkRule, chunk_rule
from core.cipher import Sealer
from core.names import ObjectKey
from core.types import Bucket
from storage import crashpoints
from storage.blobs import BlobWriter
from storage.mountpath import Mountpath
from storage.mountpaths import Mountpaths
from storage.records import FileSegment, encode_description
from storage.upload_records import part_of_nothing

NewSealer = Callable[[int], Sealer]
"""Makes what seals a run, given its number among those of its object."""


def segment_of(blob: BlobWriter) -> FileSegment:
    """What a record says of a blob that has all its bytes."""
    return FileSegment(blob.blob_id, blob.size_bytes, blob.checksum)


@dataclass(frozen=True, slots=True)
class Pieces:
    """The blobs of one object: `owner` has its record, `disks` get them in turn. `stamp`: older than the manifest's."""

    owner: Mountpath
    disks: Sequence[Mountpath]
    bucket: Bucket
    key: ObjectKey
    stamp: int
    is_durable: bool

    def disk(self, number: int) -> Mountpath:
        """Where a piece goes, from 0."""
        return self.disks[number % len(self.disks)]

    def new_blob(self, number: int) -> BlobWriter:
        """A blob to be written for a piece."""
        disk = self.disk(number)
        return self.owner.opened().new_blob(None if disk is self.owner else disk.spec)

    def finish(self, number: int, blob: BlobWriter) -> None:
        """Make a piece that has all its bytes durable. Blocking."""
        part = part_of_nothing(
            self.bucket.bucket_id, self.key, number + 1, segment_of(blob), self.stamp
        )
        blob.finish(encode_description(part), is_durable=self.is_durable)
        crashpoints.reach("chunks:piece-synced")


@dataclass(frozen=True, slots=True)
class Cutting:
    """How a body is cut that grows larger than `first_bytes`. `new_sealer`: for each piece, if they are encrypted."""

    pieces: Pieces
    first_bytes: int
    chunk_bytes: int
    new_sealer: NewSealer | None = None


def cutting_of(
    mountpaths: Mountpaths,
    target: tuple[Bucket, ObjectKey, str],
    size_bytes: int | None,
    new_sealer: NewSealer | None = None,
    rule: ChunkRule | None = None,
) -> Cutting | None:
    """How a body for a bucket, key and storage class is to be cut, by the bucket's rule if not by another; None if it
    cannot come to that. Raises MountpathUnavailable."""
    bucket, key, storage_class = target
    if rule is None:
        rule = chunk_rule(bucket.props.native)
    if size_bytes is None:
        first_bytes, chunk_bytes = rule.open_ended()
    else:
        first_bytes = chunk_bytes = rule.piece_bytes(size_bytes)
        if not chunk_bytes:
            return None
    disks = mountpaths.spread(bucket, key, storage_class)
    owner = mountpaths.owner(bucket, key)
    stamp = owner.opened().next_stamp()
    pieces = Pieces(owner, disks, bucket, key, stamp, bucket.props.durability != "relaxed")
    return Cutting(pieces, first_bytes, chunk_bytes, new_sealer)
