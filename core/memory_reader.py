"""Owns the reader of an object whose bytes are in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator

from core.protocols import Slice
from core.types import ObjectInfo


class MemoryReader:
    """An ObjectReader whose offered bytes are in memory: `length` of them from `first` on. `data` is the whole
    object's, or has just the offered bytes."""

    __slots__ = ("data", "first", "info", "length")
    has_slices = False

    def __init__(self, info: ObjectInfo, data: bytes, first: int, length: int) -> None:
        self.info = info
        self.first = first
        self.length = length
        self.data = data if length == len(data) else data[first : first + length]

    async def next_slice(self) -> Slice | None:
        return None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self.data:
            yield self.data

    async def close(self) -> None:
        return
