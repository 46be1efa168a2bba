"""Owns the seam for a body that is here whole and proven before anything is told of it: what is written through to a
backend waits on a disk, unpublished, until the backend has it.

Nothing names a staged body until `publish`; whatever ends before leaves a blob that the space cleanup removes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from core.protocols import ObjectReader
from core.types import ByteRange, Checksum, ObjectInfo


class Staged(Protocol):
    """A body that was received, and that held every claim of its sender."""

    @property
    def size_bytes(self) -> int: ...

    @property
    def digests(self) -> Mapping[str, bytes]:
        """Of the whole by name: "md5" always, and what else was claimed or wanted."""

    @property
    def checksum(self) -> Checksum | None:
        """The S3 checksum that the sender wants to be kept."""

    async def open(self, byte_range: ByteRange | None = None) -> ObjectReader:
        """Read the bytes; as often as is wanted, until it is published or abandoned."""

    async def publish(self, info: ObjectInfo) -> ObjectInfo:
        """Make it the key's current object, durably, and whatever was before. Raises as ObjectStore.put; then nothing
        is left of it."""

    async def abandon(self) -> None:
        """Remove it. Idempotent, and of no effect after `publish`."""
