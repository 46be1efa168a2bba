"""Owns bodies that are here whole but not published yet (core.staging), and the parts of uploads that nobody completed
yet, read as if they were objects.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from core.errors import InvalidPart
from core.memory_reader import MemoryReader
from core.names import ObjectKey
from core.protocols import BodyStream
from core.ranges import resolve_range
from core.types import NO_CONDITIONS, Bucket, ByteRange, Checksum, ObjectAttributes, ObjectInfo
from storage.intake import Intake, Received
from storage.mountpath import Mountpath
from storage.mountpaths import Mountpaths
from storage.pieces import cutting_of, segment_of
from storage.publish import Publisher
from storage.reader import BlobGone, FileReader
from storage.records import StoredObject
from storage.upload_records import StoredPart


class LocalStaged:
    """core.staging.Staged on one of this node's mountpaths."""

    def __init__(
        self, place: tuple[Mountpath, Bucket, ObjectKey], received: Received, publisher: Publisher
    ) -> None:
        self._mountpath, self._bucket, self._key = place
        self._received = received
        self._publisher = publisher
        self._is_over = False
        self.size_bytes = received.size_bytes
        self.digests: Mapping[str, bytes] = received.digests
        self.checksum: Checksum | None = received.checksum

    async def open(self, byte_range: ByteRange | None = None) -> MemoryReader | FileReader:
        """See Staged."""
        received = self._received
        info = ObjectInfo(self._key, received.size_bytes, received.etag, 0, ObjectAttributes())
        run = resolve_range(info, byte_range)
        if received.data is not None:
            return MemoryReader(info, received.data, *run)
        segments = tuple(map(segment_of, received.blobs))
        return await _open(self._mountpath, StoredObject(info, 0, segments), run)

    async def publish(self, info: ObjectInfo) -> ObjectInfo:
        """See Staged."""
        if info.size_bytes != self.size_bytes:
            raise ValueError(f"{self.size_bytes} bytes are staged, not {info.size_bytes}")
        received, info = self._received, replace(info, key=self._key)
        self._is_over = True
        return await self._publisher.publish_received(
            self._mountpath, self._bucket, (info, received), NO_CONDITIONS
        )

    async def abandon(self) -> None:
        """See Staged."""
        if not self._is_over:
            self._is_over = True
            for blob in self._received.blobs:
                self._mountpath.executor.submit(blob.abandon)


async def stage(
    mountpaths: Mountpaths,
    intake: Intake,
    publisher: Publisher,
    place: tuple[Bucket, ObjectKey, str],
    body: BodyStream,
) -> LocalStaged:
    """See StorageNode.stage. `place`: bucket, key and storage class."""
    bucket, key, _ = place
    mountpath = mountpaths.owner(bucket, key)
    disk = cutting_of(mountpaths, place, body.size_bytes) or mountpaths.place(*place)
    received = await intake.receive(mountpath, body, body.wanted_checksum, place=disk)
    return LocalStaged((mountpath, bucket, key), received, publisher)


async def open_part(mountpath: Mountpath, key: ObjectKey, stored: StoredPart) -> FileReader:
    """Read a part. Raises InvalidPart if it is gone by now."""
    part = stored.part
    info = ObjectInfo(
        key, part.size_bytes, part.etag, part.modified_ns, ObjectAttributes(), part.checksum
    )
    try:
        whole = (0, part.size_bytes)
        return await _open(mountpath, StoredObject(info, stored.stamp, (stored.segment,)), whole)
    except BlobGone:
        raise InvalidPart(
            part_number=part.part_number, upload_id=stored.upload_id, etag=part.etag
        ) from None


async def _open(mountpath: Mountpath, stored: StoredObject, run: tuple[int, int]) -> FileReader:
    reader = await FileReader.open(mountpath, stored, *run)
    if run == (0, stored.info.size_bytes):
        reader.verify()
    return reader
