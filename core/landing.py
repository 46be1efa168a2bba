"""Owns the seam for objects that come into the store in pieces, side by side or one after the other, while others may
read what has come so far: cold reads, downloads of large objects, rewriting into chunks.

Nothing names the pieces until `publish`; whatever ends before leaves blobs that the space cleanup removes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from core.types import NO_CONDITIONS, Conditions, ObjectInfo


class Piece(Protocol):
    """A run of an object's bytes on their way to a disk, written from its beginning to its end. Where a source fails in
    the middle, another goes on after `written_bytes`."""

    @property
    def size_bytes(self) -> int:
        """How many bytes it will have."""

    @property
    def written_bytes(self) -> int:
        """How many are in its file, where other processes see them."""

    async def write(self, chunk: bytes) -> None:
        """Append. Returns when at most a block or two waits for the disk. Raises OutOfSpace, MountpathUnavailable."""

    async def flush(self) -> None:
        """Until all that was given is in the file (not: on the disk)."""


class Landing(Protocol):
    """An object of known size that comes in pieces; piece i holds the bytes from i * piece_bytes."""

    @property
    def pieces(self) -> Sequence[Piece]: ...

    @property
    def piece_bytes(self) -> int:
        """Of every piece but the last, which may be shorter."""

    @property
    def files(self) -> Sequence[str]:
        """The path of each piece's file, in order; a file is there from its first byte on. For readers in this and
        other processes: they see bytes as `written_bytes` counts them. Empty for an object so small that its bytes go
        into the index: wait for `publish`."""

    def digests(self) -> Mapping[str, bytes]:
        """Of the whole by name ("md5", ...), of what was wanted when the landing began; only if its pieces were
        written one after the other and are complete. Raises ValueError else."""

    async def publish(
        self, info: ObjectInfo, *, conditions: Conditions = NO_CONDITIONS, must_last: bool = True
    ) -> ObjectInfo:
        """Make the object the key's current one, durably, once every piece is whole. `must_last` False, for a copy
        where there was none: power loss may take it, or leave a record whose bytes are Corrupt. Raises as
        ObjectStore.put; then nothing is left of it."""

    async def abandon(self) -> None:
        """Remove what was written. Idempotent, and of no effect after `publish`."""
