"""Owns what an archive from outside may cost."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ShardLimits:
    """Of one scan of a shard. An archive that asks for more is refused (BadShard).

    `max_members` counts all entries, those that are no members included. `max_description_bytes` is of what stands
    before an entry of a TAR to describe it: PAX records, GNU long names. `max_unpacked_bytes` is of all that comes out
    of a compressed shard, or of a member of a ZIP, which may be `max_ratio` times what went in, once it is more than
    `free_unpacked_bytes`.
    """

    max_members: int = 16_000_000
    max_description_bytes: int = 1024**2
    max_unpacked_bytes: int = 1024**4
    max_ratio: int = 250
    free_unpacked_bytes: int = 256 * 1024**2

    def refuses(self, unpacked_bytes: int, packed_bytes: int) -> bool:
        """Whether so much may not come out of so much."""
        if unpacked_bytes <= self.free_unpacked_bytes:
            return unpacked_bytes > self.max_unpacked_bytes
        return (
            unpacked_bytes > self.max_unpacked_bytes
            or unpacked_bytes > packed_bytes * self.max_ratio
        )
