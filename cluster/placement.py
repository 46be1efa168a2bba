"""Owns highest-random-weight placement: which of a fixed set of members has an object. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import xxhash


class HrwPlacement:
    """Placement over members by their ids, whatever their order; a member that leaves moves only its own objects."""

    def __init__(self, member_ids: Sequence[str]) -> None:
        self._seeds = [xxhash.xxh3_64_intdigest(member_id.encode()) for member_id in member_ids]

    def mountpath_index(self, bucket_id: int, key: bytes) -> int:
        """Position of the owner in the sequence given at the start."""
        if len(self._seeds) == 1:
            return 0
        name = b"%d/%b" % (bucket_id, key)
        weights = [xxhash.xxh3_64_intdigest(name, seed) for seed in self._seeds]
        return weights.index(max(weights))
