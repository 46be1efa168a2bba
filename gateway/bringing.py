"""Owns the bringing of objects that live elsewhere into the cluster, whole, for who must read in them here and there:
members of shards.
"""

from __future__ import annotations

from core.errors import OutOfSpace
from core.names import ObjectKey
from core.protocols import ObjectReader, ObjectService
from core.types import NO_CONDITIONS, Bucket, Conditions

_TRIES = 3
_RETRY_AFTER_S = 5


async def bring_here(
    service: ObjectService,
    bucket: Bucket,
    key: ObjectKey,
    conditions: Conditions = NO_CONDITIONS,
) -> None:
    """Until there is a copy of the object; at once where it lives here. With `conditions.latest`, a current one.

    Raises as ObjectStore.get, and OutOfSpace if none can be kept."""
    if bucket.props.backend is None:
        return
    for _ in range(_TRIES):
        reader = await service.get(bucket, key, conditions=conditions)
        try:
            if reader.info.is_cached:
                return
            await _pass_over(reader)
        finally:
            await reader.close()
    raise OutOfSpace(mountpath="", retry_after_s=_RETRY_AFTER_S)


async def _pass_over(reader: ObjectReader) -> None:
    """To the end, unread where the bytes come into files."""
    if not reader.has_slices:
        return
    while await reader.next_slice() is not None:
        pass
