"""Owns BlobRun: a reader of bytes that lie together in one open file, such as those of a large member of a shard."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

from core.protocols import FileSlice
from core.types import ObjectInfo
from storage.mountpath import Mountpath
from storage.reader import BlockRead, log_corrupt

_BLOCK_BYTES = 1024**2


class BlobRun:
    """An ObjectReader. To open a shard for one member, and to narrow what that offers, took 15 µs more."""

    data = None
    has_slices = True

    def __init__(
        self,
        mountpath: Mountpath,
        offered: tuple[ObjectInfo, int, int],
        lent: tuple[int, int],
    ) -> None:
        """`offered`: info, first, length; `lent`: the file's descriptor, which is taken over, and where in it."""
        self.info, self.first, self.length = offered
        self._mountpath = mountpath
        self._fd, self._offset = lent
        self._is_taken = False

    async def next_slice(self) -> FileSlice | None:
        """See ObjectReader."""
        if self._is_taken or not self.length:
            return None
        self._is_taken = True
        return FileSlice(self._fd, self._offset, self.length)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        offset, end = self._offset, self._offset + self.length
        while offset < end:
            count = min(_BLOCK_BYTES, end - offset)
            block = await self._mountpath.run(BlockRead(self._fd, offset, count, None))
            if len(block) < count:
                raise log_corrupt("blob shorter than its record", self.info.key)
            offset += count
            yield block

    async def close(self) -> None:
        """See ObjectReader."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
