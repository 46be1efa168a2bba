"""Owns the rule by which large objects are stored in pieces (AIStore: chunks): from which size on, and how large."""

from __future__ import annotations

from dataclasses import dataclass

from core.configs import sections
from core.configs.native import NativeProps
from core.types import MAX_PUT_BYTES

MAX_CHUNKS = 10_000
"""Of one object. Its pieces are larger than was asked for where there would be more."""

MIN_CHUNK_BYTES, MAX_CHUNK_BYTES = 1024, 5 * 1024**3
MIN_MONOLITHIC_BYTES, MAX_MONOLITHIC_BYTES = 1024**3, 1024**4
DEFAULT_CHUNK_BYTES = 1024**3

LIMIT, CHUNK_SIZE = "chunks.objsize_limit", "chunks.chunk_size"
MONOLITHIC = "chunks.max_monolithic_size"
"""Names of the properties."""


@dataclass(frozen=True, slots=True)
class ChunkRule:
    """`limit_bytes`: an object of this size or more is stored in pieces of `chunk_bytes`."""

    limit_bytes: int = MAX_MONOLITHIC_BYTES
    chunk_bytes: int = DEFAULT_CHUNK_BYTES

    def piece_bytes(self, size_bytes: int) -> int:
        """How large the pieces of an object of that size are, but for the last; 0 for one that stays whole."""
        if size_bytes < self.limit_bytes or size_bytes <= self.chunk_bytes:
            return 0
        return max(self.chunk_bytes, -(-size_bytes // MAX_CHUNKS))

    def open_ended(self) -> tuple[int, int]:
        """The sizes of the first piece and of the others, for a body of unknown length that may be put: it is in
        pieces only once it is larger than the first."""
        chunk_bytes = max(self.chunk_bytes, -(-MAX_PUT_BYTES // MAX_CHUNKS))
        return max(self.limit_bytes, chunk_bytes), chunk_bytes


def chunk_rule(native: NativeProps) -> ChunkRule:
    """The rule of a bucket."""
    return made_rule(
        sections.size_bytes(native, LIMIT),
        sections.size_bytes(native, CHUNK_SIZE, DEFAULT_CHUNK_BYTES),
        sections.size_bytes(native, MONOLITHIC, MAX_MONOLITHIC_BYTES),
    )


def made_rule(
    limit_bytes: int, chunk_bytes: int, monolithic_bytes: int = MAX_MONOLITHIC_BYTES
) -> ChunkRule:
    """The rule that settings come to. `limit_bytes` 0: only what no file may hold is cut."""
    longest = max(MIN_MONOLITHIC_BYTES, min(monolithic_bytes, MAX_MONOLITHIC_BYTES))
    return ChunkRule(
        min(limit_bytes or longest, longest),
        max(MIN_CHUNK_BYTES, min(chunk_bytes, MAX_CHUNK_BYTES)),
    )
